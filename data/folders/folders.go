// Package folders reads the output "files" of img2dataset: a folder with a folder for each shard, in
// which the files KEY.jpg, KEY.txt and KEY.json are a sample.
//
//	pictures/00000/000000000.jpg
//	pictures/00000/000000000.txt
//	pictures/00000/000000000.json
//
// A folder that holds such files itself is read, too. Memory holds the names of all files.
package folders

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/internal/parts"
	"github.com/modular-bridging/bridge/data/internal/sample"
	"github.com/modular-bridging/bridge/data/record"
	"github.com/modular-bridging/bridge/data/tables"
)

// Format is the name of the format in a recipe.
const Format = "img2dataset"

// Reader gives the samples of folders. It implements [record.Reader].
type Reader struct {
	samples  []files
	digest   string
	warnings []string
}

var _ record.Reader = (*Reader)(nil)

// files are the files of a sample.
type files struct {
	dir, key string
	exts     []string // as they are written
}

// Open lists folders. The samples are sorted by folder and key.
func Open(paths []string) (*Reader, error) {
	r := &Reader{}
	sum := sha256.New()
	for _, path := range paths {
		if err := r.add(path, sum); err != nil {
			return nil, err
		}
	}
	if len(r.samples) == 0 {
		return nil, adapters.Errorf(adapters.Invalid, "%s holds no sample", strings.Join(paths, ", ")).
			WithRemedy("img2dataset's output \"files\" has 00000/000000000.jpg, .txt and .json; of shards, name the .tar files")
	}
	r.digest = hex.EncodeToString(sum.Sum(nil)[:16])
	return r, nil
}

// add adds the samples in a folder, and those in its folders.
func (r *Reader) add(path string, sum io.Writer) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return adapters.Errorf(adapters.NotFound, "folder of pictures: %w", err).
			WithRemedy("a relative path begins at the working folder, and the folder must be readable")
	}
	if err := r.addFolder(path, entries, sum); err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") || strings.HasPrefix(e.Name(), "_") {
			continue
		}
		dir := filepath.Join(path, e.Name())
		inner, err := os.ReadDir(dir)
		if err != nil {
			return adapters.Errorf(adapters.NotFound, "folder of pictures: %w", err).WithRemedy("make it readable, or move it away")
		}
		before := len(r.samples)
		if err := r.addFolder(dir, inner, sum); err != nil {
			return err
		}
		if err := r.checkCount(dir, len(r.samples)-before); err != nil {
			return err
		}
	}
	return nil
}

// addFolder adds the samples of one folder, sorted by key.
func (r *Reader) addFolder(dir string, entries []fs.DirEntry, sum io.Writer) error {
	found := map[string][]string{}
	for _, e := range entries {
		key, ext, ok := strings.Cut(e.Name(), ".")
		if !ok || key == "" || strings.HasSuffix(key, "_stats") || e.IsDir() || ext == "parquet" || ext == "tar" {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return adapters.Errorf(adapters.NotFound, "folder of pictures: %w", err)
		}
		found[key] = append(found[key], ext)
		fmt.Fprintf(sum, "%s\x00%d\n", e.Name(), info.Size())
	}
	keys := make([]string, 0, len(found))
	for key := range found {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		r.samples = append(r.samples, files{dir: dir, key: key, exts: found[key]})
	}
	return nil
}

// checkCount compares a folder with img2dataset's parquet file beside it, which has a row for each
// address.
func (r *Reader) checkCount(dir string, samples int) error {
	want, found, err := tables.Successes(dir + ".parquet")
	if err != nil || !found || want == samples {
		return err
	}
	r.warnings = append(r.warnings, fmt.Sprintf("%s has %d samples, and img2dataset noted %d", dir, samples, want))
	return nil
}

// Format returns "img2dataset".
func (r *Reader) Format() string { return Format }

// Len returns the number of samples.
func (r *Reader) Len() int { return len(r.samples) }

// Digest identifies the names and sizes of all files.
func (r *Reader) Digest() string { return r.digest }

// Warnings names folders whose number of samples is not the one that img2dataset noted.
func (r *Reader) Warnings() []string { return r.warnings }

// Close does nothing: no file is open.
func (r *Reader) Close() error { return nil }

// Record returns sample i. It reads the texts, and not the picture.
func (r *Reader) Record(i int) (record.Record, error) {
	s := r.samples[i]
	rec, err := s.record()
	rec.Key, rec.File, rec.Offset = s.key, filepath.Join(s.dir, s.key+"."+s.exts[0]), -1
	if err != nil {
		return record.Record{}, rec.Bad(i, parts.Why(err), err)
	}
	return rec, nil
}

func (s files) record() (record.Record, error) {
	var members []sample.Member
	for _, ext := range s.exts {
		name := s.key + "." + ext
		path := filepath.Join(s.dir, name)
		info, err := os.Stat(path)
		if err != nil {
			return record.Record{}, err
		}
		if slices.ContainsFunc(members, func(m sample.Member) bool { return m.Ext == strings.ToLower(ext) }) {
			return record.Record{}, errors.New("two files of the sample differ in the case of their extension alone: " + strconv.Quote(ext))
		}
		members = append(members, sample.Member{Name: name, Ext: strings.ToLower(ext), Size: info.Size(), Open: func() (io.ReadCloser, error) {
			f, err := os.Open(path)
			if err != nil {
				return nil, adapters.Errorf(adapters.NotFound, "file of a sample: %w", err)
			}
			return f, nil
		}})
	}
	return sample.Record(s.key, members)
}
