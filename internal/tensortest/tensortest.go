package tensortest

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/internal/weights"
)

// Suite tests the checkpoints of one reader.
type Suite struct {
	// Page is the Markdown page whose section "Tensors that are not read" has a table with
	// the list: names in code spans, and the reason. Section names another section.
	Page, Section string
	// Checkpoints are folders, none of which may have a tensor that is neither read nor on
	// the list.
	Checkpoints []string
	// Cancel lists tensors that are read and cannot change any output, such as the biases of
	// keys, which softmax cancels.
	Cancel []string
	// Part is the prefix of the tensors to test; the folder's other tensors are another
	// reader's.
	Part string
	// Output opens a folder and computes numbers that depend on all that is read.
	Output func(t *testing.T, dir string) ([]float32, error)
}

// Run changes each tensor of each checkpoint and compares outputs. The short form changes one
// tensor of each kind, layers being equal, in the first checkpoint alone. It also adds tensors:
// one that no list has, which must be refused by name, and those of the list.
func (s Suite) Run(t *testing.T) {
	list := s.list(t)
	for i, dir := range s.Checkpoints {
		if i > 0 && !testenv.Long() {
			break
		}
		t.Run(filepath.Base(filepath.Dir(dir)), func(t *testing.T) {
			base, err := s.Output(t, dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range s.tensors(t, dir) {
				s.change(t, dir, name, base, list)
			}
			s.refusesUnknown(t, dir)
		})
	}
	s.Listed(t)
}

// tensors returns the names to change.
func (s Suite) tensors(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	kinds := map[string]bool{}
	for _, name := range Names(t, dir) {
		kind := number.ReplaceAllString(name, ".N.")
		if !strings.HasPrefix(name, s.Part) || kinds[kind] && !testenv.Long() {
			continue
		}
		kinds[kind] = true
		names = append(names, name)
	}
	return names
}

var number = regexp.MustCompile(`\.\d+\.`)

// change fails the test if a changed tensor is neither read, nor listed, nor refused by name.
func (s Suite) change(t *testing.T, dir, name string, base []float32, list weights.UnusedList) {
	t.Helper()
	copied := Copy(t, dir)
	Change(t, copied, name)
	got, err := s.Output(t, copied)
	os.RemoveAll(copied)
	listed := list.Has(strings.TrimPrefix(name, s.Part))
	switch {
	case err != nil && !strings.Contains(err.Error(), name):
		t.Errorf("%s changed: refused without its name: %v", name, err)
	case err != nil:
	case Differ(base, got) && listed && !tied(list, strings.TrimPrefix(name, s.Part)):
		t.Errorf("%s is on the list of tensors that are not read, and it changes the output", name)
	case !Differ(base, got) && !listed && !s.cancels(strings.TrimPrefix(name, s.Part)):
		t.Errorf("%s is neither read nor listed in %s nor refused", name, s.Page)
	}
}

// cancels reports whether a tensor is one of Cancel.
func (s Suite) cancels(name string) bool {
	return slices.ContainsFunc(s.Cancel, func(c string) bool { return weights.UnusedList{{Name: c}}.Has(name) })
}

// refusesUnknown adds tensors that no checkpoint has.
func (s Suite) refusesUnknown(t *testing.T, dir string) {
	t.Helper()
	names, list := Names(t, dir), s.list(t)
	like := names[slices.IndexFunc(names, func(n string) bool {
		return strings.HasPrefix(n, s.Part) && !list.Has(strings.TrimPrefix(n, s.Part))
	})]
	for _, name := range []string{s.Part + "surplus.weight", like + "_scale"} {
		copied := Copy(t, dir)
		Add(t, copied, name, like)
		if _, err := s.Output(t, copied); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("a tensor %s was added: got error %v, want one with its name", name, err)
		}
	}
}

// Listed adds each tensor of the list to the checkpoints: one of them must take it, unread. A
// listed tensor that must equal another one is a copy of that; if the copy is changed, it is
// read, or refused by name.
func (s Suite) Listed(t *testing.T) {
	for _, entry := range s.list(t) {
		name := s.Part + strings.ReplaceAll(strings.ReplaceAll(entry.Name, ".N.", ".0."), "*", "surplus.weight")
		var problems []string
		if !slices.ContainsFunc(s.Checkpoints, func(dir string) bool {
			problem := s.takes(t, dir, name, entry.Reason)
			problems = append(problems, problem)
			return problem == ""
		}) {
			t.Errorf("%s lists %s, and no checkpoint takes it unread:\n%s", s.Page, name, strings.Join(problems, "\n"))
		}
	}
}

// takes returns why a checkpoint does not take a tensor unread, empty if it does.
func (s Suite) takes(t *testing.T, dir, name, reason string) string {
	t.Helper()
	names := Names(t, dir)
	if slices.Contains(names, name) {
		return "" // changed above
	}
	like := names[slices.IndexFunc(names, func(n string) bool { return strings.HasPrefix(n, s.Part) })]
	if m := equals.FindStringSubmatch(reason); m != nil {
		if like = s.Part + m[1]; !slices.Contains(names, like) {
			return dir + " has no " + like
		}
	}
	base, err := s.Output(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	copied := Copy(t, dir)
	Add(t, copied, name, like)
	switch got, err := s.Output(t, copied); {
	case err != nil:
		return err.Error()
	case Differ(base, got):
		return dir + ": the output changes"
	case equals.MatchString(reason):
		Change(t, copied, name)
		if got, err := s.Output(t, copied); err == nil && !Differ(base, got) || err != nil && !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %s differs from %s: it is not read, error %v", dir, name, like, err)
		}
	}
	return ""
}

// tied reports whether the list has a tensor only while it equals another one.
func tied(list weights.UnusedList, name string) bool {
	return slices.ContainsFunc(list, func(u weights.Unused) bool { return u.Name == name && equals.MatchString(u.Reason) })
}

var equals = regexp.MustCompile("equals? `([^`]+)`")

// list reads the table of the page.
func (s Suite) list(t *testing.T) weights.UnusedList {
	t.Helper()
	text, err := os.ReadFile(s.Page)
	if err != nil {
		t.Fatal(err)
	}
	title := cmp.Or(s.Section, "Tensors that are not read")
	_, section, found := strings.Cut(string(text), "## "+title+"\n")
	if !found {
		t.Fatalf("%s has no section %q", s.Page, title)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var list weights.UnusedList
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 {
			continue
		}
		for _, span := range codeSpan.FindAllStringSubmatch(cells[1], -1) {
			list = append(list, weights.Unused{Name: span[1], Reason: cells[2]})
		}
	}
	return list
}

var codeSpan = regexp.MustCompile("`([^`]+)`")

// Differ reports whether outputs differ by more than rounding.
func Differ(a, b []float32) bool {
	if len(a) != len(b) {
		return true
	}
	largest, difference := 0.0, 0.0
	for i := range a {
		largest = max(largest, math.Abs(float64(a[i])))
		difference = max(difference, math.Abs(float64(a[i])-float64(b[i])))
	}
	return !(difference <= 1e-5*largest)
}

// Checkpoints returns the checkpoint folders of the golden folders in testdata, first the one of
// the given name.
func Checkpoints(t *testing.T, first string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join("testdata", "golden-*", "checkpoint"))
	at := slices.Index(all, filepath.Join("testdata", first, "checkpoint"))
	if err != nil || at < 0 {
		t.Fatal(fmt.Errorf("golden folders %v, %w: want %s", all, err, first))
	}
	all[0], all[at] = all[at], all[0]
	return all
}
