package kit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/modular-bridging/bridge/kit/scene"
)

// The files of the kit's benchmarks, relative to the folder that [ExtractBenchmarks] returns. The
// pictures are in images.
const (
	BenchmarkQuestions     = "questions.json"      // of 100 pictures, in VQA's layout
	BenchmarkAnnotations   = "annotations.json"    // ten answers to each question, in VQA's layout
	BenchmarkCaptions      = "captions.json"       // five captions of 200 pictures, in COCO's layout
	BenchmarkStyleCaptions = "style_captions.json" // the same of the same scenes, drawn in Fluent
	BenchmarkRetrieval     = "retrieval.json"      // 30 pictures of different scenes with five captions, in LAVIS's layout
)

// The numbers of pictures of the benchmarks. Questions and retrieval have the first ones, so
// that all benchmarks share their pictures.
const (
	benchmarkPictures  = 200
	questionedPictures = 100
	retrievalPictures  = 30

	benchmarkFiles = 2*benchmarkPictures + 5 // without the list of digests
)

// ExtractBenchmarks makes sure that the files of the kit's benchmarks exist under cacheDir, and
// returns the folder that holds them. They have the layouts of the official files of VQA, COCO and
// LAVIS. The scenes are those of [Report] and [Style], so nothing was trained on them and no
// setting was chosen by them. The folder's name is a digest of its content. A folder that exists
// is checked, and replaced if it differs.
func ExtractBenchmarks(ctx context.Context, cacheDir string) (string, error) {
	return benchmarks.extract(ctx, cacheDir)
}

// benchmarks are the files that ExtractBenchmarks writes. Rendering the pictures takes a second,
// so the folder is named by what determines them, and checked by the digests that it holds.
var benchmarks = contents{
	prefix: "kit-benchmarks-", walk: walkBenchmarks, check: checkSums,
	digest: sync.OnceValues(benchmarksDigest), // once in a process
}

// benchmarkSums lists the SHA-256 of every other file, as sha256sum writes it.
const benchmarkSums = "SHA256SUMS"

// walkBenchmarks calls f with the name and content of every file of the benchmarks.
func walkBenchmarks(f func(name string, data []byte) error) error {
	var sums strings.Builder
	add := func(name string, data []byte) error {
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(data), name)
		return f(name, data)
	}
	for _, split := range []Split{Report, Style} {
		d, err := Open(split)
		if err != nil {
			return err
		}
		if err := d.walkTexts(add); err != nil {
			return err
		}
		if err := d.walkPictures(benchmarkPictures, add); err != nil {
			return err
		}
	}
	return f(benchmarkSums, []byte(sums.String()))
}

// benchmarksDigest is a digest of the texts and of what determines the pictures.
func benchmarksDigest() (string, error) {
	return digestOf(func(f func(name string, data []byte) error) error {
		for _, split := range []Split{Report, Style} {
			d := describe(split)
			if err := d.walkTexts(f); err != nil {
				return err
			}
			if err := f(string(split), []byte(d.Digest())); err != nil {
				return err
			}
		}
		return nil
	})
}

// checkSums compares the files under dir with the digests that are written there.
func checkSums(ctx context.Context, dir string) error {
	sums, err := os.ReadFile(filepath.Join(dir, benchmarkSums))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(sums)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		sum, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if !ok || !filepath.IsLocal(name) {
			return fmt.Errorf("%s in %s is damaged", benchmarkSums, dir)
		}
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		if fmt.Sprintf("%x", sha256.Sum256(data)) != sum {
			return fmt.Errorf("%s in %s: content differs from its digest", name, dir)
		}
	}
	if got, want := strings.Count(string(sums), "\n"), benchmarkFiles; got != want {
		return fmt.Errorf("%s in %s lists %d files, want %d", benchmarkSums, dir, got, want)
	}
	return nil
}

// pictureName returns the file name of picture i, as COCO names its own.
func (d *Data) pictureName(i int) string { return fmt.Sprintf("kit_%s_%012d.png", d.split, i) }

// walkPictures calls f with the first n pictures as PNG files.
func (d *Data) walkPictures(n int, f func(name string, data []byte) error) error {
	encoder := png.Encoder{BufferPool: &pngBuffer{}}
	for i := range n {
		var data bytes.Buffer
		if err := encoder.Encode(&data, d.Picture(i).Image()); err != nil {
			return err
		}
		if err := f(path.Join("images", d.pictureName(i)), data.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// pngBuffer keeps the buffer of a PNG encoder, whose making takes longer than encoding a picture.
type pngBuffer struct{ *png.EncoderBuffer }

// Get implements [png.EncoderBufferPool].
func (b *pngBuffer) Get() *png.EncoderBuffer { return b.EncoderBuffer }

// Put implements [png.EncoderBufferPool].
func (b *pngBuffer) Put(buffer *png.EncoderBuffer) { b.EncoderBuffer = buffer }

// walkTexts calls f with the annotation files of a split: the captions, and for Report those of
// questions and of retrieval.
func (d *Data) walkTexts(f func(name string, data []byte) error) error {
	if d.split == Style {
		return writeContent(f, BenchmarkStyleCaptions, d.cocoCaptions(benchmarkPictures))
	}
	questions, annotations := d.vqaFiles(questionedPictures)
	return errors.Join(
		writeContent(f, BenchmarkQuestions, questions),
		writeContent(f, BenchmarkAnnotations, annotations),
		writeContent(f, BenchmarkCaptions, d.cocoCaptions(benchmarkPictures)),
		writeContent(f, BenchmarkRetrieval, d.retrievalFile(retrievalPictures)))
}

// writeContent calls f with a value as JSON.
func writeContent(f func(name string, data []byte) error, name string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return f(name, append(data, '\n'))
}

// benchmarkInfo is the member info of COCO's and VQA's files.
type benchmarkInfo struct {
	Description string `json:"description"`
	Version     string `json:"version"`
}

func (d *Data) benchmarkInfo() benchmarkInfo {
	return benchmarkInfo{"bridge's kit of emoji scenes, split " + string(d.split), "1"}
}

// cocoFile is a captions file in COCO's layout.
type cocoFile struct {
	Info        benchmarkInfo `json:"info"`
	Images      []cocoImage   `json:"images"`
	Annotations []cocoCaption `json:"annotations"`
}

type cocoImage struct {
	ID       int    `json:"id"`
	FileName string `json:"file_name"`
	Width    int    `json:"width"`
	Height   int    `json:"height"`
}

type cocoCaption struct {
	ID      int    `json:"id"`
	ImageID int    `json:"image_id"`
	Caption string `json:"caption"`
}

// cocoCaptions returns the captions of the first n pictures. A picture's id is its number.
func (d *Data) cocoCaptions(n int) cocoFile {
	file := cocoFile{Info: d.benchmarkInfo()}
	for i := range n {
		file.Images = append(file.Images, cocoImage{i, d.pictureName(i), scene.Side, scene.Side})
		for _, caption := range d.plan[i].scene.Captions() {
			file.Annotations = append(file.Annotations, cocoCaption{len(file.Annotations), i, caption})
		}
	}
	return file
}

// lavisPicture is an entry of LAVIS's files for retrieval.
type lavisPicture struct {
	Image    string   `json:"image"`
	Captions []string `json:"caption"`
}

// retrievalFile returns the first n pictures whose scenes differ, so that every caption tells its
// picture apart.
func (d *Data) retrievalFile(n int) []lavisPicture {
	var file []lavisPicture
	seen := map[scene.Scene]bool{}
	for i := 0; len(file) < n && i < benchmarkPictures; i++ {
		if s := d.plan[i].scene; !seen[s] {
			seen[s] = true
			file = append(file, lavisPicture{d.pictureName(i), s.Captions()})
		}
	}
	return file
}

// vqaQuestions is a file of questions in VQA's layout.
type vqaQuestions struct {
	Info      benchmarkInfo `json:"info"`
	Task      string        `json:"task_type"`
	Type      string        `json:"data_type"`
	Subtype   string        `json:"data_subtype"`
	Questions []vqaQuestion `json:"questions"`
}

type vqaQuestion struct {
	ImageID    int    `json:"image_id"`
	Question   string `json:"question"`
	QuestionID int    `json:"question_id"`
}

// vqaAnnotations is a file of answers in VQA's layout.
type vqaAnnotations struct {
	Info        benchmarkInfo   `json:"info"`
	Type        string          `json:"data_type"`
	Subtype     string          `json:"data_subtype"`
	Annotations []vqaAnnotation `json:"annotations"`
}

type vqaAnnotation struct {
	QuestionType string        `json:"question_type"`
	MostFrequent string        `json:"multiple_choice_answer"`
	Answers      []humanAnswer `json:"answers"`
	ImageID      int           `json:"image_id"`
	AnswerType   string        `json:"answer_type"`
	QuestionID   int           `json:"question_id"`
}

// vqaFiles returns all questions about the first n pictures, and ten answers to each.
func (d *Data) vqaFiles(n int) (vqaQuestions, vqaAnnotations) {
	const dataType = "kit"
	questions := vqaQuestions{Info: d.benchmarkInfo(), Task: "Open-Ended", Type: dataType, Subtype: string(d.split)}
	annotations := vqaAnnotations{Info: d.benchmarkInfo(), Type: dataType, Subtype: string(d.split)}
	for i := range n {
		e := d.Example(i)
		for k, q := range e.Questions {
			id := 10*i + k
			rng := rand.New(rand.NewPCG(d.plan[i].seed, streamAnswers+uint64(k)))
			answers := annotate(rng, e.Scene, q)
			questions.Questions = append(questions.Questions, vqaQuestion{i, q.Question, id})
			annotations.Annotations = append(annotations.Annotations, vqaAnnotation{
				questionTypes[q.Kind], mostFrequent(answers), answers, i, answerTypes[q.Kind], id})
		}
	}
	return questions, annotations
}
