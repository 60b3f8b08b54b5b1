package conformance

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

// writePage writes docs/conformance.md: every case, its requirement and how to fix an
// adapter that fails it.
func writePage(w io.Writer) error {
	var b strings.Builder
	b.WriteString(pageHead)
	language, vision := Cases(adapters.KindLanguage), Cases(adapters.KindVision)
	section := func(title, text, prefix string, cases []Info) {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", title, text)
		for _, c := range cases {
			if name, ok := strings.CutPrefix(c.Name, prefix); ok {
				fmt.Fprintf(&b, "\n**%s** — %s.\n*Fix:* %s. (%s)\n", name, c.Wants, c.Fix, link(c.Rule))
			}
		}
	}
	section("The process", "For both kinds. `--run '^process'` runs only these.", "process: ", language)
	section("Language models", "`--run '^contract'` runs these through the same host that bridge uses. For `builtin:FAMILY`, `--run '^in process'` runs them in the test process.", "contract: ", language)
	section("Vision encoders", "These run in the same ways as the cases for language models.", "contract: ", vision)
	_, err := io.WriteString(w, b.String())
	return err
}

const pageHead = `# Conformance cases for adapters

` + "`bridge plugin test PATH`" + ` runs these cases. PATH is an executable, a plugin's folder, a project
(` + "`plugin new`" + ` makes one; the command builds it first and prints the build command), or
` + "`builtin:FAMILY`" + `. This page is generated from the cases (` + "`make conformance-page`" + `), and a test
checks that it is up to date.

    bridge plugin test PATH --checkpoint DIR --golden DIR --junit report.xml

| Flag | |
|---|---|
| ` + "`--checkpoint`" + ` | the folder that the plugin loads; by default ` + "`[test] checkpoint`" + ` of its plugin.toml, else the checkpoint of the first golden folder, else none |
| ` + "`--golden`" + ` | a golden folder whose numbers the plugin must reproduce; may be repeated |
| ` + "`--run`" + ` | only cases whose names match a regular expression |
| ` + "`--json`, `--junit`" + ` | one JSON object for each case on stdout, and one with the totals; JUnit XML in a file |
| ` + "`--kind`, `--family`" + ` | the kind that the plugin must have, and the family to load if an executable serves several |
| ` + "`--text`, `--target`" + ` | two texts that the model can read, if "a photo of" and " a red dog on a green hill" mean nothing to it |
| ` + "`--limit`, `--patience`" + ` | the time limit for one case (2 minutes), and a factor on the times of the contract, for a slow machine |

Cases are independent. If a case hangs or kills the plugin, only this case fails, and the plugin is
started again for the next one. A case is skipped if the spec does not list its capability, or if
the adapter refuses something that it may refuse. A basic failure is reported once: if the plugin
does not start, does not load, or does not answer the simplest call, all cases that need this are
skipped with "needs ` + "`process: plain call`" + `, which failed". The named case has the plugin's error
and how to fix it. The exit status is 1 if a case fails.

Go tests can run the same suite: ` + "`adaptertest.TestLanguage`" + ` and ` + "`TestVision`" + `.
`

// link returns a rule as a link from a page in docs.
func link(rule string) string {
	page, heading, _ := strings.Cut(rule, ", ")
	target, ok := strings.CutPrefix(page, "docs/")
	if !ok {
		target = "../" + page
	}
	anchor := strings.Map(func(r rune) rune {
		if r == ' ' {
			return '-'
		}
		return r
	}, strings.ToLower(heading))
	return fmt.Sprintf("[%s](%s#%s)", heading, target, anchor)
}

// rules lists the pages and headings that cases refer to, each once.
func rules() []string {
	var all []string
	for _, kind := range []adapters.ModelKind{adapters.KindLanguage, adapters.KindVision} {
		for _, c := range Cases(kind) {
			all = append(all, c.Rule)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
