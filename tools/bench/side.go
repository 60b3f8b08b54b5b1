package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/eva"
	"github.com/modular-bridging/bridge/adapters/llama"
	"github.com/modular-bridging/bridge/adapters/opt"
	"github.com/modular-bridging/bridge/adapters/t5"
	"github.com/modular-bridging/bridge/adapters/vit"
	"github.com/modular-bridging/bridge/bridge"
)

// job is a row as rows.py describes it.
type job struct {
	Family     string   `json:"family"`
	Op         string   `json:"op"` // "encode", "loss", "generate", "answer" or "step"
	Layer      int      `json:"layer"`
	Shape      []int    `json:"shape"`   // of the inputs: uint8[B, H, W, 3] or float32[B, Q, D]
	Texts      []string `json:"texts"`   // [B] after the prompts
	Targets    []string `json:"targets"` // [B]
	NewTokens  int      `json:"new_tokens"`
	Beams      int      `json:"beams"`
	Penalty    float64  `json:"penalty"` // length penalty with beams
	Checkpoint string   `json:"checkpoint"`
	Inputs     string   `json:"inputs"` // file of the inputs' bytes
	Out        string   `json:"out"`    // file for the features or the gradient
	steps
}

func readJob(path string) (*job, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	j := &job{}
	if err := json.Unmarshal(text, j); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return j, nil
}

// side is an open model and its call.
type side struct {
	Close func() error
	call  func(ctx context.Context) (result, error)
}

func (j *job) family() (adapters.Family, error) {
	for _, f := range []adapters.Family{vit.Family(), opt.Family(), llama.Family(), t5.Family()} {
		if f.Name == j.Family {
			return f, nil
		}
	}
	return adapters.Family{}, fmt.Errorf("family %q is not measured", j.Family)
}

// open loads the model in float32, whatever type the files have, as torchside.py does.
func (j *job) open(backend string) (side, error) {
	if j.Op == "step" {
		return j.openSteps(backend)
	}
	family, err := j.family()
	if err != nil {
		return side{}, err
	}
	data, err := os.ReadFile(j.Inputs)
	if err != nil {
		return side{}, err
	}
	req := &adapters.LoadRequest{Checkpoint: j.Checkpoint, Backend: backend, DType: adapters.Float32}
	if family.Kind == adapters.KindVision {
		req.FeatureLayer = &j.Layer
		encoder, err := family.OpenVision(context.Background(), req)
		if err != nil {
			return side{}, err
		}
		images := adapters.FromUint8(data, j.Shape...)
		return side{encoder.Close, func(ctx context.Context) (result, error) { return encode(ctx, encoder, images) }}, nil
	}
	model, err := family.OpenLanguage(context.Background(), req)
	if err != nil {
		return side{}, err
	}
	if j.Op == "answer" {
		return j.openWhole(req, model, adapters.FromUint8(data, j.Shape...))
	}
	prompts := &adapters.Tensor{DType: adapters.Float32, Shape: j.Shape, Data: data}
	call := j.loss
	if j.Op == "generate" {
		call = j.generate
	}
	return side{model.Close, func(ctx context.Context) (result, error) { return call(ctx, model, prompts) }}, nil
}

func encode(ctx context.Context, encoder adapters.VisionEncoder, images *adapters.Tensor) (result, error) {
	res, err := encoder.Encode(ctx, &adapters.EncodeRequest{Images: images})
	if err != nil {
		return result{}, err
	}
	return result{tensor: res.Features}, nil
}

// examples returns the examples: each has a prompt, a text and a target.
func (j *job) examples() []adapters.Example {
	all := make([]adapters.Example, j.Shape[0])
	for i := range all {
		all[i].Segments = []adapters.Segment{adapters.PromptSegment(i)}
		if j.Texts[i] != "" {
			all[i].Segments = append(all[i].Segments, adapters.TextSegment(j.Texts[i]))
		}
		all[i].Target = j.Targets[i]
	}
	return all
}

func (j *job) loss(ctx context.Context, model adapters.LanguageModel, prompts *adapters.Tensor) (result, error) {
	res, err := model.Loss(ctx, &adapters.LossRequest{Prompts: prompts, Examples: j.examples(), Gradient: true})
	if err != nil {
		return result{}, err
	}
	r := result{tensor: res.Gradient}
	for i, loss := range res.Loss {
		r.Loss += float64(loss)
		r.Tokens += int(res.Tokens[i])
	}
	r.Loss /= float64(r.Tokens)
	return r, nil
}

func (j *job) options() adapters.GenerateOptions {
	o := adapters.GenerateOptions{MaxNewTokens: j.NewTokens, MinNewTokens: j.NewTokens}
	if j.Beams > 1 {
		o.NumBeams, o.LengthPenalty = j.Beams, &j.Penalty
	}
	return o
}

// openWhole opens the other parts of a whole BLIP-2, beside its language model, for answers about
// images.
func (j *job) openWhole(req *adapters.LoadRequest, language adapters.LanguageModel, images *adapters.Tensor) (side, error) {
	ctx := context.Background()
	backend, err := bridge.OpenBackend(req.Backend)
	if err != nil {
		return side{}, err
	}
	b, err := bridge.Load(ctx, backend, j.Checkpoint)
	if err != nil {
		return side{}, err
	}
	encoder, err := eva.Family().OpenVision(ctx, &adapters.LoadRequest{Checkpoint: j.Checkpoint, Backend: req.Backend, DType: adapters.Float32})
	if err != nil {
		return side{}, err
	}
	m, err := bridge.Compose(b, encoder, language, nil)
	if err != nil {
		return side{}, err
	}
	end := func() error { b.Close(); return errors.Join(encoder.Close(), language.Close()) }
	return side{end, func(ctx context.Context) (result, error) {
		features, err := m.Encode(ctx, images)
		if err != nil {
			return result{}, err
		}
		texts, err := m.ContinueFeatures(ctx, features, j.Texts, j.options())
		return result{Texts: texts, Tokens: j.NewTokens * len(texts)}, err
	}}, nil
}

func (j *job) generate(ctx context.Context, model adapters.LanguageModel, prompts *adapters.Tensor) (result, error) {
	res, err := model.Generate(ctx, &adapters.GenerateRequest{
		Prompts: prompts, Examples: j.examples(),
		Options: j.options(),
	}, nil)
	if err != nil {
		return result{}, err
	}
	r := result{Texts: res.Texts}
	for _, n := range res.Tokens {
		r.Tokens += int(n)
	}
	return r, nil
}
