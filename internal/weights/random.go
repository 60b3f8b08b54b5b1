package weights

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/adapters"
)

// randomFile stands in a checkpoint folder in place of weights.
const randomFile = "random_weights.json"

// Random describes weights that [Folder.Load] draws on the device. A folder with config.json and
// random_weights.json, but without weights, has the size and the speed of the real model, and its
// answers mean nothing. It serves measurements on machines that have no checkpoints.
type Random struct {
	Seed int64   `json:"seed"`
	Std  float64 `json:"std"` // standard deviation of matrices and tables
}

// readRandom reads random_weights.json. It returns false if the folder has none.
func (f *Folder) readRandom() (bool, error) {
	r := &Random{Std: 0.02}
	there, err := f.DecodeFile(randomFile, r)
	if err != nil || !there {
		return false, err
	}
	if err := f.checkRandomKeys(); err != nil {
		return false, err
	}
	if r.Std <= 0 || math.IsInf(r.Std, 0) {
		return false, adapters.Errorf(adapters.Corrupt, "%s: std is %v, want a finite number above 0", f.Path(randomFile), r.Std).
			WithRemedy("correct the file, or leave std out for 0.02")
	}
	f.random = r
	return true, nil
}

// checkRandomKeys returns an error for a key of random_weights.json that [Random] does not have.
func (f *Folder) checkRandomKeys() error {
	var keys map[string]json.RawMessage
	if _, err := f.DecodeFile(randomFile, &keys); err != nil {
		return err
	}
	known := []string{"seed", "std"}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if !slices.Contains(known, key) {
			return adapters.Errorf(adapters.Corrupt, "%s: unknown key %q, want %s", f.Path(randomFile), key, strings.Join(known, " or ")).
				WithRemedy("correct the file")
		}
	}
	return nil
}

// checkNoWeights returns an error for a folder that has both weights and random_weights.json.
func (f *Folder) checkNoWeights() error {
	for _, name := range []string{weightsFile, indexFile} {
		if exists(f.Path(name)) {
			return adapters.Errorf(adapters.Corrupt, "%s has both %s and %s", f.dir, name, randomFile).
				WithRemedy("remove %s to read the weights", randomFile)
		}
	}
	return nil
}

// matchRandom returns a match without data for every tensor that the model must have.
func matchRandom(specs []TensorSpec) []tensorMatch {
	var matched []tensorMatch
	for _, s := range specs {
		if !s.Optional {
			matched = append(matched, tensorMatch{s, View{Shape: s.Shape}})
		}
	}
	return matched
}

// digest returns the digest of weights that a folder draws: of its configuration and of the
// numbers in random_weights.json.
func (r *Random) digest(config []byte) string {
	sum := sha256.New()
	sum.Write(config)
	var bits [16]byte
	for i := range 8 {
		bits[i] = byte(uint64(r.Seed) >> (8 * i))
		bits[8+i] = byte(math.Float64bits(r.Std) >> (8 * i))
	}
	sum.Write(bits[:])
	return "sha256:" + hex.EncodeToString(sum.Sum(nil))
}

// load returns a store with a variable for every match. Norms are ones, biases zeros, and
// everything else is drawn from a normal distribution. The values are made where they stay, so
// nothing passes through the host.
func (r *Random) load(ctx context.Context, backend compute.Backend, matched []tensorMatch, dtype dtypes.DType, progress func(done, total int64)) (*model.Store, error) {
	store, total, done := model.NewStore(), int64(0), int64(0)
	for _, m := range matched {
		total += bytesOf(m, dtype)
	}
	made := generators{backend: backend, std: r.Std, byShape: map[string]*Exec{}}
	defer made.close()
	for i, m := range matched {
		err := ctx.Err()
		if err == nil {
			err = made.add(store, m.spec, dtype, r.Seed+int64(i))
		}
		if err != nil {
			store.Finalize()
			return nil, adapters.Errorf(adapters.Exhausted, "random weights: tensor %q %s cannot be made: %w", m.spec.Name, adapters.ShapeString(m.spec.Shape), err)
		}
		done += bytesOf(m, dtype)
		if progress != nil {
			progress(done, total)
		}
	}
	return store, nil
}

func bytesOf(m tensorMatch, dtype dtypes.DType) int64 {
	return int64(adapters.Elements(m.spec.Shape)) * int64(dtype.Size())
}

// generators holds the graphs that draw tensors, one for each shape.
type generators struct {
	backend compute.Backend
	std     float64
	byShape map[string]*Exec
}

func (g *generators) close() {
	for _, e := range g.byShape {
		e.Finalize()
	}
}

// add makes the variable of a spec.
func (g *generators) add(store *model.Store, spec TensorSpec, dtype dtypes.DType, seed int64) error {
	value, err := g.value(spec, dtype, seed)
	if err != nil {
		return err
	}
	v, err := store.CreateVariable("/"+spec.Name, value)
	if err != nil {
		return err
	}
	v.SetTrainable(false)
	return nil
}

func (g *generators) value(spec TensorSpec, dtype dtypes.DType, seed int64) (*tensors.Tensor, error) {
	constant, drawn := 0.0, len(spec.Shape) > 1
	if !drawn && !strings.HasSuffix(spec.Name, "bias") {
		constant = 1
	}
	shape := shapes.Make(dtype, spec.Shape...)
	key := shape.String()
	if !drawn {
		key += spec.Name[strings.LastIndexByte(spec.Name, '.')+1:]
	}
	if g.byShape[key] == nil {
		var err error
		if g.byShape[key], err = NewExec(g.backend, func(state *Node) *Node {
			if !drawn {
				return BroadcastToDims(Scalar(state.Graph(), dtype, constant), spec.Shape...)
			}
			_, x := RandomNormal(state, shapes.Make(dtypes.Float32, spec.Shape...))
			return ConvertDType(MulScalar(x, g.std), dtype)
		}); err != nil {
			return nil, err
		}
	}
	state, err := RNGStateFromSeed(seed)
	if err != nil {
		return nil, err
	}
	defer state.FinalizeAll()
	out, err := g.byShape[key].Call(state)
	if err != nil {
		return nil, err
	}
	return out[0], nil
}
