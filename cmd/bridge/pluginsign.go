package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/atomicfile"
	"github.com/modular-bridging/bridge/plugins/release"
	"github.com/modular-bridging/bridge/plugins/store"
	"github.com/modular-bridging/bridge/plugins/trust"
)

// passwordVariable is the variable that holds a key's password, for use without a terminal.
const passwordVariable = "BRIDGE_KEY_PASSWORD"

func (p *program) pluginKeygenCommand() *cli.Command {
	return &cli.Command{
		Name: "keygen", Usage: "create a key pair for signing plugins, in minisign's format", ArgsUsage: "FILE",
		UsageText: "bridge plugin keygen FILE [--no-password]",
		Description: "The private key is written to FILE, the public key to FILE.pub.\n\n" +
			"Example: bridge plugin keygen my.key",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "no-password", Usage: "do not encrypt the private key: anyone who can read FILE can sign with it"}},
		Action: p.pluginKeygen,
	}
}

func (p *program) pluginSignCommand() *cli.Command {
	return &cli.Command{
		Name: "sign", Usage: "sign the current files of a built plugin", ArgsUsage: "PATH", UsageText: "bridge plugin sign PATH --key FILE",
		Description: "Writes " + store.ReleaseFile + ", with the plugin's version and digest, and its signature into the plugin's\n" +
			"folder. minisign can check the signature, and sign the file too.\n\nExample: bridge plugin sign ../mybackbone --key my.key",
		Flags:  []cli.Flag{&cli.StringFlag{Name: "key", Usage: "`FILE` with the private key"}},
		Action: p.pluginSign,
	}
}

func (p *program) pluginPackCommand() *cli.Command {
	return &cli.Command{
		Name: "pack", Usage: "write a plugin's release as a .tar.gz file", ArgsUsage: "PATH FILE",
		UsageText: "bridge plugin pack PATH FILE",
		Description: "FILE contains one folder with the files of the plugin (docs/trust.md has the rule) and its signature, if it is\n" +
			"signed. It does not contain the files that each machine builds.\n\n" +
			"Example: bridge plugin pack ../mybackbone mybackbone.tar.gz",
		Action: p.pluginPack,
	}
}

func (p *program) pluginPack(c *cli.Context) error {
	args, err := arguments(c, 2, 2)
	if err != nil {
		return err
	}
	found, err := findByPath(args[0])
	if err != nil {
		return err
	}
	if file, err := filepath.Abs(args[1]); err != nil || bridge.Inside(found.Dir, file) {
		return usagef("%s is in the plugin's folder, want a FILE outside of it", args[1])
	}
	var r release.Release
	err = atomicfile.Write(args[1], func(w io.Writer) error {
		r, err = release.Pack(found, w)
		return err
	})
	if err != nil {
		return err
	}
	p.printf("%s %s: %s\n", r.Name, r.Version, args[1])
	p.printSkipped(r.Excluded)
	if len(r.Built) > 0 {
		p.printf("  not packed, because each machine builds its own: %s\n", strings.Join(r.Built, ", "))
	}
	return nil
}

// findByPath finds a plugin by its path only. A name would find an added plugin, which is
// already released.
func findByPath(path string) (store.Plugin, error) {
	if !strings.Contains(path, "/") {
		path = "./" + path
	}
	return store.Default().Find(path)
}

func (p *program) pluginKeygen(c *cli.Context) error {
	args, err := arguments(c, 1, 1)
	if err != nil {
		return err
	}
	public, private, err := release.NewKey()
	if err != nil {
		return err
	}
	if !c.Bool("no-password") {
		password, err := p.password("password of the new key: ")
		if err != nil {
			return err
		}
		if private, err = release.Encrypt(private, password); err != nil {
			return err
		}
	}
	if err := release.WriteKeyFiles(args[0], public, private); err != nil {
		return err
	}
	p.printf("%s: the private key, keep it secret\n"+
		"%s.pub: the public key; anyone who trusts you adds this under [keys] to %s in the configuration folder:\nNAME = %q\n",
		args[0], args[0], trust.SettingsFile, public)
	return nil
}

func (p *program) pluginSign(c *cli.Context) error {
	args, err := arguments(c, 1, 1)
	if err != nil {
		return err
	}
	if c.String("key") == "" {
		return usagef("bridge plugin sign needs --key FILE, a private key from `bridge plugin keygen` or minisign")
	}
	private, err := release.ReadPrivateKey(c.String("key"))
	if err != nil {
		return err
	}
	found, err := findByPath(args[0])
	if err != nil {
		return err
	}
	password := ""
	if release.Encrypted(private) {
		if password, err = p.password("password of " + c.String("key") + ": "); err != nil {
			return err
		}
	}
	r, err := release.Sign(found, private, password)
	if err != nil {
		return err
	}
	p.printf("%s %s is signed: %s\n", r.Name, r.Version, r.Digest)
	p.printSkipped(r.Excluded)
	if len(r.Built) > 0 {
		p.printf("  not signed, because each machine builds its own: %s\n", strings.Join(r.Built, ", "))
	}
	return nil
}

// password returns the password in the variable, or asks for it on the terminal.
func (p *program) password(prompt string) (string, error) {
	if password, ok := os.LookupEnv(passwordVariable); ok {
		return password, nil
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return "", adapters.Errorf(adapters.Invalid, "the key needs a password, and stdin is not a terminal").
			WithRemedy("set %s, or create a key with --no-password", passwordVariable)
	}
	p.errorf("%s", prompt)
	typed, err := term.ReadPassword(int(os.Stdin.Fd()))
	p.errorf("\n")
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return string(typed), nil
}
