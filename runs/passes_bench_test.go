package runs

import (
	"cmp"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/cost"
	"github.com/modular-bridging/bridge/train/metrics"
	"github.com/modular-bridging/bridge/workspace"
)

// The variables of BenchmarkPasses: pairs of encoder and language model, such as
// "tiny-vit+tiny-opt,tiny-vit+/models/smollm2"; the batch; and the file for the prices.
const (
	passesModels = "BRIDGE_BENCH_MODELS"
	passesBatch  = "BRIDGE_BENCH_BATCH"
	passesPrices = "BRIDGE_BENCH_PRICES"
)

// passesRounds is how often each pass is measured. The quickest round counts, because other work on
// the machine only adds time. The first rounds, in which graphs are compiled, do not count.
const passesRounds, passesIgnored = 7, 2

// BenchmarkPasses measures the seconds of one pass of each kind that package cost counts, on an
// otherwise idle machine, without the compilation of graphs.
//
//	make bench-passes
func BenchmarkPasses(b *testing.B) {
	testenv.Cache(b)
	all := map[string]cost.Prices{}
	models := cmp.Or(os.Getenv(passesModels), "tiny-vit+tiny-opt,tiny-vit+small-opt,tiny-vit+tiny-flan-t5,tiny-vit-wide+tiny-opt")
	for pair := range strings.SplitSeq(models, ",") {
		encoder, llm, ok := strings.Cut(pair, "+")
		if !ok {
			b.Fatalf("%s has %q, want an encoder and a language model with + between them", passesModels, pair)
		}
		b.Run(encoder+"+"+filepath.Base(llm), func(b *testing.B) {
			for b.Loop() {
				all[pair] = measurePrices(b, encoder, llm)
			}
			reportPrices(b, all[pair])
		})
	}
	if path := os.Getenv(passesPrices); path != "" {
		if err := writeJSON(path, all); err != nil {
			b.Fatal(err)
		}
	}
}

// reportPrices reports each price that was measured, in milliseconds.
func reportPrices(b *testing.B, p cost.Prices) {
	b.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		b.Fatal(err)
	}
	var prices map[string]float64
	if err := json.Unmarshal(text, &prices); err != nil {
		b.Fatal(err)
	}
	for name, seconds := range prices {
		b.ReportMetric(1e3*seconds, name+"-ms")
	}
	b.ReportMetric(0, "ns/op") // of everything together: has no meaning
}

// measurePrices measures the passes of a pair of models.
func measurePrices(b *testing.B, encoder, llm string) cost.Prices {
	b.Helper()
	r := benchRecipe(b, "tiny-retrain", "vision.id="+encoder, "language.id="+llm, "swap.encoder=fresh",
		"swap.projection=shared-tokens", "swap.warmup_steps=100")
	res, err := openResources(b.Context(), workspace.New(workspace.Options{}), r, "")
	if err != nil {
		b.Fatal(err)
	}
	defer res.close()
	res.meter = &cost.Meter{}
	batch := r.Optimizer.Batch
	rows := rowsUpTo(batch)
	features, err := res.train.Features.Features(b.Context(), rowsUpTo(res.train.Data.Len()))
	if err != nil {
		b.Fatal(err)
	}
	p := cost.Prices{PictureEncoded: encodingPrice(b, res, rows)}
	joined, _, err := res.start(b.Context(), r, true)
	if err != nil {
		b.Fatal(err)
	}
	defer joined.Close()
	p.QFormerForward = quickest(b, func() error {
		_, err := joined.SoftPrompts(b.Context(), features.Gather(rows))
		return err
	}) / float64(batch)
	languagePrices(b, &p, res, r, joined, features.Gather(rows))
	plan := r.Plan()
	warmup, stage2 := plan.Phases[0], plan.Phases[1]
	stepOf := func(phase train.Phase, batch int) float64 { return stepSeconds(b, res, r, phase, batch, features) }
	small := max(1, batch/4)
	passOf := func(whole, part float64) float64 { return max(0, whole-part) / float64(batch-small) }
	whole := stepOf(stage2, batch)
	p.QFormerPass = passOf(whole, stepOf(stage2, small))
	p.Step = max(0, whole-float64(batch)*p.QFormerPass)
	p.ProjectionPass = passOf(stepOf(warmup, batch), stepOf(warmup, small))
	p.Stage1Pass = stage1Price(b, encoder, p.Step)
	return p
}

// benchRecipe resolves a recipe for 128 pictures that are encoded when they are asked for.
func benchRecipe(b *testing.B, name string, sets ...string) *recipes.Resolved {
	b.Helper()
	sets = append(sets, `data.train={id="kit:train",pictures=128}`, `data.eval={id="kit:held-out",pictures=2}`, "run.feature_cache=false",
		"run.backend="+cmp.Or(os.Getenv("BRIDGE_TEST_BACKEND"), "auto"), "optimizer.batch="+cmp.Or(os.Getenv(passesBatch), "32"))
	r, err := recipes.Load(name, sets...)
	if err != nil {
		b.Fatal(err)
	}
	reg, err := workspace.New(workspace.Options{}).Registry()
	if err != nil {
		b.Fatal(err)
	}
	resolved, err := r.Resolve(reg)
	if err != nil {
		b.Fatal(err)
	}
	return resolved
}

// quickest returns the shortest time of a call of work, in seconds.
func quickest(b *testing.B, work func() error) float64 {
	b.Helper()
	var took []float64
	for round := range passesIgnored + passesRounds {
		began := time.Now()
		if err := work(); err != nil {
			b.Fatal(err)
		}
		if round >= passesIgnored {
			took = append(took, time.Since(began).Seconds())
		}
	}
	return slices.Min(took)
}

// encodingPrice measures the encoder, without the reading of pictures.
func encodingPrice(b *testing.B, res *resources, rows []int) float64 {
	b.Helper()
	first, err := res.train.Data.Image(0)
	if err != nil {
		b.Fatal(err)
	}
	pictures := adapters.NewTensor(adapters.Uint8, append([]int{len(rows)}, first.Shape...)...)
	for i, row := range rows {
		picture, err := res.train.Data.Image(row)
		if err != nil {
			b.Fatal(err)
		}
		copy(pictures.Row(i).Data, picture.Data)
	}
	return quickest(b, func() error {
		_, err := res.vision.Encode(b.Context(), &adapters.EncodeRequest{Images: pictures})
		return err
	}) / float64(len(rows))
}

// languagePrices measures the language model on captions of the training pictures.
func languagePrices(b *testing.B, p *cost.Prices, res *resources, r *recipes.Resolved, joined *bridge.Bridge, features *adapters.Tensor) {
	b.Helper()
	prompts, err := joined.SoftPrompts(b.Context(), features)
	if err != nil {
		b.Fatal(err)
	}
	n := features.Shape[0]
	examples, captions := make([]adapters.Example, n), make([]adapters.Example, n)
	for i := range n {
		record, err := res.train.Data.Record(i)
		if err != nil {
			b.Fatal(err)
		}
		examples[i] = r.Templates().CaptionExample(i, record.Captions[0])
		captions[i] = r.Templates().CaptionExample(i, "")
	}
	loss := func(gradient bool) float64 {
		return quickest(b, func() error {
			_, err := res.language.Loss(b.Context(), &adapters.LossRequest{Prompts: prompts, Examples: examples, Gradient: gradient})
			return err
		}) / float64(n)
	}
	p.LanguagePass, p.LanguageForward = loss(true), loss(false)
	var tokens int32
	seconds := quickest(b, func() error {
		resp, err := res.language.Generate(b.Context(), &adapters.GenerateRequest{Prompts: prompts, Examples: captions,
			Options: adapters.GenerateOptions{MinNewTokens: 12, MaxNewTokens: 12}}, nil)
		tokens = 0
		if err == nil {
			for _, n := range resp.Tokens {
				tokens += n
			}
		}
		return err
	})
	p.GeneratedToken = seconds / float64(max(1, tokens))
	if embedder, ok := adapters.AsTokenEmbedder(res.language); ok {
		p.TokenEmbedding = quickest(b, func() error {
			_, err := embedder.EmbedTokens(b.Context(), &adapters.EmbedTokensRequest{})
			return err
		})
	}
}

// gathered are features that were computed before.
type gathered struct{ all *adapters.Tensor }

func (g gathered) Features(_ context.Context, rows []int) (*adapters.Tensor, error) {
	return g.all.Gather(rows), nil
}

// free is a language model whose passes take no time.
type free struct{ adapters.LanguageModel }

func (free) Loss(_ context.Context, req *adapters.LossRequest) (*adapters.LossResponse, error) {
	n := len(req.Examples)
	resp := &adapters.LossResponse{Loss: make([]float32, n), Tokens: make([]int32, n), Gradient: adapters.NewTensor(adapters.Float32, req.Prompts.Shape...)}
	for i := range resp.Tokens {
		resp.Tokens[i] = 1
	}
	for i := range resp.Gradient.Float32s() {
		resp.Gradient.Float32s()[i] = 1e-3
	}
	return resp, nil
}

// stepTimes keeps the times at which steps were done.
type stepTimes struct{ at []time.Time }

func (s *stepTimes) Start(string, int, int) metrics.Task { s.at = []time.Time{time.Now()}; return s }
func (s *stepTimes) Step(int, int, float64)              { s.at = append(s.at, time.Now()) }
func (s *stepTimes) Done()                               {}

// quickest returns the shortest time of a step, in seconds, without the first ones.
func (s *stepTimes) quickest() float64 {
	var took []float64
	for i := passesIgnored + 1; i < len(s.at); i++ {
		took = append(took, s.at[i].Sub(s.at[i-1]).Seconds())
	}
	return slices.Min(took)
}

// stepSeconds measures a step of a phase with a batch, without features and language model.
func stepSeconds(b *testing.B, res *resources, r *recipes.Resolved, phase train.Phase, batch int, features *adapters.Tensor) float64 {
	b.Helper()
	trained, _, err := res.start(b.Context(), r, true)
	if err != nil {
		b.Fatal(err)
	}
	defer trained.Close()
	phase.Batch, phase.CachedQueries = batch, min(phase.CachedQueries, res.train.Data.Len())
	phase.Schedule.Steps, phase.Schedule.Warmup = passesIgnored+passesRounds, 0
	dir := b.TempDir()
	figures, err := metrics.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer figures.Close()
	steps := &stepTimes{}
	s := &train.Session{
		Plan:   train.Plan{Seed: r.Seed, Phases: []train.Phase{phase}, Templates: r.Templates()},
		Bridge: trained, Train: train.Set{Data: res.train.Data, Features: gathered{features}}, Eval: res.eval,
		Dir: dir, Metrics: figures, Progress: steps, Log: res.workspace.Log(),
	}
	if res.language != nil {
		s.Language = free{res.language}
	}
	if _, err := s.Run(b.Context()); err != nil {
		b.Fatal(err)
	}
	return steps.quickest()
}

// stage1Price measures a pair's part of a step of stage 1.
func stage1Price(b *testing.B, encoder string, step float64) float64 {
	b.Helper()
	r := benchRecipe(b, "tiny-stage1", "vision.id="+encoder)
	res, err := openResources(b.Context(), workspace.New(workspace.Options{}), r, "")
	if err != nil {
		b.Fatal(err)
	}
	defer res.close()
	res.meter = &cost.Meter{}
	features, err := res.train.Features.Features(b.Context(), rowsUpTo(res.train.Data.Len()))
	if err != nil {
		b.Fatal(err)
	}
	batch := r.Optimizer.Batch
	return max(0, stepSeconds(b, res, r, r.Plan().Phases[0], batch, features)-step) / float64(batch)
}
