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
	return group("plugin", "make, build, test and trust adapters of your own",
		p.pluginNewCommand(), p.pluginBuildCommand(), p.pluginTestCommand(),
		p.pluginListCommand(), p.pluginShowCommand(), p.pluginAddCommand(), p.pluginRemoveCommand(), p.pluginLockCommand(),
		p.pluginKeygenCommand(), p.pluginSignCommand(), p.pluginPackCommand())
}

func (p *program) pluginListCommand() *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "list the plugins of this project and of the user, without running them",
		UsageText: "bridge plugin list [--json]",
		Description: "A project's plugins are in the folder plugins of the working folder. bridge reads the files of pinned and signed\n" +
			"plugins, to check that the pin or the signature still matches.\n\nExample: bridge plugin list",
		Flags: []cli.Flag{jsonFlag()}, Action: p.pluginList,
	}
}

func (p *program) pluginShowCommand() *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "show what is known about a plugin, and whether it may start, without running it", ArgsUsage: "NAME",
		UsageText: "bridge plugin show NAME [--json]",
		Description: "NAME may be the path of a plugin's folder or executable. The exit status is 1 if the plugin would not start with\n" +
			"your settings and the given flags (--locked, --require-signed, --sandbox).\n\nExample: bridge plugin show mybackbone",
		Flags: []cli.Flag{jsonFlag()}, Action: p.pluginShow,
	}
}

// scopeFlags returns the flags that choose between the project's and the user's plugins. Their
// texts begin with change, such as "add to".
func scopeFlags(change string) []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "project", Usage: change + " the project's plugins, in the folder plugins of the working folder"},
		&cli.BoolFlag{Name: "user", Usage: change + " the user's plugins, which all projects can use"},
	}
}

// pluginScope reads the flags of [scopeFlags]. It returns an empty place if none is set.
func pluginScope(c *cli.Context) (store.Place, error) {
	switch project, user := c.Bool("project"), c.Bool("user"); {
	case project && user:
		return "", usagef("--project cannot be combined with --user")
	case project:
		return store.InProject, nil
	case user:
		return store.OfUser, nil
	}
	return "", nil
}

func (p *program) pluginAddCommand() *cli.Command {
	return &cli.Command{
		Name: "add", Usage: "copy a built plugin into the project's or the user's folder", ArgsUsage: "PATH",
		UsageText: "bridge plugin add PATH [--name NAME] [--project|--user]",
		Description: "PATH is a plugin's folder, or its executable. Links are copied as links. A link that leads out of the folder is\n" +
			"refused, except the Python of a virtual environment. The command prints who signed the plugin; with --require-signed,\n" +
			"the key must be one that you trust.\n\nExample: bridge plugin add ../mybackbone",
		Flags:  append(scopeFlags("add to"), &cli.StringFlag{Name: "name", Usage: "`NAME` for use in recipes (default: the plugin's own)"}),
		Action: p.pluginAdd,
	}
}

func (p *program) pluginRemoveCommand() *cli.Command {
	return &cli.Command{
		Name: "remove", Usage: "delete a plugin's folder and its entry in " + lockfile.Name, ArgsUsage: "NAME",
		UsageText:   "bridge plugin remove NAME [--project|--user]",
		Description: "Example: bridge plugin remove mybackbone", Flags: scopeFlags("remove from"), Action: p.pluginRemove,
	}
}

func (p *program) pluginLockCommand() *cli.Command {
	return &cli.Command{
		Name: "lock", Usage: "pin plugins in the project's " + lockfile.Name + ", or check that they match their pins",
		ArgsUsage: "[NAME...]", UsageText: "bridge plugin lock [NAME...] [--check]",
		Description: "NAME may be a path. Without a NAME the command pins all plugins that `bridge plugin list` shows. A pin covers\n" +
			"every file, link and executable bit. A pinned plugin starts only if it matches its pin; with --locked, only pinned plugins\n" +
			"start.\n\nExample: bridge plugin lock --check",
		Flags:  []cli.Flag{&cli.BoolFlag{Name: "check", Usage: "change nothing; fail if a plugin does not match its pin or has none"}},
		Action: p.pluginLock,
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

// pluginRow returns the row of a plugin in the list.
func pluginRow(s workspace.PluginStatus) []string {
	about := s.Description
	if s.Shadows != "" {
		about += " (the user's plugin of this name is not used)"
	}
	if s.Problem != "" {
		about = firstLine(s.Problem)
		if runes := []rune(about); len(runes) > aboutWidth {
			about = string(runes[:aboutWidth-1]) + "…" // `plugin show` prints all of it
		}
	}
	name := strconv.QuoteToGraphic(s.Name)
	name = name[1 : len(name)-1]
	return []string{name, s.Version, string(s.Kind), string(s.Place), pinState(s), signatureState(s), strings.TrimSpace(about)}
}

// pinState returns whether a plugin is pinned and matches its pin.
func pinState(s workspace.PluginStatus) string {
	switch {
	case !s.Pinned || s.AsPinned:
		return yesNo(s.Pinned)
	case s.Digest == "":
		return "not checked"
	}
	return "CHANGED"
}

// signatureState returns whether a trusted key signed a plugin.
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

// firstLine returns the first line of a problem, with the number of further lines.
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
	return adapters.Errorf(adapters.Invalid, "plugin %s would not start", s.Name).
		WithRemedy("the line \"would not start\" has the reason and the remedy")
}

// pluginDetails returns the lines of `plugin show`.
func pluginDetails(s workspace.PluginStatus) [][2]string {
	var capabilities []string
	for _, c := range s.Capabilities {
		capabilities = append(capabilities, string(c))
	}
	network := ""
	if s.Network {
		network = "required by its manifest"
	}
	return [][2]string{
		{"name", s.Name}, {"version", s.Version}, {"about", s.Description}, {"kind", string(s.Kind)},
		{"families", strings.Join(s.Families, ", ")}, {"protocol", strings.Trim(fmt.Sprint(s.Protocol), "[]")},
		{"capabilities", strings.Join(capabilities, ", ")},
		{"of", string(s.Place)}, {"folder", s.Dir}, {"program", s.Program}, {"not used", s.Shadows},
		{"license", s.License}, {"homepage", s.Homepage}, {"author's key", s.PublicKey},
		{"requests", strings.Join(s.Environment, " ")}, {"may see", strings.Join(s.Allowed, " ")}, {"network", network},
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
	p.printSkipped(added.Excluded)
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
			fmt.Fprintf(p.stdout, "%s: matches its pin\n", name)
		}
		return err
	}
	pins, err := p.workspace.LockPlugins(names)
	for _, pin := range pins {
		switch {
		case pin.New:
			fmt.Fprintf(p.stdout, "%s: pinned, %s\n", pin.Name, pin.Digest)
		case len(pin.Changes) == 0:
			fmt.Fprintf(p.stdout, "%s: matches its pin\n", pin.Name)
		default:
			fmt.Fprintf(p.stdout, "%s: pinned again: %s\n", pin.Name, strings.Join(pin.Changes, "; "))
		}
		p.printSkipped(pin.Left)
	}
	return err
}

// printSkipped prints the paths in a folder that are not part of the plugin.
func (p *program) printSkipped(paths []string) {
	if len(paths) > 0 {
		fmt.Fprintf(p.stdout, "  not part of the plugin, skipped: %s\n", strings.Join(paths, ", "))
	}
}
