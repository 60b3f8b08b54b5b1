package recipes

import "testing"

func TestVisionProblems(t *testing.T) {
	testProblems(t, []problemTest{
		{"image size", "tiny-stage1", []string{"vision.image_size=225"}, []string{"image_size: is 225, want a multiple of the 8 pixels of a patch of tiny-vit"}},
	})
}
