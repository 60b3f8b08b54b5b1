package main

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/lockfile"
	"github.com/modular-bridging/bridge/plugins/release"
	"github.com/modular-bridging/bridge/plugins/store"
	"github.com/modular-bridging/bridge/workspace"
)

func (p *program) pluginCommand() *cli.Command {
	return group("plugin", "adapters of your own: make, build, test and trust them",
		p.pluginNewCommand(), p.pluginBuildCommand(), p.pluginTestCommand(),
		p.pluginListCommand(), p.pluginShowCommand(), p.pluginAddCommand(), p.pluginRemoveCommand(), p.pluginLockCommand(),
		p.pluginKeygenCommand(), p.pluginSignCommand(), p.pluginPackCommand())
}

func (p *program) pluginListCommand() *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "list the plugins of this project and of the user; none is run", UsageText: "bridge plugin list [--json]",
		Description: "A project's plugins lie in the folder plugins of the working folder. The files of those that are pinned or signed are read,\n" +
			"to say whether that holds.\n\nExample: bridge plugin list",
		Flags: []cli.Flag{jsonFlag()}, Action: p.pluginList,
	}
}

func (p *program) pluginShowCommand() *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "say all that is known of a plugin, and whether it may start; it is not run", ArgsUsage: "NAME", UsageText: "bridge plugin show NAME [--json]",
		Description: "NAME may be the path of a plugin's folder or executable. The exit status is 1 where it would not start, with the flags that\n" +
			"are given (--locked, --require-signed, --sandbox) and your settings.\n\nExample: bridge plugin show mybackbone",
		Flags: []cli.Flag{jsonFlag()}, Action: p.pluginShow,
	}
}

func scopeFlags(what string) []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "project", Usage: what + " the project, in the folder plugins of the working folder"},
		&cli.BoolFlag{Name: "user", Usage: what + " the user, for all projects"},
	}
}

// pluginScope reads the flags of [scopeFlags]; it is empty if none is given.
func pluginScope(c *cli.Context) (store.Place, error) {
	switch project, user := c.Bool("project"), c.Bool("user"); {
	case project && user:
		return "", usagef("--project and --user are given, want one of the two")
	case project:
		return store.InProject, nil
	case user:
		return store.OfUser, nil
	}
	return "", nil
}

func (p *program) pluginAddCommand() *cli.Command {
	return &cli.Command{
		Name: "add", Usage: "copy a plugin that is built into the project or the user's folder", ArgsUsage: "PATH",
		UsageText: "bridge plugin add PATH [--name NAME] [--project|--user]",
		Description: "PATH is a plugin's folder, or its executable. Links are copied as links, and one that leads out of the folder is refused,\n" +
			"but for the Python of a virtual environment. It says who signed the plugin; with --require-signed, it has to be somebody\n" +
			"whose key you trust.\n\nExample: bridge plugin add ../mybackbone",
		Flags:  append(scopeFlags("for"), &cli.StringFlag{Name: "name", Usage: "`NAME` that recipes call it (default: its own)"}),
		Action: p.pluginAdd,
	}
}

func (p *program) pluginRemoveCommand() *cli.Command {
	return &cli.Command{
		Name: "remove", Usage: "delete a plugin's folder, and what " + lockfile.Name + " says of it", ArgsUsage: "NAME", UsageText: "bridge plugin remove NAME [--project|--user]",
		Description: "Example: bridge plugin remove mybackbone", Flags: scopeFlags("of"), Action: p.pluginRemove,
	}
}

func (p *program) pluginLockCommand() *cli.Command {
	return &cli.Command{
		Name: "lock", Usage: "pin plugins as they are in the project's " + lockfile.Name + ", or check that they are as pinned", ArgsUsage: "[NAME...]",
		UsageText: "bridge plugin lock [NAME...] [--check]",
		Description: "NAME may be a path; without one it is all plugins that `bridge plugin list` shows. Every file, link and executable bit counts.\n" +
			"A plugin that is pinned starts only as it is pinned; --locked starts no other.\n\nExample: bridge plugin lock --check",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "check", Usage: "change nothing; fail where a plugin is not as pinned, or not pinned"}}, Action: p.pluginLock,
	}
}

func (p *program) pluginList(c *cli.Context) error {
	if _, err := arguments(c, 0, 0); err != nil {
		return err
	}
	found, err := p.workspace.Plugins(false)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, s := range found {
		if c.Bool("json") {
			if err := p.printJSON(s); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, pluginRow(s))
	}
	if c.Bool("json") {
		return nil
	}
	if len(rows) == 0 {
		folders := store.Default()
		fmt.Fprintf(p.stdout, "no plugins in %s or %s; `bridge plugin add PATH` adds one\n", folders.Project, folders.User)
		return nil
	}
	return p.table([]string{"NAME", "VERSION", "KIND", "OF", "PINNED", "SIGNED", "ABOUT"}, rows)
}

// pluginRow returns a plugin as a row of the list.
func pluginRow(s workspace.PluginStatus) []string {
	about := s.Description
	if s.Shadows != "" {
		about += " (the user's of this name does not count)"
	}
	if s.Problem != "" {
		about = firstLine(s.Problem)
		if words := []rune(about); len(words) > aboutWidth {
			about = string(words[:aboutWidth-1]) + "…" // `plugin show` says all of it
		}
	}
	name := strconv.QuoteToGraphic(s.Name)
	return []string{name[1 : len(name)-1], s.Version, string(s.Kind), string(s.Place), pinState(s), signatureState(s), strings.TrimSpace(about)}
}

func pinState(s workspace.PluginStatus) string {
	switch {
	case !s.Pinned || s.AsPinned:
		return yesNo(s.Pinned)
	case s.Digest == "":
		return "not checked"
	}
	return "CHANGED"
}

func signatureState(s workspace.PluginStatus) string {
	word, _, _ := strings.Cut(s.Signature, ":")
	switch {
	case s.Signed:
		return "yes, " + word
	case word == "" || word == release.Signer{}.String():
		return "no"
	}
	return word
}

// aboutWidth is the width of a plugin's problem in a table.
const aboutWidth = 100

// firstLine returns the first line of a problem, and how many more there are.
func firstLine(problem string) string {
	first, _, more := strings.Cut(problem, "\n")
	if more {
		first += fmt.Sprintf(" (and %d more)", strings.Count(problem, "\n"))
	}
	return first
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (p *program) pluginShow(c *cli.Context) error {
	args, err := arguments(c, 1, 1)
	if err != nil {
		return err
	}
	s, err := p.workspace.Plugin(args[0])
	if err != nil {
		return err
	}
	if c.Bool("json") {
		err = p.printJSON(s)
	} else {
		for _, f := range pluginDetails(s) {
			if f[1] != "" {
				fmt.Fprintf(p.stdout, "%-16s %s\n", f[0], f[1])
			}
		}
	}
	if err != nil || s.Problem == "" {
		return err
	}
	return adapters.Errorf(adapters.Invalid, "plugin %s would not start", s.Name).WithRemedy("the line \"would not start\" has the reason, and what to do")
}

// pluginDetails returns the lines of `plugin show`.
func pluginDetails(s workspace.PluginStatus) [][2]string {
	var capabilities []string
	for _, c := range s.Capabilities {
		capabilities = append(capabilities, string(c))
	}
	network := ""
	if s.Network {
		network = "its manifest asks for it"
	}
	return [][2]string{
		{"name", s.Name}, {"version", s.Version}, {"about", s.Description}, {"kind", string(s.Kind)}, {"families", strings.Join(s.Families, ", ")},
		{"protocol", strings.Trim(fmt.Sprint(s.Protocol), "[]")}, {"capabilities", strings.Join(capabilities, ", ")},
		{"of", string(s.Place)}, {"folder", s.Dir}, {"program", s.Program}, {"not used", s.Shadows},
		{"license", s.License}, {"homepage", s.Homepage}, {"author's key", s.PublicKey},
		{"asks for", strings.Join(s.Environment, " ")}, {"may see", strings.Join(s.Allowed, " ")}, {"network", network},
		{"digest", s.Digest}, {"pinned", pinState(s)}, {"signed by", s.Signature}, {"would not start", s.Problem},
	}
}

func (p *program) pluginAdd(c *cli.Context) error {
	args, err := arguments(c, 1, 1)
	if err != nil {
		return err
	}
	to, err := pluginScope(c)
	if err != nil {
		return err
	}
	added, signer, err := p.workspace.AddPlugin(args[0], c.String("name"), cmp.Or(to, store.InProject))
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s %s: %s\n  signed by %s\n", added.Name, added.Manifest.Version, added.Dir, signer)
	p.printSkipped(added.Left)
	fmt.Fprintf(p.stdout, "next: `bridge plugin lock %s` pins it, plugin = %q in a recipe uses it\n",
		added.Name, added.Name)
	return nil
}

func (p *program) pluginRemove(c *cli.Context) error {
	args, err := arguments(c, 1, 1)
	if err != nil {
		return err
	}
	from, err := pluginScope(c)
	if err != nil {
		return err
	}
	dir, err := p.workspace.RemovePlugin(args[0], from)
	if dir != "" {
		fmt.Fprintf(p.stdout, "removed %s\n", dir)
	}
	return err
}

func (p *program) pluginLock(c *cli.Context) error {
	names, err := arguments(c, 0, -1)
	if err != nil {
		return err
	}
	if c.Bool("check") {
		asPinned, err := p.workspace.CheckPins(names)
		for _, name := range asPinned {
			fmt.Fprintf(p.stdout, "%s: as it was pinned\n", name)
		}
		return err
	}
	pins, err := p.workspace.LockPlugins(names)
	for _, pin := range pins {
		switch {
		case pin.New:
			fmt.Fprintf(p.stdout, "%s: pinned, %s\n", pin.Name, pin.Digest)
		case len(pin.Changes) == 0:
			fmt.Fprintf(p.stdout, "%s: as it was pinned\n", pin.Name)
		default:
			fmt.Fprintf(p.stdout, "%s: pinned anew: %s\n", pin.Name, strings.Join(pin.Changes, "; "))
		}
		p.printSkipped(pin.Left)
	}
	return err
}

// printSkipped prints what in a folder is not part of the plugin.
func (p *program) printSkipped(paths []string) {
	if len(paths) > 0 {
		fmt.Fprintf(p.stdout, "  not part of the plugin, skipped: %s\n", strings.Join(paths, ", "))
	}
}
