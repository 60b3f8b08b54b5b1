package featurecache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/featurecache"
)

// encoder is a vision encoder whose features say which picture they are of.
type encoder struct {
	digest   string
	spec     func(*adapters.VisionSpec) // changes the spec; may be nil
	pictures atomic.Int64               // encoded so far
	before   func(batch []int)          // called with the pictures of each request
}

var _ adapters.VisionEncoder = (*encoder)(nil)

const tokens, width = 3, 5

func (e *encoder) Spec() adapters.VisionSpec {
	s := adapters.VisionSpec{
		Spec:   adapters.Spec{ID: "fake", Width: width, Digest: e.digest, DType: adapters.Float32},
		Tokens: tokens, Image: adapters.ImageSpec{Width: 2, Height: 2},
	}
	if e.spec != nil {
		e.spec(&s)
	}
	return s
}

func (e *encoder) Encode(_ context.Context, r *adapters.EncodeRequest) (*adapters.EncodeResponse, error) {
	if err := r.Check(e.Spec()); err != nil {
		return nil, err
	}
	n := r.Images.Shape[0]
	batch := make([]int, n)
	out := adapters.NewTensor(adapters.Float32, n, tokens, width)
	for i := range n {
		pixels := r.Images.Row(i).Data
		batch[i] = int(pixels[0]) + 256*int(pixels[1])
		copy(out.Row(i).Float32s(), rowOf(batch[i]))
	}
	if e.before != nil {
		e.before(batch)
	}
	e.pictures.Add(int64(n))
	return &adapters.EncodeResponse{Features: out}, nil
}

func (e *encoder) Close() error { return nil }

// upTo returns 0, 1, …, n−1.
func upTo(n int) []int {
	rows := make([]int, n)
	for i := range rows {
		rows[i] = i
	}
	return rows
}

// rowOf is picture i's features, exact in bfloat16.
func rowOf(i int) []float32 {
	row := make([]float32, tokens*width)
	for k := range row {
		row[k] = float32(i%128+1) / float32(int(1)<<(k%8))
	}
	return row
}

// pictures is a data set whose pixels say which picture they are.
type pictures struct {
	n      int
	digest string
}

func (p pictures) Len() int       { return p.n }
func (p pictures) Digest() string { return p.digest }

func (p pictures) Image(i int) (*adapters.Tensor, error) {
	if i == 999 {
		return nil, errors.New("picture 999 is broken")
	}
	pixels := make([]uint8, 2*2*3)
	pixels[0], pixels[1] = uint8(i), uint8(i>>8)
	return adapters.FromUint8(pixels, 2, 2, 3), nil
}

func open(t *testing.T, dir string, e *encoder, p pictures, o featurecache.Options) *featurecache.Cache {
	t.Helper()
	c, err := featurecache.Open(dir, e, p, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// mustServe checks the features of pictures, whole.
func mustServe(t *testing.T, c *featurecache.Cache, indices ...int) {
	t.Helper()
	got, err := c.Features(context.Background(), indices)
	if err != nil {
		t.Fatal(err)
	}
	if err := got.Check("features", []int{len(indices), tokens, width}, adapters.Float32, adapters.BFloat16); err != nil {
		t.Fatal(err)
	}
	values, err := got.ToFloat32()
	if err != nil {
		t.Fatal(err)
	}
	var want []float32
	for _, i := range indices {
		want = append(want, rowOf(i)...)
	}
	for k := range want {
		if values[k] != want[k] {
			t.Fatalf("features of %v: element %d is %v, want %v", indices, k, values[k], want[k])
		}
	}
}

// mustEncode checks how many pictures were encoded since the last call.
func (e *encoder) mustEncode(t *testing.T, n int64) {
	t.Helper()
	if got := e.pictures.Swap(0); got != n {
		t.Errorf("%d pictures were encoded, want %d", got, n)
	}
}

func cacheFile(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.features"))
	if err != nil || len(files) != 1 {
		t.Fatalf("cache files are %v (%v), want one", files, err)
	}
	return files[0]
}

func TestEachPictureIsEncodedOnce(t *testing.T) {
	for _, dtype := range []adapters.DType{adapters.Float32, adapters.BFloat16} {
		dir, e, p := t.TempDir(), &encoder{digest: "e"}, pictures{300, "d"}
		c := open(t, dir, e, p, featurecache.Options{DType: dtype, Batch: 4})
		mustServe(t, c, 7, 299, 7, 0)
		e.mustEncode(t, 3)
		mustServe(t, c, 0, 1, 7)
		e.mustEncode(t, 1)
		if err := c.Prefetch(context.Background(), upTo(10)); err != nil {
			t.Fatal(err)
		}
		e.mustEncode(t, 7) // 2–6, 8, 9
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		again := open(t, dir, e, p, featurecache.Options{DType: dtype})
		mustServe(t, again, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 299)
		e.mustEncode(t, 0)
		if err := again.Prefetch(context.Background(), upTo(300)); err != nil {
			t.Fatal(err)
		}
		e.mustEncode(t, 289)
		info, err := os.Stat(cacheFile(t, dir))
		if err != nil {
			t.Fatal(err)
		}
		if want := featurecache.Bytes(e.Spec(), 300, dtype); info.Size() != want {
			t.Errorf("the file has %d bytes, %d were estimated", info.Size(), want)
		}
	}
}

// Features are shared only if everything is equal that the encoder's output depends on.
func TestOtherFeaturesNeverShareRows(t *testing.T) {
	dir := t.TempDir()
	base := &encoder{digest: "e"}
	mustServe(t, open(t, dir, base, pictures{5, "d"}, featurecache.Options{Model: "m"}), 0, 1)
	with := func(change func(*adapters.VisionSpec)) *encoder { return &encoder{digest: "e", spec: change} }
	same := featurecache.Options{Model: "m"}
	for name, c := range map[string]struct {
		e     *encoder
		p     pictures
		o     featurecache.Options
		share bool
	}{
		"weights":         {&encoder{digest: "other"}, pictures{5, "d"}, same, false},
		"pictures":        {&encoder{digest: "e"}, pictures{5, "other"}, same, false},
		"type on disk":    {&encoder{digest: "e"}, pictures{5, "d"}, featurecache.Options{Model: "m", DType: adapters.Float32}, false},
		"files or plugin": {&encoder{digest: "e"}, pictures{5, "d"}, featurecache.Options{Model: "other"}, false},
		"family":          {with(func(s *adapters.VisionSpec) { s.Family = "other" }), pictures{5, "d"}, same, false},
		"layer":           {with(func(s *adapters.VisionSpec) { s.Layer = -2 }), pictures{5, "d"}, same, false},
		"dtype":           {with(func(s *adapters.VisionSpec) { s.DType = adapters.BFloat16 }), pictures{5, "d"}, same, false},
		"patch":           {with(func(s *adapters.VisionSpec) { s.Patch = 7 }), pictures{5, "d"}, same, false},
		"mean":            {with(func(s *adapters.VisionSpec) { s.Image.Mean[2] = 0.5 }), pictures{5, "d"}, same, false},
		"deviation":       {with(func(s *adapters.VisionSpec) { s.Image.Std[0] = 0.5 }), pictures{5, "d"}, same, false},
		"filter":          {with(func(s *adapters.VisionSpec) { s.Image.Resample = adapters.Bicubic }), pictures{5, "d"}, same, false},
		"crop":            {with(func(s *adapters.VisionSpec) { s.Image.Mode = adapters.ShortestEdgeCrop }), pictures{5, "d"}, same, false},
		"shortest edge":   {with(func(s *adapters.VisionSpec) { s.Image.ShortestEdge = 3 }), pictures{5, "d"}, same, false},
		"id":              {with(func(s *adapters.VisionSpec) { s.ID = "other" }), pictures{5, "d"}, same, true},
		"place":           {with(func(s *adapters.VisionSpec) { s.Source = "/moved" }), pictures{5, "d"}, same, true},
		"backend":         {with(func(s *adapters.VisionSpec) { s.Backend = "xla:cuda" }), pictures{5, "d"}, same, true},
	} {
		mustServe(t, open(t, dir, c.e, c.p, c.o), 0, 1)
		if shared := c.e.pictures.Load() == 0; shared != c.share {
			t.Errorf("other %s: shared %v, want %v", name, shared, c.share)
		}
	}
	if _, err := featurecache.Open(dir, &encoder{}, pictures{5, "d"}, featurecache.Options{}); adapters.KindOf(err) != adapters.Invalid {
		t.Errorf("encoder without a digest: got %v", err)
	}
}

// A file of an older version does not say which configuration and code it is of. It is not used,
// and the log says so once.
func TestFeaturesOfOlderVersionsAreComputedAgain(t *testing.T) {
	dir := t.TempDir()
	const older = "322cbe703b0a724e7c5cc643.features" // as commit 03ee870 names the file of this encoder and data
	if err := os.WriteFile(filepath.Join(dir, older), make([]byte, 5000), 0o644); err != nil {
		t.Fatal(err)
	}
	for opened, want := range []int{1, 0} {
		log, text := logged()
		e := &encoder{digest: "e"}
		mustServe(t, open(t, dir, e, pictures{5, "d"}, featurecache.Options{Log: log}), 0, 1)
		if got := strings.Count(text.String(), "features are computed again"); got != want || want > 0 && !strings.Contains(text.String(), older) {
			t.Errorf("open %d: the log has %d lines about the older file, want %d:\n%s", opened, got, want, text)
		}
		e.mustEncode(t, int64(2*want))
	}
}

func TestDamageIsFoundAndMended(t *testing.T) {
	for name, damage := range map[string]func(path string, data []byte) error{
		"flipped bit": func(path string, data []byte) error {
			data[len(data)-1] ^= 1
			return os.WriteFile(path, data, 0o644)
		},
		"cut off": func(path string, data []byte) error { return os.Truncate(path, int64(len(data)-10)) },
		"no head": func(path string, data []byte) error { return os.Truncate(path, 100) },
		"foreign": func(path string, data []byte) error {
			return os.WriteFile(path, bytes.Repeat([]byte("x"), len(data)), 0o644)
		},
		"zeros": func(path string, data []byte) error { // a power cut may leave holes
			clear(data[len(data)-tokens*width*2:])
			return os.WriteFile(path, data, 0o644)
		},
	} {
		dir, e, p := t.TempDir(), &encoder{digest: "e"}, pictures{4, "d"}
		c := open(t, dir, e, p, featurecache.Options{})
		mustServe(t, c, 0, 1, 2, 3)
		c.Close()
		path := cacheFile(t, dir)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := damage(path, data); err != nil {
			t.Fatal(err)
		}
		e.pictures.Store(0)
		mustServe(t, open(t, dir, e, p, featurecache.Options{}), 0, 1, 2, 3)
		if e.pictures.Load() == 0 {
			t.Errorf("%s: nothing was computed again", name)
		}
		e.pictures.Store(0)
		mustServe(t, open(t, dir, e, p, featurecache.Options{}), 0, 1, 2, 3)
		if e.pictures.Load() != 0 {
			t.Errorf("%s: the file is not mended", name)
		}
	}
}

// What is wrong with many rows is one line.
func TestDamageIsReportedOnce(t *testing.T) {
	const rows, rowBytes = 100, tokens * width * 2
	for name, c := range map[string]struct {
		damage func(path string, data []byte) error
		want   string
	}{
		"cut off": {func(path string, data []byte) error { return os.Truncate(path, int64(len(data)-40*rowBytes)) }, `rows=40 reason="the file is cut off"`},
		"zeros": {func(path string, data []byte) error {
			clear(data[len(data)-40*rowBytes:])
			return os.WriteFile(path, data, 0o644)
		}, `rows=40 reason="the checksum is `},
	} {
		dir, e, p := t.TempDir(), &encoder{digest: "e"}, pictures{rows, "d"}
		first := open(t, dir, e, p, featurecache.Options{})
		mustServe(t, first, all(rows)...)
		first.Close()
		path := cacheFile(t, dir)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.damage(path, data); err != nil {
			t.Fatal(err)
		}
		log, text := logged()
		mustServe(t, open(t, dir, e, p, featurecache.Options{Log: log}), all(rows)...)
		if got := text.String(); strings.Count(got, "level=WARN") != 1 || !strings.Contains(got, c.want) || !strings.Contains(got, path) {
			t.Errorf("%s: the log says\n%s\nwant one line with %s and the file", name, got, c.want)
		}
	}
}

func TestErrorsNameThePicture(t *testing.T) {
	c := open(t, t.TempDir(), &encoder{digest: "e"}, pictures{1200, "d"}, featurecache.Options{})
	if _, err := c.Features(context.Background(), []int{1, 999}); err == nil || !strings.Contains(err.Error(), "picture 999 is broken") {
		t.Errorf("got %v, want the picture's own error", err)
	}
	for _, row := range []int{-1, 1200} {
		if _, err := c.Features(context.Background(), []int{row}); adapters.KindOf(err) != adapters.Invalid || !strings.Contains(err.Error(), fmt.Sprint(row)) {
			t.Errorf("row %d: got %v", row, err)
		}
	}
}

func TestProgressCountsWhatIsMissing(t *testing.T) {
	var told []string
	o := featurecache.Options{Batch: 4, Progress: func(done, total int) { told = append(told, fmt.Sprintf("%d/%d", done, total)) }}
	c := open(t, t.TempDir(), &encoder{digest: "e"}, pictures{10, "d"}, o)
	mustServe(t, c, 3)
	if err := c.Prefetch(context.Background(), upTo(10)); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(told, " "), "1/1 4/9 8/9 9/9"; got != want {
		t.Errorf("progress was %q, want %q", got, want)
	}
}

func all(n int) []int {
	rows := make([]int, n)
	for i := range rows {
		rows[i] = i
	}
	return rows
}

// logged returns a log and what was written to it.
func logged() (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	return slog.New(slog.NewTextHandler(&b, nil)), &b
}

// decoded is pictures with a decoding.
type decoded struct {
	pictures
	decoding string
}

func (d decoded) Decoding() string { return d.decoding }

// Pictures that are decoded otherwise have another file; those that name no decoding have the
// file of earlier versions.
func TestDecodingIsInTheKey(t *testing.T) {
	dir, e := t.TempDir(), &encoder{digest: "e"}
	p := pictures{n: 3, digest: "d"}
	for i, source := range []featurecache.Pictures{p, decoded{p, ""}, decoded{p, "exif"}, decoded{p, "jpeg2 exif"}} {
		c, err := featurecache.Open(dir, e, source, featurecache.Options{})
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		files, err := filepath.Glob(filepath.Join(dir, "*.features"))
		if want := max(1, i); err != nil || len(files) != want {
			t.Errorf("after %d pictures: %d files, want %d", i+1, len(files), want)
		}
	}
}
