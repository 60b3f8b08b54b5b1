package runs

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/png"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/workspace"
)

// writeData writes n pictures and an annotation file for each text into the working folder.
func writeData(t *testing.T, n int, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	t.Setenv("BRIDGE_CONFIG", t.TempDir())
	if err := os.Mkdir("pictures", 0o755); err != nil {
		t.Fatal(err)
	}
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewRGBA(image.Rect(0, 0, 8, 8))); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		files[fmt.Sprintf("pictures/%d.png", i)] = picture.String()
	}
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// captionsOf returns annotations of pictures 0 to n-1.
func captionsOf(n int) string {
	var entries []string
	for i := range n {
		entries = append(entries, fmt.Sprintf(`{"image": "%d.png", "caption": "picture %d", "image_id": %d}`, i, i, i))
	}
	return "[" + strings.Join(entries, ",\n") + "]"
}

// checkWith checks the kit's recipe with data of files, and returns the log.
func checkWith(t *testing.T, train, eval string, more ...string) (log string, err error) {
	t.Helper()
	var out bytes.Buffer
	w := workspace.New(workspace.Options{Log: slog.New(slog.NewTextHandler(&out, nil))})
	r := resolve(t, w, "tiny-stage2-opt", append([]string{"from=kit:stage1", "optimizer.batch=2", "data.questions=0",
		fmt.Sprintf("data.train={annotations=%q, images='pictures'}", train), fmt.Sprintf("data.eval={annotations=%q, images='pictures'}", eval)}, more...)...)
	err = CheckData(t.Context(), w, r)
	return out.String(), err
}

// What would end a run is a problem with its key, all at once; what would be left out is a
// warning.
func TestCheckDataReportsAllProblems(t *testing.T) {
	long := captionsOf(50)
	writeData(t, 50, map[string]string{
		"good.json": long, "more.json": captionsOf(8),
		"bad.json":    strings.Replace(strings.Replace(captionsOf(8), `"picture 3"`, `NaN`, 1), `"picture 5"`, `5`, 1),
		"many.json":   strings.ReplaceAll(long, `"caption": "`, `"caption": 7, "x": "`),
		"broken.json": `[{"image": "0.png", "caption": "a"}, {"image": "text.png", "caption": "b"}, {"image": "1.png", "caption": " "}, {"image": "2.png", "caption": "c"}]`,
		"lost.json":   `[{"image": "gone.png", "caption": "a"}, {"image": "text.png", "caption": "b"}]`,

		"pictures/text.png": "no picture",
	})
	log, err := checkWith(t, "good.json", "more.json")
	if err != nil || !strings.Contains(log, "data=data.train pictures=50 read=20") || !strings.Contains(log, "data=data.eval pictures=8 read=8") {
		t.Errorf("good data: %v\n%s", err, log)
	}
	for name, c := range map[string]struct {
		train, eval string
		want        []string // parts of the lines
		log         []string
	}{
		"missing": {"nothere.json", "gone.json", []string{"data.train: annotations: open", "data.eval: annotations: open"}, nil},
		"content": {"bad.json", "more.json", []string{`entry 3 (line 4): "caption" is NaN`, `entry 5 (line 6): "caption" is the number 5`}, nil},
		"many":    {"many.json", "more.json", append(repeat("is the number 7", 10), "40 more problems"), nil},
		"lost":    {"lost.json", "more.json", []string{"data.train: none of 2 pictures can be read"}, nil},
		"broken":  {"broken.json", "more.json", nil, []string{"picture would be left out", "text.png", "empty captions left out: 1"}},
	} {
		log, err := checkWith(t, c.train, c.eval)
		var problems DataProblems
		if errors.As(err, &problems); len(problems) != len(c.want) {
			t.Errorf("%s: %d problems, want %d: %v", name, len(problems), len(c.want), err)
			continue
		}
		for i, want := range c.want {
			if !strings.Contains(problems[i].Error(), want) {
				t.Errorf("%s: problem %d is %v, want %q", name, i, problems[i], want)
			}
		}
		for _, want := range c.log {
			if !strings.Contains(log, want) {
				t.Errorf("%s: the log lacks %q:\n%s", name, want, log)
			}
		}
	}
}

// A recipe whose data training refuses is refused by the check, with the same numbers.
func TestCheckDataHoldsPicturesAgainstTheLimits(t *testing.T) {
	writeData(t, 40, map[string]string{
		"more.json": captionsOf(8), "all.json": captionsOf(40), "gone.json": captionsOf(52), "one.json": captionsOf(1),
		"hole.json": captionsOf(3), "bad.json": strings.Replace(captionsOf(8), "7.png", "text.png", 1),

		"pictures/text.png": "no picture",
	})
	if err := os.Remove("pictures/2.png"); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ train, eval, maxBad, want string }{
		"missing files beyond the sample": {"gone.json", "all.json", "", "data.train: gone.json: 13 of 52 pictures cannot be used, and data.max_bad allows 10"},
		"a limit that holds them":         {"gone.json", "all.json", "13", ""},
		"no bad picture allowed":          {"all.json", "bad.json", "0", "data.eval: bad.json: 2 of 8 pictures cannot be used, and data.max_bad allows 0"},
		"none by percentage":              {"bad.json", "all.json", "'0%'", "data.train: bad.json: 2 of 8 pictures cannot be used, and data.max_bad allows 0"},
		"less than a batch":               {"one.json", "all.json", "", "data.train: one.json has 1 pictures that can be used, want at least optimizer.batch, 2"},
		"a batch":                         {"hole.json", "one.json", "", ""},
	} {
		var more []string
		if c.maxBad != "" {
			more = append(more, "data.max_bad="+c.maxBad)
		}
		_, err := checkWith(t, c.train, c.eval, more...)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func repeat(text string, n int) []string {
	var all []string
	for range n {
		all = append(all, text)
	}
	return all
}

func TestRunFoldersThatBeginWithTilde(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("HOME", "/home/me")
	for _, mode := range []lockMode{lockNew, lockResume, lockReplace} {
		if _, err := mode.acquire("~/runs/a"); err == nil || !strings.Contains(err.Error(), `write "/home/me/runs/a"`) {
			t.Errorf("mode %d: %v", mode, err)
		}
	}
	if _, err := LockRunDir("~/runs/a"); err == nil {
		t.Error("the folder ~ is created")
	}
	if _, err := os.Stat("~"); err == nil {
		t.Errorf("there is a folder %s", filepath.Join("~"))
	}
}

// A list of ten answers is recorded as VQA accuracy in the table of a report, apart from exact
// match.
func TestKindsTableNamesTheMetric(t *testing.T) {
	var s Summary
	if err := s.UnmarshalJSON([]byte(`{"answers": {"color": {"right": 1, "of": 2, "score": 1.3, "metric": "vqa_accuracy_official"}, "count": {"right": 1, "of": 2}}}`)); err != nil {
		t.Fatal(err)
	}
	table := KindsTable([]string{"a"}, [][]Summary{{s}})
	if got := fmt.Sprint(table.Header, table.Rows); got != "[run question: color (vqa_accuracy_official) question: count] [[a 0.650 of 2 0.500 of 2]]" {
		t.Error(got)
	}
}

func TestCheckDataReadsTheListOfWords(t *testing.T) {
	writeData(t, 4, map[string]string{"a.json": captionsOf(3), "b.json": captionsOf(2), "one.txt": "dog", "two.txt": "dog\ncat"})
	for list, want := range map[string]string{"two.txt": "", "one.txt": "one.txt has 1 words", "none.txt": "projection.list cannot be read"} {
		_, err := checkWith(t, "a.json", "b.json", "projection.kind=words", "projection.list="+list)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", list, err, want)
		}
	}
}
