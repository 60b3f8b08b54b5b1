package golden

import (
	"context"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
)

// Runner computes a case's outputs. [Vision] and [Language] make one of an
// adapter; a bridge brings its own.
type Runner interface {
	RunCase(ctx context.Context, c *Case) (Outputs, error)
}

// RunnerFunc makes a [Runner] of a function.
type RunnerFunc func(ctx context.Context, c *Case) (Outputs, error)

// RunCase calls the function.
func (f RunnerFunc) RunCase(ctx context.Context, c *Case) (Outputs, error) { return f(ctx, c) }

// Run runs every case of the folder and compares. It ends early only when ctx
// is done; a case that fails with an error is a result that is not OK.
func Run(ctx context.Context, f *Folder, r Runner) ([]Result, error) {
	results := make([]Result, 0, len(f.Cases))
	for i := range f.Cases {
		c := &f.Cases[i]
		got, err := r.RunCase(ctx, c)
		if ctx.Err() != nil {
			return results, adapters.Errorf(adapters.Canceled, "case %q: %w", c.Name, context.Cause(ctx))
		}
		if err != nil {
			results = append(results, Result{Case: c.Name, Op: c.Op, Detail: err.Error()})
			continue
		}
		results = append(results, compare(c, got, f.Tolerance))
	}
	return results, nil
}

// OK reports whether there are results and all pass.
func OK(results []Result) bool {
	return len(results) > 0 && !slices.ContainsFunc(results, func(r Result) bool { return !r.OK })
}

// Vision runs the cases of vision encoders.
func Vision(encoder adapters.VisionEncoder) Runner {
	return RunnerFunc(func(ctx context.Context, c *Case) (Outputs, error) {
		if c.Op != "encode" {
			return Outputs{}, unknownOp(c, adapters.KindVision)
		}
		request := &adapters.EncodeRequest{Images: c.Images}
		response, err := encoder.Encode(ctx, request)
		if err != nil {
			return Outputs{}, err
		}
		return tensors("features", response.Features), response.Check(encoder.Spec(), request)
	})
}

// Language runs the cases of language models.
func Language(model adapters.LanguageModel) Runner {
	return RunnerFunc(func(ctx context.Context, c *Case) (Outputs, error) {
		switch c.Op {
		case "loss":
			return runLoss(ctx, model, c)
		case "generate":
			return runGenerate(ctx, model, c)
		case "score":
			return runScore(ctx, model, c)
		}
		return Outputs{}, unknownOp(c, adapters.KindLanguage)
	})
}

func runLoss(ctx context.Context, model adapters.LanguageModel, c *Case) (Outputs, error) {
	request := &adapters.LossRequest{Prompts: c.Prompts, Examples: c.Examples, Gradient: c.Want.Tensors["gradient"] != nil}
	response, err := model.Loss(ctx, request)
	if err != nil {
		return Outputs{}, err
	}
	if err := response.Check(model.Spec(), request); err != nil {
		return Outputs{}, err
	}
	out := tensors("loss", adapters.FromFloat32(response.Loss, len(response.Loss)))
	out.Tensors["tokens"] = adapters.FromInt32(response.Tokens, len(response.Tokens))
	if request.Gradient {
		out.Tensors["gradient"] = response.Gradient
	}
	return out, nil
}

func runGenerate(ctx context.Context, model adapters.LanguageModel, c *Case) (Outputs, error) {
	request := &adapters.GenerateRequest{Prompts: c.Prompts, Examples: c.Examples, Options: c.Generate}
	response, err := model.Generate(ctx, request, nil)
	if err != nil {
		return Outputs{}, err
	}
	return Outputs{Texts: response.Texts}, response.Check(request)
}

func runScore(ctx context.Context, model adapters.LanguageModel, c *Case) (Outputs, error) {
	scorer, ok := adapters.AsScorer(model)
	if !ok {
		return Outputs{}, adapters.Errorf(adapters.Unsupported, "%s does not score candidates", model.Spec().ID)
	}
	request := &adapters.ScoreRequest{Prompts: c.Prompts, Examples: c.Examples, Candidates: c.Candidates}
	response, err := scorer.Score(ctx, request)
	if err != nil {
		return Outputs{}, err
	}
	return tensors("scores", response.Scores), response.Check(request)
}

func tensors(name string, t *adapters.Tensor) Outputs {
	return Outputs{Tensors: map[string]*adapters.Tensor{name: t}}
}

func unknownOp(c *Case, kind adapters.ModelKind) error {
	return adapters.Errorf(adapters.Unsupported, "a %s has no op %q", kind, c.Op)
}
