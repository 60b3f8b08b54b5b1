// Package lmtest owns the tests that every language-model family runs on its golden folders
// and on its checkpoints. It gets a family's Open function and must not know the family.
package lmtest

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/golden"
	"github.com/modular-bridging/bridge/golden/goldentest"
	"github.com/modular-bridging/bridge/internal/backends"
)

// OpenFunc opens a model, as adapters.Family has it.
type OpenFunc func(ctx context.Context, req *adapters.LoadRequest) (adapters.LanguageModel, error)

// Golden runs every golden folder in testdata as it is, and then each of its
// examples alone: padding and company change nothing.
func Golden(t *testing.T, open OpenFunc) {
	dirs, err := golden.Dirs("testdata")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("golden folders in testdata: %v, %v", dirs, err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			folder, err := golden.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			model := Open(t, open, folder.Checkpoint())
			goldentest.Run(t, folder, golden.Language(model))
			t.Run("alone", func(t *testing.T) {
				if testing.Short() {
					t.Skip("left out by -short: on XLA every example alone compiles graphs of its own")
				}
				goldentest.Run(t, folder, alone{model})
			})
		})
	}
}

// Open opens a checkpoint in float32 on the tests' backend and closes it after
// the test.
func Open(t testing.TB, open OpenFunc, checkpoint string) adapters.LanguageModel {
	t.Helper()
	model, err := open(t.Context(), &adapters.LoadRequest{Checkpoint: checkpoint, Backend: backends.TestName(), DType: adapters.Float32})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := model.Close(); err != nil {
			t.Error(err)
		}
	})
	return model
}

// alone runs the examples of a case one by one.
type alone struct{ model adapters.LanguageModel }

func (a alone) RunCase(ctx context.Context, c *golden.Case) (golden.Outputs, error) {
	all := golden.Outputs{Tensors: map[string]*adapters.Tensor{}}
	for i := range c.Examples {
		one := *c
		one.Examples = c.Examples[i : i+1]
		if c.Candidates != nil {
			one.Candidates = c.Candidates[i : i+1]
		}
		out, err := golden.Language(a.model).RunCase(ctx, &one)
		if err != nil {
			return all, err
		}
		all.Texts = append(all.Texts, out.Texts...)
		for name, t := range out.Tensors {
			all.Tensors[name] = merge(name, all.Tensors[name], t)
		}
	}
	return all, nil
}

// merge adds gradients and joins everything else along the first axis.
func merge(name string, sum, t *adapters.Tensor) *adapters.Tensor {
	switch {
	case sum == nil:
		return t
	case name == "gradient":
		for i, x := range t.Float32s() {
			sum.Float32s()[i] += x
		}
	default:
		sum.Shape[0] += t.Shape[0]
		sum.Data = append(sum.Data, t.Data...)
	}
	return sum
}
