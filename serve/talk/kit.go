package talk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image/png"
	"io/fs"
	"sync"

	"github.com/modular-bridging/bridge/kit"
)

// shown are the pictures of the kit's held-out split that the page offers: pairs, counts and all colors
// of the background.
var shown = []int{17, 1, 3, 11, 13, 22, 28, 33, 41, 0}

// maxQuestions is the number of questions that the page suggests about a picture.
const maxQuestions = 3

// pictures draws the kit's pictures when they are first asked for.
type pictures struct {
	once  sync.Once
	files map[string]file // by what follows /talk/kit in their paths
	err   error
}

// find returns the list of the pictures (".json") or a picture ("/17.png"), or fs.ErrNotExist.
func (p *pictures) find(name string) (file, error) {
	p.once.Do(func() { p.files, p.err = drawPictures() })
	if p.err != nil {
		return file{}, p.err
	}
	if f, ok := p.files[name]; ok {
		return f, nil
	}
	return file{}, fs.ErrNotExist
}

// listed describes a picture in the list that the page reads.
type listed struct {
	ID        string   `json:"id"`   // as the command line names it: kit:held-out/17
	Path      string   `json:"path"` // relative to the page
	Caption   string   `json:"caption"`
	Questions []string `json:"questions"`
}

func drawPictures() (map[string]file, error) {
	data, err := kit.Open(kit.HeldOut)
	if err != nil {
		return nil, fmt.Errorf("talk: %w", err)
	}
	files := map[string]file{}
	list := struct {
		Pictures []listed `json:"pictures"`
	}{}
	for _, i := range shown {
		var content bytes.Buffer
		if err := png.Encode(&content, data.Picture(i).Image()); err != nil {
			return nil, fmt.Errorf("talk: picture %d of the kit: %w", i, err)
		}
		name := fmt.Sprintf("/%d.png", i)
		files[name] = newFile(name, content.Bytes())
		example := data.Example(i)
		about := listed{ID: fmt.Sprintf("kit:%s/%d", kit.HeldOut, i), Path: "talk/kit" + name, Caption: example.Caption}
		for _, q := range example.Questions[:min(maxQuestions, len(example.Questions))] {
			about.Questions = append(about.Questions, q.Question)
		}
		list.Pictures = append(list.Pictures, about)
	}
	content, err := json.Marshal(list)
	if err != nil {
		return nil, fmt.Errorf("talk: list of the kit's pictures: %w", err)
	}
	files[".json"] = newFile("kit.json", content)
	return files, nil
}
