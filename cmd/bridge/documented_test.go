package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/recipes"
)

// documentedCommand is a command line in a text: one to type, or one that the prose mentions,
// maybe without arguments.
type documentedCommand struct {
	source, line string
	mentioned    bool
}

// bridge accepts every command line in recipe headers, help texts and pages.
func TestDocumentedCommandsParse(t *testing.T) {
	all := append(commandsInRecipes(t), commandsInHelp()...)
	pages := 0
	for _, pattern := range []string{"README.md", "docs/*.md", "docs/*/*.md", "examples/*/README.md", "tools/*/README.md"} {
		paths, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			found := commandsInPage(path, string(text))
			all, pages = append(all, found...), pages+len(found)
		}
	}
	if pages < 10 {
		t.Errorf("found %d commands in the pages, want at least those of README.md", pages)
	}
	for _, d := range all {
		if err := parseCommand(d); err != nil {
			t.Errorf("%s: %s: %v", d.source, d.line, err)
		}
	}
}

// The test above finds every command, and fails for a wrong one.
func TestDocumentedCommandsAreReallyParsed(t *testing.T) {
	page := "Text `bridge a` and `bridge`.\n\n    bin/bridge b  # why\n    $ bridge c 'd  e'\n\n" +
		"```sh\nBRIDGE_CACHE=x bridge f \\\n  --g\ncd x && bridge i\n```\n\nbridge h is prose.\n"
	var lines []string
	for _, d := range commandsInPage("page", page) {
		lines = append(lines, d.line)
	}
	if got := strings.Join(lines, "|"); got != "bridge b|bridge c 'd  e'|bridge f    --g|bridge i|bridge a" {
		t.Errorf("found %s", got)
	}
	for line, ok := range map[string]bool{
		"bridge train R --out x": true, `bridge ask M i "two words?"`: true, "bridge help": true, "bridge caption M i --top-k 3": true,
		"bridge trian R": false, "bridge train R --oot x": false, "bridge caption M i --top-k many": false, "bridge train R --out": false,
		"bridge models": false, "bridge doctor x": false, "bridge ask M i": false, "bridge train": false, "bridge": false,
	} {
		if err := parseCommand(documentedCommand{line: line}); (err == nil) != ok {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func commandsInRecipes(t *testing.T) (all []documentedCommand) {
	t.Helper()
	for _, name := range recipes.Shipped() {
		text, err := recipes.Text(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range recipes.Header(text) {
			if command, ok := strings.CutPrefix(line, "Command:"); ok {
				all = append(all, documentedCommand{source: name, line: strings.TrimSpace(command)})
			}
		}
	}
	return all
}

func commandsInHelp() (all []documentedCommand) {
	for name, c := range allCommands() {
		_, example, _ := strings.Cut(c.Description, "Example: ")
		line, _, _ := strings.Cut(example, "\n")
		all = append(all, documentedCommand{source: "help of " + name, line: strings.TrimSuffix(line, " > mine.toml")})
	}
	return all
}

var (
	commandLine = regexp.MustCompile(`^(?:\$ )?(?:\w+=\S+ )*(?:\./)?(?:bin/)?(bridge(?: .*)?)$`)
	inlineCode  = regexp.MustCompile("`(?:bin/)?(bridge [^`]+)`")
)

// commandsInPage finds the commands in a page's code blocks, then those in its prose.
func commandsInPage(where, text string) (all []documentedCommand) {
	fenced := false
	var prose strings.Builder
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
			continue
		}
		if !fenced && !strings.HasPrefix(line, "    ") {
			prose.WriteString(line)
			continue
		}
		line, _, _ = strings.Cut(line, " #")
		for command := range strings.SplitSeq(line, "&&") {
			if found := commandLine.FindStringSubmatch(strings.TrimSpace(command)); found != nil {
				all = append(all, documentedCommand{source: where, line: found[1]})
			}
		}
	}
	for _, found := range inlineCode.FindAllStringSubmatch(strings.ReplaceAll(prose.String(), "\n", " "), -1) {
		command, _, _ := strings.Cut(found[1], "&&")
		all = append(all, documentedCommand{where, strings.TrimSpace(command), true})
	}
	return all
}

// parseCommand parses a command line without running its action. It checks the flags with
// their types, and the number of arguments.
func parseCommand(d documentedCommand) error {
	app := (&program{stdout: io.Discard, stderr: io.Discard}).app()
	app.Before = nil
	reached := errors.New("reached")
	for _, c := range leafCommands(app.Commands) {
		c.Action = func(c *cli.Context) error {
			needed, optional, _ := strings.Cut(c.Command.ArgsUsage, "[")
			want := len(strings.Fields(needed))
			many := strings.HasSuffix(needed, "...") || strings.HasSuffix(optional, "...]")
			if got := c.NArg(); !(d.mentioned && got == 0) && (got < want || got > want+len(strings.Fields(optional)) && !many) {
				return usagef("%d arguments, want: %s", got, c.Command.ArgsUsage)
			}
			return reached
		}
	}
	words := splitWords(d.line)
	ordered, err := reorder(app, words)
	if err != nil {
		return err
	}
	if err := app.Run(ordered); !errors.Is(err, reached) {
		return errors.Join(err, errors.New("no command was run"))
	}
	return nil
}

// splitWords splits a line into words like a shell, with quotes but without escapes.
func splitWords(line string) (words []string) {
	var word strings.Builder
	quote, started := rune(0), false
	for _, r := range line + " " {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, started = r, true
		case quote == 0 && r == ' ':
			if started {
				words = append(words, word.String())
				word.Reset()
			}
			started = false
		default:
			word.WriteRune(r)
			started = true
		}
	}
	return words
}
