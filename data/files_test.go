package data_test

import (
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
)

var spec = adapters.ImageSpec{Width: 4, Height: 4, Resample: "bicubic", Mode: "squash"}

// folder holds two pictures and two that are broken.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	red := image.NewRGBA(image.Rect(0, 0, 12, 8))
	for i := range red.Pix {
		red.Pix[i] = []uint8{200, 0, 0, 255}[i%4]
	}
	write := func(name string, encode func(f *os.File) error) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := encode(f); err != nil {
			t.Fatal(err)
		}
	}
	write("red.png", func(f *os.File) error { return png.Encode(f, red) })
	write("sub/gray.jpg", func(f *os.File) error { return jpeg.Encode(f, image.NewGray(image.Rect(0, 0, 8, 8)), nil) })
	write("text.png", func(f *os.File) error { _, err := f.WriteString("not a picture"); return err })
	write("empty.png", func(*os.File) error { return nil })
	return dir
}

func annotate(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "annotations.json")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFilesMergeCaptionsAndQuestionsOfAPicture(t *testing.T) {
	d, broken, err := data.OpenFiles(data.Files{
		Captions: annotate(t, `[
			{"image": "red.png", "caption": "A Red Picture.", "image_id": 7, "dataset": "mine"},
			{"image": "sub/gray.jpg", "caption": ["gray", "Plain!"], "image_id": "coco_7"},
			{"image": "red.png", "caption": "red", "image_id": 7}]`),
		Questions: annotate(t, `[{"image": "red.png", "question": "what color?", "answer": ["red", "crimson"], "question_id": 1, "kind": "color"}]`),
		Images:    folder(t),
		Process:   true,
	}, spec)
	if err != nil || len(broken) != 0 {
		t.Fatal(err, broken)
	}
	got := []data.Record{recordOf(d, 0), recordOf(d, 1)}
	want := []data.Record{
		{ID: "red.png", ImageID: 0, Captions: []string{"a red picture", "red"}, Questions: []data.QA{
			{Question: "what color?", Answer: "red", Answers: []string{"red", "crimson"}, Kind: "color"}}},
		{ID: "sub/gray.jpg", ImageID: 1, Captions: []string{"gray", "plain"}},
	}
	if d.Len() != 2 || !reflect.DeepEqual(got, want) {
		t.Errorf("got %d examples %+v, want %+v", d.Len(), got, want)
	}
	picture, err := d.Image(0)
	if err != nil {
		t.Fatal(err)
	}
	pixels := picture.Data
	for i, p := range pixels {
		if len(pixels) != 4*4*3 || p != []uint8{200, 0, 0}[i%3] {
			t.Fatalf("picture 0 is %v, want 4×4 of one red", pixels)
		}
	}
}

func TestBrokenPicturesAreNamedAndLeftOut(t *testing.T) {
	dir := folder(t)
	d, broken, err := data.OpenFiles(data.Files{Images: dir, Captions: annotate(t, `[
		{"image": "text.png", "caption": "text"},
		{"image": "red.png", "caption": "red"},
		{"image": "gone.png", "caption": "gone"},
		{"image": "sub/gray.jpg", "caption": "..  "},
		{"image": "empty.png", "caption": "empty"}]`), Process: true}, spec)
	if err != nil {
		t.Fatal(err)
	}
	if d.Len() != 1 || recordOf(d, 0).ID != "red.png" {
		t.Errorf("%d examples are left, the first %q", d.Len(), recordOf(d, 0).ID)
	}
	for i, name := range []string{"gray.jpg", "text.png", "gone.png", "empty.png"} {
		if len(broken) != 4 || !strings.Contains(broken[i].Error(), name) {
			t.Fatalf("broken are %v, want the %dth to name %s", broken, i, name)
		}
	}
}

// A folder is no damaged picture: the remedy names a file.
func TestFoldersAreNoPictures(t *testing.T) {
	_, err := data.ReadPicture(t.TempDir(), spec)
	if err == nil || !strings.Contains(err.Error(), "is a folder, want a file (name a picture file)") {
		t.Errorf("got %v", err)
	}
}

func TestFilesThatCannotBeADataSet(t *testing.T) {
	dir := folder(t)
	for name, c := range map[string]struct {
		captions string
		kind     adapters.Kind
		want     string
	}{
		"all broken":     {`[{"image": "text.png", "caption": "x"}]`, adapters.Invalid, "none of 1 pictures"},
		"no list":        {`"red.png"`, adapters.Invalid, "JSON list"},
		"empty":          {`[]`, adapters.Invalid, "empty"},
		"leaves":         {`[{"image": "../red.png", "caption": "x"}]`, adapters.Invalid, "leaves the image folder"},
		"absolute":       {`[{"image": "/etc/passwd", "caption": "x"}]`, adapters.Invalid, "absolute"},
		"URL":            {`[{"image": "https://example.com/1.png", "caption": "x"}]`, adapters.Invalid, "is a URL"},
		"picture itself": {`[{"image": "data:image/png;base64,iVBO", "caption": "x"}]`, adapters.Invalid, "is a URL"},
		"unnamed":        {`[{"caption": "x"}]`, adapters.Invalid, `entry 0 (line 1): "image" is missing`},
		"nameless":       {`[{"image": "", "caption": "x"}]`, adapters.Invalid, `entry 0 (line 1): "image" is empty`},
		"caption number": {`[{"image": "red.png", "caption": 3}]`, adapters.Invalid, "a text or a list of texts"},
		"no answer":      {`[{"image": "red.png", "question": "why?"}]`, adapters.Invalid, `"answer" is missing`},
	} {
		_, _, err := data.OpenFiles(data.Files{Images: dir, Captions: annotate(t, c.captions)}, spec)
		if adapters.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want kind %s and %q", name, err, c.kind, c.want)
		}
	}
	if _, _, err := data.OpenFiles(data.Files{Images: dir, Captions: filepath.Join(dir, "nowhere.json")}, spec); adapters.KindOf(err) != adapters.NotFound {
		t.Errorf("missing annotations: got %v", err)
	}
}

func TestDigestTellsPicturesAndSizesApart(t *testing.T) {
	dir := folder(t)
	digest := func(s adapters.ImageSpec, captions string) string {
		d, _, err := data.OpenFiles(data.Files{Images: dir, Captions: annotate(t, captions)}, s)
		if err != nil {
			t.Fatal(err)
		}
		return d.Digest()
	}
	one := `[{"image": "red.png", "caption": "x"}]`
	base := digest(spec, one)
	if digest(spec, `[{"image": "red.png", "caption": "other words"}]`) != base {
		t.Error("other captions of the same pictures change the digest")
	}
	large := spec
	large.Width = 8
	if digest(large, one) == base || digest(spec, `[{"image": "sub/gray.jpg", "caption": "x"}]`) == base {
		t.Error("another size or another picture has the same digest")
	}
	edge := spec
	edge.Mode, edge.ShortestEdge = "shortest-edge-crop", 6
	wider := edge
	wider.ShortestEdge = 5
	if digest(edge, one) == digest(wider, one) {
		t.Error("another edge before the cut has the same digest")
	}
	file, err := os.Create(filepath.Join(dir, "red.png"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	img := image.NewGray(image.Rect(0, 0, 9, 9))
	img.Set(1, 1, color.White)
	if err := png.Encode(file, img); err != nil {
		t.Fatal(err)
	}
	if digest(spec, one) == base {
		t.Error("a replaced picture has the same digest")
	}
}

// A number and a string, and two ways to write an accent, are one image_id:
// apart they would count as negatives of each other.
func TestFilesCompareImageIDsByWhatTheySay(t *testing.T) {
	dir := folder(t)
	for _, ids := range [][2]string{{`7`, `"7"`}, {`"caf\u00e9"`, `"cafe\u0301"`}} {
		d, _, err := data.OpenFiles(data.Files{Images: dir, Captions: annotate(t, `[
			{"image": "red.png", "caption": "red", "image_id": `+ids[0]+`},
			{"image": "red.png", "caption": "red", "image_id": `+ids[0]+`},
			{"image": "sub/gray.jpg", "caption": "gray", "image_id": `+ids[1]+`}]`)}, spec)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := recordOf(d, 0), recordOf(d, 1); a.ImageID != b.ImageID || len(a.Captions) != 1 {
			t.Errorf("ids %v: image ids %d and %d, captions %q; want equal ids and one caption", ids, a.ImageID, b.ImageID, a.Captions)
		}
	}
}

func TestFilesLeaveOutPicturesThatAreCutOff(t *testing.T) {
	dir := folder(t)
	whole, err := os.ReadFile(filepath.Join(dir, "sub/gray.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cut.jpg"), whole[:len(whole)-4], 0o644); err != nil {
		t.Fatal(err)
	}
	d, broken, err := data.OpenFiles(data.Files{Images: dir, Captions: annotate(t, `[
		{"image": "red.png", "caption": "red"}, {"image": "cut.jpg", "caption": "cut"}]`)}, spec)
	if err != nil || d.Len() != 1 || len(broken) != 1 || !strings.Contains(broken[0].Error(), "cut off") {
		t.Errorf("%v, left out %v (%v); want the whole picture alone", d, broken, err)
	}
}
