package train_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/featurecache"
	"github.com/modular-bridging/bridge/data/formats"
	"github.com/modular-bridging/bridge/data/record"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/objective"
)

// folder is a folder with a source that a test writes.
type folder struct {
	t   *testing.T
	dir string
}

// picture writes picture i and returns its name.
func (f folder) picture(i int, name string) string {
	img := image.NewRGBA(image.Rect(0, 0, 9, 7))
	for p := range 63 {
		img.Set(p%9, p/9, color.RGBA{uint8(p * (i + 2)), uint8(40 * i), uint8(p), 255})
	}
	var file bytes.Buffer
	if err := png.Encode(&file, img); err != nil {
		f.t.Fatal(err)
	}
	f.write(name, file.String())
	return name
}

func (f folder) write(name, text string) string {
	path := filepath.Join(f.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
	return path
}

// copied copies a folder of another package's testdata.
func (f folder) copied(from string) {
	if err := os.CopyFS(f.dir, os.DirFS(filepath.Join("..", "data", filepath.FromSlash(from)))); err != nil {
		f.t.Fatal(err)
	}
}

// list writes a JSON list of n rows.
func (f folder) list(name string, row func(i int) string) string {
	return f.write(name, "["+joined(row, ",")+"]")
}

// sourceRows is the number of rows that the sources of the tests have.
const sourceRows = 6

func joined(row func(i int) string, separator string) string {
	rows := make([]string, sourceRows)
	for i := range rows {
		rows[i] = row(i)
	}
	return strings.Join(rows, separator)
}

// vqa writes the questions and annotations of VQAv2's layout.
func (f folder) vqa() []string {
	questions := f.write("questions.json", `{"data_subtype": "train2014", "questions": [`+joined(func(i int) string {
		f.picture(i, fmt.Sprintf("COCO_train2014_%012d.jpg", i))
		return fmt.Sprintf(`{"image_id": %d, "question": "what is %d?", "question_id": %d}`, i, i, 10*i)
	}, ",")+`]}`)
	return []string{questions, f.write("annotations.json", `{"data_subtype": "train2014", "annotations": [`+joined(func(i int) string {
		return fmt.Sprintf(`{"image_id": %d, "question_id": %d, "answer_type": "other", "answers": [{"answer": "a %d"}, {"answer": "b"}, {"answer": "a %d"}]}`, i, 10*i, i, i)
	}, ",")+`]}`)}
}

// sources has a function for each format that writes a small source of it.
type sources map[string]func(f folder) []string

// everySource returns the sources of all formats.
func everySource() sources {
	all := sources{}
	for _, some := range []sources{sourcesOfPairs(), sourcesOfCaptions(), sourcesOfQuestions(), sourcesOfSequences()} {
		maps.Copy(all, some)
	}
	return all
}

// named writes picture i under its number, and returns its name.
func (f folder) named(i int) string { return f.picture(i, fmt.Sprintf("%d.jpg", i)) }

// sourcesOfPairs returns sources of pictures with captions: shards, folders, tables, lists.
func sourcesOfPairs() sources {
	return sources{
		"webdataset": func(f folder) []string {
			f.copied("shards/testdata")
			return []string{filepath.Join(f.dir, "plain-{000000..000002}.tar")}
		},
		"img2dataset": func(f folder) []string {
			f.copied("formats/testdata/img2dataset/files")
			return []string{f.dir}
		},
		"parquet": func(f folder) []string {
			f.copied("tables/testdata")
			return []string{filepath.Join(f.dir, "legacy-plain.parquet")}
		},
		"lavis": func(f folder) []string {
			return []string{f.list("a.json", func(i int) string {
				return fmt.Sprintf(`{"image": %q, "caption": ["caption %d", "another"], "image_id": %d}`, f.named(i), i, i)
			})}
		},
		"csv": func(f folder) []string {
			return []string{f.write("a.csv", "image,caption\n"+joined(func(i int) string { return fmt.Sprintf("%s,caption %d", f.named(i), i) }, "\n")+"\n")}
		},
		"flickr30k": func(f folder) []string {
			return []string{f.write("results.token", joined(func(i int) string { return fmt.Sprintf("%s#0\tcaption %d .", f.named(i), i) }, "\n")+"\n")}
		},
	}
}

// sourcesOfCaptions returns official files of captions.
func sourcesOfCaptions() sources {
	return sources{
		"coco": func(f folder) []string {
			return []string{f.write("a.json", `{"images": [`+joined(func(i int) string {
				return fmt.Sprintf(`{"id": %d, "file_name": %q}`, i, f.named(i))
			}, ",")+`], "annotations": [`+joined(func(i int) string { return fmt.Sprintf(`{"image_id": %d, "id": %d, "caption": "caption %d"}`, i, i, i) }, ",")+`]}`)}
		},
		"textcaps": func(f folder) []string {
			return []string{f.write("a.json", `{"dataset_type": "train", "data": [`+joined(func(i int) string {
				f.named(i)
				return fmt.Sprintf(`{"image_id": "%d", "image_name": "%d", "caption_str": "caption %d", "caption_id": %d}`, i, i, i, i)
			}, ",")+`]}`)}
		},
		"visual-genome": func(f folder) []string {
			return []string{f.list("a.json", func(i int) string {
				f.named(i)
				return fmt.Sprintf(`{"id": %d, "regions": [{"region_id": %d, "image_id": %d, "phrase": "region %d", "x": 1, "y": 1, "width": 2, "height": 2}]}`, i, i, i, i)
			})}
		},
		"karpathy": func(f folder) []string {
			return []string{f.write("a.json", `{"dataset": "coco", "images": [`+joined(func(i int) string {
				return fmt.Sprintf(`{"filename": %q, "imgid": %d, "cocoid": %d, "split": "train", "sentences": [{"raw": "caption %d"}]}`, f.named(i), i, i, i)
			}, ",")+`]}`) + "#train"}
		},
	}
}

// sourcesOfQuestions returns official files of questions.
func sourcesOfQuestions() sources {
	return sources{
		"vqav2": folder.vqa,
		"okvqa": folder.vqa,
		"aokvqa": func(f folder) []string {
			return []string{f.list("a.json", func(i int) string {
				f.picture(i, fmt.Sprintf("%012d.jpg", i))
				return fmt.Sprintf(`{"split": "train", "image_id": %d, "question_id": "q%d", "question": "what?", "choices": ["a", "b"], "correct_choice_idx": 0, "direct_answers": ["a %d", "b"]}`, i, i, i)
			})}
		},
		"gqa": func(f folder) []string {
			return []string{f.write("a.json", `{`+joined(func(i int) string {
				f.named(i)
				return fmt.Sprintf(`"%d": {"question": "what?", "imageId": "%d", "answer": "a %d", "types": {"structural": "query"}}`, 100+i, i, i)
			}, ",")+`}`)}
		},
		"vizwiz": func(f folder) []string {
			return []string{f.list("a.json", func(i int) string {
				return fmt.Sprintf(`{"image": %q, "question": "what?", "answers": [{"answer": "a %d", "answer_confidence": "yes"}], "answer_type": "other", "answerable": 1}`, f.named(i), i)
			})}
		},
		"textvqa": func(f folder) []string {
			return []string{f.write("a.json", `{"dataset_name": "textvqa", "data": [`+joined(func(i int) string {
				f.named(i)
				return fmt.Sprintf(`{"question": "what?", "image_id": "%d", "question_id": %d, "answers": ["a %d", "b"]}`, i, i, i)
			}, ",")+`]}`)}
		},
	}
}

// sourcesOfSequences returns conversations and documents.
func sourcesOfSequences() sources {
	return sources{
		"llava": func(f folder) []string {
			return []string{f.list("a.json", func(i int) string {
				return fmt.Sprintf(`{"id": %d, "image": %q, "conversations": [{"from": "human", "value": "<image>\nwhat?"}, {"from": "gpt", "value": "a %d"},
					{"from": "human", "value": "and?"}, {"from": "gpt", "value": "b"}]}`, i, f.named(i), i)
			})}
		},
		"mmc4": func(f folder) []string {
			return []string{f.write("a.jsonl", joined(func(i int) string {
				return fmt.Sprintf(`{"text_list": ["first %d.", "second."], "url": "u", "image_info": [{"image_name": %q, "matched_text_index": 1, "matched_sim": 0.3}], "similarity_matrix": [[0.1, 0.3]]}`, i, f.named(i))
			}, "\n")+"\n")}
		},
		"obelics": func(f folder) []string {
			return []string{f.write("a.jsonl", joined(func(i int) string {
				return fmt.Sprintf(`{"images": [%q, null], "texts": [null, "text %d"], "metadata": "[]", "general_metadata": "{}"}`, f.named(i), i)
			}, "\n")+"\n")}
		},
	}
}

// A run on a source of any format is the same run if it is stopped and resumed with the source
// opened again.
func TestEveryFormatResumesToTheSample(t *testing.T) {
	missing := map[string]bool{}
	for _, name := range formats.Names() {
		missing[name] = true
	}
	delete(missing, "nocaps") // coco's layout without captions: nothing to train on
	for format, write := range everySource() {
		delete(missing, format)
		t.Run(format, func(t *testing.T) {
			f := folder{t, t.TempDir()}
			files := write(f)
			open := func(dir string) *train.Session {
				plan := onePhase(objective.PromptCaption(), 4)
				plan.Phases[0].Batch, plan.Phases[0].Mix.Questions = 2, 0.5
				s := newSessionFor(t, plan, dir)
				r, err := formats.Open(t.Context(), formats.Source{Files: files, Images: f.dir, Format: format}, formats.Options{})
				if err != nil {
					t.Fatal(err)
				}
				d, err := data.OpenSources([]data.Source{{Name: format, Records: r}}, data.SourceOptions{},
					adapters.ImageSpec{Width: 8, Height: 8, Resample: adapters.Bicubic, Mode: adapters.Squash})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { d.Close() })
				s.Train = train.Set{Data: d, Features: featurecache.NewUncached(pixelEncoder{}, d), LeftOut: &data.LeftOutList{Data: format}}
				return s
			}
			whole, dir := t.TempDir(), t.TempDir()
			s := open(whole)
			if _, err := s.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, l := range s.Train.LeftOut.All() {
				if l.Why != record.NoTarget { // the fixtures of the real writers have records without a caption
					t.Errorf("left out: %s", l.Reason)
				}
			}
			ctx, stop := context.WithCancel(t.Context())
			s = open(dir)
			s.Language = &stopping{s.Language, 2, stop}
			if _, err := s.Run(ctx); !errors.Is(err, context.Canceled) {
				t.Fatalf("stopped: %v", err)
			}
			again := open(dir)
			again.Resume = true
			if _, err := again.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			sameBits(t, weightsOf(t, dir), weightsOf(t, whole))
		})
	}
	for name := range missing {
		t.Errorf("no source of the format %s is trained on", name)
	}
}
