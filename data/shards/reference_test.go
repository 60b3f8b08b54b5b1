package shards

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/data/record"
)

// refSample is a sample that webdataset read: the digests of its members by their extensions.
type refSample struct {
	Key     string            `json:"key"`
	Members map[string]string `json:"members"`
}

func readJSONFile(t *testing.T, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

func short(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// copied returns paths of copies of testdata, beside which an index may be written.
func copied(t *testing.T, names ...string) []string {
	t.Helper()
	dir := t.TempDir()
	var paths []string
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

func open(t *testing.T, paths ...string) *Reader {
	t.Helper()
	r, err := Open(t.Context(), paths, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// members returns the members of sample i as webdataset reads them.
func (r *Reader) members(t *testing.T, i int) (refSample, error) {
	t.Helper()
	n, in := r.find(i)
	f, err := os.Open(r.files[n])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	found, err := readSample(f, r.index.entry(&r.index.shards[n], in))
	got := refSample{Key: found.key, Members: map[string]string{}}
	for _, m := range membersOf(r.files[n], &found) {
		in, openErr := m.Open()
		if openErr != nil {
			t.Fatal(openErr)
		}
		data, readErr := io.ReadAll(in)
		if readErr != nil || in.Close() != nil {
			t.Fatal(readErr)
		}
		got.Members[m.Ext] = short(data)
	}
	return got, err
}

func TestSamplesAreThoseOfWebdataset(t *testing.T) {
	var expected map[string][]refSample
	readJSONFile(t, "expected.json", &expected)
	for _, names := range []string{"plain-000000.tar plain-000001.tar plain-000002.tar", "captions.tar", "names-pax.tar", "names-gnu.tar"} {
		want := expected[names]
		r := open(t, copied(t, strings.Fields(names)...)...)
		if r.Len() != len(want) || len(want) < 4 {
			t.Errorf("%s: %d samples, webdataset reads %d", names, r.Len(), len(want))
		}
		for i := range min(r.Len(), len(want)) {
			got, err := r.members(t, i)
			if err != nil || !reflect.DeepEqual(got, want[i]) {
				t.Errorf("%s: sample %d is %q (%v), webdataset reads %q", names, i, got, err, want[i])
			}
			rec, err := r.Record(i)
			if want[i].Key == "folder/" || want[i].Key == "" {
				continue // a hidden file: no picture and no text
			}
			if err != nil || rec.Key != want[i].Key {
				t.Errorf("%s: record %d has the key %q (%v), want %q", names, i, rec.Key, err, want[i].Key)
			}
		}
	}
}

// webdataset fails at an extension that a sample has twice, and reads sparse members. Here such a
// sample is a bad record, and the others are read.
func TestSamplesThatAreRefusedAreCountedAndNamed(t *testing.T) {
	var expected map[string][]refSample
	readJSONFile(t, "expected.json", &expected)
	for name, reason := range map[string]string{"doubled.tar": `"b.jpg" and "b.JPG"`, "sparse-gnu.tar": "sparse", "sparse-pax.tar": "sparse"} {
		r := open(t, copied(t, name)...)
		want := expected[name]
		if r.Len() != 3 || len(want) != 3 || r.Bad() != 1 {
			t.Fatalf("%s: %d samples, %d bad, webdataset reads %d", name, r.Len(), r.Bad(), len(want))
		}
		for _, i := range []int{0, 2} {
			if got, err := r.members(t, i); err != nil || !reflect.DeepEqual(got, want[i]) {
				t.Errorf("%s: sample %d is %q (%v), want %q", name, i, got, err, want[i])
			}
		}
		_, err := r.Record(1)
		var bad *record.BadRecord
		if !errors.As(err, &bad) || bad.Key != "b" || bad.Row != 1 || bad.Offset <= 0 || filepath.Base(bad.File) != name || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPatternsAreWebdatasets(t *testing.T) {
	var patterns struct {
		Expanded   map[string][]string
		Unbalanced []string
	}
	readJSONFile(t, "patterns.json", &patterns)
	if len(patterns.Expanded) < 10 || len(patterns.Unbalanced) < 3 {
		t.Fatal("testdata is missing")
	}
	for pattern, want := range patterns.Expanded {
		if got, err := Expand(pattern); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q (%v), webdataset gives %q", pattern, got, err, want)
		}
	}
	for _, pattern := range patterns.Unbalanced {
		if got, err := Expand(pattern); err == nil {
			t.Errorf("%s: %q, want an error", pattern, got)
		}
	}
}
