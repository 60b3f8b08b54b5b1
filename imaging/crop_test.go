package imaging_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"image"
	"os"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/imaging"
)

// recorded gives the numbers that torchvision drew.
type recorded struct {
	t       *testing.T
	numbers []float64
}

func (r *recorded) next() float64 {
	if len(r.numbers) == 0 {
		r.t.Fatal("more numbers are drawn than torchvision drew")
	}
	v := r.numbers[0]
	r.numbers = r.numbers[1:]
	return v
}

func (r *recorded) Uniform(low, high float64) float64 {
	v := r.next()
	if v < low-1e-6 || v > high+1e-6 {
		r.t.Errorf("torchvision drew %v, which is not from %v to %v", v, low, high)
	}
	return v
}

func (r *recorded) IntN(n int) int {
	v := int(r.next())
	if v >= n {
		r.t.Errorf("torchvision drew %d, which is not below %d", v, n)
	}
	return v
}

// gradient is the picture of tools/reference/crops.py.
func gradient(w, h int) *imaging.RGB {
	img := &imaging.RGB{Pix: make([]uint8, 3*w*h), Width: w, Height: h}
	for y := range h {
		for x := range w {
			copy(img.Pix[3*(y*w+x):], []uint8{uint8(x * 7), uint8(y * 5), uint8(x*x + 3*y)})
		}
	}
	return img
}

// The part, the flip and the pixels are torchvision's, given the numbers that it drew.
func TestCropsAreTorchvisions(t *testing.T) {
	text, err := os.ReadFile("testdata/crops.json")
	if err != nil {
		t.Fatal(err)
	}
	var reference struct {
		Side  int
		Cases []struct {
			Width, Height, Top, Left int
			Scale                    [2]float64
			Drawn                    []float64
			CropHeight               int `json:"crop_height"`
			CropWidth                int `json:"crop_width"`
			Flipped                  bool
			SHA256                   string
		}
	}
	if err := json.Unmarshal(text, &reference); err != nil {
		t.Fatal(err)
	}
	spec := adapters.ImageSpec{Width: reference.Side, Height: reference.Side, Resample: adapters.Bicubic}
	for i, c := range reference.Cases {
		crop := imaging.BLIP2Crop()
		crop.Scale = c.Scale
		draws := &recorded{t, c.Drawn}
		part, flip := crop.Choose(draws, c.Width, c.Height)
		if want := image.Rect(c.Left, c.Top, c.Left+c.CropWidth, c.Top+c.CropHeight); part != want || flip != c.Flipped || len(draws.numbers) > 0 {
			t.Errorf("case %d, %d by %d: %v, flipped %v, %d numbers left; want %v, %v, 0", i, c.Width, c.Height, part, flip, len(draws.numbers), want, c.Flipped)
			continue
		}
		pixels, err := imaging.Crop(gradient(c.Width, c.Height), part, flip, spec)
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(pixels); hex.EncodeToString(sum[:]) != c.SHA256 {
			t.Errorf("case %d, %v of %d by %d, flipped %v: other pixels than torchvision's", i, part, c.Width, c.Height, flip)
		}
	}
	if len(reference.Cases) < 90 {
		t.Errorf("%d cases, want at least 90", len(reference.Cases))
	}
}

func TestCropRefusesPartsOutside(t *testing.T) {
	spec := adapters.ImageSpec{Width: 4, Height: 4, Resample: adapters.Bicubic}
	for _, part := range []image.Rectangle{{}, image.Rect(0, 0, 3, 2), image.Rect(-1, 0, 1, 2)} {
		if _, err := imaging.Crop(gradient(2, 2), part, false, spec); adapters.KindOf(err) != adapters.Invalid {
			t.Errorf("%v of 2 by 2: %v, want an error of kind invalid", part, err)
		}
	}
}
