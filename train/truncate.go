package train

import (
	"context"
	"sort"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

// truncate cuts a text that has more tokens than the plan allows, the end of the
// answer counted, after the last word that fits (LAVIS cuts after the last token). If
// the language model cannot count tokens, truncate returns the whole text.
func (s *Session) truncate(ctx context.Context, text string) (string, error) {
	limit := s.Plan.MaxTextTokens - 1
	counter, ok := adapters.AsTokenCounter(s.Language)
	if limit < 1 || !ok || len(text) < limit { // no token is shorter than a byte
		return text, nil
	}
	if cut, ok := s.truncated[text]; ok {
		return cut, nil
	}
	words := strings.SplitAfter(text, " ")
	heads := make([]string, len(words))
	for i := range words {
		heads[i] = strings.TrimSpace(strings.Join(words[:i+1], ""))
	}
	counts, err := counter.CountTokens(ctx, heads)
	if err != nil {
		return "", err
	}
	cut := text
	if n := sort.Search(len(counts), func(i int) bool { return int(counts[i]) > limit }); n < len(heads) {
		cut = heads[max(0, n-1)]
	}
	if s.truncated == nil {
		s.truncated = map[string]string{}
	}
	s.truncated[text] = cut
	return cut, nil
}
