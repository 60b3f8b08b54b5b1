package runs

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/internal/atomicfile"
	"github.com/modular-bridging/bridge/train"
)

// picturesFile is the file of a run folder that has a line for each picture of the last
// evaluation. Its columns are those of picturesHeader. exact is 1 if the generated caption was
// the first true one, 0 if it was another one, and empty if none was generated. nats is the loss
// of the true caption, or answer, summed over its tokens; it is empty if it was not measured.
const picturesFile = "pictures.csv"

var picturesHeader = []string{"data", "picture", "exact", "nats", "tokens"}

// PictureSet holds a run's results on the pictures of one data set, in the order of the set.
type PictureSet struct {
	Data     string // name and digest, as in [Summary]
	Pictures []train.PictureScore
}

// writePictures writes the results on each picture of the last evaluation.
func writePictures(dir, evalData string, result train.Result) error {
	sets := []PictureSet{{evalData, result.Pictures}}
	for _, s := range result.Also {
		sets = append(sets, PictureSet{s.Data, s.Pictures})
	}
	err := atomicfile.Write(filepath.Join(dir, picturesFile), func(w io.Writer) error {
		out := csv.NewWriter(w)
		err := out.Write(picturesHeader)
		for _, set := range sets {
			for _, p := range set.Pictures {
				err = errors.Join(err, out.Write(pictureCells(set.Data, p)))
			}
		}
		out.Flush()
		return errors.Join(err, out.Error())
	})
	if err != nil {
		return fmt.Errorf("write the results on pictures: %w", err)
	}
	return nil
}

// pictureCells returns a line of the file.
func pictureCells(set string, p train.PictureScore) []string {
	cells := []string{set, p.Picture, "", "", ""}
	if p.Exact != nil {
		cells[2] = "0"
		if *p.Exact {
			cells[2] = "1"
		}
	}
	if p.Loss != nil { // losses are float32
		cells[3], cells[4] = strconv.FormatFloat(p.Loss.Nats, 'g', -1, 32), strconv.Itoa(p.Loss.Tokens)
	}
	return cells
}

// ReadPictures reads the results on pictures of a finished run: first those on its held-out data,
// then those on the sets of evaluation.also. It returns a NotFound error if an older version of
// bridge made the run.
func ReadPictures(dir string) ([]PictureSet, error) {
	path := filepath.Join(dir, picturesFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, adapters.Errorf(adapters.NotFound, "%s has no %s, because an older version of bridge made the run or it is not finished", dir, picturesFile).
			WithRemedy("train it again")
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err == nil && (len(lines) == 0 || !slices.Equal(lines[0], picturesHeader)) {
		err = fmt.Errorf("the first line is not %v", picturesHeader)
	}
	if err != nil {
		return nil, damaged(path, err)
	}
	var sets []PictureSet
	for i, cells := range lines[1:] {
		p, err := pictureOf(cells)
		if err != nil {
			return nil, damaged(path, fmt.Errorf("line %d: %w", i+2, err))
		}
		if len(sets) == 0 || sets[len(sets)-1].Data != cells[0] {
			sets = append(sets, PictureSet{Data: cells[0]})
		}
		last := &sets[len(sets)-1]
		last.Pictures = append(last.Pictures, p)
	}
	return sets, nil
}

// pictureOf returns the picture of a line of the file.
func pictureOf(cells []string) (p train.PictureScore, err error) {
	p.Picture = cells[1]
	switch cells[2] {
	case "":
	case "0", "1":
		right := cells[2] == "1"
		p.Exact = &right
	default:
		return p, fmt.Errorf("exact is %q, want 0, 1 or nothing", cells[2])
	}
	if cells[3] == "" && cells[4] == "" {
		return p, nil
	}
	p.Loss = &eval.Loss{}
	if p.Loss.Nats, err = strconv.ParseFloat(cells[3], 32); err != nil {
		return p, fmt.Errorf("nats: %w", err)
	}
	p.Loss.Tokens, err = strconv.Atoi(cells[4])
	return p, err
}
