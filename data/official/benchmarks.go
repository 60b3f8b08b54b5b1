package official

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/internal/jsonrows"
	"github.com/modular-bridging/bridge/data/internal/jsonvalue"
	"github.com/modular-bridging/bridge/data/internal/parts"
	"github.com/modular-bridging/bridge/data/record"
)

// The names of the formats of [OpenBenchmark]. Nobody trains on them, so a recipe has no such format.
const (
	POPE         = "pope"         // {"question_id", "image", "text", "label"}
	ScienceQA    = "scienceqa"    // problems.json and pid_splits.json; of the split, those with a picture
	VSR          = "vsr"          // {"image", "caption", "label", "relation"}
	HatefulMemes = "hatefulmemes" // {"id", "img", "text", "label"}
	Retrieval    = "retrieval"    // LAVIS: {"image", "caption": […]}
	Winoground   = "winoground"   // {"id", "image_0", "image_1", "caption_0", "caption_1"}
	// TextCapsByPicture has the files of [TextCaps], with a record for each picture and all its captions.
	TextCapsByPicture = "textcaps-by-picture"
	MME               = "mme" // a folder with one of texts, NAME.txt, and pictures for each category
)

// benchmarks are the formats of files that are for evaluation alone.
var benchmarks = map[string]func(paths []string, split string, images parts.Folder) (record.Reader, error){
	POPE: openPOPE, ScienceQA: openScienceQA, VSR: openVSR, HatefulMemes: openMemes, Retrieval: openRetrieval, Winoground: openWinoground, MME: openMME,
	TextCapsByPicture: openTextCapsByPicture,
}

// Benchmarks returns the names of the formats of [OpenBenchmark].
func Benchmarks() []string { return slices.Sorted(maps.Keys(benchmarks)) }

// OpenBenchmark opens files that are for evaluation alone, or those of a format of [Open]. split is
// that of ScienceQA, and of Karpathy's splits. Everything but pictures, captions and questions is in
// the row of each record.
func OpenBenchmark(format string, paths []string, split, images string) (record.Reader, error) {
	if open, ok := benchmarks[format]; ok {
		return open(paths, split, parts.Folder(images))
	}
	if paths = slices.Clone(paths); split != "" {
		for i := range paths {
			paths[i] += "#" + split
		}
	}
	return Open(format, paths, images)
}

// valuesOf finds the rows of a file that is a list, or has a row a line.
func valuesOf(f *jsonrows.File) ([]jsonrows.Row, error) { return f.Rows, nil }

// openAsked opens files whose rows have a picture and a text, which is the question.
func openAsked(format string, paths []string, picture, text string, names func(o jsonvalue.Object, name string) []string, images parts.Folder) (record.Reader, error) {
	return openRows(format, paths, valuesOf, func(o jsonvalue.Object) (record.Record, error) {
		name, err := textOf(o, picture)
		if err != nil {
			return record.Record{}, err
		}
		question, err := textOf(o, text)
		if err != nil {
			return record.Record{}, err
		}
		p, err := images.FirstOf(names(o, name)...)
		return about(p, err, name, parts.QA(question, "", nil))
	})
}

// openPOPE opens files of POPE's questions.
func openPOPE(paths []string, _ string, images parts.Folder) (record.Reader, error) {
	return openAsked(POPE, paths, "image", "text", func(_ jsonvalue.Object, name string) []string { return cocoNames(name) }, images)
}

// openVSR opens files of VSR's statements. A picture lies in the folder that its link names, such as
// train2017, or in none.
func openVSR(paths []string, _ string, images parts.Folder) (record.Reader, error) {
	return openAsked(VSR, paths, "image", "caption", func(o jsonvalue.Object, name string) []string {
		names := []string{name}
		link, _ := jsonvalue.Text(o, "image_link")
		if segments := strings.Split(link, "/"); len(segments) > 1 {
			names = append(names, segments[len(segments)-2]+"/"+name)
		}
		return names
	}, images)
}

// openMemes opens files of HatefulMemes. The text is the one that is written on the picture.
func openMemes(paths []string, _ string, images parts.Folder) (record.Reader, error) {
	return openAsked(HatefulMemes, paths, "img", "text", func(_ jsonvalue.Object, name string) []string {
		return []string{name, strings.TrimPrefix(name, "img/")}
	}, images)
}

// openScienceQA opens problems.json and pid_splits.json, in this order. The records are the problems
// of a split that have a picture, in the order of the split.
func openScienceQA(paths []string, split string, images parts.Folder) (record.Reader, error) {
	if len(paths) != 2 {
		return nil, adapters.Errorf(adapters.Invalid, "ScienceQA has %d files, want problems.json and pid_splits.json", len(paths))
	}
	ids, err := scienceQASplit(paths[1], split)
	if err != nil {
		return nil, err
	}
	return openMembers(ScienceQA, paths[:1], "question_id", func(f *jsonrows.File) ([]jsonrows.Member, error) {
		return scienceQAMembers(f, ids)
	}, func(o jsonvalue.Object) (record.Record, error) {
		question, err := textOf(o, "question")
		if err != nil {
			return record.Record{}, err
		}
		of, name := o["question_id"].(string), o["image"].(string) // both are there: scienceQAMembers
		part, err := jsonvalue.Text(o, "split")
		if err != nil {
			return record.Record{}, err
		}
		p, err := images.FirstOf(of+"/"+name, part+"/"+of+"/"+name)
		return about(p, err, of, parts.QA(question, "", nil))
	})
}

// scienceQASplit returns the ids of a split.
func scienceQASplit(path, split string) ([]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "splits: %w", err)
	}
	var splits map[string][]string
	if err := json.Unmarshal(data, &splits); err != nil {
		return nil, adapters.Errorf(adapters.Corrupt, `%s: %w, want {"SPLIT": ["ID", …], …}`, path, err)
	}
	ids, ok := splits[split]
	if !ok {
		return nil, adapters.Errorf(adapters.Invalid, "%s has no split %q, want one of %v", path, split, slices.Sorted(maps.Keys(splits)))
	}
	return ids, nil
}

// scienceQAMembers returns the problems of ids that have a picture.
func scienceQAMembers(f *jsonrows.File, ids []string) ([]jsonrows.Member, error) {
	known := make(map[string]jsonrows.Member, len(f.Members))
	for _, m := range f.Members {
		known[m.Name] = m
	}
	var found []jsonrows.Member
	for _, of := range ids {
		m, ok := known[of]
		if !ok {
			return nil, adapters.Errorf(adapters.Invalid, "%s has no problem %s, which the file of splits names", f.Path, of).
				WithRemedy("give the two files of one release of ScienceQA")
		}
		o, err := object(f, m.Value)
		if err != nil {
			return nil, adapters.Errorf(adapters.Corrupt, "%s: problem %s %w", f.Path, of, err)
		}
		if name, _ := o["image"].(string); name != "" {
			found = append(found, m)
		}
	}
	return found, nil
}

// openRetrieval opens LAVIS's files of pictures and their captions. Rows with the same picture stay
// apart.
func openRetrieval(paths []string, _ string, images parts.Folder) (record.Reader, error) {
	return openRows(Retrieval, paths, valuesOf, func(o jsonvalue.Object) (record.Record, error) {
		name, err := textOf(o, "image")
		if err != nil {
			return record.Record{}, err
		}
		texts, err := jsonvalue.Texts(o, "caption")
		if err == nil && len(texts) == 0 {
			err = fmt.Errorf(`"caption" is missing or empty`)
		}
		if err != nil {
			return record.Record{}, err
		}
		_, base := filepath.Split(name)
		p, err := images.FirstOf(slices.Compact([]string{name, base})...)
		return about(p, err, name, parts.Captions(texts))
	})
}

// openTextCapsByPicture opens files of TextCaps, whose rows are captions. A record has the first row of a picture, and
// the captions of all.
func openTextCapsByPicture(paths []string, _ string, images parts.Folder) (record.Reader, error) {
	captions := map[string][]string{}
	first := func(f *jsonrows.File) ([]jsonrows.Row, error) {
		all, err := listIn(TextCaps, "data")(f)
		if err != nil {
			return nil, err
		}
		var rows []jsonrows.Row
		for _, row := range all {
			o, err := object(f, row)
			if err != nil {
				return nil, adapters.Errorf(adapters.Corrupt, "%s: a row %w", f.Path, err)
			}
			of, caption, err := textCapsRow(o)
			if err != nil {
				return nil, adapters.Errorf(adapters.Corrupt, "%s: %w", f.Path, err)
			}
			if captions[of] == nil {
				rows = append(rows, row)
			}
			captions[of] = append(captions[of], caption)
		}
		return rows, nil
	}
	return openRows(TextCapsByPicture, paths, first, func(o jsonvalue.Object) (record.Record, error) {
		of, _, err := textCapsRow(o)
		if err != nil {
			return record.Record{}, err
		}
		p, err := images.FirstOf(openImagesNames(o, of)...)
		return about(p, err, of, parts.Captions(captions[of]))
	})
}

// openWinoground opens examples of Winoground. A record has two pictures, each with its caption.
func openWinoground(paths []string, _ string, images parts.Folder) (record.Reader, error) {
	return openRows(Winoground, paths, valuesOf, func(o jsonvalue.Object) (record.Record, error) {
		var r record.Record
		for _, n := range []string{"0", "1"} {
			name, err := textOf(o, "image_"+n)
			if err != nil {
				return r, err
			}
			caption, err := textOf(o, "caption_"+n)
			if err != nil {
				return r, err
			}
			p, err := images.FirstOf(name, name+".png")
			if err != nil {
				return r, err
			}
			r.Parts = append(r.Parts, parts.Picture(p))
			r.Parts = append(r.Parts, parts.Captions([]string{caption})...)
		}
		return r, nil
	})
}

// mme is the folder of MME: the questions of all categories, in the order of their names.
type mme struct {
	records []record.Record
	sum     hash.Hash
}

var _ record.Reader = (*mme)(nil)

// openMME reads a folder with a folder for each category, whose texts NAME.txt each have lines of a
// question and its answer between tabs. Texts and pictures may lie in the folders
// questions_answers_YN and images of the category. images is not needed.
func openMME(paths []string, _ string, _ parts.Folder) (record.Reader, error) {
	m := &mme{sum: sha256.New()}
	for _, root := range paths {
		texts, err := filepath.Glob(filepath.Join(root, "*", "*.txt"))
		if err != nil {
			return nil, err
		}
		nested, err := filepath.Glob(filepath.Join(root, "*", "questions_answers_YN", "*.txt"))
		if err != nil {
			return nil, err
		}
		texts = append(texts, nested...)
		slices.Sort(texts)
		for _, path := range texts {
			if err := m.read(root, path); err != nil {
				return nil, err
			}
		}
	}
	if len(m.records) == 0 {
		return nil, adapters.Errorf(adapters.Invalid, "%s has no CATEGORY/NAME.txt", strings.Join(paths, ", ")).
			WithRemedy("unpack MME there: a folder for each category, with a text and a picture for each name")
	}
	return m, nil
}

// read reads the questions about a picture.
func (m *mme) read(root, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return adapters.Errorf(adapters.NotFound, "MME: %w", err)
	}
	defer f.Close()
	rel, err := filepath.Rel(root, path)
	if err != nil {
		return err
	}
	category, _, _ := strings.Cut(filepath.ToSlash(rel), "/")
	stem := strings.TrimSuffix(filepath.Base(path), ".txt")
	var names []string
	for _, folder := range []string{category, category + "/images"} {
		for _, suffix := range []string{".jpg", ".png", ".jpeg"} {
			names = append(names, folder+"/"+stem+suffix)
		}
	}
	p, err := parts.Folder(root).FirstOf(names...)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimPrefix(lines.Text(), "\ufeff")
		if strings.TrimSpace(text) == "" {
			continue
		}
		fmt.Fprintln(m.sum, rel, text)
		question, answer, ok := strings.Cut(text, "\t")
		if !ok {
			return adapters.Errorf(adapters.Corrupt, "%s: line %d is not a question and an answer, separated by a tab", path, n)
		}
		m.records = append(m.records, record.Record{
			Key: fmt.Sprintf("%s/%s/%d", category, stem, n), Group: category + "/" + stem, File: path, Offset: -1,
			Parts: append([]record.Part{parts.Picture(p)}, parts.QA(question, category, []string{strings.TrimSpace(answer)})...),
			Row:   jsonvalue.Object{"category": category, "image": stem, "question": question, "answer": strings.TrimSpace(answer)},
		})
	}
	return lines.Err()
}

// Format returns the name of the format.
func (m *mme) Format() string { return MME }

// Len returns the number of questions.
func (m *mme) Len() int { return len(m.records) }

// Record returns question i.
func (m *mme) Record(i int) (record.Record, error) { return m.records[i], nil }

// Digest identifies the questions and answers.
func (m *mme) Digest() string { return hex.EncodeToString(m.sum.Sum(nil)[:16]) }

// Warnings returns none.
func (m *mme) Warnings() []string { return nil }

// Close does nothing.
func (m *mme) Close() error { return nil }
