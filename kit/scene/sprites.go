package scene

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	"image/png"

	"golang.org/x/image/draw"
)

// spriteFiles holds one atlas per style and two indexes, made by tools/kit/sprites.py. Fluent has an
// index of its own, so that index.json, and with it the digest of all older pictures, stays.
//
//go:embed sprites/*.png sprites/index.json sprites/fluent.json
var spriteFiles embed.FS

// square is the place of an object's artwork in its style's atlas.
type square struct {
	Name string
	X, Y int
	Size int
}

// indexFile returns the name of the file with the style's squares.
func (s Style) indexFile() string {
	if s == Fluent {
		return "fluent.json"
	}
	return "index.json"
}

// ArtworkDigest identifies the artwork of the first [StyleCount] styles.
func ArtworkDigest() string {
	return digest("index.json", Noto.String()+".png", Twemoji.String()+".png")
}

// ArtworkDigest identifies the style's own artwork.
func (s Style) ArtworkDigest() string { return digest(s.indexFile(), s.String()+".png") }

// digest returns the SHA-256 of sprite files, one after the other.
func digest(names ...string) string {
	sum := sha256.New()
	for _, name := range names {
		data, err := spriteFiles.ReadFile("sprites/" + name)
		if err != nil {
			panic(err) // the files are embedded
		}
		sum.Write(data)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// loadSprites decodes a style's atlas into premultiplied images, in the order of the objects.
func loadSprites(style Style) ([]*image.RGBA, error) {
	data, err := spriteFiles.ReadFile("sprites/" + style.indexFile())
	if err != nil {
		return nil, err
	}
	var index map[string][]square
	if err := json.Unmarshal(data, &index); err != nil {
		return nil, fmt.Errorf("%s: %w", style.indexFile(), err)
	}
	squares := index[style.String()]
	if len(squares) != ObjectCount {
		return nil, fmt.Errorf("%s: got %d objects, want %d: run tools/kit/build.sh", style.indexFile(), len(squares), ObjectCount)
	}
	data, err = spriteFiles.ReadFile("sprites/" + style.String() + ".png")
	if err != nil {
		return nil, err
	}
	atlas, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("atlas: %w", err)
	}
	sprites := make([]*image.RGBA, ObjectCount)
	for i, s := range squares {
		if want := Object(i).String(); s.Name != want {
			return nil, fmt.Errorf("%s: object %d: got %q, want %q: run tools/kit/build.sh", style.indexFile(), i, s.Name, want)
		}
		sprites[i] = image.NewRGBA(image.Rect(0, 0, s.Size, s.Size))
		draw.Draw(sprites[i], sprites[i].Bounds(), atlas, image.Pt(s.X, s.Y), draw.Src)
	}
	return sprites, nil
}
