package workspace

import (
	"context"
	"slices"
	"time"

	"github.com/modular-bridging/bridge/adapters"
)

// MeasureOptions describe how to measure a frozen model alone.
type MeasureOptions struct {
	Backend   string // Backend, Isolation, Transport and DType are as in OpenSpec
	Isolation string
	Transport string
	DType     string
	Batch     int // pictures or answers of a call
	Tokens    int // generated tokens of an answer
	Calls     int // timed calls, after one that compiles
}

// Measurement is the speed of a frozen model: the median of some calls.
type Measurement struct {
	ID      string             `json:"id"`
	Kind    adapters.ModelKind `json:"kind"`
	Backend string             `json:"backend"`
	DType   string             `json:"dtype"`
	Batch   int                `json:"batch"`
	Load    float64            `json:"load_seconds"`
	First   float64            `json:"first_call_seconds"` // compilation included
	Call    float64            `json:"call_seconds"`
	// Pictures is the number of pictures that an encoder encodes in a second.
	Pictures float64 `json:"pictures_per_second,omitempty"`
	// Tokens is the number of tokens that a language model generates in a second, greedily, in all
	// rows together, after 32 soft prompts.
	Tokens float64 `json:"tokens_per_second,omitempty"`
}

// measuredPrompts is the number of soft prompts before an answer: those of BLIP-2's Q-Former.
const measuredPrompts = 32

// Measure opens a frozen model by its id or folder and measures how fast it encodes pictures, or
// generates tokens.
func (w *Workspace) Measure(ctx context.Context, name string, o MeasureOptions) (Measurement, error) {
	reg, err := w.Registry()
	if err != nil {
		return Measurement{}, err
	}
	spec := OpenSpec{Isolation: o.Isolation, Transport: o.Transport, DType: o.DType, Backend: o.Backend}
	if spec.Model, err = reg.Lookup(name); err != nil {
		return Measurement{}, err
	}
	began := time.Now()
	if spec.Model.Kind == adapters.KindVision {
		encoder, err := w.OpenVision(ctx, spec)
		if err != nil {
			return Measurement{}, err
		}
		defer w.Closer(encoder)()
		return measureEncoder(ctx, encoder, o, time.Since(began))
	}
	model, err := w.OpenLanguage(ctx, spec)
	if err != nil {
		return Measurement{}, err
	}
	defer w.Closer(model)()
	return measureGeneration(ctx, model, o, time.Since(began))
}

func measureEncoder(ctx context.Context, encoder adapters.VisionEncoder, o MeasureOptions, load time.Duration) (Measurement, error) {
	s := encoder.Spec()
	images := adapters.NewTensor(adapters.Uint8, o.Batch, s.Image.Height, s.Image.Width, 3)
	for i := range images.Data {
		images.Data[i] = uint8(i * 37)
	}
	m := newMeasurement(s.Spec, o, load)
	err := m.time(o.Calls, func() error {
		_, err := encoder.Encode(ctx, &adapters.EncodeRequest{Images: images})
		return err
	})
	m.Pictures = float64(o.Batch) / m.Call
	return m, err
}

func measureGeneration(ctx context.Context, model adapters.LanguageModel, o MeasureOptions, load time.Duration) (Measurement, error) {
	s := model.Spec()
	prompts := adapters.NewTensor(adapters.Float32, o.Batch, measuredPrompts, s.Width)
	for i := range prompts.Float32s() {
		prompts.Float32s()[i] = float32(i*7919%2003)/10010 - 0.1
	}
	req := &adapters.GenerateRequest{Prompts: prompts, Options: adapters.GenerateOptions{MaxNewTokens: o.Tokens, MinNewTokens: o.Tokens, NumBeams: 1}}
	for i := range o.Batch {
		req.Examples = append(req.Examples, adapters.Example{Segments: []adapters.Segment{adapters.PromptSegment(i)}})
	}
	m, tokens := newMeasurement(s.Spec, o, load), 0
	err := m.time(o.Calls, func() error {
		resp, err := model.Generate(ctx, req, nil)
		if err != nil {
			return err
		}
		tokens = 0
		for _, n := range resp.Tokens {
			tokens += int(n)
		}
		return nil
	})
	m.Tokens = float64(tokens) / m.Call
	return m, err
}

func newMeasurement(s adapters.Spec, o MeasureOptions, load time.Duration) Measurement {
	return Measurement{ID: s.ID, Kind: s.Kind, Backend: s.Backend, DType: s.DType.String(), Batch: o.Batch, Load: load.Seconds()}
}

// time makes a first call and then some that count.
func (m *Measurement) time(calls int, call func() error) error {
	var seconds []float64
	for range calls + 1 {
		began := time.Now()
		if err := call(); err != nil {
			return err
		}
		seconds = append(seconds, time.Since(began).Seconds())
	}
	m.First = seconds[0]
	counted := seconds[1:]
	slices.Sort(counted)
	m.Call = counted[len(counted)/2]
	return nil
}
