package train_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/objective"
)

// planInCheckpoints is the JSON of samplePlan as version 0 of the toolkit wrote it.
const planInCheckpoints = `{"Seed":7,"Stages":[{"Name":"stage-2","Objective":"prefix-lm","Train":["qformer","projection"],` +
	`"Schedule":{"Steps":100,"Warmup":10,"MinFactor":0.1},` +
	`"Optimizer":{"LearningRate":{"projection":0.002,"qformer":0.001},"Beta1":0.9,"Beta2":0.98,"Epsilon":1e-8,"WeightDecay":0.05,"ClipNorm":1},` +
	`"Batch":16,"Accumulate":2,"Mix":{"Questions":0.25,"Similar":0.5},"CachedQueries":64,"ITC":1,"ITM":2,"ITG":3}],` +
	`"Evaluation":{"Every":20,"Examples":8,"Captions":4,"FinalCaptions":6,"Rerank":5},` +
	`"Prompts":{"caption":"a photo of","question":"Question: {} Answer:","target_prefix":" "},` +
	`"Start":"shared-tokens","MaxTextTokens":32,"CheckpointEvery":50}`

// A run of an older version could not be resumed if a key of its plan had changed.
func TestPlansKeepTheirKeysInCheckpoints(t *testing.T) {
	var p train.Plan
	if err := json.Unmarshal([]byte(planInCheckpoints), &p); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(p)
	if err != nil || string(again) != planInCheckpoints {
		t.Errorf("%v: the plan is written as\n%s\nwant\n%s", err, again, planInCheckpoints)
	}
	phase := p.Phases[0]
	if phase.Objective.Name != objective.PrefixLM().Name || phase.Optimizer.LearningRate[train.Projection] != 0.002 || phase.ITG != 3 ||
		p.ProjectionInit != train.ProjectionSharedTokens || !reflect.DeepEqual(p.Templates, bridge.Templates{Caption: "a photo of", Question: "Question: {} Answer:", TargetPrefix: " "}) {
		t.Errorf("the plan is read as %+v", p)
	}
}
