package kit

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"os"
	"path/filepath"

	"github.com/modular-bridging/bridge/kit/scene"
)

// CaptionAnnotation is an entry of the captions file that Export writes, as LAVIS has it.
type CaptionAnnotation struct {
	Image   string `json:"image"` // relative to the image folder
	Caption string `json:"caption"`
	ImageID int32  `json:"image_id"`
}

// QuestionAnnotation is an entry of the questions file that Export writes, as LAVIS has it.
type QuestionAnnotation struct {
	Image    string             `json:"image"` // relative to the image folder
	Question string             `json:"question"`
	Answer   string             `json:"answer"`
	Kind     scene.QuestionKind `json:"kind"`
	ImageID  int32              `json:"image_id"`
}

// Export writes the first n examples of a split (all of them if n is 0) as files: PNG pictures in
// dir/images, captions in dir/captions.json, questions in dir/questions.json.
func Export(dir string, split Split, n int) error {
	data, err := Open(split)
	if err != nil {
		return err
	}
	if n < 0 || n > data.Len() {
		return fmt.Errorf("kit: export of %s: got n = %d, want 0 to %d", split, n, data.Len())
	}
	if n == 0 {
		n = data.Len()
	}
	images := filepath.Join(dir, "images")
	if err := os.MkdirAll(images, 0o755); err != nil {
		return fmt.Errorf("kit: export: %w", err)
	}
	captions, questions := []CaptionAnnotation{}, []QuestionAnnotation{}
	for i := range n {
		e := data.Example(i)
		name := e.ID + ".png"
		if err := writePNG(filepath.Join(images, name), data.Picture(i)); err != nil {
			return fmt.Errorf("kit: export: %w", err)
		}
		captions = append(captions, CaptionAnnotation{name, e.Caption, e.ImageID})
		for _, qa := range e.Questions {
			questions = append(questions, QuestionAnnotation{name, qa.Question, qa.Answer, qa.Kind, e.ImageID})
		}
	}
	if err := writeJSON(filepath.Join(dir, "captions.json"), captions); err != nil {
		return fmt.Errorf("kit: export: %w", err)
	}
	if err := writeJSON(filepath.Join(dir, "questions.json"), questions); err != nil {
		return fmt.Errorf("kit: export: %w", err)
	}
	return nil
}

func writePNG(name string, picture scene.Picture) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriter(f)
	return errors.Join(png.Encode(buffered, picture.Image()), buffered.Flush(), f.Close())
}

func writeJSON(name string, value any) error {
	data, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(data, '\n'), 0o644)
}
