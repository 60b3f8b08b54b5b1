package jars

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

// meteorFields is how many numbers METEOR counts for a caption.
const meteorFields = 23

// MeteorCounts are the counts of METEOR: of a caption against the best of its references, or
// added up of many captions.
type MeteorCounts [meteorFields]float64

// Score returns METEOR of the counts with the parameters of English "rank" (alpha 0.85, beta
// 0.2, gamma 0.6, delta 0.75; weights 1, 0.6, 0.8, 0.6 of exact words, stems, synonyms and
// paraphrases), from 0 to 1. The program computes the same from its counts; this function
// serves intervals, for which counts are added up in many ways.
func (c MeteorCounts) Score() float64 {
	const alpha, beta, gamma, delta = 0.85, 0.2, 0.6, 0.75
	weights := [4]float64{1, 0.6, 0.8, 0.6}
	content := func(words, function float64) float64 { return delta*(words-function) + (1-delta)*function }
	matchedGot, matchedWant := 0.0, 0.0
	for m, w := range weights {
		matchedGot += w * (delta*c[4+4*m] + (1-delta)*c[6+4*m])
		matchedWant += w * (delta*c[5+4*m] + (1-delta)*c[7+4*m])
	}
	if matchedGot == 0 || matchedWant == 0 {
		return 0
	}
	precision, recall := matchedGot/content(c[0], c[2]), matchedWant/content(c[1], c[3])
	mean := precision * recall / (alpha*precision + (1-alpha)*recall)
	fragments := 2 * c[20] / (c[21] + c[22])
	return mean * (1 - gamma*math.Pow(fragments, beta))
}

// METEOR returns METEOR 1.5 of a corpus and of each caption, got[i] against references[i], from
// 0 to 1, as the official program computes it (-l en -norm), and the counts of each caption.
// Texts are tokenised. The corpus figure is not the mean of each: it comes from the sums of
// counts.
func (f Folder) METEOR(ctx context.Context, got []string, references [][]string) (corpus float64, each []float64, counts []MeteorCounts, err error) {
	if err := f.Missing(METEOR); err != nil {
		return 0, nil, nil, err
	}
	var stderr tail
	cmd, err := command(ctx, &stderr, "-Dfile.encoding=UTF-8", "-Xmx2G", "-jar", f.path(meteorJar), "-", "-", "-stdio", "-l", "en", "-norm")
	if err != nil {
		return 0, nil, nil, err
	}
	cmd.Dir = f.path(wheelFolder + "/meteor") // it reads data/paraphrase-en.gz
	in, err := cmd.StdinPipe()
	if err != nil {
		return 0, nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return 0, nil, nil, failed(ctx, METEOR, err, &stderr)
	}
	corpus, each, counts, err = talk(in, bufio.NewReader(out), got, references)
	in.Close()
	if err != nil {
		cmd.Process.Kill()
	}
	if ended := cmd.Wait(); err != nil || ended != nil {
		return 0, nil, nil, failed(ctx, METEOR, errors.Join(err, ended), &stderr)
	}
	return corpus, each, counts, nil
}

// talk asks METEOR for the counts of each caption, and then for all scores.
func talk(in io.Writer, out *bufio.Reader, got []string, references [][]string) (corpus float64, each []float64, counts []MeteorCounts, err error) {
	sent := make(chan error, 1)
	go func() { // the program answers while it is asked
		w := bufio.NewWriter(in)
		for i, text := range got {
			w.WriteString("SCORE ||| " + strings.Join(oneLine(references[i]), " ||| ") + " ||| " + oneLine([]string{text})[0] + "\n")
		}
		sent <- w.Flush()
	}()
	var request strings.Builder
	request.WriteString("EVAL")
	for range got {
		line, err := out.ReadString('\n')
		if err != nil {
			return 0, nil, nil, err
		}
		c, err := parseCounts(line)
		if err != nil {
			return 0, nil, nil, err
		}
		counts = append(counts, c)
		request.WriteString(" ||| " + strings.TrimSpace(line))
	}
	if err := <-sent; err != nil {
		return 0, nil, nil, err
	}
	if _, err := io.WriteString(in, request.String()+"\n"); err != nil {
		return 0, nil, nil, err
	}
	for range len(got) + 1 {
		line, err := out.ReadString('\n')
		if err != nil {
			return 0, nil, nil, err
		}
		score, err := strconv.ParseFloat(strings.TrimSpace(line), 64)
		if err != nil {
			return 0, nil, nil, err
		}
		each = append(each, score)
	}
	return each[len(got)], each[:len(got)], counts, nil
}

// oneLine returns texts without the signs that separate texts and requests: a text with a line
// feed would put questions and answers out of step.
func oneLine(texts []string) []string {
	out := make([]string, len(texts))
	for i, text := range texts {
		text = strings.NewReplacer("\n", "", "\r", "", "|||", "").Replace(text)
		out[i] = strings.ReplaceAll(text, "  ", " ")
	}
	return out
}

// parseCounts reads a line of METEOR's counts. If a caption and its reference match as a whole,
// their one chunk counts as none, also in sums.
func parseCounts(line string) (c MeteorCounts, err error) {
	fields := strings.Fields(line)
	if len(fields) != meteorFields {
		return c, adapters.Errorf(adapters.Corrupt, "METEOR printed %q, want %d numbers", strings.TrimSpace(line), meteorFields)
	}
	for i, field := range fields {
		if c[i], err = strconv.ParseFloat(field, 64); err != nil {
			return c, adapters.Errorf(adapters.Corrupt, "METEOR printed %q, want numbers", strings.TrimSpace(line))
		}
	}
	if c[20] == 1 && c[21] == c[0] && c[22] == c[1] {
		c[20] = 0
	}
	return c, nil
}

// Add adds the counts of o.
func (c *MeteorCounts) Add(o *MeteorCounts) {
	for i := range c {
		c[i] += o[i]
	}
}
