package lmtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/tensortest"
)

// GenerationSettings holds the table of generation_config.json in docs/tokenizers.md against a
// checkpoint: each key has the effect that the table says.
func GenerationSettings(t *testing.T, open OpenFunc, checkpoint string) {
	base := answers(t, open, checkpoint, nil)
	none := map[string]any{}
	for _, row := range generationTable(t) {
		switch effect, _, _ := strings.Cut(row.effect, ":"); strings.TrimRight(strings.Fields(effect)[0], ",;") {
		case "refused":
			refusesSetting(t, open, checkpoint, row)
		case "none":
			none[row.key] = row.value
		case "applied":
			edit, reference := map[string]any{row.key: row.value}, base
			if row.key == "length_penalty" { // seen only if beams end at different lengths
				with := map[string]any{"num_beams": 4, "eos_token_id": ids(150)}
				reference = answers(t, open, checkpoint, with)
				maps.Copy(edit, with)
			}
			if got := answers(t, open, checkpoint, edit); slices.Equal(reference, got) {
				t.Errorf("%s %v: the answers stay %q; the table says %q", row.key, row.value, got, row.effect)
			}
		default:
			t.Errorf("%s: the table says %q, want applied, none or refused", row.key, row.effect)
		}
	}
	if got := answers(t, open, checkpoint, none); !slices.Equal(base, got) {
		t.Errorf("%v: answers %q, without them %q; the table says none", none, got, base)
	}
}

// ids returns the ids from 0 to n-1.
func ids(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// refusesSetting fails the test unless the checkpoint is refused with the file and the key.
func refusesSetting(t *testing.T, open OpenFunc, checkpoint string, row generationRow) {
	t.Helper()
	dir := tensortest.Copy(t, checkpoint)
	EditJSON(t, filepath.Join(dir, "generation_config.json"), map[string]any{row.key: row.value})
	model, err := open(t.Context(), &adapters.LoadRequest{Checkpoint: dir, Backend: backends.TestName()})
	if err == nil {
		model.Close()
		t.Errorf("%s %v is accepted; the table says %q", row.key, row.value, row.effect)
	} else if !strings.Contains(err.Error(), "generation_config.json") || !strings.Contains(err.Error(), row.key) {
		t.Errorf("%s %v: %v, want an error with the file and the key", row.key, row.value, err)
	}
}

// answers returns greedy and sampled answers of a copy of a checkpoint whose
// generation_config.json has some keys.
func answers(t *testing.T, open OpenFunc, checkpoint string, settings map[string]any) []string {
	t.Helper()
	dir := tensortest.Copy(t, checkpoint)
	if settings != nil {
		EditJSON(t, filepath.Join(dir, "generation_config.json"), settings)
	}
	model := Open(t, open, dir)
	var all []string
	for _, o := range []adapters.GenerateOptions{{}, {Sample: true, Seed: 3}} {
		res, err := model.Generate(t.Context(), generateRequest(model, 3, o), nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprint(res.Texts, res.Tokens))
	}
	return all
}

// generationRow is a row of the table, for one key.
type generationRow struct {
	key    string
	value  any
	effect string
}

func generationTable(t *testing.T) []generationRow {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "tokenizers.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "## generation_config.json\n")
	if !found {
		t.Fatal("docs/tokenizers.md has no section about generation_config.json")
	}
	var rows []generationRow
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 5 || !strings.Contains(cells[1], "`") {
			continue
		}
		for _, key := range codeSpan.FindAllStringSubmatch(cells[1], -1) {
			row := generationRow{key: key[1], effect: strings.TrimSpace(cells[3])}
			if err := json.Unmarshal([]byte(codeSpan.FindStringSubmatch(cells[2])[1]), &row.value); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			rows = append(rows, row)
		}
	}
	if len(rows) < 50 {
		t.Fatalf("the table has %d keys", len(rows))
	}
	return rows
}

var codeSpan = regexp.MustCompile("`([^`]+)`")
