// Package document makes parts of records of interleaved documents: those of MMC4 and OBELICS.
package document

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/internal/jsonvalue"
	"github.com/modular-bridging/bridge/data/internal/parts"
	"github.com/modular-bridging/bridge/data/record"
)

// IsMMC4 reports whether an object is a document of MMC4.
func IsMMC4(o jsonvalue.Object) bool {
	_, texts := o["text_list"]
	_, pictures := o["image_info"]
	return texts && pictures
}

// Resolve returns the picture that an item of image_info describes; nil if it describes none.
type Resolve func(info jsonvalue.Object) (*record.Picture, error)

// Embedded returns the picture in an item: image_base64, as OpenFlamingo packs it.
func Embedded(info jsonvalue.Object) (*record.Picture, error) {
	text, err := jsonvalue.Text(info, "image_base64")
	if err != nil || text == "" {
		return nil, err
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf(`"image_base64": %w`, err)
	}
	name, _ := jsonvalue.Text(info, "image_name")
	return &record.Picture{Name: name, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data)), nil
	}}, nil
}

// In returns a Resolve for the pictures in a document or, if they are not there, in a folder.
func In(folder parts.Folder) Resolve {
	return func(info jsonvalue.Object) (*record.Picture, error) {
		if p, err := Embedded(info); p != nil || err != nil {
			return p, err
		}
		name, err := jsonvalue.Text(info, "image_name")
		if err != nil || name == "" || folder == "" {
			return nil, err
		}
		return folder.Picture(name)
	}
}

// FromMMC4 returns the parts of a document: its sentences in their order, each a target, and each
// picture before the sentence that it is matched to (matched_text_index).
func FromMMC4(o jsonvalue.Object, resolve Resolve) ([]record.Part, error) {
	sentences, err := jsonvalue.Texts(o, "text_list")
	if err != nil {
		return nil, err
	}
	infos, ok := o["image_info"].([]any)
	if !ok {
		return nil, fmt.Errorf(`"image_info" is %s, want a list of objects`, jsonvalue.Describe(o["image_info"]))
	}
	before := make([][]record.Part, len(sentences))
	for i, v := range infos {
		info, ok := v.(jsonvalue.Object)
		if !ok {
			return nil, fmt.Errorf(`item %d of "image_info" is %s, want an object`, i, jsonvalue.Describe(v))
		}
		at, err := matched(info, len(sentences))
		if err != nil {
			return nil, fmt.Errorf(`item %d of "image_info": %w`, i, err)
		}
		p, err := resolve(info)
		if err == nil && p == nil {
			err = errOnlyAddress()
		}
		if err != nil {
			return nil, fmt.Errorf(`item %d of "image_info": %w`, i, err)
		}
		before[at] = append(before[at], parts.Picture(p))
	}
	var all []record.Part
	for i, s := range sentences {
		all = append(all, before[i]...)
		if strings.TrimSpace(s) != "" {
			all = append(all, record.Of(s, record.Plain, true))
		}
	}
	return all, nil
}

// matched returns the number of the sentence that a picture belongs to.
func matched(info jsonvalue.Object, sentences int) (int, error) {
	n, ok := info["matched_text_index"].(json.Number)
	if !ok {
		return 0, fmt.Errorf(`"matched_text_index" is %s, want the number of a sentence`, jsonvalue.Describe(info["matched_text_index"]))
	}
	at, err := strconv.Atoi(n.String())
	if err != nil || at < 0 || at >= sentences {
		return 0, fmt.Errorf(`"matched_text_index" is %s, want the number of one of %d sentences, from 0`, n, sentences)
	}
	return at, nil
}

// errOnlyAddress refuses a document that names the addresses of its pictures alone.
func errOnlyAddress() error {
	return parts.Because(record.MissingPicture, "%w", adapters.Errorf(adapters.Unsupported, "the document has the picture's address, and not the picture").
		WithRemedy("download the pictures with img2dataset, and give their folder as images; or pack them into the documents as OpenFlamingo does (image_base64)"))
}
