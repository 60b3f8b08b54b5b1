package score

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/jsonfile"
)

// read returns the content of a file. A file that begins as gzip does is decompressed, whatever
// its name.
func read(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, adapters.Errorf(adapters.NotFound, "there is no file %s", path).WithRemedy("check the path")
	case err != nil:
		return nil, adapters.Errorf(adapters.Unknown, "%s cannot be read: %w", path, err)
	}
	if bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err == nil {
			data, err = io.ReadAll(z)
		}
		if err != nil {
			return nil, adapters.Errorf(adapters.Corrupt, "%s is damaged: %w", path, err).WithRemedy("download or copy the file again")
		}
	}
	return bytes.TrimPrefix(data, []byte("\ufeff")), nil
}

// decode reads a JSON file into v.
func decode(path string, v any) error {
	data, err := read(path)
	if err != nil {
		return err
	}
	return jsonfile.Decode(path, data, v)
}

// decodeList reads a file with a JSON list of entries, or with one entry a line.
func decodeList[T any](path, want string) ([]T, error) {
	data, err := read(path)
	if err != nil {
		return nil, err
	}
	head := bytes.TrimLeft(data, " \t\r\n")
	switch {
	case len(head) == 0:
		return nil, adapters.Errorf(adapters.Corrupt, "%s is empty, want %s", path, want)
	case head[0] == '[':
		return decodeEntries[T](path, head, want)
	case head[0] == '{':
		return decodeLines[T](path, data, want)
	}
	return nil, adapters.Errorf(adapters.Corrupt, "%s begins with %q, want %s", path, head[0], want)
}

// decodeEntries decodes a list. An error names the entry.
func decodeEntries[T any](path string, data []byte, want string) ([]T, error) {
	var entries []T
	if err := json.Unmarshal(data, &entries); err == nil {
		return entries, nil
	} else if !json.Valid(data) {
		return nil, jsonfile.Decode(path, data, &entries)
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, jsonfile.Decode(path, data, &raw)
	}
	for i, text := range raw {
		var entry T
		if err := json.Unmarshal(text, &entry); err != nil {
			return nil, adapters.Errorf(adapters.Corrupt, "%s: entry %d: %w", path, i, jsonfile.Explain("", text, err)).WithRemedy("want %s", want)
		}
	}
	return nil, adapters.Errorf(adapters.Corrupt, "%s: want %s", path, want)
}

// decodeLines decodes JSON lines. An error names the line, from 1.
func decodeLines[T any](path string, data []byte, want string) ([]T, error) {
	var entries []T
	for i, line := range bytes.Split(data, []byte("\n")) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var entry T
		if err := json.Unmarshal(line, &entry); err != nil {
			return nil, adapters.Errorf(adapters.Corrupt, "%s: line %d: %w", path, i+1, jsonfile.Explain("", line, err)).WithRemedy("want %s", want)
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

// id is the id of a question or a picture: a whole number or a text of JSON. A text keeps its
// quotation marks, so that 1 and "1" differ, as they do for the official scorers.
type id string

// UnmarshalJSON implements [json.Unmarshaler].
func (i *id) UnmarshalJSON(text []byte) error {
	switch {
	case text[0] == '"':
		var s string
		if err := json.Unmarshal(text, &s); err != nil {
			return err
		}
		*i = textID(s)
	case bytes.ContainsAny(text, ".eE{[ntf"):
		return fmt.Errorf("an id is %s, want a whole number or a text", text)
	default:
		*i = id(text)
	}
	return nil
}

// textID returns the id that is a text.
func textID(s string) id { return id(`"` + s + `"`) }

// String returns the id as people write it.
func (i id) String() string { return strings.Trim(string(i), `"`) }
