package qformer

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"

	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/internal/layers"
)

// Init gives params fresh values in the store, replacing variables that are
// there already: N(0, InitStd) for matrices, embeddings and query tokens, zero
// biases, unit norms. The queries' feed-forward blocks get the values of the
// text's (blip2_qformer.py copies them). A weight's value depends on the seed
// and on its name alone: not on the backend, nor on what else is initialised.
func Init(store *model.Store, cfg Config, params []Param, seed uint64) error {
	for _, p := range params {
		value := tensors.FromFlatDataAndDimensions(cfg.fresh(p, seed), p.Shape...)
		path := layers.VariablePath(p.Name)
		if v := store.GetVariable(path); v != nil {
			if err := v.SetValue(value); err != nil {
				return fmt.Errorf("initialise %s: %w", p.Name, err)
			}
			continue
		}
		if _, err := store.CreateVariable(path, value); err != nil {
			return fmt.Errorf("initialise %s: %w", p.Name, err)
		}
	}
	return nil
}

// fresh returns the elements that p starts with.
func (c Config) fresh(p Param, seed uint64) []float32 {
	values := make([]float32, p.Size())
	switch p.fill {
	case ones:
		setAll(values, 1)
	case temperature:
		setAll(values, float32(c.InitTemp))
	case normal:
		h := fnv.New64a()
		h.Write([]byte(strings.ReplaceAll(p.Name, querySuffix+".", ".")))
		rng := rand.New(rand.NewPCG(seed, h.Sum64()))
		for i := range values {
			values[i] = float32(rng.NormFloat64() * c.InitStd)
		}
	}
	return values
}

func setAll(values []float32, v float32) {
	for i := range values {
		values[i] = v
	}
}
