package conformance

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/internal/printable"
)

// WriteTable writes a report for people: a line for each case, then for each failure what
// the contract demands and how to fix it, then a summary.
func (r *Report) WriteTable(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CASE\tVERDICT\tTIME\tWHY")
	for _, c := range r.Results {
		why := ""
		if len(c.Messages) > 0 && c.Verdict != adaptertest.Pass {
			why, _, _ = strings.Cut(printable.Text(c.Messages[0]), "\n")
		}
		if runes := []rune(why); len(runes) > 80 {
			why = string(runes[:80]) + "…"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", printable.Text(c.Name), shown(c.Verdict), seconds(c.Took), why)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, c := range r.Results {
		if c.Verdict == adaptertest.Fail {
			fmt.Fprintf(w, "\nFAIL %s\n%s", c.Name, indented(printable.Text(explanation(c))))
		}
	}
	_, err := fmt.Fprintf(w, "\n%s\n", printable.Text(r.Summary()))
	return err
}

func shown(v adaptertest.Verdict) string {
	if v == adaptertest.Fail {
		return "FAIL"
	}
	return string(v)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// explanation returns what is wrong, what the contract demands, and how to fix it.
func explanation(c Result) string {
	return strings.Join(c.Messages, "\n") + "\n" + c.Advice() + "\n"
}

func indented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("  " + line)
	}
	return b.String()
}

// Summary is the last line of a report.
func (r *Report) Summary() string {
	name := strings.TrimSpace(r.Name + " " + r.Version)
	if r.Kind != "" {
		name += ", a " + string(r.Kind)
	}
	return fmt.Sprintf("%s: %d passed, %d failed, %d skipped in %s", name,
		r.Count(adaptertest.Pass), r.Count(adaptertest.Fail), r.Count(adaptertest.Skip), seconds(r.Took))
}

// caseLine is the JSON of a case.
type caseLine struct {
	Result
	Seconds float64 `json:"seconds"`
}

// summaryLine is the JSON of the last line.
type summaryLine struct {
	Report
	Passed  int     `json:"passed"`
	Failed  int     `json:"failed"`
	Skipped int     `json:"skipped"`
	Seconds float64 `json:"seconds"`
}

// WriteJSON writes a line for each case, and a summary as the last line.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for _, c := range r.Results {
		if err := e.Encode(caseLine{c, c.Took.Seconds()}); err != nil {
			return err
		}
	}
	return e.Encode(summaryLine{*r, r.Count(adaptertest.Pass), r.Count(adaptertest.Fail), r.Count(adaptertest.Skip), r.Took.Seconds()})
}

// The elements of JUnit's XML, by Jenkins' schema (junit-10.xsd).
type (
	xmlSuites struct {
		XMLName  xml.Name   `xml:"testsuites"`
		Name     string     `xml:"name,attr"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Errors   int        `xml:"errors,attr"`
		Time     string     `xml:"time,attr"`
		Suites   []xmlSuite `xml:"testsuite"`
	}
	xmlSuite struct {
		Name     string `xml:"name,attr"`
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Errors   int    `xml:"errors,attr"`
		Skipped  int    `xml:"skipped,attr"`
		Time     string `xml:"time,attr"`

		Properties []xmlProperty `xml:"properties>property"`
		Cases      []xmlCase     `xml:"testcase"`
	}
	xmlProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	xmlCase struct {
		Name    string      `xml:"name,attr"`
		Class   string      `xml:"classname,attr"`
		Time    string      `xml:"time,attr"`
		Failure *xmlFailure `xml:"failure"`
		Skipped *xmlSkipped `xml:"skipped"`
	}
	xmlFailure struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
	xmlSkipped struct {
		Message string `xml:"message,attr"`
	}
)

// WriteJUnit writes the report as JUnit XML: a suite for each group of cases.
func (r *Report) WriteJUnit(w io.Writer) error {
	all := xmlSuites{Name: "bridge plugin test", Time: xmlTime(r.Took)}
	took := map[string]time.Duration{}
	for _, c := range r.Results {
		group, name, _ := strings.Cut(c.Name, ": ")
		n := len(all.Suites)
		if n == 0 || all.Suites[n-1].Name != group {
			all.Suites = append(all.Suites, xmlSuite{Name: group, Properties: []xmlProperty{
				{"plugin", r.Name}, {"version", r.Version}, {"kind", string(r.Kind)}, {"model", r.Model}}})
			n++
		}
		s := &all.Suites[n-1]
		s.Tests, all.Tests = s.Tests+1, all.Tests+1
		took[group] += c.Took
		s.Time = xmlTime(took[group])
		one := xmlCase{Name: name, Class: strings.TrimSpace(r.Name + " " + group), Time: xmlTime(c.Took)}
		switch c.Verdict {
		case adaptertest.Fail:
			s.Failures, all.Failures = s.Failures+1, all.Failures+1
			one.Failure = &xmlFailure{Message: first(c.Messages), Type: c.Rule, Text: explanation(c)}
		case adaptertest.Skip:
			s.Skipped++
			one.Skipped = &xmlSkipped{Message: first(c.Messages)}
		}
		s.Cases = append(s.Cases, one)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func xmlTime(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

func first(messages []string) string {
	if len(messages) == 0 {
		return ""
	}
	return messages[0]
}
