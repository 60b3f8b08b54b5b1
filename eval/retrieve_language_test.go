package eval

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/eval/metrics"
)

// storedParts keeps up to most parts.
type storedParts struct {
	parts map[string][]byte
	most  int
}

var errStored = errors.New("no room")

func (s *storedParts) Load(name string) ([]byte, error) { return s.parts[name], nil }

func (s *storedParts) Save(name string, data []byte) error {
	if len(s.parts) == s.most {
		return errStored
	}
	s.parts[name] = slices.Clone(data)
	return nil
}

// alone returns the loss in nats of a caption after "a", with a soft prompt or, if it is nil, without.
func alone(t *testing.T, m *bridge.Model, prompt *adapters.Tensor, caption string) float64 {
	t.Helper()
	e := m.Info.Templates.PrefixExample(0, "a", caption)
	req := &adapters.LossRequest{Prompts: prompt, Examples: []adapters.Example{e}}
	if prompt == nil {
		req.Examples[0] = bridge.WithoutPicture(e)
	}
	resp, err := m.Language.Loss(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return float64(resp.Loss[0])
}

// Pairs are ranked by the gain of each, which is computed here one by one.
func TestRetrieveByLanguage(t *testing.T) {
	const n = 11 // pictures, more than a piece has
	m, features := gauge(t, n)
	g := Gallery{Pictures: n, Features: func(_ context.Context, rows []int) (*adapters.Tensor, error) { return features.Gather(rows), nil }}
	var own [][]int
	for i := range n {
		g.Captions = append(g.Captions, string(rune('b'+i)), string(rune('B'+i%5))) // the second ones are not all distinct
		g.Picture = append(g.Picture, i, i)
		own = append(own, []int{2 * i, 2*i + 1})
	}
	soft, err := m.SoftPrompts(t.Context(), features)
	if err != nil {
		t.Fatal(err)
	}
	gains := make([][]float32, n)
	for i := range gains {
		for _, caption := range g.Captions {
			gains[i] = append(gains[i], float32(alone(t, m, nil, caption)-alone(t, m, soft.Slice(i, i+1), caption)))
		}
	}
	var single [][]int
	for _, picture := range g.Picture {
		single = append(single, []int{picture})
	}
	got, err := RetrieveByLanguage(t.Context(), m, g, "a", RetrievalOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if want := metrics.Ranks(gains, own); !slices.Equal(got.Text.Ranks, want) || slices.Max(want) == 0 {
		t.Errorf("ranks of captions %v, want %v", got.Text.Ranks, want)
	}
	if want := metrics.Ranks(metrics.Transposed(gains), single); !slices.Equal(got.Image.Ranks, want) || slices.Max(want) == 0 {
		t.Errorf("ranks of pictures %v, want %v", got.Image.Ranks, want)
	}
	// A measurement that is interrupted continues with the next part.
	store := &storedParts{parts: map[string][]byte{}, most: 1}
	o := RetrievalOptions{Pieces: store}
	if _, err := RetrieveByLanguage(t.Context(), m, g, "a", o); !errors.Is(err, errStored) {
		t.Fatalf("got %v, want the error of the store", err)
	}
	store.most = 2
	first := maps.Clone(store.parts)
	again, err := RetrieveByLanguage(t.Context(), m, g, "a", o)
	if err != nil || fmt.Sprint(again) != fmt.Sprint(got) || len(store.parts) != 2 {
		t.Errorf("continued: %v, %d parts, %+v, want %+v", err, len(store.parts), again, got)
	}
	for name, data := range first {
		if !slices.Equal(store.parts[name], data) {
			t.Errorf("the part %s was computed again", name)
		}
	}
}

func TestRetrieveByLanguageRefusesLargeSets(t *testing.T) {
	m, _ := gauge(t, 2)
	g := Gallery{Pictures: 1001}
	for i := range g.Pictures {
		g.Captions, g.Picture = append(g.Captions, fmt.Sprint(i)), append(g.Picture, i)
	}
	if _, err := RetrieveByLanguage(t.Context(), m, g, "a", RetrievalOptions{}); adapters.KindOf(err) != adapters.Unsupported || !strings.Contains(err.Error(), "takes 1002001 passes") {
		t.Errorf("got %v", err)
	}
}
