package score

import (
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// foreignEntry has the keys of predictions that other programs write. Values are decoded when they
// are needed, since files of any program may have such keys.
type foreignEntry struct {
	PredAns    jsontext.Value `json:"pred_ans"`       // LAVIS
	ModelID    jsontext.Value `json:"model_id"`       // LLaVA
	DocID      jsontext.Value `json:"doc_id"`         // lmms-eval, as all below
	Submission jsontext.Value `json:"submission"`     // what would be sent to a server
	Responses  jsontext.Value `json:"filtered_resps"` // the answer, or a list of it
	POPE       jsontext.Value `json:"pope_accuracy"`
	COCO       jsontext.Value `json:"coco_CIDEr"`
	NoCaps     jsontext.Value `json:"nocaps_CIDEr"`
	Flickr     jsontext.Value `json:"flickr_CIDEr"`
}

// submission is the part of a sample that lmms-eval keeps for a server or a metric.
type submission struct {
	QuestionID *id     `json:"question_id"`
	Image      *id     `json:"image"`
	ImageID    *id     `json:"image_id"`
	Caption    *string `json:"pred"`
}

// dialect is a layout of another program that holds the entries of a layout without doubt.
type dialect struct {
	of   layout
	read func(e *entry) (*id, *string)
}

// dialects returns the layouts that are read beside the official ones. Texts are taken as they are.
func dialects() []dialect {
	return []dialect{
		{vqaLayout, readLLaVA},
		{vqaLayout, readLAVIS},
		{gqaLayout, readLAVIS},
		{vqaLayout, readLMMsAnswer},
		{captionLayout, readLMMsCaption},
	}
}

// dialectOf returns the function that reads the entries of a file: that of the layout, unless the
// first entry is of a dialect.
func dialectOf(entries []entry, l layout) func(e *entry) (*id, *string) {
	own := func(e *entry) (*id, *string) { return e.of(l) }
	if len(entries) == 0 {
		return own
	}
	if i, text := own(&entries[0]); i != nil && text != nil {
		return own
	}
	for _, d := range dialects() {
		if i, text := d.read(&entries[0]); d.of == l && i != nil && text != nil {
			return d.read
		}
	}
	return own
}

// readLLaVA reads an entry of LLaVA's answers. Its questions have a text, too, but no model.
func readLLaVA(e *entry) (*id, *string) {
	if e.ModelID == nil {
		return nil, nil
	}
	return e.QuestionID, e.Text
}

// readLAVIS reads an entry of the results that LAVIS writes for GQA and A-OKVQA.
func readLAVIS(e *entry) (*id, *string) { return e.QuestionID, text(e.PredAns) }

// readLMMsAnswer reads a sample of lmms-eval that names its question. The answer is that of the
// model: the one for the server is normalised.
func readLMMsAnswer(e *entry) (*id, *string) { return e.sent().QuestionID, e.response() }

// readLMMsCaption reads a sample of lmms-eval's tasks with captions of COCO, nocaps and Flickr30k.
func readLMMsCaption(e *entry) (*id, *string) {
	for _, value := range []jsontext.Value{e.COCO, e.NoCaps, e.Flickr} {
		if s := decoded[submission](value); s.ImageID != nil {
			return s.ImageID, s.Caption
		}
	}
	return nil, nil
}

// sent returns the member submission; it is empty if there is none.
func (e *foreignEntry) sent() submission { return decoded[submission](e.Submission) }

// response returns the answer of a sample of lmms-eval. Newer versions write a text, older ones a
// list of one.
func (e *foreignEntry) response() *string {
	if list := decoded[[]string](e.Responses); len(list) == 1 {
		return &list[0]
	}
	return text(e.Responses)
}

// text returns a JSON text; nil if the value is of another kind.
func text(value jsontext.Value) *string {
	if value.Kind() != '"' {
		return nil
	}
	s := decoded[string](value)
	return &s
}

// decoded returns a JSON value as T, or the zero value if it is of another kind.
func decoded[T any](value jsontext.Value) T {
	var v, zero T
	if value == nil || json.Unmarshal(value, &v, options) != nil {
		return zero
	}
	return v
}

// recipe returns how to convert an entry of another program to the layout; "" if it is unknown.
func (e *entry) recipe(l layout) string {
	const answer = "([.filtered_resps] | flatten | first)"
	program, filter, remark := "", "", ""
	switch {
	case e.DocID != nil && l == vqaLayout && e.POPE != nil:
		program, filter = "lmms-eval's samples", "{question_id: (.pope_accuracy.question_id | tonumber), answer: "+answer+"}"
	case e.DocID != nil && l == vqaLayout && e.sent().Image != nil:
		program, filter = "lmms-eval's samples", `{question_id: (.submission.image | rtrimstr(".jpg") | tonumber), answer: `+answer+"}"
	case e.DocID != nil && l == vizwizLayout && e.sent().Image != nil:
		program, filter = "lmms-eval's samples", "{image: .submission.image, answer: "+answer+"}"
	case e.DocID != nil:
		program, filter = "lmms-eval's samples of this task", "{"+l.id+": $ids[0][.doc_id], "+l.text+": "+answer+"}"
		remark = " They have no id but doc_id, the row in lmms-eval's data set. List the id of each row in ids.json, and add --slurpfile ids ids.json."
	case e.QuestionID != nil && e.Text != nil && l == gqaLayout:
		program, filter = "LLaVA's answers", `{questionId: (.question_id | tostring), prediction: (.text | rtrimstr(".") | ascii_downcase)}`
		remark = " LLaVA's own converter changes the text so."
	case e.QuestionID != nil && e.Text != nil && e.ModelID != nil:
		program, filter = "LLaVA's answers", "{"+l.id+": .question_id, "+l.text+": .text}"
	case e.QuestionID != nil && e.Text != nil:
		program, filter = "these entries", "{"+l.id+": .question_id, "+l.text+": .text}"
		remark = " Do it only if text is the answer: LLaVA's and POPE's files of questions have the question there."
	case e.PredAns != nil && e.QuestionID != nil:
		program, filter = "LAVIS's results", "{"+l.id+": .question_id, "+l.text+": .pred_ans}"
	default:
		return ""
	}
	const command = "To convert PROGRAM: jq -c 'if type == \"array\" then .[] else . end | FILTER' FILE > NEW."
	return strings.NewReplacer("PROGRAM", program, "FILTER", filter).Replace(command) + remark
}
