package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/internal/didyoumean"
)

// reorder sorts a command line into the order that urfave/cli requires: the global flags
// first, then the path of the command, its flags, "--" and the positional arguments. An
// unknown command or flag anywhere is wrong usage.
func reorder(app *cli.App, args []string) ([]string, error) {
	o := ordering{rootFlags: append(slices.Clone(app.Flags), cli.VersionFlag), commands: app.Commands}
	o.out.root = args[:1:1]
	for rest := args[1:]; len(rest) > 0; {
		var err error
		if rest, err = o.take(rest); err != nil {
			return nil, err
		}
	}
	out := slices.Concat(o.out.root, o.out.path, o.out.flags)
	if o.leaf() && len(o.out.positional) > 0 {
		out = append(append(out, "--"), o.out.positional...)
	}
	return out, nil
}

// ordering sorts the words of a command line.
type ordering struct {
	rootFlags []cli.Flag
	commands  []*cli.Command // that may come next; nil once the command is known
	command   *cli.Command
	out       struct{ root, path, flags, positional []string }
}

// leaf reports whether the command is known and has no subcommands.
func (o *ordering) leaf() bool { return o.command != nil && len(o.commands) == 0 }

// take sorts the next word, together with the value of a flag, and returns the rest.
func (o *ordering) take(words []string) ([]string, error) {
	word := words[0]
	switch {
	case word == "--":
		o.out.positional = append(o.out.positional, words[1:]...)
		return nil, nil
	case len(word) > 1 && word[0] == '-':
		return o.flag(words)
	case !o.leaf() && o.takesArguments(word):
		o.commands = nil // it is a leaf from here on
	case !o.leaf():
		return words[1:], o.descend(word)
	}
	o.out.positional = append(o.out.positional, word)
	return words[1:], nil
}

// takesArguments reports whether the command has subcommands and arguments, as eval has, and the word is an
// argument: it names no subcommand, and does not resemble one unless it is a file or a folder.
func (o *ordering) takesArguments(word string) bool {
	if o.command == nil || o.command.ArgsUsage == "" {
		return false
	}
	names := make([]string, len(o.commands))
	for i, c := range o.commands {
		names[i] = c.Name
	}
	if slices.Contains(names, word) {
		return false
	}
	return didyoumean.Name(word, names) == "" || isFile(word) || isDir(word)
}

// descend takes a word as the next part of the command's path.
func (o *ordering) descend(word string) error {
	o.out.path = append(o.out.path, word)
	var names []string
	for _, c := range o.commands {
		if c.HasName(word) {
			o.command, o.commands = c, c.Subcommands
			return nil
		}
		names = append(names, c.Name)
	}
	return usagef("no command %q%s (the commands are %s)",
		strings.Join(o.out.path, " "), didyoumean.Hint(word, names), strings.Join(names, ", "))
}

// flag sorts a flag to the command, or to the global flags.
func (o *ordering) flag(words []string) ([]string, error) {
	name, _, hasValue := strings.Cut(strings.TrimLeft(words[0], "-"), "=")
	var own []cli.Flag
	if o.command != nil {
		own = o.command.Flags
	}
	own = append(slices.Clone(own), cli.HelpFlag)
	to := &o.out.flags
	found, ok := findFlag(own, name)
	if !ok {
		if found, ok = findFlag(o.rootFlags, name); !ok {
			return nil, o.unknown(words[0], slices.Concat(own, o.rootFlags))
		}
		to = &o.out.root
	}
	n := 1
	if _, isBool := found.(*cli.BoolFlag); !isBool && !hasValue {
		if n = 2; len(words) < 2 {
			return nil, usagef("%s needs a value", words[0])
		}
	}
	*to = append(*to, words[:n]...)
	return words[n:], nil
}

func findFlag(flags []cli.Flag, name string) (cli.Flag, bool) {
	i := slices.IndexFunc(flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) })
	if i < 0 {
		return nil, false
	}
	return flags[i], true
}

// unknown returns the error for a flag that neither the command nor the program has.
func (o *ordering) unknown(word string, flags []cli.Flag) error {
	var names []string
	for _, f := range flags {
		if name := "--" + f.Names()[0]; !slices.Contains(names, name) { // help is a flag of both
			names = append(names, name)
		}
	}
	name, _, _ := strings.Cut("--"+strings.TrimLeft(word, "-"), "=")
	command := strings.Join(o.out.path, " ")
	if command == "" {
		return usagef("no flag %s%s (the flags are %s)", name, didyoumean.Hint(name, names), strings.Join(names, ", "))
	}
	return usagef("%s has no flag %s%s (its flags are %s)", command, name, didyoumean.Hint(name, names), strings.Join(names, ", "))
}
