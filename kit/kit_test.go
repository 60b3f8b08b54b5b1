package kit

import (
	"context"
	"encoding/json"
	"errors"
	"image/png"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/kit/scene"
)

// extractTo, in the environment, makes the test binary a process that extracts and exits.
const extractTo = "KIT_TEST_EXTRACT_TO"

func TestMain(m *testing.M) {
	if dir := os.Getenv(extractTo); dir != "" {
		got, err := Extract(context.Background(), dir)
		if err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Stdout.WriteString(got)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestModelsAreHuggingFaceFolders(t *testing.T) {
	names := Models()
	for _, want := range []string{"tiny-flan-t5", "tiny-opt", "tiny-vit"} {
		if !slices.Contains(names, want) {
			t.Errorf("models: got %v, want %q among them", names, want)
		}
	}
	dir := extract(t, t.TempDir())
	for _, name := range append(names, "qformer-tokenizer") {
		files := []string{"config.json", "model.safetensors", "tokenizer.json"}
		switch {
		case strings.Contains(name, "vit"):
			files[2] = "preprocessor_config.json"
		case name == "qformer-tokenizer":
			files = files[2:]
		}
		for _, file := range files {
			if _, err := os.Stat(filepath.Join(dir, name, file)); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestKitStaysSmall(t *testing.T) {
	mustWeigh(t, "all of package kit", 16_000_000, ".")
	mustWeigh(t, "the frozen models of the first kit", 8_000_000, "models/tiny-vit", "models/tiny-opt", "models/tiny-flan-t5")
}

// mustWeigh checks how much the files in folders are together.
func mustWeigh(t *testing.T, what string, limit int64, folders ...string) {
	t.Helper()
	var total int64
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(_ string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			info, err := d.Info()
			if err == nil {
				total += info.Size()
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if total == 0 || total > limit {
		t.Errorf("%s: got %d bytes, want at most %d", what, total, limit)
	}
}

func TestExtractKeepsWhatIsThere(t *testing.T) {
	cache := t.TempDir()
	dir := extract(t, cache)
	name := filepath.Join(dir, "tiny-opt", "config.json")
	before, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if again := extract(t, cache); again != dir {
		t.Errorf("second extraction: got %s, want %s", again, dir)
	}
	after, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) {
		t.Error("the second extraction replaced a file that was right")
	}
}

func TestExtractMendsDamage(t *testing.T) {
	for name, damage := range map[string]func(file string) error{
		"changed byte": func(file string) error {
			data, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			data[len(data)/2] ^= 1
			return errors.Join(os.Remove(file), os.WriteFile(file, data, 0o444))
		},
		"overwritten": func(file string) error {
			data, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			data[len(data)/2] ^= 1
			return errors.Join(os.Chmod(file, 0o644), os.WriteFile(file, data, 0o644))
		},
		"truncated": func(file string) error { return errors.Join(os.Chmod(file, 0o644), os.Truncate(file, 100)) },
		"missing":   os.Remove,
		"folder removed": func(file string) error {
			return os.RemoveAll(filepath.Dir(file))
		},
	} {
		t.Run(name, func(t *testing.T) {
			cache := t.TempDir()
			dir := extract(t, cache)
			extract(t, cache) // this process has read the files, and remembers them
			if err := damage(filepath.Join(dir, "tiny-opt", "model.safetensors")); err != nil {
				t.Fatal(err)
			}
			if models.check(t.Context(), dir) == nil {
				t.Fatal("the damage does not show")
			}
			if again := extract(t, cache); again != dir {
				t.Errorf("got %s, want %s", again, dir)
			}
			assertClean(t, cache, dir)
		})
	}
}

func TestExtractFromSeveralProcesses(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "not", "there", "yet")
	const processes = 6
	commands := make([]*exec.Cmd, processes)
	outputs := make([]strings.Builder, processes)
	for i := range commands {
		commands[i] = exec.Command(os.Args[0])
		commands[i].Env = append(os.Environ(), extractTo+"="+cache)
		commands[i].Stdout, commands[i].Stderr = &outputs[i], &outputs[i]
		if err := commands[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	for i, command := range commands {
		if err := command.Wait(); err != nil {
			t.Fatalf("process %d: %v: %s", i, err, &outputs[i])
		}
		if outputs[i].String() != outputs[0].String() {
			t.Errorf("process %d extracted to %s, process 0 to %s", i, &outputs[i], &outputs[0])
		}
	}
	assertClean(t, cache, outputs[0].String())
}

func TestExtractStopsWhenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	cache := t.TempDir()
	if _, err := Extract(ctx, cache); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if left, err := os.ReadDir(cache); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestExtractNamesACacheThatItCannotWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a-file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Extract(t.Context(), file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v, want an error that names %s", err, file)
	}
}

func extract(t *testing.T, cache string) string {
	t.Helper()
	dir, err := Extract(t.Context(), cache)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// assertClean checks that dir holds the kit and that the cache holds nothing beside it.
func assertClean(t *testing.T, cache, dir string) {
	t.Helper()
	if err := models.check(t.Context(), dir); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir(cache)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("cache: got %v, want one folder", entries)
	}
}

// The digests are a contract, as the seeds are: figures on other pictures cannot be compared.
func TestSplitsAreFixed(t *testing.T) {
	for _, test := range []struct {
		split  Split
		size   int
		digest string
	}{
		{Train, 16_000, "4c13ea05bcdb76c109e7c7af1cdd9a32794e98e99e43fabbecbaafb69f4754da"},
		{HeldOut, 600, "507cc8d43e4cd22e1e748322b468e130acfea83342e13931182d247c573cde5d"},
		{Fresh, 400, "6e40a3c8b8fe70b4815abdd516cd4c567470ad58818cd81ee238f251c4719664"},
		{Choose, 1000, "d9b1dc5bbd7f8906c46bcb197e36c67b26d15db668195ef1aef63803a0d61299"},
		{Report, 1000, "0eec310da848bbd65eb3ccd713e9cdaed6ad0226194a904fb062006c40f00c40"},
		{Style, 1000, "a9dade4f77c0e0f198a62702a37f80c84f59f5daf52d5bb0f3ce68aede976756"},
		{ThreeTrain, 16_000, "e96a947c5b308aebc1d73a76515b07e870d2ce3cbee57db32f94ed4094d7361a"},
		{Three, 1000, "dd91038dedd4b669cd7da90c751d0d323fc5ee6a4c60238d060b7210ff91afbb"},
	} {
		d := open(t, test.split)
		if d.Len() != test.size {
			t.Errorf("%s: got %d examples, want %d", test.split, d.Len(), test.size)
		}
		if got := d.Digest(); got != test.digest {
			t.Errorf("%s: digest: got %s, want %s", test.split, got, test.digest)
		}
	}
	if _, err := Open("test"); err == nil {
		t.Error("an unknown split: got no error")
	}
}

func TestSplitsHoldTheirKinds(t *testing.T) {
	train := map[string]bool{}
	for i, d := 0, open(t, Train); i < d.Len(); i++ {
		train[d.Example(i).Caption] = true
	}
	for _, split := range []Split{HeldOut, Choose, Report, Style} {
		kinds := map[scene.Kind]int{}
		d := open(t, split)
		for i := range d.Len() {
			e := d.Example(i)
			kinds[e.Scene.Kind]++
			if train[e.Caption] {
				t.Errorf("%s: %q occurs in train", e.ID, e.Caption)
			}
		}
		for kind, tenths := range map[scene.Kind]int{scene.Pair: 6, scene.Count: 3, scene.One: 1} {
			if got, want := kinds[kind], d.Len()*tenths/10; got < want*4/5 || got > want*6/5 {
				t.Errorf("%s: scenes of kind %s: got %d, want about %d", split, kind, got, want)
			}
		}
	}
}

// Settings are chosen on one set and figures reported of another, so nothing may stand in both.
func TestTestSetsShareNoPairSceneAndNoPicture(t *testing.T) {
	scenes, pictures := map[string]string{}, map[string]string{}
	for _, split := range []Split{HeldOut, Choose, Report} {
		d := open(t, split)
		for i := range d.Len() {
			e := d.Example(i)
			if other, ok := scenes[e.Caption]; ok && e.Scene.Kind == scene.Pair && other != string(split) {
				t.Errorf("%s: %q occurs in %s", e.ID, e.Caption, other)
			}
			scenes[e.Caption] = string(split)
			if other, ok := pictures[string(d.Image(i))]; ok {
				t.Errorf("%s is the picture %s", e.ID, other)
			}
			pictures[string(d.Image(i))] = e.ID
		}
	}
}

func TestStyleShowsTheScenesOfReportInAnotherStyle(t *testing.T) {
	report, other := open(t, Report), open(t, Style)
	for i := range report.Len() {
		a, b := report.Example(i), other.Example(i)
		if a.Scene != b.Scene || a.Style == scene.Fluent || b.Style != scene.Fluent {
			t.Fatalf("picture %d: got %q in style %s beside %q in style %s", i, b.Caption, b.Style, a.Caption, a.Style)
		}
	}
	for _, split := range Splits() {
		for i, d := 0, open(t, split); split != Style && i < d.Len(); i++ {
			if d.Example(i).Style == scene.Fluent {
				t.Fatalf("%s %d is drawn in the style of %s", split, i, Style)
			}
		}
	}
}

func TestThreeHoldsOutPairs(t *testing.T) {
	pairs := map[[2]scene.Object]bool{} // in any order
	for _, split := range []Split{Train, ThreeTrain} {
		d := open(t, split)
		for i := range d.Len() {
			objects := d.Example(i).Scene.Objects()
			for _, a := range objects {
				for _, b := range objects {
					pairs[[2]scene.Object{a, b}] = true
				}
			}
		}
	}
	d := open(t, Three)
	for i := range d.Len() {
		e := d.Example(i)
		o := e.Scene.Objects()
		if pairs[[2]scene.Object{o[0], o[1]}] && pairs[[2]scene.Object{o[0], o[2]}] && pairs[[2]scene.Object{o[1], o[2]}] {
			t.Errorf("%s: %q has only pairs that occur in training", e.ID, e.Caption)
		}
	}
}

func TestImageIDsAreEqualWhereScenesAre(t *testing.T) {
	d := open(t, HeldOut)
	captions := map[int32]string{}
	ids := map[string]int32{}
	for i := range d.Len() {
		e := d.Example(i)
		if known, ok := captions[e.ImageID]; ok && known != e.Caption {
			t.Errorf("image id %d: got %q and %q", e.ImageID, known, e.Caption)
		}
		if known, ok := ids[e.Caption]; ok && known != e.ImageID {
			t.Errorf("%q: got image ids %d and %d", e.Caption, known, e.ImageID)
		}
		captions[e.ImageID], ids[e.Caption] = e.Caption, e.ImageID
	}
}

func TestExport(t *testing.T) {
	dir := t.TempDir()
	const n = 5
	if err := Export(dir, HeldOut, n); err != nil {
		t.Fatal(err)
	}
	var captions []CaptionAnnotation
	var questions []QuestionAnnotation
	readJSON(t, filepath.Join(dir, "captions.json"), &captions)
	readJSON(t, filepath.Join(dir, "questions.json"), &questions)
	if len(captions) != n {
		t.Fatalf("captions: got %d, want %d", len(captions), n)
	}
	d := open(t, HeldOut)
	asked := 0
	for i, c := range captions {
		e := d.Example(i)
		if c.Caption != e.Caption || c.ImageID != e.ImageID {
			t.Errorf("annotation %d: got %+v, want those of %+v", i, c, e)
		}
		asked += len(e.Questions)
		if got := readPNG(t, filepath.Join(dir, "images", c.Image)); !slices.Equal(got, d.Image(i)) {
			t.Errorf("%s: pixels differ from the data set's", c.Image)
		}
	}
	if len(questions) != asked {
		t.Errorf("questions: got %d, want %d", len(questions), asked)
	}
	if first := d.Example(0).Questions[0]; questions[0].Question != first.Question || questions[0].Answer != first.Answer || questions[0].Kind != first.Kind {
		t.Errorf("first question: got %+v, want %+v", questions[0], first)
	}
	if err := Export(dir, HeldOut, 601); err == nil {
		t.Error("more examples than there are: got no error")
	}
}

func open(t *testing.T, split Split) *Data {
	t.Helper()
	d, err := Open(split)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func readJSON(t *testing.T, name string, value any) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, value); err != nil {
		t.Fatal(err)
	}
}

// readPNG returns the picture as uint8[H, W, 3].
func readPNG(t *testing.T, name string) []uint8 {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	var pix []uint8
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			r, g, b, _ := img.At(x, y).RGBA()
			pix = append(pix, uint8(r>>8), uint8(g>>8), uint8(b>>8))
		}
	}
	return pix
}
