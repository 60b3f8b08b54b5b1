package train_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/objective"
	"github.com/modular-bridging/bridge/train/optim"
)

// shortCaption returns an objective that this program adds: the language model reads the picture
// and "briefly:", and must write the first three words of the caption.
func shortCaption() objective.Objective {
	example := func(_ bridge.Templates, i int, caption string) adapters.Example {
		words := strings.Fields(caption)
		return adapters.Example{
			Segments: []adapters.Segment{adapters.PromptSegment(i), adapters.TextSegment("briefly:")},
			Target:   " " + strings.Join(words[:min(3, len(words))], " "),
		}
	}
	return objective.Objective{
		Name:  "briefly",
		Stage: 2,
		Draw:  objective.CaptionOrQuestion,
		Example: objective.QuestionOr(func(t bridge.Templates, i int, sample data.Sample) adapters.Example {
			return example(t, i, sample.Caption)
		}),
		EvalExample: example,
	}
}

// A new objective is a value. A plan takes it as it is; recipes can name it once it is in
// the list [objective.All].
func Example_newObjective() {
	ctx := context.Background()
	session, closeAll := openKitSession(ctx)
	defer closeAll()
	session.Plan = train.Plan{
		Seed: 1,
		Phases: []train.Phase{{
			Name: "stage-2", Objective: shortCaption(), Train: []train.Module{train.Projection}, Batch: 2,
			Schedule: optim.Schedule{Steps: 1},
			Optimizer: train.Optimizer{
				LearningRate: map[train.Module]float64{train.Projection: 1e-3}, Config: optim.Config{Beta1: 0.9, Beta2: 0.98, Epsilon: 1e-8},
			},
		}},
		Evaluation: train.Evaluation{Examples: 2},
		Templates:  *session.Bridge.Info.Templates,
	}
	session.Language = &printedExamples{session.Language}

	result, err := session.Run(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d step; %s\n", result.Steps, session.Bridge.Info.TrainedOn[len(session.Bridge.Info.TrainedOn)-1])
	// Output:
	// briefly: a penguin left
	// briefly: four balls on
	// 1 step; stage-2: briefly on kit:train, 1 steps of 2
}

// printedExamples prints the examples that a language model is trained through.
type printedExamples struct{ adapters.LanguageModel }

func (p *printedExamples) Loss(ctx context.Context, req *adapters.LossRequest) (*adapters.LossResponse, error) {
	if req.Gradient {
		for _, e := range req.Examples {
			fmt.Printf("%s%s\n", e.Segments[1].Text, e.Target)
		}
	}
	return p.LanguageModel.Loss(ctx, req)
}
