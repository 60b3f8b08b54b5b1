package runs

import (
	"os"
	"strings"
	"unicode/utf8"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/train"
)

// words returns the words that the run's projection speaks in: those of the starting bridge, or
// a new list.
func (res *resources) words(r *recipes.Resolved, from *bridge.Bridge) (words bridge.Words, err error) {
	p := r.Projection
	words.Residual = p.Kind == recipes.ProjectionWords && r.HasResidual()
	switch {
	case from.Info.Words != nil:
		words.List = from.Info.Words
	case p.List != "":
		words.List, err = readWords(p.List, p.MaxWords())
	default:
		words.List = train.FrequentWords(res.train.Data, p.MaxWords())
		if len(words.List) < 2 {
			err = adapters.Errorf(adapters.Invalid, "the captions and answers of %s have %d words, and a projection needs at least 2",
				res.train.Data.Name(), len(words.List)).WithRemedy("name a list of words with projection.list")
		}
	}
	return words, err
}

// readWords reads at most n words from a file with a word on each line, without repetitions.
func readWords(file string, n int) ([]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "projection.list cannot be read: %w", err)
	}
	if !utf8.Valid(text) {
		return nil, adapters.Errorf(adapters.Invalid, "projection.list: %s is not UTF-8 text", file)
	}
	var words []string
	seen := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if w := strings.TrimSpace(line); w != "" && !seen[w] && len(words) < n {
			words, seen[w] = append(words, w), true
		}
	}
	if len(words) < 2 {
		return nil, adapters.Errorf(adapters.Invalid, "projection.list: %s has %d words, want at least 2, one on each line", file, len(words))
	}
	return words, nil
}
