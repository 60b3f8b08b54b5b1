package jars

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

// command returns a command that runs Java. stderr receives the last lines that it prints.
func command(ctx context.Context, stderr *tail, args ...string) (*exec.Cmd, error) {
	path, err := java()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stderr = stderr
	return cmd, nil
}

// tail keeps the end of what is written.
type tail struct{ kept []byte }

// Write implements [io.Writer].
func (t *tail) Write(p []byte) (int, error) {
	const most = 2000
	t.kept = append(t.kept, p...)
	t.kept = t.kept[max(0, len(t.kept)-most):]
	return len(p), nil
}

// failed returns the error of a program that ended, with the end of its output.
func failed(ctx context.Context, part Part, err error, stderr *tail) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	said := strings.TrimSpace(string(stderr.kept))
	return adapters.Errorf(adapters.Unavailable, "%s failed: %w\n%s", part, err, said).
		WithRemedy("see its last lines above; Java may lack memory, or a file may be damaged: delete the folder and run bridge doctor --install caption-metrics")
}

// Tokenize returns the tokens of each line, in lower case, as the official PTB tokenizer gives
// them. It equals ptb.Tokenize for nearly all texts; that one needs no Java.
func (f Folder) Tokenize(ctx context.Context, lines []string) ([]string, error) {
	if err := f.Missing(Tokenizer); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bridge-ptb-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "captions.txt")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return nil, err
	}
	var stderr tail
	cmd, err := command(ctx, &stderr, "-Dfile.encoding=UTF-8", "-cp", f.path(tokenizerJar),
		"edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase", file)
	if err != nil {
		return nil, err
	}
	out, err := cmd.Output()
	if err != nil {
		return nil, failed(ctx, Tokenizer, err, &stderr)
	}
	got := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(got) != len(lines) {
		return nil, adapters.Errorf(adapters.Corrupt, "%s printed %d lines for %d", Tokenizer, len(got), len(lines)).
			WithRemedy("a caption may contain a separator of lines; --tokenizer ptb reads it")
	}
	return got, nil
}

// spiceItem is a picture in SPICE's input.
type spiceItem struct {
	ID         int      `json:"image_id"`
	Caption    string   `json:"test"`
	References []string `json:"refs"`
}

// SPICE returns the F-score of each caption, got[i] against references[i], from 0 to 1, as the
// official program computes it. Texts are tokenised. The corpus figure is the mean. It takes up
// to 8 GB of memory. The program's cache is not used.
func (f Folder) SPICE(ctx context.Context, got []string, references [][]string) ([]float64, error) {
	if err := f.Missing(SPICE); err != nil {
		return nil, err
	}
	items := make([]spiceItem, len(got))
	for i, text := range got {
		items[i] = spiceItem{i, text, references[i]}
	}
	input, err := json.Marshal(items)
	if err != nil {
		return nil, err
	}
	output, err := f.runSPICE(ctx, input)
	if err != nil {
		return nil, err
	}
	return readSPICE(output, len(got))
}

// runSPICE runs the program and returns its output file.
func (f Folder) runSPICE(ctx context.Context, input []byte) ([]byte, error) {
	dir, err := os.MkdirTemp("", "bridge-spice-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	in, out := filepath.Join(dir, "in.json"), filepath.Join(dir, "out.json")
	if err := os.WriteFile(in, input, 0o600); err != nil {
		return nil, err
	}
	separator := string(os.PathListSeparator)
	classPath := strings.Join([]string{f.path(spiceJar), f.path(wheelFolder + "/spice/lib/*"), f.path(mavenFolder + "/*")}, separator)
	var stderr tail
	cmd, err := command(ctx, &stderr, "-Xmx8G", "-Dfile.encoding=UTF-8", "-cp", classPath, "edu.anu.spice.SpiceScorer", in, "-out", out, "-subset", "-silent")
	if err != nil {
		return nil, err
	}
	cmd.Dir = dir
	if err := cmd.Run(); err != nil {
		return nil, failed(ctx, SPICE, err, &stderr)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		return nil, failed(ctx, SPICE, err, &stderr)
	}
	return text, nil
}

// readSPICE reads the F-scores of n pictures.
func readSPICE(text []byte, n int) ([]float64, error) {
	var results []struct {
		ID     int `json:"image_id"`
		Scores map[string]struct{ F *float64 }
	}
	if err := json.Unmarshal(text, &results); err != nil {
		return nil, adapters.Errorf(adapters.Corrupt, "the output of SPICE is not what is expected: %w", err)
	}
	scores := slices.Repeat([]float64{math.NaN()}, n)
	for _, r := range results {
		if r.ID >= 0 && r.ID < n && r.Scores["All"].F != nil {
			scores[r.ID] = *r.Scores["All"].F
		}
	}
	if i := slices.IndexFunc(scores, math.IsNaN); i >= 0 {
		return nil, adapters.Errorf(adapters.Corrupt, "SPICE gave no score for caption %d of %d", i, n)
	}
	return scores, nil
}
