package conformance

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters/adaptertest"
)

// sampleReport has texts that are hard to write: quotes, control characters, invalid UTF-8,
// several lines.
func sampleReport() *Report {
	info := func(name string) Info {
		return Info{Name: name, Wants: "a < b & \"c\"", Rule: "docs/contract.md, Numbers", Fix: "do it"}
	}
	return &Report{Name: "mine", Version: "1.2.0", Kind: "language-model", Model: "tiny", Took: 1500 * time.Millisecond, Results: []Result{
		{Info: info("process: load"), Verdict: adaptertest.Pass, Took: time.Second, Messages: []string{"only logged"}},
		{Info: info("contract: loss"), Verdict: adaptertest.Fail, Took: 20 * time.Millisecond, Hung: true,
			Messages: []string{"element 0 is <NaN> & \x00\x1b[31m\xff", "second\nline ]]>"}},
		{Info: info("contract: score"), Verdict: adaptertest.Skip, Messages: []string{"no capability"}},
		{Info: info("golden: folder: a: b"), Verdict: adaptertest.Pass},
	}}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	if err := sampleReport().WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"process: load         pass     1.00 s", "contract: loss        FAIL     0.02 s  element 0 is <NaN> & \\x00\\x1b[31m\uFFFD",
		"contract: score       skip     0.00 s  no capability",
		"\nFAIL contract: loss\n  element 0", "\n  second\n  line ]]>\n  wants: a < b & \"c\" (docs/contract.md, Numbers)\n  fix:   do it\n",
		"\nmine 1.2.0, a language-model: 2 passed, 1 failed, 1 skipped in 1.50 s\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "only logged") {
		t.Errorf("the table shows what a case that passed has logged:\n%s", b.String())
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	if err := sampleReport().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var lines []map[string]any
	for d := json.NewDecoder(&b); ; {
		var line map[string]any
		if err := d.Decode(&line); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	if len(lines) != 5 {
		t.Fatalf("%d lines", len(lines))
	}
	for key, want := range map[string]any{"name": "contract: loss", "verdict": "fail", "seconds": 0.02, "hung": true,
		"wants": "a < b & \"c\"", "rule": "docs/contract.md, Numbers", "fix": "do it"} {
		if lines[1][key] != want {
			t.Errorf("%s is %v, want %v", key, lines[1][key], want)
		}
	}
	for key, want := range map[string]any{"name": "mine", "version": "1.2.0", "kind": "language-model", "model": "tiny",
		"passed": 2.0, "failed": 1.0, "skipped": 1.0, "seconds": 1.5} {
		if lines[4][key] != want {
			t.Errorf("the summary's %s is %v, want %v", key, lines[4][key], want)
		}
	}
}

// element is an element of Jenkins' junit-10.xsd: its attributes, of which some are required,
// and its children.
type element struct {
	must, may, children []string
}

func schema() map[string]element {
	return map[string]element{
		"testsuites": {nil, []string{"name", "time", "tests", "failures", "disabled", "errors"}, []string{"testsuite"}},
		"testsuite": {[]string{"name", "tests"}, []string{"failures", "errors", "time", "disabled", "skipped", "timestamp", "hostname", "id", "package"},
			[]string{"properties", "testcase", "system-out", "system-err"}},
		"testcase": {[]string{"name", "classname"}, []string{"assertions", "time", "status"},
			[]string{"skipped", "error", "failure", "system-out", "system-err"}},
		"properties": {nil, nil, []string{"property"}},
		"property":   {[]string{"name", "value"}, nil, nil},
		"failure":    {nil, []string{"type", "message"}, nil},
		"skipped":    {nil, []string{"message"}, nil},
	}
}

// TestJUnit compares the file with the schema, and its numbers with each other.
func TestJUnit(t *testing.T) {
	var b bytes.Buffer
	if err := sampleReport().WriteJUnit(&b); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	var path []string
	for d := xml.NewDecoder(&b); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			checkElement(t, path, e)
			path = append(path, e.Name.Local)
			counts[e.Name.Local]++
		case xml.EndElement:
			path = path[:len(path)-1]
		case xml.CharData:
			if text := string(e); len(path) > 0 && path[len(path)-1] == "failure" && (!strings.Contains(text, "wants: a < b") || !strings.Contains(text, "line ]]>")) {
				t.Errorf("the failure says %q", text)
			}
		}
	}
	for name, want := range map[string]int{"testsuites": 1, "testsuite": 3, "property": 12, "testcase": 4, "failure": 1, "skipped": 1} {
		if counts[name] != want {
			t.Errorf("%d elements %s, want %d", counts[name], name, want)
		}
	}
}

func checkElement(t *testing.T, path []string, e xml.StartElement) {
	t.Helper()
	name := e.Name.Local
	rule, ok := schema()[name]
	if len(path) == 0 && name != "testsuites" || len(path) > 0 && !slices.Contains(schema()[path[len(path)-1]].children, name) || !ok {
		t.Errorf("an element %s in %v", name, path)
	}
	have := map[string]string{}
	for _, a := range e.Attr {
		have[a.Name.Local] = a.Value
		if !slices.Contains(rule.must, a.Name.Local) && !slices.Contains(rule.may, a.Name.Local) {
			t.Errorf("%s has an attribute %s", name, a.Name.Local)
		}
		if a.Name.Local == "time" {
			if _, err := strconv.ParseFloat(a.Value, 64); err != nil {
				t.Errorf("%s has the time %q", name, a.Value)
			}
		}
	}
	for _, must := range rule.must {
		if _, ok := have[must]; !ok {
			t.Errorf("%s lacks %s", name, must)
		}
	}
	if name == "testsuites" && (have["tests"] != "4" || have["failures"] != "1" || have["errors"] != "0") {
		t.Errorf("testsuites says %v", have)
	}
	if name == "testsuite" && have["name"] == "contract" && (have["tests"] != "2" || have["failures"] != "1" || have["skipped"] != "1") {
		t.Errorf("the suite of the contract says %v", have)
	}
	if want := map[string]string{"plugin": "mine", "version": "1.2.0", "kind": "language-model", "model": "tiny"}; name == "property" && have["value"] != want[have["name"]] {
		t.Errorf("the property %s is %q, want %q", have["name"], have["value"], want[have["name"]])
	}
	if name == "testcase" && have["name"] == "folder: a: b" && have["classname"] != "mine golden" {
		t.Errorf("a golden case is %v", have)
	}
}

func TestReportOfNothingIsNotOK(t *testing.T) {
	if (&Report{}).OK() || (&Report{Results: []Result{{Verdict: adaptertest.Skip}}}).OK() || sampleReport().OK() {
		t.Error("a report without a case that passed, or with one that failed, is OK")
	}
}
