package data_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
)

// project is a folder of pictures and annotations.
type project struct {
	dir     string
	entries []map[string]any
}

// newProject writes n pictures with a caption and a question each.
func newProject(t *testing.T, n int) *project {
	t.Helper()
	p := &project{dir: filepath.Join(t.TempDir(), "p")}
	for i := range n {
		name := fmt.Sprintf("%d.png", i)
		p.write(t, name, encoded(t, uint8(i)))
		p.entries = append(p.entries, map[string]any{"image": name, "caption": fmt.Sprintf("caption %d", i), "image_id": i / 2})
	}
	return p
}

func (p *project) write(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.dir, name), text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// encoded returns a PNG of noise.
func encoded(t *testing.T, seed uint8) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 16, 16))
	rng := rand.New(rand.NewPCG(uint64(seed), 0))
	for y := range 16 {
		for x := range 16 {
			img.Set(x, y, color.RGBA{uint8(rng.Uint32()), seed, 0, 255})
		}
	}
	var buf bytes.Buffer
	if err := png.Encode(&buf, img); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func (p *project) open(t *testing.T, was *data.Inventory) (data.Dataset, []error, error) {
	t.Helper()
	text, err := json.Marshal(p.entries)
	if err != nil {
		t.Fatal(err)
	}
	p.write(t, "captions.json", text)
	return data.OpenFiles(data.Files{Captions: filepath.Join(p.dir, "captions.json"), Images: p.dir, Was: was}, spec)
}

// started returns what a run records of the project, after a trip through its file.
func (p *project) started(t *testing.T) (data.Itemized, *data.Inventory) {
	t.Helper()
	d, broken, err := p.open(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	var was data.Inventory
	for _, b := range broken {
		was.LeftOut = append(was.LeftOut, data.LeftOut{Picture: b.(*data.PictureError).Picture, Reason: b.Error()})
	}
	var file bytes.Buffer
	if err := data.WriteEntries(&file, d.(data.Itemized).Entries()); err != nil {
		t.Fatal(err)
	}
	if was.Entries, err = data.ReadEntries(&file); err != nil {
		t.Fatal(err)
	}
	return d.(data.Itemized), &was
}

// leaveOut adds a row to what a run leaves out.
func leaveOut(was *data.Inventory, d data.Dataset, row int) {
	was.LeftOut = append(was.LeftOut, data.LeftOut{Picture: recordOf(d, row).ID, Record: recordOf(d, row)})
}

func TestEqualDataIsTheSameData(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, p *project){
		"nothing": func(*testing.T, *project) {},
		"copied, then the old folder removed": func(t *testing.T, p *project) {
			to := filepath.Join(t.TempDir(), "elsewhere")
			if err := os.CopyFS(to, os.DirFS(p.dir)); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(p.dir); err != nil {
				t.Fatal(err)
			}
			p.dir = to
		},
		"touched": func(t *testing.T, p *project) {
			if err := os.Chtimes(filepath.Join(p.dir, "1.png"), time.Now(), time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		},
		"an image_id as text":    func(_ *testing.T, p *project) { p.entries[2]["image_id"] = "1" },
		"a key that is not read": func(_ *testing.T, p *project) { p.entries[2]["url"] = "x" },
	} {
		p := newProject(t, 6)
		before, was := p.started(t)
		change(t, p)
		d, broken, err := p.open(t, was)
		if err != nil || len(broken) > 0 {
			t.Errorf("%s: %v %v", name, err, broken)
			continue
		}
		if now := d.(data.Itemized); now.ContentDigest() != before.ContentDigest() || now.Digest() != before.Digest() {
			t.Errorf("%s: the digests differ", name)
		}
	}
}

func TestTheFirstDifferenceIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, p *project)
		want   string
	}{
		"caption":       {func(_ *testing.T, p *project) { p.entries[3]["caption"] = "ZEBRA" }, `captions.json holds other data now than when the run was started: picture 3, "3.png", has other captions, questions, answers or image_id; now it has image_id "1"; caption "ZEBRA"`},
		"one more":      {func(_ *testing.T, p *project) { p.entries[3]["caption"] = []string{"caption 3", "b"} }, `now it has image_id "1"; captions "caption 3", "b"`},
		"no image_id":   {func(_ *testing.T, p *project) { delete(p.entries[3], "image_id") }, `now it has caption "caption 3"`},
		"other picture": {func(t *testing.T, p *project) { p.write(t, "4.png", encoded(t, 99)) }, `"4.png", has other bytes`},
		"missing":       {func(_ *testing.T, p *project) { p.entries = p.entries[:5] }, `"5.png", is missing`},
		"new": {func(t *testing.T, p *project) {
			p.write(t, "6.png", encoded(t, 6))
			p.entries = append(p.entries, map[string]any{"image": "6.png", "caption": "c"})
		}, `"6.png", is new`},
		"order": {func(_ *testing.T, p *project) { p.entries[0], p.entries[1] = p.entries[1], p.entries[0] }, `picture 0, is "1.png", was "0.png"`},
	} {
		p := newProject(t, 6)
		_, was := p.started(t)
		c.change(t, p)
		_, _, err := p.open(t, was)
		if adapters.KindOf(err) != adapters.Invalid || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

// An edited question or answer is shown, and the file of questions is named.
func TestEditedQuestionsAreShown(t *testing.T) {
	p := newProject(t, 2)
	p.write(t, "captions.json", []byte(`[{"image": "0.png", "caption": "a dog"}, {"image": "1.png", "caption": "a cat"}]`))
	open := func(questions string, was *data.Inventory) (data.Dataset, error) {
		p.write(t, "questions.json", []byte(questions))
		d, _, err := data.OpenFiles(data.Files{Captions: filepath.Join(p.dir, "captions.json"), Questions: filepath.Join(p.dir, "questions.json"),
			Images: p.dir, Was: was}, spec)
		return d, err
	}
	d, err := open(`[{"image": "0.png", "question": "what is it", "answer": "a dog"}]`, nil)
	if err != nil {
		t.Fatal(err)
	}
	was := &data.Inventory{Entries: d.(data.Itemized).Entries()}
	const before = `captions.json and questions.json hold other data now than when the run was started: picture 0, "0.png", ` +
		`has other captions, questions, answers or image_id; now it has caption "a dog"; `
	for edited, want := range map[string]string{
		`[{"image": "0.png", "question": "what was it", "answer": "a dog"}]`:                  `question "what was it" (answer "a dog")`,
		`[{"image": "0.png", "question": "what is it", "answer": ["a", "b", "c", "d", "e"]}]`: `question "what is it" (answers "a", "b", "c" and 2 more)`,
	} {
		if _, err := open(edited, was); err == nil || !strings.Contains(err.Error(), before+want) {
			t.Errorf("got %v, want %q", err, before+want)
		}
	}
}

// The bytes are compared, not the time: a file can be edited and keep its size and time.
func TestAnEditedFileWithItsOldTimeIsNoticed(t *testing.T) {
	p := newProject(t, 3)
	large := bytes.Repeat([]byte("x"), 1<<20) // sampled, not read wholly
	p.write(t, "1.png", slices.Concat(encoded(t, 1), large, []byte("IEND\xaeB`\x82")))
	_, was := p.started(t)
	for _, name := range []string{"0.png", "1.png"} {
		path := filepath.Join(p.dir, name)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		old, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		edited := slices.Clone(old)
		edited[len(edited)-10] ^= 1 // in the checksum of a chunk or the bytes behind the picture
		if name == "0.png" {
			edited = append(encoded(t, 50)[:len(old)-12:len(old)-12], old[len(old)-12:]...)
		}
		p.write(t, name, edited)
		if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
		d, broken, err := p.open(t, was)
		if err == nil && len(broken) == 0 {
			t.Errorf("%s was edited, and %v is taken for the same data", name, d)
		}
		p.write(t, name, old)
	}
}

// The rows of a run stay the same whatever happens to the pictures that it leaves out.
func TestLeftOutPicturesMayChange(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 2))
		p := newProject(t, 12)
		p.write(t, "0.png", []byte("not a picture")) // left out when the data is opened
		d, was := p.started(t)
		want := make([]data.Record, d.Len())
		for i := range want {
			want[i] = recordOf(d, i)
		}
		for _, row := range rng.Perm(d.Len())[:4] {
			leaveOut(was, d, row)
		}
		for _, l := range was.LeftOut {
			i := slices.IndexFunc(p.entries, func(e map[string]any) bool { return e["image"] == l.Picture })
			switch rng.IntN(5) {
			case 0:
				p.entries = slices.Delete(p.entries, i, i+1)
			case 1:
				p.write(t, l.Picture, encoded(t, 77)) // repaired
			case 2:
				os.Remove(filepath.Join(p.dir, l.Picture))
			case 3:
				p.entries[i]["caption"] = "other"
			}
		}
		now, broken, err := p.open(t, was)
		if err != nil || len(broken) > 0 {
			t.Fatalf("seed %d: %v %v", seed, err, broken)
		}
		if now.Digest() != d.Digest() || now.(data.Itemized).ContentDigest() != d.ContentDigest() {
			t.Errorf("seed %d: the digests differ", seed)
		}
		for i, w := range want {
			if got := recordOf(now, i); got.ID != w.ID || !slices.Equal(got.Captions, w.Captions) {
				t.Errorf("seed %d: row %d is %+v, want %+v", seed, i, got, w)
			}
		}
	}
}

// A picture that was fine when the run was started and cannot be read now keeps its row and
// is reported, so that a run can refuse to continue.
func TestAPictureThatBrokeSinceIsReported(t *testing.T) {
	p := newProject(t, 6)
	d, was := p.started(t)
	whole := encoded(t, 2)
	p.write(t, "2.png", whole[:len(whole)/2])
	hole := slices.Clone(encoded(t, 4))
	clear(hole[len(hole)/2 : len(hole)-20]) // the header and the end are there
	p.write(t, "4.png", hole)
	os.Remove(filepath.Join(p.dir, "5.png"))
	now, broken, err := p.open(t, was)
	if err != nil || now.Len() != 6 || now.Digest() != d.Digest() {
		t.Fatalf("%v, %v", now, err)
	}
	var names []string
	for _, b := range broken {
		names = append(names, b.(*data.PictureError).Picture)
	}
	if !slices.Equal(names, []string{"2.png", "4.png", "5.png"}) {
		t.Errorf("reported are %v (%v)", names, broken)
	}
}

// BenchmarkOpenFiles measures how long it takes to open a data set: bytes/s of the files.
func BenchmarkOpenFiles(b *testing.B) {
	const n, size = 2000, 160 << 10 // a photograph of COCO
	dir := b.TempDir()
	head, filler := encoded(&testing.T{}, 1), make([]byte, size)
	var entries []string
	for i := range n {
		rand.NewChaCha8([32]byte{byte(i), byte(i >> 8)}).Read(filler)
		file := slices.Concat(head[:len(head)-12], filler, head[len(head)-12:])
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.png", i)), file, 0o644); err != nil {
			b.Fatal(err)
		}
		entries = append(entries, fmt.Sprintf(`{"image":"%d.png","caption":"c"}`, i))
	}
	path := filepath.Join(dir, "a.json")
	if err := os.WriteFile(path, []byte("["+strings.Join(entries, ",")+"]"), 0o644); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(n * size)
	for b.Loop() {
		if _, _, err := data.OpenFiles(data.Files{Captions: path, Images: dir}, spec); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "pictures/s")
}
