package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// wordsCommand is the example of docs/extending.md: one function returns the command, and one
// method is its action.
func (p *program) wordsCommand() *cli.Command {
	return &cli.Command{
		Name: "words", Usage: "count the words of texts", ArgsUsage: "TEXT...", UsageText: "bridge words TEXT... [--json]",
		Description: "Example: bridge words \"two words\"",
		Flags:       []cli.Flag{jsonFlag()},
		Action:      p.words,
	}
}

func (p *program) words(c *cli.Context) error {
	texts, err := arguments(c, 1, -1)
	if err != nil {
		return err
	}
	n := len(strings.Fields(strings.Join(texts, " ")))
	if c.Bool("json") {
		return p.printJSON(map[string]int{"words": n})
	}
	_, err = fmt.Fprintln(p.stdout, n)
	return err
}

// A new command needs one file, and one line in app.go. Flags in any place, errors for unknown
// flags and wrong numbers of arguments, and help then work as for every other command.
func TestNewCommandNeedsOneFileAndOneLine(t *testing.T) {
	for _, c := range []struct {
		status       int
		args, stdout string
		stderr       string
	}{
		{exitDone, "words a b c", "3\n", ""},
		{exitDone, "words a --json b", "{\"words\":2}\n", ""},
		{exitUsage, "words", "", "bridge: words got 0 arguments, want: bridge words TEXT... [--json]"},
		{exitUsage, "words a --jsn", "", "bridge: words has no flag --jsn; did you mean --json?"},
		{exitUsage, "wrds a", "", `no command "wrds"; did you mean words?`},
		{exitDone, "words --help", "", ""},
	} {
		var out, errs strings.Builder
		p := &program{stdout: &out, stderr: &errs}
		app := p.app()
		app.Commands = append(app.Commands, p.wordsCommand())
		setCommandDefaults(app.Commands)
		ordered, err := reorder(app, append([]string{"bridge"}, strings.Fields(c.args)...))
		if err == nil {
			err = app.RunContext(t.Context(), ordered)
		}
		status := p.status(t.Context(), err)
		if status != c.status || !strings.Contains(out.String(), c.stdout) || !strings.Contains(errs.String(), c.stderr) {
			t.Errorf("%s: status %d, stdout %q, stderr %q; want %d, %q, %q",
				c.args, status, out.String(), errs.String(), c.status, c.stdout, c.stderr)
		}
	}
}
