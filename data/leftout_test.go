package data_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/record"
)

// find draws batches as a run does: a bad record is found when it is drawn, and the batch is
// drawn again without it.
func find(s data.Sampler, bad map[int]bool, steps int) (batches [][]int) {
	s.LeftOut = map[int]bool{}
	for n := range steps {
		for {
			batch := s.Indices(n)
			found := false
			for _, row := range batch {
				if bad[row] && !s.LeftOut[row] {
					s.LeftOut[row], found = true, true
				}
			}
			if !found {
				batches = append(batches, batch)
				break
			}
		}
	}
	return batches
}

// The batches of a run that meets bad records on the way are those of a run that knew them
// from the start. That is why a resumed run, which knows them, repeats the steps after its
// checkpoint with the same bits.
func TestBadRecordsChangeNoBatchBefore(t *testing.T) {
	captions := func(i int) []string { return []string{fmt.Sprintf("w%d v%d", i%7, i%5)} }
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		n := 2 + rng.IntN(60)
		s := data.Sampler{Seed: seed, Batch: 1 + rng.IntN(n), Len: n}
		if rng.IntN(2) == 0 && s.Batch > 1 {
			s.Similar, s.Words = 0.4, data.NewWordIndex(texts{n, captions})
		}
		bad := map[int]bool{}
		for range rng.IntN(n - s.Batch + 1) {
			bad[rng.IntN(n)] = true
		}
		known := s
		known.LeftOut = bad
		for step, got := range find(s, bad, 40) {
			want := known.Indices(step)
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d, step %d: %v, want %v", seed, step, got, want)
			}
			seen := map[int]bool{}
			for _, row := range got {
				if bad[row] || seen[row] || row < 0 || row >= n {
					t.Fatalf("seed %d, step %d: %v has row %d (left out: %v, drawn before: %v)", seed, step, got, row, bad[row], seen[row])
				}
				seen[row] = true
			}
		}
	}
}

// A record that is left out is replaced by the next of the epoch's order; the others keep
// theirs.
func TestTheNextRecordReplacesABadOne(t *testing.T) {
	s := data.Sampler{Seed: 3, Batch: 4, Len: 20}
	order := func(s data.Sampler) (rows []int) {
		for n := range 5 {
			rows = append(rows, s.Indices(n)...)
		}
		return rows
	}
	all := order(s)
	s.LeftOut = map[int]bool{all[2]: true, all[9]: true}
	want := slices.Delete(slices.Clone(all), 9, 10)
	want = slices.Delete(want, 2, 3)
	want = append(want, all[0], all[1]) // the epoch keeps its steps
	if got := order(s); !slices.Equal(got, want) {
		t.Errorf("the order is %v, want %v", got, want)
	}
}

// texts is a data set of captions alone.
type texts struct {
	n       int
	caption func(i int) []string
}

func (x texts) Name() string   { return "texts" }
func (x texts) Digest() string { return "" }
func (x texts) Len() int       { return x.n }
func (x texts) Record(i int) (data.Record, error) {
	return data.Record{ID: fmt.Sprint(i), Captions: x.caption(i)}, nil
}
func (x texts) Image(int) (*adapters.Tensor, error) { return nil, errors.New("no pictures") }

func TestMaxBad(t *testing.T) {
	for _, c := range []struct {
		max            data.MaxBad
		pictures, want int
	}{
		{"", 5, 10}, {"", 999, 10}, {"", 5000, 50}, {"0", 100, 0}, {"25", 100, 25}, {"2.5%", 1000, 25}, {"0%", 100, 0}, {"100%", 7, 7},
	} {
		if got, err := c.max.Of(c.pictures); err != nil || got != c.want {
			t.Errorf("%q of %d: got %d, %v, want %d", c.max, c.pictures, got, err, c.want)
		}
	}
	for _, wrong := range []data.MaxBad{"-1", "x", "101%", "-3%", "1.5", "%", "NaN%"} {
		if n, err := wrong.Of(100); err == nil {
			t.Errorf("%q is taken as %d", wrong, n)
		}
	}
}

func TestTooManyBadPicturesEndTheRun(t *testing.T) {
	changed := 0
	l := data.LeftOutList{Data: "photos.json", Pictures: 100, Max: "2", Changed: func(data.LeftOut) error { changed++; return nil }}
	cause := adapters.Errorf(adapters.Corrupt, "picture %s: cut off", "1.png").WithRemedy("replace the file")
	for i := range 2 {
		if err := l.Add(data.Record{}, fmt.Sprintf("%d.png", i), cause); err != nil {
			t.Fatal(err)
		}
	}
	err := l.Add(data.Record{}, "2.png", cause)
	for _, part := range []string{"3 of 100", "allows 2", "1.png: cut off;", "data.max_bad", "raise"} {
		if err == nil || !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "replace the file") {
			t.Errorf("got %v, want %q in it and no remedy of a picture", err, part)
		}
	}
	if changed != 3 || l.Len() != 3 {
		t.Errorf("%d pictures, saved %d times, want 3 and 3", l.Len(), changed)
	}
	if err := l.Add(data.Record{}, "0.png", cause); err == nil || l.Len() != 3 {
		t.Errorf("a picture is left out twice: %v", err)
	}
}

// hugePNG returns a PNG whose header names a size, with an end mark but no pixels.
func hugePNG(width, height uint32) []byte {
	chunk := func(kind string, body []byte) []byte {
		out := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
		out = append(append(out, kind...), body...)
		return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[4:]))
	}
	header := binary.BigEndian.AppendUint32(nil, width)
	header = append(binary.BigEndian.AppendUint32(header, height), 8, 2, 0, 0, 0)
	return slices.Concat([]byte("\x89PNG\r\n\x1a\n"), chunk("IHDR", header), chunk("IDAT", nil), chunk("IEND", nil))
}

func TestDecompressionBombsAreLeftOutAtOpening(t *testing.T) {
	dir := folder(t)
	if err := os.WriteFile(filepath.Join(dir, "bomb.png"), hugePNG(20000, 20000), 0o644); err != nil {
		t.Fatal(err)
	}
	d, broken, err := data.OpenFiles(data.Files{Images: dir, Captions: annotate(t, `[
		{"image": "red.png", "caption": "red"}, {"image": "bomb.png", "caption": "boom"}]`)}, spec)
	if err != nil || d.Len() != 1 || len(broken) != 1 || !strings.Contains(broken[0].Error(), "bomb.png: PNG image of 20000 by 20000 pixels") {
		t.Errorf("%v, left out %v (%v); want the bomb left out by name", d, broken, err)
	}
}

// A remedy is for the command: `bridge caption` has no data set.
func TestUnreadablePicturesGiveOneRemedy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.webp")
	for text, want := range map[string]string{"%PDF-1.7": "(convert it to JPEG or PNG)", "\x89PNG\r\n\x1a\n": "(replace the file)"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := data.ReadPicture(path, spec)
		if err == nil || !strings.HasSuffix(err.Error(), want) || strings.Count(err.Error(), "(") != 1 || !strings.Contains(err.Error(), path) {
			t.Errorf("got %v, want the path and one remedy, %s", err, want)
		}
	}
}

// A run that continues leaves out what it expected with the reason, the file and the key that it
// noted first.
func TestExpectedRecordsKeepTheirReason(t *testing.T) {
	offset := int64(512)
	was := data.LeftOut{Picture: "#3", Reason: "the text is cut off", Why: record.Damaged, File: "a.tar", Key: "k", Offset: &offset}
	l := data.LeftOutList{Data: "d"}
	l.Expect([]data.LeftOut{was, {Picture: "#4", Reason: "x"}, was})
	if got := l.Unusable(); len(got) != 2 || !l.Knows("#3") || l.Knows("#5") || l.Expects("#5") != nil || l.Len() != 0 {
		t.Fatalf("expected %v, on the list %d", got, l.Len())
	}
	if err := l.Add(data.Record{ID: "#3"}, "#3", &data.PictureError{Picture: "#3", Err: l.Expects("#3")}); err != nil {
		t.Fatal(err)
	}
	if all := l.All(); len(all) != 1 || !reflect.DeepEqual(all[0], was) || l.Counts()[record.Damaged] != 1 {
		t.Errorf("on the list %+v, want %+v", all, was)
	}
	if got := l.Unusable(); len(got) != 2 || got[1].Picture != "#4" || l.Expects("#3") != nil {
		t.Errorf("the list and what is expected: %v", got)
	}
}
