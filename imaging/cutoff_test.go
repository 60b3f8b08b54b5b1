package imaging

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestCutOff(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "files", "*"))
	if err != nil || len(files) < 8 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			data []byte
			want bool
		}{"whole": {data, false}, "three quarters of": {data[:len(data)*3/4], true}, "all but 4 bytes of": {data[:len(data)-4], true}} {
			if got := CutOff(bytes.NewReader(c.data), int64(len(c.data))); got != c.want {
				t.Errorf("%s %s: cut off is %v, want %v", name, filepath.Base(file), got, c.want)
			}
		}
	}
	if CutOff(bytes.NewReader([]byte("text")), 4) {
		t.Error("a file of another kind is judged")
	}
}
