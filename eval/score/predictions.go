package score

import (
	"fmt"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

// layout is the layout of a file of predictions.
type layout struct{ id, text string }

// The layouts of the official scorers and servers.
var (
	vqaLayout     = layout{"question_id", "answer"}
	captionLayout = layout{"image_id", "caption"}
	gqaLayout     = layout{"questionId", "prediction"}
	vizwizLayout  = layout{"image", "answer"}
)

// String describes the layout.
func (l layout) String() string {
	return fmt.Sprintf("a list of {%q: …, %q: \"…\"}, or one such entry a line", l.id, l.text)
}

// entry is a prediction in any layout.
type entry struct {
	QuestionID *id     `json:"question_id"`
	GQAID      *id     `json:"questionId"`
	ImageID    *id     `json:"image_id"`
	Image      *id     `json:"image"`
	Answer     *string `json:"answer"`
	Prediction *string `json:"prediction"`
	Caption    *string `json:"caption"`
	Text       *string `json:"text"`

	foreignEntry `json:",inline"`
}

// of returns the id and the text of the entry by a layout; nil if the entry lacks them.
func (e *entry) of(l layout) (i *id, text *string) {
	switch l.id {
	case "question_id":
		i = e.QuestionID
	case "questionId":
		i = e.GQAID
	case "image_id":
		i = e.ImageID
	case "image":
		i = e.Image
	}
	switch l.text {
	case "answer":
		text = e.Answer
	case "prediction":
		text = e.Prediction
	case "caption":
		text = e.Caption
	case "text":
		text = e.Text
	}
	return i, text
}

// predictionsOf are the predictions of a file by id.
type predictionsOf[T comparable] struct {
	path     string
	values   map[id]T
	order    []id // each once
	repeated []id // those that are there again
	counts   Counts
}

// predictions are texts.
type predictions = predictionsOf[string]

// add adds a prediction. One that is there twice must be the same.
func (p *predictionsOf[T]) add(key string, i id, value T) error {
	before, again := p.values[i]
	switch {
	case again && before != value:
		return adapters.Errorf(adapters.Invalid, "%s: %s %s has two predictions, %s and %s", p.path, key, i, shown(before), shown(value)).
			WithRemedy("keep one prediction a question")
	case again:
		p.repeated = append(p.repeated, i)
	default:
		if p.values == nil {
			p.values = map[id]T{}
		}
		p.values[i] = value
		p.order = append(p.order, i)
	}
	return nil
}

// shown returns a prediction as errors print it.
func shown(value any) string {
	if text, ok := value.(string); ok {
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprint(value)
}

// Counts say which predictions did not pair with the questions.
type Counts struct {
	Missing    int `json:"missing"`    // questions without a prediction; they count 0
	Extra      int `json:"extra"`      // predictions without a question; they are ignored
	Duplicates int `json:"duplicates"` // predictions that repeat an earlier one with the same text
	// Notes name what is counted above and what limits the figures, a sentence each.
	Notes []string `json:"-"`
}

// readPredictions reads a file of predictions, in the layout or in one of other programs that
// stands for it ([dialects]). A prediction that is there twice must have one text.
func readPredictions(path string, l layout) (*predictions, error) {
	entries, err := decodeList[entry](path, l.String())
	if err != nil {
		return nil, err
	}
	read := dialectOf(entries, l)
	p := &predictions{path: path, values: make(map[id]string, len(entries)), order: make([]id, 0, len(entries))}
	for n := range entries {
		i, text := read(&entries[n])
		if i == nil || text == nil {
			return nil, missingKey(path, n, l, &entries[n])
		}
		if err := p.add(l.id, *i, *text); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// missingKey returns the error for an entry without an id or a text. If another program writes such
// entries, it says how to convert the file.
func missingKey(path string, n int, l layout, e *entry) error {
	key := l.text
	if i, _ := e.of(l); i == nil {
		key = l.id
	}
	err := adapters.Errorf(adapters.Corrupt, "%s: entry %d has no %s", path, n, key)
	if recipe := e.recipe(l); recipe != "" {
		return err.WithRemedy("want %s. %s", l, recipe)
	}
	return err.WithRemedy("want %s", l)
}

// note adds a sentence about ids, if there are any.
func (c *Counts) note(format string, ids []id) {
	if len(ids) > 0 {
		c.Notes = append(c.Notes, fmt.Sprintf(format, len(ids), named(ids)))
	}
}

// named lists the first of ids.
func named(ids []id) string {
	const most = 5
	var names []string
	for _, i := range ids[:min(most, len(ids))] {
		names = append(names, i.String())
	}
	if len(ids) > most {
		names = append(names, "…")
	}
	return strings.Join(names, ", ")
}

// pair returns the prediction of each id, in their order, and counts those that did not pair. A
// missing one is the zero value, and an error unless allowMissing. It is an error anyway if the
// file has it with an id of the other kind. found[n] reports whether there is one.
func (p *predictionsOf[T]) pair(ids []id, allowMissing bool) (values []T, found []bool, err error) {
	values, found = make([]T, len(ids)), make([]bool, len(ids))
	known := make(map[id]bool, len(ids))
	var missing, extra []id
	for n, i := range ids {
		known[i] = true
		if values[n], found[n] = p.values[i]; !found[n] {
			missing = append(missing, i)
		}
	}
	for _, i := range p.order {
		if !known[i] {
			extra = append(extra, i)
		}
	}
	if err := p.otherKind(missing); err != nil {
		return nil, nil, err
	}
	if len(missing) > 0 && !allowMissing {
		return nil, nil, p.missingError(ids, missing)
	}
	p.counts.Duplicates, p.counts.Missing, p.counts.Extra = len(p.repeated), len(missing), len(extra)
	p.counts.note(p.path+": %d predictions repeat an earlier one: %s", p.repeated)
	p.counts.note(p.path+": %d predictions are missing and count 0: %s", missing)
	p.counts.note(p.path+": %d predictions belong to no question and are ignored: %s", extra)
	return values, found, nil
}

// otherKind returns an error if the file has a missing prediction with an id of the other kind.
func (p *predictionsOf[T]) otherKind(missing []id) error {
	n, first := 0, id("")
	for _, i := range missing {
		if _, ok := p.values[i.otherKind()]; ok {
			if n == 0 {
				first = i
			}
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return adapters.Errorf(adapters.Invalid, "%s: %d predictions have ids of another kind: the file has %s as an id, the questions have %s",
		p.path, n, quoted(first.otherKind()), quoted(first)).WithRemedy("write ids as the official file does")
}

// missingError returns the error for missing predictions.
func (p *predictionsOf[T]) missingError(ids, missing []id) error {
	if len(p.order) == 0 {
		return adapters.Errorf(adapters.Invalid, "%s has no predictions, want %d", p.path, len(ids)).WithRemedy("--allow-missing counts them 0")
	}
	err := adapters.Errorf(adapters.Invalid, "%s: %d of %d predictions are missing: %s", p.path, len(missing), len(ids), named(missing))
	if len(missing) == len(ids) {
		return err.WithRemedy("no prediction fits: the file has %s as an id, the questions have %s", quoted(p.order[0]), quoted(ids[0]))
	}
	return err.WithRemedy("--allow-missing counts them 0")
}

// quoted returns an id as JSON, so that numbers and texts differ.
func quoted(i id) string { return string(i) }

// unique returns an error if an id is there twice in a file of questions.
func unique(path, what string, ids []id) error {
	seen := make(map[id]bool, len(ids))
	for _, i := range ids {
		if seen[i] {
			return adapters.Errorf(adapters.Corrupt, "%s has two entries with %s %s", path, what, i).WithRemedy("download the file again")
		}
		seen[i] = true
	}
	if len(ids) == 0 {
		return adapters.Errorf(adapters.Corrupt, "%s has no entries", path).WithRemedy("download the file again")
	}
	return nil
}

// sameIDs returns an error if two files are not about the same questions.
func sameIDs(path string, ids []id, otherPath string, others []id) error {
	for _, pair := range []struct {
		path, other string
		ids, others []id
	}{{path, otherPath, ids, others}, {otherPath, path, others, ids}} {
		known := make(map[id]bool, len(pair.others))
		for _, i := range pair.others {
			known[i] = true
		}
		if n := slices.IndexFunc(pair.ids, func(i id) bool { return !known[i] }); n >= 0 {
			return adapters.Errorf(adapters.Invalid, "%s has question %s, which %s lacks", pair.path, pair.ids[n], pair.other).
				WithRemedy("give the two files of one split")
		}
	}
	return nil
}
