package tables

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/modular-bridging/bridge/data/internal/conversation"
	"github.com/modular-bridging/bridge/data/internal/document"
	"github.com/modular-bridging/bridge/data/internal/jsonvalue"
	"github.com/modular-bridging/bridge/data/internal/parts"
	"github.com/modular-bridging/bridge/data/record"
)

// rowReader makes a record of a row. It keeps the first error.
type rowReader struct {
	file   *file
	cursor *cursor
	row    int64
	err    error
}

// values returns the values of a column.
func (t *rowReader) values(l *leaf) []value {
	if t.err != nil {
		return nil
	}
	all, err := t.cursor.read(l, t.row)
	if err != nil {
		t.err = err
	}
	return all
}

// texts returns the texts of a column; nil for nulls.
func (t *rowReader) texts(l *leaf) []*string {
	var all []*string
	for _, v := range t.values(l) {
		if v.null {
			all = append(all, nil)
			continue
		}
		if !utf8.Valid(v.bytes) && t.err == nil {
			t.err = fmt.Errorf("a text is not UTF-8: %q", jsonvalue.Shorten(strings.ToValidUTF8(string(v.bytes), "\ufffd")))
		}
		text := string(v.bytes)
		all = append(all, &text)
	}
	return all
}

// given returns the texts of a column without nulls.
func (t *rowReader) given(l *leaf) []string {
	var all []string
	for _, text := range t.texts(l) {
		if text != nil {
			all = append(all, *text)
		}
	}
	return all
}

// one returns the text of a column; "" for null.
func (t *rowReader) one(l *leaf) string {
	if all := t.given(l); len(all) > 0 {
		return all[0]
	}
	return ""
}

// fail keeps an error.
func (t *rowReader) fail(format string, args ...any) {
	if t.err == nil {
		t.err = fmt.Errorf(format, args...)
	}
}

// because keeps an error with a reason.
func (t *rowReader) because(why record.Why, format string, args ...any) {
	if t.err == nil {
		t.err = parts.Because(why, format, args...)
	}
}

// record reads the row.
func (t *rowReader) record() record.Record {
	c := t.file.columns
	rec := record.Record{Key: t.one(c.key), Group: t.one(c.group)}
	pictures := t.pictures(rec.Key)
	if t.err != nil {
		return rec
	}
	switch {
	case c.from != nil:
		if rec.Key == "" {
			rec.Key = t.one(c.id)
		}
		rec.Parts = t.conversation(pictures)
	case c.user != nil:
		rec.Parts = t.cauldron(pictures)
	case c.texts != nil && c.texts.listed && c.picture.listed():
		rec.Parts = t.document(pictures)
	default:
		rec.Parts = t.described(pictures)
	}
	return rec
}

// described returns pictures with a question or captions.
func (t *rowReader) described(pictures []*record.Picture) []record.Part {
	c := t.file.columns
	status := t.one(c.status)
	var all []record.Part
	for i, p := range pictures {
		if p == nil {
			if status != "" && status != success {
				t.because(record.MissingPicture, "img2dataset could not get the picture: %s", status)
			}
			t.because(record.MissingPicture, "picture %d of %q is null", i, c.picture.name)
			return nil
		}
		all = append(all, parts.Picture(p))
	}
	if len(pictures) == 0 {
		t.because(record.MissingPicture, "%q is null or an empty list", c.picture.name)
		return nil
	}
	if question := t.one(c.question); strings.TrimSpace(question) != "" {
		return append(all, parts.QA(question, "", t.given(c.answers))...)
	}
	return append(all, parts.Captions(t.given(c.caption))...)
}

// conversation returns a conversation of LLaVA. A null picture is none.
func (t *rowReader) conversation(pictures []*record.Picture) []record.Part {
	from, values := t.texts(t.file.columns.from), t.texts(t.file.columns.value)
	if len(from) != len(values) {
		t.fail("the conversation has %d speakers and %d texts", len(from), len(values))
		return nil
	}
	turns := make([]any, len(from))
	for i := range from {
		turns[i] = jsonvalue.Object{"from": orNil(from[i]), "value": orNil(values[i])}
	}
	all, err := conversation.FromTurns(turns, withoutNil(pictures))
	if err != nil {
		t.fail("%w", err)
	}
	return all
}

func orNil(text *string) any {
	if text == nil {
		return nil
	}
	return *text
}

// cauldron returns the pictures and then the turns of user and assistant.
func (t *rowReader) cauldron(pictures []*record.Picture) []record.Part {
	c := t.file.columns
	user, reply := t.texts(c.user), t.texts(c.reply)
	if len(user) != len(reply) {
		t.fail("the conversation has %d questions and %d answers", len(user), len(reply))
		return nil
	}
	var all []record.Part
	for _, p := range withoutNil(pictures) {
		all = append(all, parts.Picture(p))
	}
	for i := range user {
		if user[i] == nil || reply[i] == nil || strings.TrimSpace(*reply[i]) == "" {
			t.fail("turn %d lacks its question or its answer", i)
			return nil
		}
		all = append(all, record.Of(*user[i], record.Question, false), record.Of(*reply[i], record.Answer, true))
	}
	if len(user) == 0 {
		t.fail("the conversation has no turn")
	}
	return all
}

// document returns an interleaved document, as OBELICS has it.
func (t *rowReader) document(pictures []*record.Picture) []record.Part {
	all, err := document.FromObelics(t.texts(t.file.columns.texts), pictures)
	if err != nil {
		t.fail("%w", err)
	}
	if len(all) == 0 {
		t.because(record.Empty, "the document has neither a text nor a picture")
	}
	return all
}

func withoutNil(pictures []*record.Picture) []*record.Picture {
	var all []*record.Picture
	for _, p := range pictures {
		if p != nil {
			all = append(all, p)
		}
	}
	return all
}

// pictures returns the pictures of the row; nil for a null. Bytes count before a path.
func (t *rowReader) pictures(key string) []*record.Picture {
	column := t.file.columns.picture
	if column == nil {
		return nil
	}
	data, paths := t.values(column.bytes), t.texts(column.path)
	if column.bytes == nil {
		data = slices.Repeat([]value{{null: true}}, len(paths))
	}
	if t.err == nil && column.path != nil && len(data) != len(paths) {
		t.fail("%q has %d pictures and %d paths", column.name, len(data), len(paths))
	}
	if t.err != nil {
		return nil
	}
	all := make([]*record.Picture, len(data))
	for i, v := range data {
		path := ""
		if column.path != nil && paths[i] != nil {
			path = *paths[i]
		}
		switch {
		case !v.null && len(v.bytes) == 0:
			t.because(record.MissingPicture, "picture %d of %q has no bytes", i, column.name)
		case !v.null:
			all[i] = embedded(pictureName(path, key, t.row, i), v.bytes)
		case path != "":
			p, err := t.file.images.Picture(path)
			if err != nil {
				t.because(record.MissingPicture, "%w", err)
			}
			all[i] = p
		}
	}
	return all
}

// pictureName returns a name for people.
func pictureName(path, key string, row int64, i int) string {
	switch {
	case path != "":
		return path
	case key != "":
		return key
	}
	return fmt.Sprintf("row %d, picture %d", row, i)
}

func embedded(name string, data []byte) *record.Picture {
	return &record.Picture{Name: name, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data)), nil
	}}
}
