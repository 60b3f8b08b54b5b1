package formats

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/record"
)

// list is a JSON list in memory.
type list struct {
	file, images, format, digest string
	rows                         []row
}

type row struct {
	ID, Image     any
	Caption       any
	ImageID       any `json:"image_id"`
	Question      string
	Answer        any
	Conversations []struct{ From, Value string }
}

// Detect returns the format of a file.
func Detect(path string) (string, error) {
	rows, _, err := read(path)
	if err != nil {
		return "", err
	}
	if len(rows) > 0 && rows[0].Conversations != nil {
		return "llava", nil
	}
	return "lavis", nil
}

func read(path string) (rows []row, digest string, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, "", adapters.Errorf(adapters.NotFound, "source: %w", err)
	}
	sum := sha256.Sum256(text)
	if err := json.Unmarshal(text, &rows); err != nil {
		return nil, "", adapters.Errorf(adapters.Corrupt, "%s: %w", path, err)
	}
	return rows, hex.EncodeToString(sum[:]), nil
}

func openList(path, images, format string) (record.Reader, error) {
	rows, digest, err := read(path)
	return &list{path, images, format, digest, rows}, err
}

func (l *list) Format() string     { return l.format }
func (l *list) Len() int           { return len(l.rows) }
func (l *list) Digest() string     { return l.digest }
func (l *list) Warnings() []string { return nil }
func (l *list) Close() error       { return nil }

func (l *list) Record(i int) (record.Record, error) {
	in := l.rows[i]
	r := record.Record{Key: fmt.Sprint(i), File: filepath.Base(l.file), Offset: -1}
	if in.ID != nil {
		r.Key = fmt.Sprint(in.ID)
	}
	if in.ImageID != nil {
		r.Group = fmt.Sprint(in.ImageID)
	}
	var pictures []record.Part
	for _, name := range texts(in.Image) {
		path := filepath.Join(l.images, name)
		pictures = append(pictures, record.Part{Picture: &record.Picture{Name: path, Open: func() (io.ReadCloser, error) { return os.Open(path) }}})
	}
	if l.format == "llava" {
		return l.conversation(i, r, pictures)
	}
	r.Parts = pictures
	if captions := texts(in.Caption); len(captions) > 0 {
		r.Parts = append(r.Parts, record.Part{Texts: alternatives(captions), Target: true})
	}
	if in.Question != "" {
		r.Parts = append(r.Parts, record.Of(in.Question, record.Question, false),
			record.Part{Texts: alternatives(texts(in.Answer)), Role: record.Answer, Target: true})
	}
	return r, nil
}

func (l *list) conversation(i int, r record.Record, pictures []record.Part) (record.Record, error) {
	used := 0
	for _, turn := range l.rows[i].Conversations {
		role, target := record.Question, false
		if turn.From == "gpt" {
			role, target = record.Answer, true
		}
		pieces := strings.Split(turn.Value, "<image>")
		for k, piece := range pieces {
			if k > 0 {
				if used == len(pictures) {
					return r, r.Bad(i, record.Tags, errors.New("more tags <image> than pictures"))
				}
				r.Parts = append(r.Parts, pictures[used])
				used++
			}
			if piece = strings.Trim(piece, "\n"); piece != "" {
				r.Parts = append(r.Parts, record.Of(piece, role, target))
			}
		}
	}
	if used < len(pictures) {
		return r, r.Bad(i, record.Tags, errors.New("fewer tags <image> than pictures"))
	}
	return r, nil
}

func texts(v any) (all []string) {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		for _, t := range v {
			all = append(all, fmt.Sprint(t))
		}
	}
	return all
}

// alternatives returns distinct texts with their numbers.
func alternatives(all []string) (distinct []record.Text) {
	places := map[string]int{}
	for _, t := range all {
		if _, ok := places[t]; !ok {
			places[t] = len(distinct)
			distinct = append(distinct, record.Text{Text: t})
		}
		distinct[places[t]].Weight++
	}
	return distinct
}
