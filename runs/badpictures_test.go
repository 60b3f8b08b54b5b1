package runs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image/png"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/internal/dirhash"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/kit"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/train/metrics"
	"github.com/modular-bridging/bridge/workspace"
)

// Tests in this file train on files: pictures of the kit beside annotations.

const trainPictures, evalPictures = 16, 4

// caption is an entry of an annotation file.
type caption struct {
	Image   string `json:"image"`
	Caption string `json:"caption"`
}

// newProject writes a project of pictures, annotations and a recipe into a new folder.
func newProject(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	pictures := filepath.Join(dir, "pictures")
	if err := os.Mkdir(pictures, 0o755); err != nil {
		t.Fatal(err)
	}
	scenes, err := kit.Open(kit.Train)
	if err != nil {
		t.Fatal(err)
	}
	var entries []caption
	for i := range trainPictures + evalPictures {
		var buf bytes.Buffer
		if err := png.Encode(&buf, scenes.Picture(i).Image()); err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("%d.png", i)
		write(t, filepath.Join(pictures, name), buf.Bytes())
		entries = append(entries, caption{name, scenes.Example(i).Caption})
	}
	annotateAt(t, dir, "captions.json", entries[:trainPictures])
	annotateAt(t, dir, "eval.json", entries[trainPictures:])
	write(t, filepath.Join(dir, "recipe.toml"), []byte(`
name = "small"
stage = 2
seed = 1
from = "kit:stage1"
[vision]
id = "tiny-vit"
[language]
id = "tiny-opt"
[data.train]
annotations = "captions.json"
images = "pictures"
[data.eval]
annotations = "eval.json"
images = "pictures"
[objective]
name = "prompt-caption"
[optimizer]
lr = 1e-3
warmup = 0
steps = 5
batch = 4
[evaluation]
examples = 2
captions = 0
final_captions = 0
[run]
backend = "go"
feature_cache = false
checkpoint_every = 2
`))
	return dir
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func annotateAt(t *testing.T, dir, name string, entries []caption) {
	t.Helper()
	text, err := json.Marshal(entries)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, name), text)
}

// editCaptions changes the training captions of a project.
func editCaptions(t *testing.T, dir string, edit func([]caption) []caption) {
	t.Helper()
	var entries []caption
	if err := json.Unmarshal(read(t, filepath.Join(dir, "captions.json")), &entries); err != nil {
		t.Fatal(err)
	}
	annotateAt(t, dir, "captions.json", edit(entries))
}

// atStep is a progress that calls a function when a step of training is done.
type atStep map[int]func()

// beforeSteps is the key of a function that atStep calls before the first step.
const beforeSteps = -1

func (a atStep) Start(name string, _, _ int) metrics.Task {
	if name != "stage-2" {
		return atStep{}
	}
	a.Step(beforeSteps, 0, 0)
	return a
}

func (a atStep) Step(done, _ int, _ float64) {
	if f := a[done]; f != nil {
		f()
	}
}

func (a atStep) Done() {}

// trainAt trains the project in dir, in its folder runs/a.
func trainAt(t *testing.T, ctx context.Context, dir string, progress metrics.Progress, resume bool, sets ...string) (Outcome, error) {
	t.Helper()
	t.Setenv("BRIDGE_CONFIG", filepath.Join(dir, "config"))
	t.Chdir(dir)
	return trainIn(t, ctx, workspace.New(workspace.Options{Progress: progress}), resume, sets...)
}

// trainIn trains the project in the working folder.
func trainIn(t *testing.T, ctx context.Context, w *workspace.Workspace, resume bool, sets ...string) (Outcome, error) {
	t.Helper()
	file, run := "recipe.toml", filepath.Join("runs", "a")
	if resume {
		file = filepath.Join(run, recipes.RunFile)
	}
	return Train(ctx, w, resolve(t, w, file, sets...), Options{Dir: run, Resume: resume})
}

// trained trains a project to the end and returns the weights.
func trained(t *testing.T, dir string, progress metrics.Progress, resume bool, sets ...string) map[string][]float32 {
	t.Helper()
	if _, err := trainAt(t, t.Context(), dir, progress, resume, sets...); err != nil {
		t.Fatal(err)
	}
	return bridgeWeights(t, filepath.Join(dir, "runs", "a"))
}

// stopped trains a project and stops it after a step.
func stopped(t *testing.T, dir string, after int, progress atStep, sets ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if progress == nil {
		progress = atStep{}
	}
	progress[after] = cancel
	if _, err := trainAt(t, ctx, dir, progress, false, sets...); err == nil {
		t.Fatal("the run was not stopped")
	}
}

// moved copies a project elsewhere with other times, and removes the old one.
func moved(t *testing.T, dir string) string {
	t.Helper()
	t.Chdir(t.TempDir())
	to := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	return to
}

// damages are ways in which picture files are broken.
var damages = map[string]func(rng *rand.Rand, file []byte) []byte{
	"cut off":        func(rng *rand.Rand, f []byte) []byte { return f[:rng.IntN(len(f))] },
	"flipped":        func(rng *rand.Rand, f []byte) []byte { f[8+rng.IntN(len(f)-24)] ^= 1 << rng.IntN(8); return f },
	"zeroed":         func(_ *rand.Rand, f []byte) []byte { clear(f[len(f)/2 : len(f)-16]); return f },
	"another format": func(_ *rand.Rand, f []byte) []byte { return append([]byte("\xff\xd8\xff\xe0\x00\x10JFIF"), f...) },
	"a web page":     func(*rand.Rand, []byte) []byte { return []byte("<html>404</html>") },
	"another kind's end": func(_ *rand.Rand, f []byte) []byte {
		return slices.Concat([]byte("GIF89a\x10\x00\x10\x00\x00\x00\x00"), f[:40], []byte(";"))
	},
}

// damage breaks the pictures of some rows, each in a random way.
func damage(t *testing.T, dir string, seed uint64, rows ...int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0))
	names := []string{"cut off", "flipped", "zeroed", "another format", "a web page", "another kind's end"}
	for _, row := range rows {
		path := filepath.Join(dir, "pictures", fmt.Sprintf("%d.png", row))
		how := names[rng.IntN(len(names))]
		write(t, path, damages[how](rng, read(t, path)))
	}
}

// mend repairs, removes or changes what a run leaves out.
func mend(t *testing.T, dir string, seed uint64) {
	t.Helper()
	lists, err := readLeftOut(filepath.Join(dir, "runs", "a"))
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	for _, l := range lists[trainSplit] {
		path := filepath.Join(dir, "pictures", l.Picture)
		switch rng.IntN(3) {
		case 0:
			write(t, path, read(t, filepath.Join(dir, "pictures", fmt.Sprint(trainPictures)+".png")))
		case 1:
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			editCaptions(t, dir, func(all []caption) []caption {
				return slices.DeleteFunc(all, func(c caption) bool { return c.Image == l.Picture })
			})
		}
	}
}

// Whatever is broken before and while a run trains, the run ends, and a run that was stopped,
// moved, mended and resumed is the undisturbed one.
func TestDamagedPicturesChangeNoResumedRun(t *testing.T) {
	seeds, modes := []uint64{1}, [][]string{{"run.feature_cache=false"}}
	if testenv.Long() {
		seeds, modes = []uint64{1, 2, 3, 4, 5, 6}, append(modes, []string{"run.feature_cache=true"})
		testenv.Cache(t) // for the features
	}
	for _, seed := range seeds {
		for _, sets := range modes {
			t.Run(fmt.Sprint(seed, sets), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 9))
				before, during := rng.Perm(trainPictures)[:4], rng.Perm(trainPictures)[:4]
				project := func() (string, atStep) {
					dir := newProject(t)
					damage(t, dir, seed, before...)
					damage(t, dir, seed, trainPictures+1) // held out
					return dir, atStep{2: func() { damage(t, dir, seed+100, during...) }}
				}
				dir, progress := project()
				want := trained(t, dir, progress, false, sets...)
				log := string(read(t, filepath.Join(dir, "runs", "a", logFile)))
				lists, err := readLeftOut(filepath.Join(dir, "runs", "a"))
				if err != nil || len(lists[trainSplit]) == 0 || len(lists[evalSplit]) != 1 {
					t.Fatalf("%v, left out %v", err, lists)
				}
				for _, l := range slices.Concat(lists[trainSplit], lists[evalSplit]) {
					if !strings.Contains(log, `msg="picture left out"`) || !strings.Contains(log, "picture="+l.Picture+" reason=") {
						t.Errorf("the log does not name %s", l.Picture)
					}
				}

				dir, progress = project()
				whole := pictureFiles(t, dir)
				stopped(t, dir, 3+rng.IntN(2), progress, sets...)
				broken := pictureFiles(t, dir)
				restore(t, dir, whole)
				mend(t, dir, seed)
				dir = moved(t, dir)
				got := trained(t, dir, atStep{beforeSteps: func() { restore(t, dir, broken) }}, true)
				if !reflect.DeepEqual(got, want) {
					t.Errorf("the resumed run has other weights")
				}
				if log := string(read(t, filepath.Join(dir, "runs", "a", logFile))); !strings.Contains(log, "stay left out") {
					t.Error("the log of the resumed run does not say that pictures stay left out")
				}
			})
		}
	}
}

// pictureFiles returns the picture files of a project by their paths relative to it.
func pictureFiles(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "pictures", "*"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, path := range all {
		files[filepath.Join("pictures", filepath.Base(path))] = read(t, path)
	}
	return files
}

// restore writes the files that pictureFiles returned.
func restore(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	for path, text := range files {
		write(t, filepath.Join(dir, path), text)
	}
}

// refused resumes a project's run, and checks that pictures which cannot be read any more stop it
// before it writes anything, except in its log.
func refused(t *testing.T, dir string) error {
	t.Helper()
	run := filepath.Join(dir, "runs", "a")
	before := folderFiles(t, run)
	_, err := trainAt(t, t.Context(), dir, nil, true)
	if err == nil || !strings.Contains(err.Error(), "cannot be read now; the first is") || !strings.Contains(err.Error(), "bring the files back") {
		t.Fatalf("got %v, want that pictures cannot be read now", err)
	}
	if after := folderFiles(t, run); !reflect.DeepEqual(after, before) {
		t.Errorf("the refused run wrote files in %s; it has %d, had %d", run, len(after), len(before))
	}
	return err
}

// folderFiles returns the files of a run folder, without its log and its lock.
func folderFiles(t *testing.T, run string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(run, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && e.Name() != logFile && e.Name() != processLockFile {
			files[path] = string(read(t, path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// A run can be resumed again after a resume while its pictures were away.
func TestResumeWhileThePicturesAreAway(t *testing.T) {
	dir := newProject(t)
	stopped(t, dir, 3, nil)
	pictures, away := filepath.Join(dir, "pictures"), filepath.Join(dir, "away")
	for _, c := range []struct{ from, to, want string }{
		{pictures, away, `captions.json: 16 of 16 pictures could be read when the run was started and cannot be read now; the first is "0.png"`},
		{filepath.Join(pictures, "17.png"), away, `eval.json: 1 of 4 pictures could be read when the run was started and cannot be read now; the first is "17.png"`},
	} {
		must(t, os.Rename(c.from, c.to))
		if err := refused(t, dir); !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
		must(t, os.Rename(c.to, c.from))
	}
	if got, want := trained(t, dir, nil, true), undisturbed(t); !reflect.DeepEqual(got, want) {
		t.Error("the resumed run has other weights")
	}
}

// Pictures and annotations that were moved alone are found with --moved, when a run is resumed
// and when it is used again.
func TestMovedData(t *testing.T) {
	dir, outside := newProject(t), filepath.Join(t.TempDir(), "data")
	must(t, os.Mkdir(outside, 0o755))
	for _, name := range []string{"pictures", "eval.json"} {
		must(t, os.Rename(filepath.Join(dir, name), filepath.Join(outside, name)))
	}
	stopped(t, dir, 3, nil, "data.train.images="+filepath.Join(outside, "pictures"), "data.eval.images="+filepath.Join(outside, "pictures"),
		"data.eval.annotations="+filepath.Join(outside, "eval.json"))
	// NEW is below OLD for one: a path is changed once.
	now := filepath.Join(outside, "below")
	must(t, os.Mkdir(now, 0o755))
	for _, name := range []string{"pictures", "eval.json"} {
		must(t, os.Rename(filepath.Join(outside, name), filepath.Join(now, name)))
	}
	must(t, os.Rename("captions.json", "c.json"))
	moves, err := workspace.ParseRelocations([]string{outside + "=" + now, "captions.json=c.json", "elsewhere=x"})
	must(t, err)
	w := workspace.New(workspace.Options{Relocations: moves})
	if _, err := trainIn(t, t.Context(), w, true); err != nil {
		t.Fatal(err)
	}
	if got, want := bridgeWeights(t, filepath.Join("runs", "a")), undisturbed(t); !reflect.DeepEqual(got, want) {
		t.Error("the resumed run has other weights")
	}
	t.Chdir(dir)
	if unused := moves.Unused(); !slices.Equal(unused, []string{"elsewhere=x"}) {
		t.Errorf("unused are %q", unused)
	}
	r := resolve(t, w, filepath.Join("runs", "a", recipes.RunFile))
	if trained, err := Complete(t.Context(), w, r, filepath.Join("runs", "a")); trained || err != nil {
		t.Errorf("the finished run is not used again: trained %v, %v", trained, err)
	}
}

// A swap reads training pictures before it trains: to fit cross-attention and the projection,
// and to cache the Q-Former's outputs.
func TestBadPicturesInASwap(t *testing.T) {
	dir := newProject(t)
	for _, row := range []int{0, 3, 9, trainPictures} {
		path := filepath.Join(dir, "pictures", fmt.Sprintf("%d.png", row))
		write(t, path, damages["zeroed"](nil, read(t, path)))
	}
	_, err := trainAt(t, t.Context(), dir, nil, false, "from=kit:stage2", "vision.id=tiny-vit-wide", "language.id=small-opt",
		"swap.encoder=least-squares", "swap.projection=caption-tokens", "swap.warmup_steps=1", "swap.warmup_lr=1e-3", "swap.warmup_images=12",
		"optimizer.steps=1")
	if err != nil {
		t.Fatal(err)
	}
	lists, err := readLeftOut(filepath.Join(dir, "runs", "a"))
	var names []string
	for _, l := range slices.Concat(lists[trainSplit], lists[evalSplit]) {
		names = append(names, l.Picture)
	}
	if want := []string{"0.png", "3.png", "9.png", "16.png"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("%v, left out %v, want %v", err, names, want)
	}
}

func TestMaxBad(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(t *testing.T, dir string)
		want   []string
	}{
		"before training": {func(t *testing.T, dir string) {
			for _, i := range []int{1, 3, 5} {
				write(t, filepath.Join(dir, "pictures", fmt.Sprintf("%d.png", i)), []byte("<html>"))
			}
		}, []string{"captions.json: 3 of 16 pictures cannot be used, and data.max_bad allows 2", "1.png", "raise data.max_bad"}},
		"while training": {func(t *testing.T, dir string) {
			for i := range trainPictures {
				path := filepath.Join(dir, "pictures", fmt.Sprintf("%d.png", i))
				write(t, path, damages["zeroed"](nil, read(t, path)))
			}
		}, []string{"16 pictures cannot be used, and data.max_bad allows 2", ".png: PNG image", "raise data.max_bad"}},
	} {
		dir := newProject(t)
		c.damage(t, dir)
		_, err := trainAt(t, t.Context(), dir, nil, false, "data.max_bad=2", "run.feature_cache=true")
		for _, part := range c.want {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: got %v, want %q", name, err, part)
			}
		}
	}
}

// undisturbed returns the weights of the project's run if nothing is broken or stopped.
func undisturbed(t *testing.T) map[string][]float32 {
	t.Helper()
	if undisturbedWeights == nil {
		undisturbedWeights = trained(t, newProject(t), nil, false)
	}
	return undisturbedWeights
}

var undisturbedWeights map[string][]float32 // of the first call

// A run is its content: what the annotations and the pictures say, not where they are.
func TestARunIsItsContent(t *testing.T) {
	dir := newProject(t)
	stopped(t, dir, 3, nil)
	kept := filepath.Join(t.TempDir(), "kept")
	if err := os.CopyFS(kept, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	editCaptions(t, dir, func(all []caption) []caption { all[5].Caption = "ZEBRA"; return all })
	_, err := trainAt(t, t.Context(), dir, nil, true)
	if adapters.KindOf(err) != adapters.Invalid || !strings.Contains(err.Error(), `picture 5, "5.png", has other captions, questions, answers or image_id; now it has caption "ZEBRA"`) {
		t.Errorf("an edited caption: got %v", err)
	}
	if got, want := trained(t, kept, nil, true), undisturbed(t); !reflect.DeepEqual(got, want) {
		t.Error("a copied run has other weights")
	}

	t.Chdir(kept) // finished now
	if err := os.Chtimes(filepath.Join("pictures", "2.png"), time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	w := workspace.New(workspace.Options{})
	again := func() (bool, error) {
		return Complete(t.Context(), w, resolve(t, w, "recipe.toml"), filepath.Join("runs", "a"))
	}
	if trained, err := again(); trained || err != nil {
		t.Errorf("a finished run with touched pictures: trained %v, %v", trained, err)
	}
	editCaptions(t, kept, func(all []caption) []caption { all[7].Caption = "other"; return all })
	if _, err := again(); err == nil || !strings.Contains(err.Error(), "runs/a cannot be used again") || !strings.Contains(err.Error(), `"7.png", has other captions`) {
		t.Errorf("a finished run with an edited caption: %v", err)
	}
}

// A run that an older version started recorded paths and times. It continues if these are the
// same, and explains itself otherwise.
func TestRunsThatRecordedPathsAndTimes(t *testing.T) {
	dir := newProject(t)
	stopped(t, dir, 3, nil)
	run := filepath.Join(dir, "runs", "a")
	for _, which := range []split{trainSplit, evalSplit} {
		if err := os.Remove(filepath.Join(run, entriesFile(which))); err != nil {
			t.Fatal(err)
		}
	}
	recordOldDigests(t, run)
	kept := filepath.Join(t.TempDir(), "kept")
	if err := os.CopyFS(kept, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	_, err := trainAt(t, t.Context(), kept, nil, true)
	if err == nil || !strings.Contains(err.Error(), "an older version of bridge started the run") {
		t.Errorf("elsewhere: got %v, want an explanation", err)
	}
	if got, want := trained(t, dir, nil, true), undisturbed(t); !reflect.DeepEqual(got, want) {
		t.Error("a resumed old run has other weights")
	}
	if _, err := os.Stat(filepath.Join(run, entriesFile(trainSplit))); err != nil {
		t.Errorf("the content is recorded from now on: %v", err)
	}
}

// recordOldDigests changes a run's checkpoints to what commit 03ee870 wrote.
func recordOldDigests(t *testing.T, run string) {
	t.Helper()
	w := workspace.New(workspace.Options{})
	r := resolve(t, w, filepath.Join(run, recipes.RunFile))
	res, err := openResources(t.Context(), w, r, "")
	if err != nil {
		t.Fatal(err)
	}
	defer res.close()
	old := []string{data.OldDigest(res.train.Data), data.OldDigest(res.eval.Data)}
	checkpoints, err := filepath.Glob(filepath.Join(run, "checkpoints", "step-*"))
	if err != nil || len(checkpoints) == 0 {
		t.Fatal(err, "no checkpoint")
	}
	for _, dir := range checkpoints {
		editJSON(t, filepath.Join(dir, "state.json"), func(state map[string]any) {
			delete(state, "content")
			delete(state, "left_out")
			state["data"] = old
		})
		editJSON(t, filepath.Join(dir, "manifest.json"), func(manifest map[string]any) {
			sum, err := dirhash.FileSHA256(filepath.Join(dir, "state.json"))
			if err != nil {
				t.Fatal(err)
			}
			manifest["files"].(map[string]any)["state.json"] = sum
		})
	}
}

func editJSON(t *testing.T, path string, edit func(map[string]any)) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(read(t, path)))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		t.Fatal(err)
	}
	edit(object)
	text, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, text)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
