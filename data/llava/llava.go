// Package llava reads LLaVA's JSON: a list, or JSON lines, of conversations about pictures.
//
//	[{"id": "1", "image": "coco/1.jpg", "conversations": [
//	    {"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "A dog."}]}, …]
//
// "image" may be missing (text alone), a file name, or a list of them. Each <image> in the texts
// stands for a picture, in their order. Every answer is a target.
package llava

import (
	"fmt"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/internal/conversation"
	"github.com/modular-bridging/bridge/data/internal/jsonvalue"
	"github.com/modular-bridging/bridge/data/internal/parts"
	"github.com/modular-bridging/bridge/data/internal/rowreader"
	"github.com/modular-bridging/bridge/data/record"
)

// Format is the name of the format in a recipe.
const Format = "llava"

// Open opens files of conversations. images is the folder of their pictures.
func Open(paths []string, images string) (record.Reader, error) {
	files, err := rowreader.OpenAll(paths)
	if err != nil {
		return nil, err
	}
	var sources []rowreader.Source
	for _, f := range files {
		if !f.List && len(f.Members) > 0 && f.Member("conversations") == nil {
			rowreader.CloseAll(files)
			return nil, adapters.Errorf(adapters.Invalid, "%s holds one object without conversations, want a list of objects, or one a line", f.Path).
				WithRemedy(`write [{"id": …, "image": …, "conversations": […]}, …]`)
		}
		sources = append(sources, rowreader.Source{File: f, Rows: f.Rows})
	}
	return rowreader.New(Format, sources, func(data []byte, at rowreader.At) (record.Record, error) {
		o, err := jsonvalue.ParseObject(data)
		if err != nil {
			return record.Record{}, fmt.Errorf("%s %w", at.Name("the row"), err)
		}
		return conversation.FromObject(o, parts.Folder(images))
	})
}
