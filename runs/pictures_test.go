package runs

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/train"
)

func TestPicturesAreReadAsTheyWereWritten(t *testing.T) {
	dir, yes, no := t.TempDir(), true, false
	first := []train.PictureScore{
		{Picture: "a, \"b\".png", Exact: &yes, Loss: &eval.Loss{Nats: float64(float32(0.1)), Tokens: 9}},
		{Picture: "c", Exact: &no, Loss: &eval.Loss{Nats: 0, Tokens: 1}},
		{Picture: "d", Loss: &eval.Loss{Nats: 2, Tokens: 3}},
	}
	further := []train.PictureScore{{Picture: "e", Exact: &no}}
	result := train.Result{Pictures: first, Also: []train.SetResult{{Data: "kit:style 1", Pictures: further}}}
	if err := writePictures(dir, "kit:report 0", result); err != nil {
		t.Fatal(err)
	}
	got, err := ReadPictures(dir)
	if want := []PictureSet{{"kit:report 0", first}, {"kit:style 1", further}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestProblemsOfPictureFiles(t *testing.T) {
	if _, err := ReadPictures(t.TempDir()); adapters.KindOf(err) != adapters.NotFound {
		t.Errorf("no file: got %v, want an error of kind not found", err)
	}
	for text, want := range map[string]string{
		"picture,exact\n": "first line",
		"data,picture,exact,nats,tokens\na,b,2,,\n":   "line 2: exact",
		"data,picture,exact,nats,tokens\na,b,1,x,1\n": "line 2: nats",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, picturesFile), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadPictures(dir); adapters.KindOf(err) != adapters.Corrupt || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}
