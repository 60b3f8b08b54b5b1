package lm

import (
	"context"
	"errors"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
)

// Generate continues each example: greedily, with beams or by sampling. Examples with as many
// beams are computed together, whatever else their options are.
func (m *Model) Generate(ctx context.Context, req *adapters.GenerateRequest, emit func(adapters.Piece) error) (*adapters.GenerateResponse, error) {
	if err := req.Check(m.c.Spec); err != nil {
		return nil, err
	}
	searches, err := m.searches(req)
	if err != nil {
		return nil, err
	}
	if err := m.acquire(ctx); err != nil {
		return nil, err
	}
	defer m.release()
	outputs, err := m.outputs(req, searches)
	if err != nil {
		return nil, err
	}
	canceled := &cancellations{channel: req.Cancel, outputs: outputs}
	for _, beams := range beamCounts(searches) {
		for {
			canceled.receive()
			chunk := waiting(outputs, beams, m.generateRows(beams))
			if len(chunk) == 0 {
				break
			}
			if err := m.newGeneration(chunk, m.layout(req.Prompts).Rows, canceled, emit).run(ctx, req.Prompts); err != nil {
				return nil, err
			}
		}
	}
	return m.response(outputs), nil
}

// searches returns the options of each example, with the model's defaults filled in.
func (m *Model) searches(req *adapters.GenerateRequest) ([]*search, error) {
	out := make([]*search, len(req.Examples))
	for i := range out {
		if req.Rows == nil && i > 0 {
			out[i] = out[0]
			continue
		}
		s, err := newSearch(m.c.Defaults.over(req.RowOptions(i)), m.c.Spec.Architecture, m.c.SpecialTokens)
		if err != nil {
			if e := (*adapters.Error)(nil); req.Rows != nil && errors.As(err, &e) {
				return nil, e.WithField("rows[%d]", i)
			}
			return nil, err
		}
		s.tokenizer = m.c.Tokenizer
		out[i] = &s
	}
	return out, nil
}

// output is the answer of one example of a request.
type output struct {
	continuation
	answerText
	example  int
	sequence Sequence
	search   *search
	started  bool
	canceled bool
}

// complete reports whether no token follows.
func (o *output) complete() bool { return o.canceled || o.stopped || o.done() }

// cancel ends the answer where it is, unless it is complete.
func (o *output) cancel() { o.canceled = o.canceled || !o.complete() }

// finish returns the reason for the answer's end.
func (o *output) finish() adapters.FinishReason {
	switch {
	case o.canceled:
		return adapters.FinishCanceled
	case o.stopped:
		return adapters.FinishStop
	case o.ended():
		return adapters.FinishEnd
	}
	return adapters.FinishLength
}

// outputs returns the answers to generate. It refuses those that the model has no room for.
func (m *Model) outputs(req *adapters.GenerateRequest, searches []*search) ([]*output, error) {
	sequences, err := m.layout(req.Prompts).WithoutTargets(req.Examples)
	if err != nil {
		return nil, err
	}
	out, lengths, copies, samples := make([]*output, len(sequences)), make([]int, len(sequences)), []int(nil), false
	for i, s := range searches {
		out[i] = &output{example: i, sequence: sequences[i], search: s}
		lengths[i] = s.MaxNewTokens - 1 // the last one is not read
		samples = samples || s.Sample
		if req.Rows != nil {
			copies = append(copies, s.Copy)
		}
	}
	if err := m.checkContext(req.Examples, sequences, lengths); err != nil {
		return nil, err
	}
	streams := make([]uint64, len(sequences))
	if samples {
		if streams, err = randomStreams(sequences, req.Prompts, copies); err != nil {
			return nil, err
		}
	}
	for i, o := range out {
		o.continuation = newContinuation(o.search, streams[i])
	}
	return out, nil
}

// beamCounts returns the different numbers of beams.
func beamCounts(searches []*search) (out []int) {
	for _, s := range searches {
		out = append(out, s.NumBeams)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// waiting returns the first outputs with k beams that have not started and are wanted, at most n.
func waiting(outputs []*output, k, n int) (chunk []*output) {
	for _, o := range outputs {
		if o.search.NumBeams == k && !o.started && !o.canceled && len(chunk) < n {
			o.started = true
			chunk = append(chunk, o)
		}
	}
	return chunk
}

// generateRows returns how many examples with k beams to compute at once. A batch of
// that many needs no padding.
func (m *Model) generateRows(k int) int {
	rows, examples := maxRows, maxRows
	if k > 1 {
		rows = maxBeamRows
	}
	for examples > 1 && (examples*k > rows || examples*k*m.c.Spec.Vocabulary > maxLogits) {
		examples /= 2
	}
	return examples
}

// maxBeamRows bounds the beams that are computed at once. They share the KV cache of the input.
const maxBeamRows = 4 * maxRows

// cancellations are the answers of a request that nobody wants any more.
type cancellations struct {
	channel <-chan int
	outputs []*output
}

// receive cancels the outputs that the channel has named since the last call.
func (c *cancellations) receive() {
	for c.channel != nil {
		select {
		case i, ok := <-c.channel:
			if !ok {
				c.channel = nil
			} else if i >= 0 && i < len(c.outputs) {
				c.outputs[i].cancel()
			}
		default:
			return
		}
	}
}

// response returns the response with complete outputs.
func (m *Model) response(outputs []*output) *adapters.GenerateResponse {
	res := &adapters.GenerateResponse{}
	for i, o := range outputs {
		res.Texts = append(res.Texts, o.text)
		res.Tokens = append(res.Tokens, o.tokens())
		res.InputTokens = append(res.InputTokens, int32(len(o.sequence.Input)))
		res.Finish = append(res.Finish, o.finish())
		if o.search.LogProbs {
			if res.LogProbs == nil {
				res.LogProbs = make([][]adapters.TokenLogProb, len(outputs))
			}
			res.LogProbs[i] = named(m.c.Tokenizer, o.scores()[:o.scored])
		}
	}
	return res
}
