// Package sample makes records of samples: the members of a tar shard, or the files of a folder,
// that share a key.
package sample

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/data/internal/document"
	"github.com/modular-bridging/bridge/data/internal/jsonvalue"
	"github.com/modular-bridging/bridge/data/internal/parts"
	"github.com/modular-bridging/bridge/data/record"
	"github.com/modular-bridging/bridge/imaging"
)

// Member is a member of a sample.
type Member struct {
	Name string // for people
	Ext  string // extension, from the first dot of the base name, in lower case
	Size int64
	Open func() (io.ReadCloser, error)
}

var (
	pictureExtensions = []string{"jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "tif", "tiff", "ppm", "pgm", "pbm", "avif", "heic", "jp2"}
	textExtensions    = []string{"txt", "text", "transcript", "caption"} // the first that a sample has counts
	otherExtensions   = []string{"json", "cls", "cls2", "index", "count", "inx", "id", "class", "npy", "npz", "pth", "pt", "pkl", "pickle", "pyd", "mp4", "mp3", "wav", "flac", "xml", "html", "yaml", "url", "md5"}
)

// Record makes a record of a sample. It reads texts, and the heads of members that may be pictures.
func Record(key string, members []Member) (record.Record, error) {
	r := record.Record{Key: key}
	meaning, err := readJSON(members)
	if err != nil {
		return r, err
	}
	if meaning.document != nil {
		r.Parts, err = document.FromMMC4(meaning.document, document.Embedded)
		return r, err
	}
	picture, err := pictureOf(members)
	if err != nil {
		return r, err
	}
	if picture != nil {
		r.Parts = append(r.Parts, parts.Picture(picture))
	}
	texts := meaning.parts
	if texts == nil {
		if texts, err = readText(members); err != nil {
			return r, err
		}
	}
	r.Group = meaning.group
	if r.Parts = append(r.Parts, texts...); len(r.Parts) == 0 {
		return r, parts.Because(record.Empty, "the sample has neither a picture nor a text; its members are %s", list(members))
	}
	return r, nil
}

// list returns the extensions of a sample, for messages.
func list(members []Member) string {
	var all []string
	for _, m := range members {
		all = append(all, fmt.Sprintf("%q", m.Ext))
	}
	return strings.Join(all, ", ")
}

// pictureOf returns the picture of a sample; nil if it has none. The member with the extension of
// a picture counts, whatever kind of picture it holds. Without one, a member that begins as a
// picture does counts.
func pictureOf(members []Member) (*record.Picture, error) {
	var found []Member
	for _, m := range members {
		if slices.Contains(pictureExtensions, m.Ext) {
			found = append(found, m)
		}
	}
	if len(found) == 0 {
		for _, m := range members {
			if slices.Contains(textExtensions, m.Ext) || slices.Contains(otherExtensions, m.Ext) {
				continue
			}
			head, err := m.head()
			if err != nil {
				return nil, err
			}
			if imaging.IsPicture(head) {
				found = append(found, m)
			}
		}
	}
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return &record.Picture{Name: found[0].Name, Open: found[0].Open}, nil
	}
	return nil, fmt.Errorf("the sample has the pictures %q and %q, and nothing says which is meant; want one", found[0].Ext, found[1].Ext)
}

// head returns the first bytes of a member.
func (m Member) head() ([]byte, error) {
	f, err := m.Open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, 16))
	if err != nil {
		return nil, fmt.Errorf("%q cannot be read: %w", m.Name, err)
	}
	return head, nil
}

// maxText is the most bytes of a member that holds text.
const maxText = 256 << 20 // MMC4's documents hold their pictures

// read reads the data of a member that holds text.
func (m Member) read() ([]byte, error) {
	if m.Size > maxText {
		return nil, fmt.Errorf("%q has %d bytes, want a text of at most %d", m.Name, m.Size, maxText)
	}
	f, err := m.Open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("%q cannot be read: %w", m.Name, err)
	}
	return data, nil
}

// readText returns the caption of the first member that holds one as text.
func readText(members []Member) ([]record.Part, error) {
	for _, ext := range textExtensions {
		i := slices.IndexFunc(members, func(m Member) bool { return m.Ext == ext })
		if i < 0 {
			continue
		}
		data, err := members[i].read()
		if err != nil {
			return nil, err
		}
		text, err := jsonvalue.UTF8(data)
		if err != nil {
			return nil, fmt.Errorf("%q %w", members[i].Name, err)
		}
		return parts.Captions([]string{text}), nil
	}
	return nil, nil
}

// meaning is the meaning of the member json.
type meaning struct {
	parts    []record.Part
	group    string
	document jsonvalue.Object // an interleaved document
}

// readJSON reads the member json. A list of texts is one of captions, of which LAVIS draws one of
// the first two. An object may have a caption, or a question and answers, and not both, as in
// LAVIS's lists.
func readJSON(members []Member) (meaning, error) {
	i := slices.IndexFunc(members, func(m Member) bool { return m.Ext == "json" })
	if i < 0 {
		return meaning{}, nil
	}
	data, err := members[i].read()
	if err != nil {
		return meaning{}, err
	}
	name := members[i].Name
	v, err := jsonvalue.Parse(data)
	if err != nil {
		return meaning{}, fmt.Errorf("%q %w", name, err)
	}
	switch v := v.(type) {
	case []any:
		found, err := drawn(v)
		if err != nil {
			return meaning{}, fmt.Errorf("%q: %w", name, err)
		}
		return meaning{parts: found}, nil
	case jsonvalue.Object:
		m, err := described(v)
		if err != nil {
			return meaning{}, fmt.Errorf("%q: %w", name, err)
		}
		return m, nil
	}
	return meaning{}, fmt.Errorf("%q is %s, want an object or a list of captions", name, jsonvalue.Describe(v))
}

// drawn returns a list of captions, of which the first two are drawn.
func drawn(list []any) ([]record.Part, error) {
	texts, err := jsonvalue.Texts(jsonvalue.Object{"captions": list}, "captions")
	if err != nil {
		return nil, err
	}
	found := parts.Captions(texts)
	for _, p := range found {
		for i := 2; i < len(p.Texts); i++ {
			p.Texts[i].Weight = 0
		}
	}
	return found, nil
}

// described returns the meaning of an object.
func described(o jsonvalue.Object) (meaning, error) {
	if document.IsMMC4(o) {
		return meaning{document: o}, nil
	}
	m := meaning{group: jsonvalue.ID(o["image_id"])}
	question, err := jsonvalue.Text(o, "question")
	if err != nil {
		return m, err
	}
	captions, err := jsonvalue.Texts(o, "caption")
	if err != nil {
		return m, err
	}
	m.parts = parts.Captions(captions)
	if strings.TrimSpace(question) == "" {
		return m, nil
	}
	if len(m.parts) > 0 {
		return m, errors.New("it has both a caption and a question, want one of them in a sample")
	}
	answers, err := jsonvalue.Texts(o, "answer")
	if err != nil {
		return m, err
	}
	m.parts = parts.QA(question, "", answers)
	return m, nil
}
