package benchmark

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/modular-bridging/bridge/data/official"
	"github.com/modular-bridging/bridge/eval/score"
	"github.com/modular-bridging/bridge/eval/tasks"
)

// writeUpload writes the answers in the layout of EvalAI's server, if the task has one: VQAv2 (also OK-VQA),
// VizWiz and nocaps. It returns the file's name; empty if there is none. Servers refuse a part of a split, and so
// also answers without the id that a damaged row has.
func (r *runner) writeUpload(samples []Sample) (string, error) {
	key, text := "", "answer"
	switch {
	case !r.plan.Subset.All() || slices.ContainsFunc(samples, Sample.damaged):
		return "", nil
	case r.task.Metric.Name == score.VQA && (r.task.Data.Format == official.VQAv2 || r.task.Data.Format == official.OKVQA), r.task.Data.Format == tasks.VQAQuestions:
		key = "question_id"
	case r.task.Data.Format == official.VizWiz, r.task.Data.Format == tasks.VizWizQuestions:
		key = "image"
	case r.task.Data.Format == official.Nocaps:
		key, text = "image_id", "caption"
	default:
		return "", nil
	}
	entries := make([]map[string]any, len(samples))
	for i, s := range samples {
		var id any = s.ID
		if _, err := strconv.Atoi(s.ID); err == nil && key != "image" {
			id = json.Number(s.ID)
		}
		entries[i] = map[string]any{key: id, text: s.Raw}
	}
	return UploadFile, writeJSON(filepath.Join(r.options.Dir, UploadFile), entries)
}
