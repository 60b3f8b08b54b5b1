package engine

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/serve/batch"
	"github.com/modular-bridging/bridge/serve/fleet"
)

// generation is a request in the queue.
type generation struct {
	request     *Request
	emitted     []string // text of each row that the client has got
	inputTokens int      // as counted before; 0 if unknown
	result      *Result
	done        chan error // of size 1
}

func generationOf(j *batch.Job) *generation { return j.Data.(*generation) }

// generate computes the answers of a batch, and calls Done of each job. If a batch of several fails
// for a reason that may lie in one of them, its halves are computed as batches of their own.
func (e *Engine) generate(jobs []*batch.Job) {
	defer survive(jobs)
	resp, inputs, err := e.generateObserved(jobs)
	if kind := adapters.KindOf(err); err != nil && len(jobs) > 1 &&
		(kind == adapters.Invalid || kind == adapters.Unsupported || kind == adapters.Exhausted) {
		e.generate(jobs[:len(jobs)/2])
		e.generate(jobs[len(jobs)/2:])
		return
	}
	row := 0
	for i, j := range jobs {
		if err == nil {
			g := generationOf(j)
			g.take(resp, row, inputs[i])
			e.model(g.request.Lease.Language).learn(inputs[i], g.result.InputTokens)
		}
		row += j.Rows
		j.Done(err)
	}
}

// generateObserved is [generateTogether], and reports the batch.
func (e *Engine) generateObserved(jobs []*batch.Job) (resp *adapters.GenerateResponse, inputs []int, err error) {
	b := Batch{Model: generationOf(jobs[0]).request.Lease.Name, Jobs: len(jobs)}
	for _, j := range jobs {
		b.Rows, b.Waited = b.Rows+j.Rows, max(b.Waited, j.Waited())
	}
	began := time.Now()
	resp, inputs, err = generateTogether(jobs)
	b.Took, b.Err = time.Since(began), err
	if err == nil {
		for _, n := range resp.Tokens {
			b.Tokens += int(n)
		}
	}
	if e.options.Observe != nil {
		e.options.Observe(b)
	}
	return resp, inputs, err
}

// take copies the answers of a request, which begin at a row of the batch.
func (g *generation) take(resp *adapters.GenerateResponse, from, inputTokens int) {
	r := &Result{InputTokens: inputTokens, Answers: make([]Answer, len(g.request.Rows))}
	if resp.InputTokens != nil {
		r.InputTokens = int(resp.InputTokens[from])
	}
	for i := range r.Answers {
		a := Answer{Text: resp.Texts[from+i], Tokens: int(resp.Tokens[from+i])}
		if resp.Finish != nil {
			a.Finish = resp.Finish[from+i]
		}
		if resp.LogProbs != nil {
			a.LogProbs = resp.LogProbs[from+i]
		}
		r.Answers[i] = a
	}
	g.result = r
}

// generateTogether makes one request of all jobs. inputs are the tokens of each job's input.
func generateTogether(jobs []*batch.Job) (resp *adapters.GenerateResponse, inputs []int, err error) {
	lease := generationOf(jobs[0]).request.Lease
	w := watch(jobs)
	defer w.stop()
	req := &adapters.GenerateRequest{}
	var pictures []*adapters.Tensor
	var owners []owner
	for _, j := range jobs {
		g := generationOf(j)
		example := adapters.Example{Segments: shift(g.request.Input.Segments, len(pictures))}
		pictures = append(pictures, g.request.Input.Pictures...)
		inputs = append(inputs, g.inputTokens)
		for i, o := range g.request.Rows {
			req.Examples, req.Rows = append(req.Examples, example), append(req.Rows, o)
			owners = append(owners, owner{g, i})
		}
	}
	if spec := lease.Language.Spec(); !spec.Has(adapters.CapRowOptions) {
		req.Options, req.Rows = req.Rows[0], nil
		req.Options.Copy = 0
	} else if spec.Has(adapters.CapCancelRows) {
		req.Cancel = w.rows
	}
	if req.Prompts, err = softPrompts(w.ctx, lease, pictures); err != nil {
		return nil, nil, err
	}
	resp, err = lease.Language.Generate(w.ctx, req, emitTo(owners))
	return resp, inputs, err
}

// owner says whose answer a row of a batch is.
type owner struct {
	*generation
	row int // of the request
}

// emitTo returns a function that hands each piece to the client whose answer it belongs to. If a
// batch is computed again in parts, the client gets no text twice. It returns nil if no client
// wants pieces.
func emitTo(owners []owner) func(adapters.Piece) error {
	wanted := false
	for _, o := range owners {
		wanted = wanted || o.request.Emit != nil
	}
	if !wanted {
		return nil
	}
	texts := make([]string, len(owners)) // of this attempt
	return func(p adapters.Piece) error {
		o := owners[p.Example]
		if o.request.Emit == nil {
			return nil
		}
		texts[p.Example] += p.Text
		rest, grew := strings.CutPrefix(texts[p.Example], o.emitted[o.row])
		if !grew || rest == "" && len(p.LogProbs) == 0 {
			return nil
		}
		o.emitted[o.row] = texts[p.Example]
		p.Example, p.Text = o.row, rest
		o.request.Emit(o.row, p)
		return nil
	}
}

// shift returns segments whose soft prompts are numbered from n on.
func shift(segments []adapters.Segment, n int) []adapters.Segment {
	out := make([]adapters.Segment, len(segments))
	for i, s := range segments {
		if s.IsPrompt {
			s.Prompt += n
		}
		out[i] = s
	}
	return out
}

// encodeRows is the number of pictures that are encoded at once.
const encodeRows = 32

// softPrompts returns float32[M, Q, D] for M pictures, nil for none.
func softPrompts(ctx context.Context, l *fleet.Lease, pictures []*adapters.Tensor) (*adapters.Tensor, error) {
	var parts []*adapters.Tensor
	for from := 0; from < len(pictures); from += encodeRows {
		images, err := data.Stack(pictures[from:min(from+encodeRows, len(pictures))])
		if err != nil {
			return nil, err
		}
		features, err := l.Encode(ctx, images)
		if err != nil {
			return nil, err
		}
		prompts, err := l.SoftPrompts(ctx, features)
		if err != nil {
			return nil, err
		}
		parts = append(parts, prompts)
	}
	switch len(parts) {
	case 0:
		return nil, nil
	case 1:
		return parts[0], nil
	}
	shape := append([]int{len(pictures)}, parts[0].Shape[1:]...)
	all := adapters.NewTensor(parts[0].DType, shape...)
	at := 0
	for _, p := range parts {
		at += copy(all.Data[at:], p.Data)
	}
	return all, nil
}

// watcher ends what the clients of a batch do not want any more.
type watcher struct {
	ctx   context.Context // ends when all clients have left
	rows  chan int        // rows of clients that have left
	stops []func() bool
	end   context.CancelFunc
}

// watch watches the clients of a batch until it is stopped.
func watch(jobs []*batch.Job) *watcher {
	w := &watcher{}
	total := 0
	for _, j := range jobs {
		total += j.Rows
	}
	w.rows = make(chan int, total)
	w.ctx, w.end = context.WithCancel(context.Background())
	var left atomic.Int64
	left.Store(int64(len(jobs)))
	first := 0
	for _, j := range jobs {
		from, n := first, j.Rows
		first += n
		w.stops = append(w.stops, context.AfterFunc(j.Context, func() {
			for i := range n {
				w.rows <- from + i // there is room for all
			}
			if left.Add(-1) == 0 {
				w.end()
			}
		}))
	}
	return w
}

func (w *watcher) stop() {
	for _, s := range w.stops {
		s()
	}
	w.end()
}
