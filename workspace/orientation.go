package workspace

import (
	"path/filepath"

	"github.com/modular-bridging/bridge/imaging"
	"github.com/modular-bridging/bridge/internal/stricttoml"
	"github.com/modular-bridging/bridge/recipes"
)

// trainedOrientation returns how the pictures of a bridge's training were turned. dir is the
// bridge's folder. A run that recorded nothing ignored the orientation. A folder outside any
// run has pictures turned by Exif, as transformers turns them.
func trainedOrientation(dir string) (imaging.Orientation, error) {
	run, l, err := runOf(dir)
	if err != nil || l.Vision.ID == "" {
		return imaging.ByExif, err
	}
	doc, err := stricttoml.Read(filepath.Join(run, recipes.RunFile))
	if err != nil {
		return "", err
	}
	value, ok := doc.Value(recipes.OrientationKey)
	if !ok {
		return imaging.AsStored, nil
	}
	text, _ := value.(string)
	o := imaging.Orientation(text)
	return o, o.Check()
}
