package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/modular-bridging/bridge/adapters"
)

// model implements the contract with a network over bytes.
type model struct {
	spec    adapters.LanguageSpec
	network *network
	turn    chan struct{} // has room for one token, so one call computes at a time
	closed  bool          // guarded by the turn
}

var _ adapters.LanguageModel = (*model)(nil)

// config is the file config.json of a checkpoint folder.
type config struct {
	ModelType string `json:"model_type"`
	Width     int    `json:"width"`
	Seed      uint64 `json:"seed"` // of the random weights
}

// open reads a checkpoint folder. Its errors name the actual and the expected value, and a
// remedy.
func open(req *adapters.LoadRequest) (adapters.LanguageModel, error) {
	file := filepath.Join(req.Checkpoint, "config.json")
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "%w", err).WithRemedy("set path to the folder checkpoint of this example")
	}
	var c config
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, adapters.Errorf(adapters.Corrupt, "%s: %w", file, err)
	}
	if c.ModelType != name || c.Width < 1 {
		return nil, adapters.Errorf(adapters.Unsupported, "%s: got model_type %q and width %d, want %q and a width", file, c.ModelType, c.Width, name)
	}
	if req.DType != adapters.InvalidDType && req.DType != adapters.Float32 {
		return nil, adapters.Errorf(adapters.Unsupported, "%s computes in float32, %s was requested", name, req.DType).
			WithRemedy("leave dtype out of the recipe")
	}
	backend, err := openBackend(req.Backend)
	if err != nil {
		return nil, err
	}
	n, err := newNetwork(backend, c.Width, c.Seed)
	if err != nil {
		return nil, adapters.Errorf(adapters.Internal, "graphs: %w", err)
	}
	req.Report("weights", int64(len(text)), int64(len(text)))
	id := req.ID
	if id == "" {
		id = name
	}
	parameters := int64(c.Width * (2*vocabulary + 3*c.Width))
	return &model{network: n, turn: make(chan struct{}, 1), spec: adapters.LanguageSpec{
		Spec: adapters.Spec{
			ID: id, Family: name, Kind: adapters.KindLanguage, Width: c.Width, DType: adapters.Float32,
			Parameters: parameters, MemoryBytes: 4 * parameters, Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(text)),
			Backend: backend.Name(), Source: file, Capabilities: []adapters.Capability{adapters.CapGradient},
		},
		Architecture: adapters.DecoderOnly, Vocabulary: vocabulary, TokenNorm: float32(n.norm), EndOfAnswer: "</s>",
	}}, nil
}

// begin returns err if it is non-nil. Otherwise it waits for the call's turn; end gives the
// turn back.
func (m *model) begin(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	if ctx.Err() == nil {
		select {
		case m.turn <- struct{}{}:
			if m.closed {
				m.end()
				return adapters.Errorf(adapters.Invalid, "model %s is closed", m.spec.ID)
			}
			return nil
		case <-ctx.Done():
		}
	}
	return adapters.Errorf(adapters.Canceled, "%w", ctx.Err())
}

func (m *model) end() { <-m.turn }

// Spec describes the model.
func (m *model) Spec() adapters.LanguageSpec { return m.spec }

// Close waits for the running call, and frees the graphs.
func (m *model) Close() error {
	m.turn <- struct{}{}
	defer m.end()
	if !m.closed {
		m.closed = true
		m.network.close()
	}
	return nil
}

// Loss scores the examples one after another.
func (m *model) Loss(ctx context.Context, req *adapters.LossRequest) (*adapters.LossResponse, error) {
	if err := m.begin(ctx, req.Check(m.spec)); err != nil {
		return nil, err
	}
	defer m.end()
	resp := &adapters.LossResponse{}
	if req.Gradient {
		resp.Gradient = adapters.NewTensor(adapters.Float32, req.Prompts.Shape...)
	}
	for _, e := range req.Examples {
		if err := ctx.Err(); err != nil {
			return nil, adapters.Errorf(adapters.Canceled, "%w", err)
		}
		s, err := m.read(e, req.Prompts)
		if err != nil {
			return nil, err
		}
		loss, err := m.score(s, resp.Gradient)
		if err != nil {
			return nil, adapters.Errorf(adapters.Internal, "loss: %w", err)
		}
		resp.Loss, resp.Tokens = append(resp.Loss, loss), append(resp.Tokens, int32(len(e.Target)+1))
	}
	return resp, nil
}

// score computes the loss of a sequence. If gradient is non-nil, it adds the sequence's
// gradient to it.
func (m *model) score(s sequence, gradient *adapters.Tensor) (float32, error) {
	exec := m.network.loss
	if gradient != nil {
		exec = m.network.gradient
	}
	out, err := s.run(exec, m.spec.Width, true)
	if err != nil {
		return 0, err
	}
	if gradient != nil {
		soft, err := tensors.CopyFlatData[float32](out[1])
		if err != nil {
			return 0, err
		}
		for t, row := range s.rows {
			for d := 0; row >= 0 && d < m.spec.Width; d++ {
				gradient.Float32s()[row*m.spec.Width+d] += soft[t*m.spec.Width+d]
			}
		}
	}
	loss, err := tensors.CopyFlatData[float32](out[0])
	if err != nil {
		return 0, err
	}
	return loss[0], nil
}

// Generate continues the examples greedily, one after another, with printable characters.
func (m *model) Generate(ctx context.Context, req *adapters.GenerateRequest, emit func(adapters.Piece) error) (*adapters.GenerateResponse, error) {
	if err := m.begin(ctx, req.Check(m.spec)); err != nil {
		return nil, err
	}
	defer m.end()
	if o := req.Options; o.NumBeams > 1 || o.Sample || o.RepetitionPenalty != 0 && o.RepetitionPenalty != 1 {
		return nil, adapters.Errorf(adapters.Unsupported, "%s has neither beams nor sampling nor a repetition penalty", name).
			WithRemedy("generate greedily")
	}
	resp := &adapters.GenerateResponse{}
	for i, e := range req.Examples {
		s, err := m.read(adapters.Example{Segments: e.Segments}, req.Prompts)
		if err != nil {
			return nil, err
		}
		text, tokens, err := m.answer(ctx, s.input(), req.Options, func(text string) error {
			if emit == nil {
				return nil
			}
			return emit(adapters.Piece{Example: i, Text: text})
		})
		if err != nil {
			return nil, err
		}
		resp.Texts, resp.Tokens = append(resp.Texts, strings.TrimSpace(text)), append(resp.Tokens, tokens)
	}
	return resp, nil
}

func (m *model) answer(ctx context.Context, s sequence, o adapters.GenerateOptions, emit func(string) error) (text string, tokens int32, err error) {
	limit := o.MaxNewTokens
	if limit == 0 {
		limit = 20
	}
	for t := range limit {
		if err := ctx.Err(); err != nil {
			return "", 0, adapters.Errorf(adapters.Canceled, "%w", err)
		}
		out, err := s.run(m.network.logits, m.spec.Width, false)
		if err != nil {
			return "", 0, adapters.Errorf(adapters.Internal, "generate: %w", err)
		}
		logits, err := tensors.CopyFlatData[float32](out[0])
		if err != nil {
			return "", 0, adapters.Errorf(adapters.Internal, "generate: %w", err)
		}
		last := len(s.ids) - 1
		next := likeliest(logits[last*vocabulary:(last+1)*vocabulary], t >= o.MinNewTokens)
		switch {
		case next < 0:
			return "", 0, adapters.Errorf(adapters.Invalid, "the soft prompts have values that are not finite")
		case next == end:
			return text, int32(t + 1), nil
		}
		if err := emit(string(rune(next))); err != nil {
			return "", 0, err
		}
		text += string(rune(next))
		s.add(int32(next), -1, nil, false)
	}
	return text, int32(limit), nil
}

// likeliest returns the likeliest printable character or, if mayEnd is set, the end. It
// returns −1 if all logits are NaN.
func likeliest(logits []float32, mayEnd bool) int {
	best := -1
	for v, logit := range logits {
		if (v == end && mayEnd || v >= ' ' && v <= '~') && (best < 0 && logit == logit || best >= 0 && logit > logits[best]) {
			best = v
		}
	}
	return best
}

// sequence is the layout of an example. Position 0 is empty and stands before all others.
type sequence struct {
	ids    []int32   // [T]
	rows   []int     // [T], of the soft prompts [M·Q, D], or −1
	soft   []float32 // [T, D], 0 at positions without a soft prompt
	target []bool    // [T]
}

// add appends a position.
func (s *sequence) add(id int32, row int, soft []float32, target bool) {
	width := len(s.soft) / max(len(s.ids), 1)
	if soft == nil {
		soft = make([]float32, width)
	}
	s.ids, s.rows, s.target = append(s.ids, id), append(s.rows, row), append(s.target, target)
	s.soft = append(s.soft, soft...)
}

// read lays out an example. Neighbouring texts need no joining, because each token is a byte.
func (m *model) read(e adapters.Example, prompts *adapters.Tensor) (s sequence, err error) {
	var values []float32
	if prompts != nil {
		if values, err = prompts.ToFloat32(); err != nil {
			return s, err
		}
	}
	s.add(nothing, -1, make([]float32, m.spec.Width), false)
	for _, segment := range e.Segments {
		if !segment.IsPrompt {
			for _, b := range []byte(segment.Text) {
				s.add(int32(b), -1, nil, false)
			}
			continue
		}
		for q := range prompts.Shape[1] {
			row := segment.Prompt*prompts.Shape[1] + q
			s.add(nothing, row, values[row*m.spec.Width:(row+1)*m.spec.Width], false)
		}
	}
	for _, b := range []byte(e.Target) {
		s.add(int32(b), -1, nil, true)
	}
	s.add(end, -1, nil, true)
	return s, nil
}

// input returns the sequence of an example without target, without the end.
func (s sequence) input() sequence {
	n := len(s.ids) - 1
	return sequence{ids: s.ids[:n], rows: s.rows[:n], soft: s.soft[:len(s.soft)/(n+1)*n], target: s.target[:n]}
}

// run computes a graph on the sequence, padded to a power of two so that few lengths are
// compiled. Padding changes nothing, because no position sees later ones.
func (s sequence) run(exec *graph.Exec, width int, scored bool) ([]*tensors.Tensor, error) {
	length := 16
	for length < len(s.ids) {
		length *= 2
	}
	ids, soft := make([]int32, length), make([]float32, length*width)
	next, weight := make([]int32, length), make([]float32, length)
	for t := range ids {
		ids[t] = nothing
	}
	copy(ids, s.ids)
	copy(soft, s.soft)
	for t, target := range s.target {
		if target { // position t−1 predicts it
			next[t-1], weight[t-1] = s.ids[t], 1
		}
	}
	args := []any{tensors.FromFlatDataAndDimensions(ids, length), tensors.FromFlatDataAndDimensions(soft, length, width)}
	if scored {
		args = append(args, tensors.FromFlatDataAndDimensions(next, length), tensors.FromFlatDataAndDimensions(weight, length))
	}
	return exec.Call(args...)
}
