package document

import (
	"fmt"
	"strings"

	"github.com/modular-bridging/bridge/data/internal/jsonvalue"
	"github.com/modular-bridging/bridge/data/internal/parts"
	"github.com/modular-bridging/bridge/data/record"
)

// IsObelics reports whether an object is a document of OBELICS.
func IsObelics(o jsonvalue.Object) bool {
	texts, ok := o["texts"].([]any)
	pictures, also := o["images"].([]any)
	return ok && also && len(texts) == len(pictures)
}

// FromObelics returns the parts of a document. texts and pictures have one item for each place,
// and exactly one of the two is given there. Each text is a target.
func FromObelics(texts []*string, pictures []*record.Picture) ([]record.Part, error) {
	if len(texts) != len(pictures) {
		return nil, fmt.Errorf(`"texts" has %d places and "images" %d, want equal numbers`, len(texts), len(pictures))
	}
	var all []record.Part
	for i, text := range texts {
		switch {
		case text != nil && pictures[i] != nil:
			return nil, fmt.Errorf("place %d has both a text and a picture, want one", i)
		case text == nil && pictures[i] == nil:
			return nil, fmt.Errorf("place %d has neither a text nor a picture, want one", i)
		case pictures[i] != nil:
			all = append(all, parts.Picture(pictures[i]))
		case strings.TrimSpace(*text) != "":
			all = append(all, record.Of(*text, record.Plain, true))
		}
	}
	return all, nil
}

// FromObelicsObject reads a document of JSON lines.
func FromObelicsObject(o jsonvalue.Object, folder parts.Folder) ([]record.Part, error) {
	list, _ := o["texts"].([]any)
	names, _ := o["images"].([]any)
	texts, pictures := make([]*string, len(list)), make([]*record.Picture, len(names))
	for i, v := range list {
		text, ok := v.(string)
		if !ok && v != nil {
			return nil, fmt.Errorf(`item %d of "texts" is %s, want a text or null`, i, jsonvalue.Describe(v))
		}
		if ok {
			texts[i] = &text
		}
	}
	for i, v := range names {
		name, ok := v.(string)
		if !ok && v != nil {
			return nil, fmt.Errorf(`item %d of "images" is %s, want the name of a file or null`, i, jsonvalue.Describe(v))
		}
		if !ok {
			continue
		}
		p, err := folder.Picture(name)
		if err != nil {
			return nil, fmt.Errorf(`item %d of "images": %w`, i, err)
		}
		pictures[i] = p
	}
	return FromObelics(texts, pictures)
}
