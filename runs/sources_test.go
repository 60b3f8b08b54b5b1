package runs

import (
	"testing"

	"github.com/modular-bridging/bridge/data/formats"
)

func TestSourcesAreNamedByTheirFirstFile(t *testing.T) {
	for want, files := range map[string][]string{
		"a.json":                    {"d/a.json"},
		"{00000..01743}.tar":        {"shards/{00000..01743}.tar"},
		"{a/x,b/y}.tar":             {"shards/{a/x,b/y}.tar"},
		"questions.json and 1 more": {"d/questions.json::d/answers.json"},
		"{0..3}.tar and 2 more":     {"d/{0..3}.tar::e/{0..9}.tar", "f.tar"},
		"dataset_coco.json#train":   {"d/dataset_coco.json#train"},
	} {
		if got := sourceName(formats.Source{Files: files}); got != want {
			t.Errorf("%q is named %q, want %q", files, got, want)
		}
	}
}
