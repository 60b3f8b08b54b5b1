package imaging

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/modular-bridging/bridge/internal/testenv"
)

// Damaged files of every codec give an error or some pixels, and never a panic.
func TestDamagedFiles(t *testing.T) {
	table := readPixels(t)
	rounds := 1
	if testenv.Long() {
		rounds = 40
	}
	random := rand.New(rand.NewPCG(14, 1))
	for _, e := range table.Pictures {
		for range rounds {
			data := bytes.Clone(table.files[e.Name])
			for range 1 + random.IntN(4) {
				at := random.IntN(len(data))
				if random.IntN(3) > 0 { // mostly the head
					at = random.IntN(min(len(data), 200))
				}
				data[at] = uint8(random.IntN(256))
			}
			if random.IntN(4) == 0 {
				data = data[:random.IntN(len(data))]
			}
			decodeDamaged(t, e.Name, data)
		}
	}
}

func decodeDamaged(t *testing.T, name string, data []byte) {
	defer func() {
		if problem := recover(); problem != nil {
			t.Errorf("%s: %v\n%q", name, problem, data)
		}
	}()
	const pixels = 1 << 22 // a damaged size may be large
	if c, err := DecodeConfig(bytes.NewReader(data)); err == nil && c.Width*c.Height > pixels {
		return
	}
	img, err := Decode(bytes.NewReader(data), ByExif)
	if err == nil && len(img.Pix) != 3*img.Width*img.Height {
		t.Errorf("%s: %d by %d pixels in %d bytes", name, img.Width, img.Height, len(img.Pix))
	}
}
