package main

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/lockfile"
	"github.com/modular-bridging/bridge/plugins/release"
	"github.com/modular-bridging/bridge/plugins/store"
	"github.com/modular-bridging/bridge/plugins/trust"
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

func placeFlags(what string) []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "project", Usage: what + " the project, in the folder plugins of the working folder"},
		&cli.BoolFlag{Name: "user", Usage: what + " the user, for all projects"},
	}
}

// place is what the flags say; empty where they say nothing.
func place(c *cli.Context) (store.Place, error) {
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
		Flags:  append(placeFlags("for"), &cli.StringFlag{Name: "name", Usage: "`NAME` that recipes call it (default: its own)"}),
		Action: p.pluginAdd,
	}
}

func (p *program) pluginRemoveCommand() *cli.Command {
	return &cli.Command{
		Name: "remove", Usage: "delete a plugin's folder, and what " + lockfile.Name + " says of it", ArgsUsage: "NAME", UsageText: "bridge plugin remove NAME [--project|--user]",
		Description: "Example: bridge plugin remove mybackbone", Flags: placeFlags("of"), Action: p.pluginRemove,
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

// pluginLine is a plugin as --json shows it.
type pluginLine struct {
	Name         string                `json:"name"`
	Version      string                `json:"version,omitempty"`
	Kind         adapters.ModelKind    `json:"kind,omitempty"`
	Families     []string              `json:"families,omitempty"`
	Protocol     []int                 `json:"protocol,omitempty"`
	Capabilities []adapters.Capability `json:"capabilities,omitempty"`
	Place        store.Place           `json:"place"`
	Dir          string                `json:"dir,omitempty"`
	Program      string                `json:"program,omitempty"`
	Shadows      string                `json:"shadows,omitempty"`
	Pinned       bool                  `json:"pinned"`              // the lock file has it
	AsPinned     bool                  `json:"as_pinned,omitempty"` // and it is as that says
	Signed       bool                  `json:"signed"`              // a signature by a key that the user trusts holds
	Environment  []string              `json:"environment,omitempty"`
	Network      bool                  `json:"network"`
	Description  string                `json:"description,omitempty"`
	License      string                `json:"license,omitempty"`
	Homepage     string                `json:"homepage,omitempty"`
	PublicKey    string                `json:"public_key,omitempty"`
	Signature    string                `json:"signature,omitempty"` // in words: who signed it, and whether that holds
	Digest       string                `json:"digest,omitempty"`    // where its files have been read
	Problem      string                `json:"problem,omitempty"`   // why it would not start, or its manifest cannot be read
}

func lineOfPlugin(found store.Plugin, lock lockfile.Lock) pluginLine {
	m := found.Manifest
	_, pinned := lock.Plugins[found.Name]
	return pluginLine{Name: found.Name, Version: m.Version, Kind: m.Kind, Families: m.Families, Protocol: m.Protocol, Capabilities: m.Capabilities,
		Place: found.Place, Dir: found.Dir, Program: found.Program, Shadows: found.Shadows, Pinned: pinned,
		Environment: m.Environment, Network: m.Network, Description: m.Description, License: m.License, Homepage: m.Homepage, PublicKey: m.PublicKey}
}

func (p *program) pluginList(c *cli.Context) error {
	if _, err := arguments(c, 0, 0); err != nil {
		return err
	}
	found, broken, err := store.Default().List()
	if err != nil {
		return err
	}
	lock, err := lockfile.ReadProject(lockfile.Name)
	if err != nil {
		return err
	}
	policy, err := p.policy(wishes{})
	if err != nil {
		return err
	}
	var lines []pluginLine
	for _, f := range found {
		line := lineOfPlugin(f, lock)
		if line.Pinned || f.Signed() { // else there is nothing to read all its files for
			line.examine(f, policy)
		}
		lines = append(lines, line)
	}
	for _, b := range broken {
		lines = append(lines, pluginLine{Name: b.Name, Place: b.Place, Dir: b.Dir, Problem: b.Err.Error()})
	}
	if c.Bool("json") {
		for _, l := range lines {
			if err := p.printJSON(l); err != nil {
				return err
			}
		}
		return nil
	}
	if len(lines) == 0 {
		folders := store.Default()
		fmt.Fprintf(p.stdout, "no plugins in %s or %s; `bridge plugin add PATH` adds one\n", folders.Project, folders.User)
		return nil
	}
	var rows [][]string
	for _, l := range lines {
		rows = append(rows, l.row())
	}
	return p.table([]string{"NAME", "VERSION", "KIND", "OF", "PINNED", "SIGNED", "ABOUT"}, rows)
}

func (l pluginLine) row() []string {
	about := l.Description
	if l.Shadows != "" {
		about += " (the user's of this name does not count)"
	}
	if l.Problem != "" {
		about = briefly(l.Problem)
		if words := []rune(about); len(words) > aboutWidth {
			about = string(words[:aboutWidth-1]) + "…" // `plugin show` says all of it
		}
	}
	name := strconv.QuoteToGraphic(l.Name)
	return []string{name[1 : len(name)-1], l.Version, string(l.Kind), string(l.Place), l.pinnedWords(), l.signedWords(), strings.TrimSpace(about)}
}

// examine says what there is to say of a plugin's files as they are.
func (l *pluginLine) examine(found store.Plugin, policy trust.Policy) {
	v, err := examinePlugin(found, policy)
	l.AsPinned, l.Digest = v.Locked, v.Pin.Digest
	if err != nil {
		l.Problem = err.Error()
	}
	if v.Pin.Digest == "" { // its files could not be read
		l.Signature = "not checked"
		return
	}
	signer, broken := release.Check(v.Snapshot, policy.PublicKeys())
	l.Signed, l.Signature = broken == nil && signer.Name != "", signer.String()
	if broken != nil {
		l.Signature = "INVALID: " + broken.Error()
	}
}

func (l pluginLine) pinnedWords() string {
	switch {
	case !l.Pinned || l.AsPinned:
		return yes(l.Pinned)
	case l.Digest == "":
		return "not checked"
	}
	return "CHANGED"
}

func (l pluginLine) signedWords() string {
	word, _, _ := strings.Cut(l.Signature, ":")
	switch {
	case l.Signed:
		return "yes, " + word
	case word == "" || word == release.Signer{}.String():
		return "no"
	}
	return word
}

// aboutWidth is the most that a table says of a plugin's problem.
const aboutWidth = 100

// briefly is the first line of a problem, and how many there are.
func briefly(problem string) string {
	first, _, more := strings.Cut(problem, "\n")
	if more {
		first += fmt.Sprintf(" (and %d more)", strings.Count(problem, "\n"))
	}
	return first
}

func yes(b bool) string {
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
	found, err := store.Default().Find(args[0])
	if err != nil {
		return err
	}
	policy, err := p.policy(wishes{})
	if err != nil {
		return err
	}
	lock, err := lockfile.ReadProject(lockfile.Name)
	if err != nil {
		return err
	}
	line := lineOfPlugin(found, lock)
	line.examine(found, policy)
	if err := p.printPlugin(c, line, policy.AllowedVariables(found)); err != nil || line.Problem == "" {
		return err
	}
	return adapters.Errorf(adapters.Invalid, "plugin %s would not start", line.Name).WithRemedy("what is said of it has the reason, and what to do")
}

func (p *program) printPlugin(c *cli.Context, line pluginLine, allowed []string) error {
	if c.Bool("json") {
		return p.printJSON(line)
	}
	for _, f := range line.facts(allowed) {
		if f[1] != "" {
			fmt.Fprintf(p.stdout, "%-16s %s\n", f[0], f[1])
		}
	}
	return nil
}

// examinePlugin says whether a plugin would start, without starting it.
func examinePlugin(found store.Plugin, policy trust.Policy) (trust.Verdict, error) {
	v, err := checkPlugin(found, policy)
	if err == nil {
		err = found.CheckBuilt()
	}
	if err == nil {
		_, err = policy.Confined(found)
	}
	return v, err
}

// checkPlugin holds a plugin's files against lock and signature; what its build makes
// need not be there. Here nothing is said of what is not locked, which is seen.
func checkPlugin(found store.Plugin, policy trust.Policy) (trust.Verdict, error) {
	policy.Log = nil
	return trust.NewGuard(found, policy).Check()
}

// facts is what `plugin show` says.
func (l pluginLine) facts(allowed []string) [][2]string {
	var capabilities []string
	for _, c := range l.Capabilities {
		capabilities = append(capabilities, string(c))
	}
	network := ""
	if l.Network {
		network = "it says that it needs it"
	}
	return [][2]string{
		{"name", l.Name}, {"version", l.Version}, {"about", l.Description}, {"kind", string(l.Kind)}, {"families", strings.Join(l.Families, ", ")},
		{"protocol", strings.Trim(fmt.Sprint(l.Protocol), "[]")}, {"capabilities", strings.Join(capabilities, ", ")},
		{"of", string(l.Place)}, {"folder", l.Dir}, {"program", l.Program}, {"not used", l.Shadows},
		{"license", l.License}, {"homepage", l.Homepage}, {"author's key", l.PublicKey},
		{"asks for", strings.Join(l.Environment, " ")}, {"may see", strings.Join(allowed, " ")}, {"network", network},
		{"digest", l.Digest}, {"pinned", l.pinnedWords()}, {"signed by", l.Signature}, {"would not start", l.Problem},
	}
}

func (p *program) pluginAdd(c *cli.Context) error {
	args, err := arguments(c, 1, 1)
	if err != nil {
		return err
	}
	to, err := place(c)
	if err != nil {
		return err
	}
	if to == "" {
		to = store.InProject
	}
	policy, err := p.policy(wishes{})
	if err != nil {
		return err
	}
	var signer release.Signer
	added, err := store.Default().Add(args[0], c.String("name"), to, func(now store.Snapshot) (err error) {
		signer, err = trust.Signer(now, policy)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s %s: %s\n  signed by %s\n", added.Name, added.Manifest.Version, added.Dir, signer)
	p.leftOut(added.Excluded)
	fmt.Fprintf(p.stdout, "next: `bridge plugin lock %s` pins it, plugin = %q in a recipe uses it\n",
		added.Name, added.Name)
	return nil
}

func (p *program) pluginRemove(c *cli.Context) error {
	args, err := arguments(c, 1, 1)
	if err != nil {
		return err
	}
	from, err := place(c)
	if err != nil {
		return err
	}
	dir, err := store.Default().Remove(args[0], from)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "removed %s\n", dir)
	lock, err := lockfile.ReadProject(lockfile.Name)
	if _, pinned := lock.Plugins[args[0]]; err != nil || !pinned {
		return err
	}
	if _, err := store.Default().Find(args[0]); err == nil {
		return nil // the other of that name, which then has to be what is pinned
	}
	delete(lock.Plugins, args[0])
	return lockfile.Write(lockfile.Name, lock)
}

func (p *program) pluginLock(c *cli.Context) error {
	names, err := arguments(c, 0, -1)
	if err != nil {
		return err
	}
	found, err := pluginsNamed(names)
	if err != nil {
		return err
	}
	lock, err := lockfile.ReadProject(lockfile.Name)
	if err != nil {
		return err
	}
	if c.Bool("check") {
		return p.checkPins(found, lock, len(names) == 0)
	}
	policy, err := p.policy(wishes{})
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return adapters.Errorf(adapters.NotFound, "there are no plugins to pin").WithRemedy("name one by its path, or add one: bridge plugin add PATH")
	}
	if lock.Plugins == nil {
		lock.Plugins = map[string]store.Pin{}
	}
	for _, f := range found {
		now, err := trust.Lock(f, policy)
		if err != nil {
			return err
		}
		pin := now.Pin
		was, pinned := lock.Plugins[f.Name]
		changes := was.Differences(pin)
		switch {
		case !pinned:
			fmt.Fprintf(p.stdout, "%s: pinned, %s\n", f.Name, pin.Digest)
		case len(changes) == 0:
			fmt.Fprintf(p.stdout, "%s: as it was pinned\n", f.Name)
		default:
			fmt.Fprintf(p.stdout, "%s: pinned anew: %s\n", f.Name, strings.Join(changes, "; "))
		}
		p.leftOut(now.Tree.Left)
		lock.Plugins[f.Name] = pin
	}
	return lockfile.Write(lockfile.Name, lock)
}

// leftOut says what of a folder is not the plugin's.
func (p *program) leftOut(paths []string) {
	if len(paths) > 0 {
		fmt.Fprintf(p.stdout, "  left out, for it is not the plugin's: %s\n", strings.Join(paths, ", "))
	}
}

// pluginsNamed finds plugins by names and paths, or all where there are none.
func pluginsNamed(names []string) ([]store.Plugin, error) {
	if len(names) == 0 {
		found, broken, err := store.Default().List()
		for _, b := range broken {
			err = errors.Join(err, fmt.Errorf("%s: %w", b.Dir, b.Err))
		}
		return found, err
	}
	var found []store.Plugin
	for _, name := range names {
		f, err := store.Default().Find(name)
		if err != nil {
			return nil, err
		}
		found = append(found, f)
	}
	return found, nil
}

// checkPins says of each plugin whether it is as pinned, and fails where one is
// not.
func (p *program) checkPins(found []store.Plugin, lock lockfile.Lock, all bool) error {
	policy, err := p.policy(wishes{locked: true})
	if err != nil {
		return err
	}
	var problems []error
	missing := maps.Clone(lock.Plugins)
	for _, f := range found {
		delete(missing, f.Name)
		if _, err := examinePlugin(f, policy); err != nil {
			problems = append(problems, err)
			continue
		}
		fmt.Fprintf(p.stdout, "%s: as it was pinned\n", f.Name)
	}
	if all {
		for _, name := range slices.Sorted(maps.Keys(missing)) {
			problems = append(problems, adapters.Errorf(adapters.NotFound, "plugin %s is pinned, and not in %s or the user's", name, filepath.Clean(store.Default().Project)).
				WithRemedy("put it back, or name its path to check it; bridge plugin remove %s ends the pin", name))
		}
	}
	return errors.Join(problems...)
}
