package tasks

import (
	_ "embed" // models.toml
	"slices"
	"sync"

	"github.com/modular-bridging/bridge/internal/stricttoml"
)

// Published is a model whose figures are in papers. It is recognised by its frozen models.
type Published struct {
	ID    string `toml:"id"`
	Title string `toml:"title"`
	// The families and widths of the frozen models identify the model. LanguageFamily is empty for a
	// model of stage 1.
	VisionFamily   string `toml:"vision_family"`
	VisionWidth    int    `toml:"vision_width"`
	LanguageFamily string `toml:"language_family"`
	LanguageWidth  int    `toml:"language_width"`
	// PictureSize is the width of pictures in pixels.
	PictureSize int `toml:"picture_size"`
}

//go:embed published/models.toml
var publishedText []byte

// published reads the table of models, once.
var published = sync.OnceValue(func() []Published {
	var table struct {
		Models []Published `toml:"model"`
	}
	doc, err := stricttoml.Parse("models.toml", publishedText)
	if err == nil {
		doc.Decode(&table)
		err = doc.Err()
	}
	if err != nil {
		panic("tasks: " + err.Error())
	}
	return table.Models
})

// PublishedModels returns the models whose figures tasks may have.
func PublishedModels() []Published { return slices.Clone(published()) }

// PublishedModel returns a model by its id.
func PublishedModel(id string) (Published, bool) {
	i := slices.IndexFunc(published(), func(p Published) bool { return p.ID == id })
	if i < 0 {
		return Published{}, false
	}
	return published()[i], true
}

func publishedIDs() []string {
	ids := make([]string, len(published()))
	for i, p := range published() {
		ids[i] = p.ID
	}
	return ids
}
