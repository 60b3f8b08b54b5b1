package testenv

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// DataVariable is the environment variable with the folder of whole data sets, of which only
// slices are committed.
const DataVariable = "BRIDGE_TEST_DATA"

// Data returns the path of a file in the folder of whole data sets: [DataVariable], or
// shared/data beside the repository. It skips the test if there is no such file. CI lacks these
// files, so [RequireVariable] does not require them.
func Data(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv(DataVariable)
	if dir == "" {
		_, source, _, _ := runtime.Caller(0)
		dir = filepath.Join(filepath.Dir(source), "..", "..", "..", "shared", "data")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the whole data are not here (set %s to their folder): %v", DataVariable, err)
	}
	return path
}

// ReadAll returns the content of a file, decompressed if its name ends in .gz. A failure ends
// the test.
func ReadAll(t testing.TB, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var in io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if in, err = gzip.NewReader(f); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	data, err := io.ReadAll(in)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return data
}

// ReadJSON decodes a JSON file, which may be compressed, into v. A failure ends the test.
func ReadJSON(t testing.TB, path string, v any) {
	t.Helper()
	if err := json.Unmarshal(ReadAll(t, path), v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
