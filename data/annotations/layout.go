package annotations

import (
	"slices"

	"github.com/modular-bridging/bridge/adapters"
)

// layout is a layout of JSON that other programs read.
type layout struct {
	name   string
	whole  bool     // the keys are of the whole file, which is one object; otherwise they are of an entry
	has    []string // its keys
	remedy string
}

// Remedies that several layouts share.
const (
	toCaptions  = `write {"image": file name, "caption": text, "image_id": id} for each caption, as in LAVIS's coco_karpathy_train.json`
	toQuestions = `write {"image": file name, "question": text, "answer": list of texts} for each question, as in LAVIS's vqa_train.json`
)

// layouts are the layouts that an error names. The first that fits counts.
var layouts = []layout{
	{"COCO's own (images, annotations)", true, []string{"images", "annotations"}, toCaptions},
	{"Karpathy's (images with sentences)", true, []string{"images", "dataset"}, toCaptions},
	{"Karpathy's (images with sentences)", false, []string{"filename", "sentences"}, toCaptions},
	{"VQA's questions", true, []string{"questions"}, toQuestions},
	{"VQA's annotations", true, []string{"annotations"}, toQuestions},
	{"TextCaps's or TextVQA's (entries under data)", true, []string{"data"}, "write the list under data alone, with bridge's keys"},
	{"LLaVA's (conversations)", false, []string{"conversations"}, toQuestions},
	{"a chat's (messages)", false, []string{"messages"}, toQuestions},
	{"VizWiz's (answers)", false, []string{"image", "question", "answers"}, toQuestions},
	{"GQA's (imageId)", false, []string{"imageId", "question"}, toQuestions},
	{"VQA's (image_id without image)", false, []string{"image_id", "question"}, toQuestions},
	{"VQA's (image_id without image)", false, []string{"image_id", "question_id"}, toQuestions},
	{"COCO's (image_id without image)", false, []string{"image_id", "caption"}, toCaptions},
	{"MMC4's (image_info, text_list)", false, []string{"image_info", "text_list"}, toCaptions},
	{"OBELICS's (images, texts)", false, []string{"images", "texts"}, toCaptions},
	{"Hugging Face's (file_name)", false, []string{"file_name"}, `rename "file_name" to "image", and its text to "caption"`},
	{"img2dataset's (url, caption)", false, []string{"url", "caption"}, `download the pictures, and write the file name of each as "image"`},
}

// otherLayout returns an error that names the layout of another program, if the keys of the
// first object, which is no whole entry, are those of one.
func (r *Reader) otherLayout(m *members) error {
	whole, misspelled := !r.listed, m.near("image") != ""
	for _, l := range layouts {
		if l.whole && !whole || slices.Contains(l.has, "image_id") && misspelled {
			continue
		}
		if m.has(l.has...) {
			return r.layout(l.name, l.remedy)
		}
	}
	if whole && m.count == 1 && m.has("images") {
		return r.layout("Karpathy's (images with sentences)", toCaptions)
	}
	if whole && m.plain && m.count > 0 {
		return r.layout("an object of entries by id", "write its values as a list, with bridge's keys")
	}
	return nil
}

func (r *Reader) layout(name, remedy string) error {
	return adapters.Errorf(adapters.Invalid, "%sthe layout is %s, want LAVIS's: entries such as %s", r.prefix(), name, r.content.example()).
		WithRemedy("%s", remedy)
}
