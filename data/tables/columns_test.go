package tables_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// A row with a question and a caption is one question; the file's reader says so.
func TestCaptionsBesideQuestionsAreWarnedOf(t *testing.T) {
	type row struct {
		Image    []byte `parquet:"image"`
		Question string `parquet:"question,string"`
		Answer   string `parquet:"answer,string"`
		Caption  string `parquet:"caption,string"`
	}
	picture, err := os.ReadFile("testdata/5.png")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "both.parquet")
	if err := parquet.WriteFile(path, []row{{picture, "what?", "a dog", "a brown dog"}, {picture, "", "", "a cat"}}); err != nil {
		t.Fatal(err)
	}
	r := open(t, path)
	if w := r.Warnings(); len(w) != 1 || !strings.Contains(w[0], "the caption of a row with a question is not read") {
		t.Errorf("warnings %q", w)
	}
	for i, want := range []string{"a dog", "a cat"} {
		rec, err := r.Record(i)
		if got := strings.Join(show(t, rec), " "); err != nil || !strings.Contains(got, want) || strings.Contains(got, "brown") {
			t.Errorf("row %d is %q (%v), want %q", i, got, err, want)
		}
	}
}

func TestFilesWithoutTextsThatAreReadAreWarnedOf(t *testing.T) {
	type row struct {
		Image []byte `parquet:"image"`
		First string `parquet:"caption_0,string"`
	}
	path := filepath.Join(t.TempDir(), "a.parquet")
	if err := parquet.WriteFile(path, []row{{[]byte("x"), "a dog"}}); err != nil {
		t.Fatal(err)
	}
	if w := open(t, path).Warnings(); len(w) != 1 || !strings.Contains(w[0], `its columns are "image", "caption_0"`) {
		t.Errorf("warnings %q, want one that names the columns", w)
	}
}
