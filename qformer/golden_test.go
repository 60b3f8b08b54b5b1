package qformer_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/hosttensor"
	"github.com/modular-bridging/bridge/internal/weights"
	"github.com/modular-bridging/bridge/qformer"
	"github.com/modular-bridging/bridge/qformer/objective"
)

// golden is a folder written by tools/reference/qformer.py.
type golden struct {
	Options struct {
		HiddenSize    int `json:"hidden_size"`
		Layers        int `json:"layers"`
		Heads         int `json:"heads"`
		Intermediate  int `json:"intermediate"`
		Queries       int `json:"queries"`
		CrossEvery    int `json:"cross_every"`
		EncoderWidth  int `json:"encoder_width"`
		Vocabulary    int `json:"vocabulary"`
		MaxPositions  int `json:"max_positions"`
		ProjectionDim int `json:"projection_dim"`
		LanguageWidth int `json:"language_width"`
		Begin         int `json:"begin"`
	} `json:"options"`
	Tolerance struct{ Abs, Rel float64 } `json:"tolerance"`
	Cases     []map[string]string        `json:"cases"`

	tensors map[string]*adapters.Tensor
}

func openGolden(t *testing.T, name string) *golden {
	t.Helper()
	dir := filepath.Join("testdata", name)
	data, err := os.ReadFile(filepath.Join(dir, "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	g := &golden{}
	if err := json.Unmarshal(data, g); err != nil {
		t.Fatal(err)
	}
	if g.tensors, _, err = weights.ReadFile(filepath.Join(dir, "tensors.safetensors")); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *golden) config() qformer.Config {
	c, o := qformer.Base(), g.Options
	c.HiddenSize, c.Layers, c.Heads, c.Intermediate = o.HiddenSize, o.Layers, o.Heads, o.Intermediate
	c.Queries, c.CrossEvery, c.EncoderWidth, c.LanguageWidth = o.Queries, o.CrossEvery, o.EncoderWidth, o.LanguageWidth
	c.Vocabulary, c.MaxPositions, c.ProjectionDim = o.Vocabulary, o.MaxPositions, o.ProjectionDim
	return c
}

// store returns the reference's weights, which must be the stage's, all of
// them and no others.
func (g *golden) store(t *testing.T, params []qformer.Param) *model.Store {
	t.Helper()
	store := model.NewStore()
	for _, p := range params {
		w := g.tensor(t, "weight."+p.Name)
		if err := w.Check(p.Name, p.Shape, adapters.Float32); err != nil {
			t.Fatal(err)
		}
		if _, err := store.CreateVariable(qformer.VariablePath(p.Name), toDevice(t, w)); err != nil {
			t.Fatal(err)
		}
	}
	weights := 0
	for name := range g.tensors {
		if len(name) > 7 && name[:7] == "weight." {
			weights++
		}
	}
	if weights != len(params) {
		t.Errorf("the reference has %d weights, the stage %d", weights, len(params))
	}
	return store
}

func (g *golden) tensor(t *testing.T, name string) *adapters.Tensor {
	t.Helper()
	v, ok := g.tensors[name]
	if !ok {
		t.Fatalf("golden has no tensor %q", name)
	}
	return v
}

// near compares a whole tensor and frees it.
func (g *golden) near(t *testing.T, name string, got *tensors.Tensor, want *adapters.Tensor) {
	t.Helper()
	host, err := hosttensor.FromDevice(got)
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Check(name, want.Shape, adapters.Float32); err != nil {
		t.Error(err)
		return
	}
	worst, at, misses := 0.0, 0, 0
	for i, w := range want.Float32s() {
		d := math.Abs(float64(host.Float32s()[i] - w))
		if !(d <= g.Tolerance.Abs+g.Tolerance.Rel*math.Abs(float64(w))) {
			misses++
		}
		if !(d <= worst) {
			worst, at = d, i
		}
	}
	if misses > 0 {
		t.Errorf("%s: %d of %d elements miss, worst at %d: got %v, want %v",
			name, misses, len(want.Float32s()), at, host.Float32s()[at], want.Float32s()[at])
	}
}

func toDevice(t *testing.T, v *adapters.Tensor) *tensors.Tensor {
	t.Helper()
	out, err := hosttensor.ToDevice(backends.ForTest(t), v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestStage1AgreesWithTheReference(t *testing.T) {
	g := openGolden(t, "golden-stage1")
	params := g.config().Parameters(qformer.Stage1)
	for i, c := range g.Cases {
		t.Run(c["name"], func(t *testing.T) {
			cfg := objective.Config{Smoothing: 0.1, Begin: g.Options.Begin}
			switch c["op"] {
			case "itc":
				cfg.ITC = 1
			case "itm":
				cfg.ITM = 1
			case "itg":
				cfg.ITG = 1
			default:
				t.Fatalf("unknown op %q", c["op"])
			}
			var inputs []any
			for _, field := range []string{"features", "ids", "visible", "negative_images", "negative_texts", "image_ids"} {
				if name, ok := c[field]; ok {
					inputs = append(inputs, toDevice(t, g.tensor(t, name)))
				}
			}
			store := g.store(t, params)
			exec := model.MustNewExec(backends.ForTest(t), store, func(_ *model.Scope, in []*Node) []*Node {
				m := qformer.New(g.config(), store, in[0].Graph(), nil)
				b := objective.Batch{
					Features: in[0], IDs: in[1], Visible: NotEqual(in[2], ZerosLike(in[2])),
					Negatives: &objective.Negatives{Images: in[3], Texts: in[4]},
				}
				if len(in) > 5 {
					b.ImageIDs = in[5]
				}
				l := objective.Stage1(m, cfg, b, nil)
				return append([]*Node{l.Total}, m.Gradients(l.Total, params)...)
			})
			out, err := exec.Exec(inputs...)
			if err != nil {
				t.Fatal(err)
			}
			g.near(t, "loss", out[0], g.tensor(t, c["loss"]))
			for j, p := range params {
				g.near(t, p.Name, out[j+1], g.tensor(t, gradientName(i, p)))
			}
		})
	}
}

func TestStage2AgreesWithTheReference(t *testing.T) {
	g := openGolden(t, "golden-stage2")
	params := g.config().Parameters(qformer.Stage2)
	for i, c := range g.Cases {
		t.Run(c["name"], func(t *testing.T) {
			store := g.store(t, params)
			exec := model.MustNewExec(backends.ForTest(t), store, func(_ *model.Scope, in []*Node) []*Node {
				m := qformer.New(g.config(), store, in[0].Graph(), nil)
				queries := m.Queries(in[0])
				prompts := m.Project(queries)
				return append([]*Node{queries, prompts}, m.Gradients(qformer.WithCotangent(prompts, in[1]), params)...)
			})
			out, err := exec.Exec(toDevice(t, g.tensor(t, c["features"])), toDevice(t, g.tensor(t, c["cotangent"])))
			if err != nil {
				t.Fatal(err)
			}
			g.near(t, "queries", out[0], g.tensor(t, c["queries"]))
			g.near(t, "prompts", out[1], g.tensor(t, c["prompts"]))
			for j, p := range params {
				g.near(t, p.Name, out[j+2], g.tensor(t, gradientName(i, p)))
			}
		})
	}
}

func gradientName(index int, p qformer.Param) string {
	return string(rune('0'+index)) + ".gradient." + p.Name
}
