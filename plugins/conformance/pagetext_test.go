package conformance

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

// writePage writes docs/conformance.md: every case, its demand and how to fix a failure.
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
	section("The process", "For both kinds. `--run '^process'` runs these alone.", "process: ", language)
	section("Language models", "`--run '^contract'` runs these through the host that bridge uses; for `builtin:FAMILY`, `--run '^in process'` runs them in this process.", "contract: ", language)
	section("Vision encoders", "As above.", "contract: ", vision)
	_, err := io.WriteString(w, b.String())
	return err
}

const pageHead = `# What an adapter has to do

` + "`bridge plugin test PATH`" + ` runs these cases. PATH is an executable, a plugin's folder, a
project (` + "`plugin new`" + ` makes one; it is built first, and the command shown), or
` + "`builtin:FAMILY`" + `. The page is generated from the cases themselves
(` + "`make conformance-page`" + `), and a test compares them.

    bridge plugin test PATH --checkpoint DIR --golden DIR --junit report.xml

| Flag | |
|---|---|
| ` + "`--checkpoint`" + ` | the folder that the plugin loads; else ` + "`[test] checkpoint`" + ` of its plugin.toml, else that of the first golden folder, else none |
| ` + "`--golden`" + ` | a golden folder whose numbers it must reproduce; may be repeated |
| ` + "`--run`" + ` | only cases whose names match a regular expression |
| ` + "`--json`, `--junit`" + ` | a JSON object a case on stdout, and one that sums up; JUnit XML in a file |
| ` + "`--kind`, `--family`" + ` | what it must be, and what to ask for, where an executable serves several |
| ` + "`--text`, `--target`" + ` | two texts that the model can read, where "a photo of" and " a red dog on a green hill" mean nothing to it |
| ` + "`--limit`, `--patience`" + ` | the time that one case may take (2 minutes), and a factor on the times of the contract, for a slow machine |

Each case stands alone: one that hangs or kills the plugin costs its own verdict, and the
plugin is started anew for the next. A case is skipped where the spec names no such
capability, or where the adapter refuses what it may refuse. What fails first is said once:
where the plugin does not start, does not load, or does not answer the plainest call, the
cases that need that are skipped as "needs ` + "`process: plain call`" + `, which failed", with the
name of the case that has the plugin's error and how to mend it. The exit status is 1 where
a case fails.

The suite for Go tests is the same: ` + "`adaptertest.TestLanguage`" + ` and ` + "`TestVision`" + `.
`

// link returns a rule as a link for a page in docs.
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

// rules returns the pages and headings to which cases refer.
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
