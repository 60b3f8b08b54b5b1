package recipes

import (
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/didyoumean"
	"github.com/modular-bridging/bridge/plugins/manifest"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/objective"
)

// check adds to the document's problems all that can be said without a
// registry.
func (r *Recipe) check() {
	r.want("name", r.Name != "", "is empty, want a name for the run")
	r.want("name", r.Name == "" || plain(r.Name), "is %q, want a name without folders: the run's folder is called so", r.Name)
	r.want("stage", r.Stage == 1 || r.Stage == 2, "is %d, want 1 (representation learning) or 2 (generative learning)", r.Stage)
	r.checkBackbone("vision", r.Vision.Backbone)
	r.want("vision.image_size", r.Vision.ImageSize >= 0, "is %d, want pixels a side", r.Vision.ImageSize)
	r.checkStage()
	r.checkQFormer()
	r.want("from", !strings.HasPrefix(r.From, kitPrefix) || slices.Contains(kitBridges(), r.From),
		"is %q, want one of %s, or a folder%s", r.From, strings.Join(kitBridges(), ", "), didyoumean.Hint(r.From, kitBridges()))
	r.checkData()
	r.checkMix()
	r.checkOptimizer()
	r.checkSwap()
	r.checkRun()
}

// plain reports whether a name is one element of a path, on any system.
func plain(name string) bool {
	return filepath.IsLocal(name) && name != "." && !strings.ContainsAny(name, `/\`)
}

// want reports a problem at key unless ok.
func (r *Recipe) want(key string, ok bool, format string, args ...any) {
	if !ok {
		r.doc.Errorf(key, format, args...)
	}
}

// oneOf reports a value that is none of the choices, with the nearest.
func (r *Recipe) oneOf(key, value string, choices ...string) {
	r.want(key, slices.Contains(choices, value), "is %q, want one of %s%s", value, strings.Join(choices, ", "), didyoumean.Hint(value, choices))
}

func (r *Recipe) fraction(key string, v float64) {
	r.want(key, v >= 0 && v <= 1, "is %v, want a fraction between 0 and 1", v)
}

func (r *Recipe) checkBackbone(table string, b Backbone) {
	switch {
	case b.ID != "" && b.Path != "":
		r.doc.Errorf(table+".path", "is given beside %s.id, want one of the two", table)
	case b.ID == "" && b.Path == "" && b.Plugin == "":
		r.doc.Errorf(table+".id", "is missing, want a registry id (`bridge models list`), or path for a checkpoint folder")
	}
	r.oneOf(table+".isolation", b.Isolation, "process", "none")
	r.want(table+".isolation", b.Plugin == "" || b.Isolation == "process", "is %q, want \"process\": an executable cannot run in this one", b.Isolation)
	if b.Transport != "" {
		r.oneOf(table+".transport", b.Transport, "auto", "shared-memory", "grpc")
	}
	if b.DType != "" {
		r.oneOf(table+".dtype", b.DType, registry.DTypes()...)
	}
	r.checkLimits(table, b)
	if b.Sandbox != "" {
		r.oneOf(table+".sandbox", b.Sandbox, "none", "on")
	}
	if err := manifest.CheckVariables(b.Environment); err != nil {
		r.doc.Errorf(table+".environment", "%w", err)
	}
	for _, key := range []string{"locked", "sandbox", "environment"} {
		r.want(table+"."+key, b.Plugin != "" || !r.doc.Has(table+"."+key), "is given, but it is about a plugin, and there is no %s.plugin", table)
	}
}

// lossNames are the keys of stage 1's weights.
var lossNames = [...]string{"itc", "itm", "itg"}

// checkStage holds what belongs to one stage only.
func (r *Recipe) checkStage() {
	stage := 2
	if r.Stage == 1 {
		stage = 1
		r.want("language", r.Language == nil, "is given, but stage 1 trains without a language model; remove it or set stage = 2")
		r.want("optimizer.accumulate", r.Optimizer.Accumulate <= 1, "is %d, want 1: ITC compares the pictures of a whole batch", r.Optimizer.Accumulate)
		r.want("optimizer.projection_lr", r.Optimizer.ProjectionLR == 0, "is given, but stage 1 has no projection to a language model")
		for i, w := range []float64{r.Objective.ITC, r.Objective.ITM, r.Objective.ITG} {
			r.want("objective."+lossNames[i], w > 0, "is %v, want a weight above 0", w)
		}
	} else {
		if r.Language == nil {
			r.doc.Errorf("language", "is missing, want the language model that stage 2 trains for")
		}
		for _, name := range lossNames {
			r.want("objective."+name, !r.doc.Has("objective."+name), "is given, but it weighs a loss of stage 1")
		}
	}
	r.oneOf("objective.name", r.Objective.Name, objective.Names(stage, "")...)
	if r.Language != nil {
		r.checkBackbone("language", r.Language.Backbone)
		if q := r.Language.QuestionTemplate; q != nil {
			r.want("language.question_prompt", *q == "" || strings.Count(*q, "{}") == 1, "is %q, want {} once, where the question goes", *q)
		}
	}
}

func (r *Recipe) checkQFormer() {
	q := r.QFormer
	if q.Dropout != nil {
		r.want("qformer.dropout", *q.Dropout >= 0 && *q.Dropout < 1, "is %v, want at least 0 and less than 1", *q.Dropout)
	}
	if r.From != "" {
		for _, key := range []string{"preset", "hidden_size", "layers", "heads", "intermediate_size", "query_tokens", "cross_attention_frequency", "projection_dim", "max_position_embeddings", "initializer_range", "tokenizer", "init"} {
			r.want("qformer."+key, !r.doc.Has("qformer."+key), "is given, but the Q-Former has the shape of the bridge that `from` names; remove one of the two")
		}
		return
	}
	names := slices.Sorted(maps.Keys(presets()))
	r.want("qformer.preset", slices.Contains(names, q.Preset), "is %q, want one of %s%s", q.Preset, strings.Join(names[1:], ", "), didyoumean.Hint(q.Preset, names))
	if !slices.Contains(names, q.Preset) {
		return
	}
	for _, f := range []struct {
		key string
		v   int
	}{{"hidden_size", q.HiddenSize}, {"layers", q.Layers}, {"heads", q.Heads}, {"intermediate_size", q.FFNSize},
		{"query_tokens", q.Queries}, {"cross_attention_frequency", q.CrossEvery}, {"projection_dim", q.Projection},
		{"max_position_embeddings", q.Positions}} {
		r.want("qformer."+f.key, f.v > 0, "is %d, want a positive number (or give preset = \"base\", or a bridge with `from`)", f.v)
	}
	r.want("qformer.initializer_range", q.InitStd > 0 && q.InitStd < 1, "is %v, want a small number above 0, as 0.02", q.InitStd)
	if q.Heads > 0 {
		r.want("qformer.heads", q.HiddenSize%q.Heads == 0, "is %d, want a divisor of hidden_size, %d", q.Heads, q.HiddenSize)
	}
	r.want("qformer.max_position_embeddings", r.Stage != 1 || q.Positions <= 0 || q.Positions >= bridge.MaxTextTokens,
		"is %d, want at least %d: the longest text that stage 1 reads, in tokens", q.Positions, bridge.MaxTextTokens)
	r.want("qformer.tokenizer", q.Tokenizer != "", "is missing, want the tokenizer of the text side: a folder, or %q", kitTokenizer)
	r.want("qformer.tokenizer", !strings.HasPrefix(q.Tokenizer, kitPrefix) || q.Tokenizer == kitTokenizer,
		"is %q, want %s, or a folder%s", q.Tokenizer, kitTokenizer, didyoumean.Hint(q.Tokenizer, []string{kitTokenizer}))
}

func (r *Recipe) checkData() {
	d, batch := r.Data, r.Optimizer.Batch
	if size := r.checkSource("data.train", d.Train); size > 0 && d.Train.Pictures > 0 {
		r.want("data.train.pictures", size >= batch, "is %d, want at least optimizer.batch, %d", size, batch)
	} else if size > 0 {
		r.want("optimizer.batch", size >= batch, "is %d, want at most %d, the pictures of %s", batch, size, d.Train.ID)
	}
	r.checkSource("data.eval", d.Eval)
	r.want("data.eval", !d.Eval.shares(d.Train), "is what data.train is, want data that is held out of training")
	r.want("data.train.annotations", d.Questions > 0 || d.Train.captioned(), "is missing, but without data.questions a run trains on captions alone")
	r.want("data.eval.annotations", r.Stage != 1 || d.Eval.captioned(), "is missing, but stage 1 is measured on captions")
}

// checkSource returns the number of pictures where the recipe alone tells it,
// 0 where it does not.
func (r *Recipe) checkSource(key string, s Source) (size int) {
	switch {
	case s == Source{}:
		r.doc.Errorf(key, "is missing, want a data set of the kit (\"kit:train\") or a table of annotations and images")
	case s.ID != "":
		r.want(key, s.Annotations == "" && s.Questions == "" && s.Images == "", "has an id and files, want one of the two")
		return r.checkKit(key, s)
	default:
		r.want(key+".images", s.Images != "", "is missing, want the folder of the pictures")
		r.want(key+".annotations", s.Annotations != "" || s.Questions != "",
			"is missing, want a JSON file of image and caption (or %s.questions, one of image, question and answer)", key)
		r.want(key+".pictures", s.Pictures == 0, "is given, but it counts the kit's scenes only")
	}
	return 0
}

func (r *Recipe) checkMix() {
	d, batch := r.Data, r.Optimizer.Batch
	r.fraction("data.questions", d.Questions)
	r.fraction("data.similar", d.Similar)
	r.want("data.max_text_tokens", d.MaxTextTokens == 0 || d.MaxTextTokens > 1, "is %d, want at least 2 (the end of an answer is counted), or 0 for no limit", d.MaxTextTokens)
	r.oneOf("data.caption_processing", d.CaptionProcessing, "none", "blip")
	r.want("data.questions", r.Stage != 1 || d.Questions == 0, "is %v, but stage 1 trains on captions alone", d.Questions)
	r.want("data.questions", d.Questions == 0 || d.Train.ID != "" || d.Train.Questions != "", "is %v, but data.train has no file of questions", d.Questions)
	r.want("data.similar", int(math.Round(d.Similar*float64(batch))) < max(batch, 1),
		"is %v of optimizer.batch, %d, which is all of it; want at most %d of %[2]d, so that there is one to be similar to", d.Similar, batch, batch-1)
	r.want("data.similar", r.Stage == 1 || d.Similar == 0, "is %v, but only stage 1's ITM uses it", d.Similar)
}

func (r *Recipe) checkOptimizer() {
	o := r.Optimizer
	r.learningRate("optimizer.lr", o.LR, false)
	r.learningRate("optimizer.qformer_lr", o.QFormerLR, true)
	r.learningRate("optimizer.projection_lr", o.ProjectionLR, true)
	for _, b := range o.Betas {
		r.want("optimizer.betas", b >= 0 && b < 1, "is %v, want two numbers of at least 0 and less than 1", o.Betas)
	}
	r.want("optimizer.eps", o.Eps > 0 && o.Eps < 1, "is %v, want a small number above 0, as 1e-8", o.Eps)
	r.want("optimizer.weight_decay", o.WeightDecay >= 0 && o.WeightDecay < 1, "is %v, want at least 0 and less than 1", o.WeightDecay)
	r.want("optimizer.clip_norm", o.ClipNorm >= 0, "is %v, want a norm, or 0 for no clipping", o.ClipNorm)
	r.want("optimizer.steps", o.Steps > 0, "is %d, want a positive number of optimizer steps", o.Steps)
	r.want("optimizer.warmup", o.Warmup >= 0 && o.Warmup <= max(o.Steps, 0), "is %d, want between 0 and optimizer.steps, %d", o.Warmup, o.Steps)
	r.fraction("optimizer.min_factor", o.MinFactor)
	r.want("optimizer.batch", o.Batch > 0, "is %d, want a positive number of examples", o.Batch)
	r.want("optimizer.batch", r.Stage != 1 || o.Batch != 1, "is 1, want at least 2: ITC and ITM need other pictures to compare with")
	r.want("optimizer.accumulate", o.Accumulate > 0 && o.Batch%max(o.Accumulate, 1) == 0, "is %d, want a divisor of optimizer.batch, %d", o.Accumulate, o.Batch)
}

func (r *Recipe) learningRate(key string, v float64, optional bool) {
	r.want(key, v > 0 && v <= 1 || optional && v == 0, "is %v, want a learning rate above 0 and at most 1", v)
}

func (r *Recipe) checkSwap() {
	s := r.Swap
	if s == nil {
		return
	}
	if s.Encoder != "" {
		r.oneOf("swap.encoder", string(s.Encoder), string(train.EncoderLeastSquares), string(train.EncoderFresh))
	}
	r.oneOf("swap.projection", string(s.Projection), string(train.ProjectionSharedTokens), string(train.ProjectionOrthogonal),
		string(train.ProjectionCaptionTokens), string(train.ProjectionFresh), string(train.ProjectionKeep))
	if r.Stage == 1 {
		r.want("swap", s.Encoder != "", "is given, but only stage 2 has a projection to carry over; stage 1 takes swap.encoder alone")
		r.want("from", r.From != "", "is empty, want the stage-1 bridge whose encoder is swapped")
		return
	}
	r.want("from", r.From != "", "is empty, want the stage-2 bridge that the swap starts from")
	r.want("swap.warmup_steps", s.WarmupSteps >= 0, "is %d, want a number of steps, or 0 for no warm-up", s.WarmupSteps)
	r.learningRate("swap.cold_lr", s.ColdLR, true)
	if s.WarmupSteps > 0 {
		r.learningRate("swap.warmup_lr", s.WarmupLR, false)
	}
	if s.WarmupSteps > 0 || s.FreezeQFormer {
		r.want("swap.warmup_images", s.WarmupImages >= max(r.Optimizer.Batch, 1),
			"is %d, want how many pictures' Q-Former outputs are cached, at least optimizer.batch, %d", s.WarmupImages, r.Optimizer.Batch)
	}
}

func (r *Recipe) checkRun() {
	e := r.Evaluation
	r.want("evaluation.every", e.Every >= 0, "is %d, want steps, or 0 for the end of a stage only", e.Every)
	r.want("evaluation.examples", e.Examples > 0, "is %d, want a positive number", e.Examples)
	r.want("evaluation.captions", e.Captions >= 0, "is %d, want at least 0", e.Captions)
	r.want("evaluation.captions", r.Stage != 1 || e.Captions == 0 && e.FinalCaptions == 0, "is given, but stage 1 has no language model to write captions")
	r.want("evaluation.final_captions", e.FinalCaptions >= 0, "is %d, want at least 0", e.FinalCaptions)
	r.want("evaluation.rerank", e.Rerank >= 0, "is %d, want at least 0", e.Rerank)
	r.want("evaluation.rerank", r.Stage == 1 || e.Rerank == 0, "is given, but only a stage-1 bridge has ITM to rank with")
	if err := backends.Check(r.Run.Backend); err != nil {
		r.doc.Errorf("run.backend", "%v", err)
	}
	r.want("run.checkpoint_every", r.Run.CheckpointEvery >= 0, "is %d, want steps, or 0 for the end of a stage only", r.Run.CheckpointEvery)
	r.want("run.keep", r.Run.Keep > 0, "is %d, want at least 1 checkpoint", r.Run.Keep)
}
