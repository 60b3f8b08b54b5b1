package tokenizer_test

import (
	"compress/gzip"
	"context"
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
	"github.com/modular-bridging/bridge/adapters/gemma2"
	"github.com/modular-bridging/bridge/adapters/gpt2"
	"github.com/modular-bridging/bridge/adapters/llama"
	"github.com/modular-bridging/bridge/adapters/opt"
	"github.com/modular-bridging/bridge/adapters/qwen"
	"github.com/modular-bridging/bridge/adapters/t5"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/tokenizer"
)

// A settingsTable holds the effect that keys of configuration files have in transformers
// (tools/reference/tokenizer_settings.py).
type settingsTable struct {
	Texts   []string
	Folders map[string]struct {
		Edits edits
		Base  struct{ Texts []tokenized }
		Cases []settingsCase
	}
}

// edits are the new values of keys, by file.
type edits map[string]map[string]json.RawMessage

type settingsCase struct {
	Edits edits
	Got   map[string]tokenized // the texts that come out otherwise, by index
	Error string               // set if transformers refuses the folder
}

// tokenized is a text's ids with and without special tokens, and the text of the latter.
type tokenized struct {
	IDs, Plain []int32
	Text       string
}

func (t tokenized) equal(o tokenized) bool {
	return slices.Equal(t.IDs, o.IDs) && slices.Equal(t.Plain, o.Plain) && t.Text == o.Text
}

func families() map[string]adapters.Family {
	all := map[string]adapters.Family{}
	for _, f := range []adapters.Family{gemma2.Family(), gpt2.Family(), llama.Family(), opt.Family(), qwen.Family(), t5.Family()} {
		all[f.Name] = f
	}
	return all
}

// Every key of the table has transformers' effect, or the folder is refused with the key, or the
// difference is documented. The short form runs each key on one folder.
func TestSettingsAreThoseOfTransformers(t *testing.T) {
	table := readSettingsTable(t)
	names := slices.Sorted(maps.Keys(table.Folders))
	for n, name := range names {
		folder := table.Folders[name]
		t.Run(name, func(t *testing.T) {
			family, golden, _ := strings.Cut(name, "/")
			dir := filepath.Join("..", "adapters", family, "testdata", golden, "checkpoint")
			source := editedTokenizer(t, dir, folder.Edits)
			run := settingsRun{texts: table.Texts, defaults: families()[family].TokenizerFor(modelType(t, dir)), want: folder.Base.Texts}
			var err error
			if run.base, err = outcome(t, source, run.defaults, table.Texts); err != nil {
				t.Fatal(err)
			}
			for i, c := range folder.Cases {
				if testenv.Long() || i%len(names) == n {
					run.check(t, name, source, c)
				}
			}
		})
	}
}

// docs/tokenizers.md names every key that transformers was asked about.
func TestThePageNamesEverySetting(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "tokenizers.md"))
	if err != nil {
		t.Fatal(err)
	}
	section, _, _ := strings.Cut(string(page), "## generation_config.json")
	named := map[string]bool{}
	for _, folder := range readSettingsTable(t).Folders {
		for _, c := range folder.Cases {
			for file, keys := range c.Edits {
				for key := range keys {
					if file == "added_tokens.json" {
						key = file
					}
					named[key] = true
					if !strings.Contains(section, "`"+key+"`") {
						t.Errorf("the page does not name %s", key)
					}
				}
			}
		}
	}
	for _, span := range regexp.MustCompile(`(?m)^\|([^|]*)\|`).FindAllStringSubmatch(section, -1) {
		for _, key := range regexp.MustCompile("`([a-z][a-z_]+)`").FindAllStringSubmatch(span[1], -1) {
			if !named[key[1]] {
				t.Errorf("the page names %s, which no case of the table sets", key[1])
			}
		}
	}
}

// settingsRun is a folder's tokenizer without edits, and what transformers makes of it.
type settingsRun struct {
	texts      []string
	defaults   adapters.TokenizerDefaults
	base, want []tokenized
}

func (r settingsRun) check(t *testing.T, folder, source string, c settingsCase) {
	t.Helper()
	what, _ := json.Marshal(c.Edits)
	got, err := outcome(t, editedTokenizer(t, source, c.Edits), r.defaults, r.texts)
	if err != nil {
		if !namesKey(err, c.Edits) {
			t.Errorf("%s: refused without file and key: %v", what, err)
		}
		if c.Error == "" && len(c.Got) == 0 && !documented(folder, c.Edits) {
			t.Errorf("%s: refused, and in transformers it changes nothing: %v", what, err)
		}
		return
	}
	if c.Error != "" || documented(folder, c.Edits) {
		return
	}
	for i, want := range r.want {
		if changed, ok := c.Got[fmt.Sprint(i)]; ok {
			want = changed
		}
		if r.base[i].equal(r.want[i]) && !got[i].equal(want) {
			t.Errorf("%s: %q is %+v, want %+v", what, r.texts[i], got[i], want)
			return
		}
	}
}

// namesKey reports whether an error names a file of the edits, and a key of it.
func namesKey(err error, e edits) bool {
	for file, keys := range e {
		for key := range keys {
			if text := err.Error(); strings.Contains(text, file) && strings.Contains(text, key) {
				return true
			}
		}
	}
	return false
}

// documented reports whether bridge deviates from transformers on purpose (docs/tokenizers.md).
func documented(folder string, e edits) bool {
	config := e["tokenizer_config.json"]
	has := func(key string) bool { _, ok := config[key]; return ok }
	switch {
	case has("split_special_tokens"): // refused everywhere
		return true
	case has("tokenizer_class"): // transformers builds the class's own tokenizer
		return folder != "gpt2/golden-turned"
	case folder == "qwen/golden-qwen2": // transformers forgets tokens of tokenizer.json
		return has("added_tokens_decoder")
	case folder == "llama/golden-llama-2": // normalized tokens behind a normalizer that adds a mark
		return has("added_tokens_decoder") || e["added_tokens.json"] != nil
	}
	return false
}

// What transformers applies and bridge does not have is refused with the file and the key.
func TestRefusedSettings(t *testing.T) {
	for _, c := range []struct {
		folder, key string
		keys        map[string]json.RawMessage
	}{
		{"t5/golden-flan", "eos_token", map[string]json.RawMessage{"eos_token": json.RawMessage(`"cat"`)}},
		{"llama/golden-llama-2", "add_prefix_space", map[string]json.RawMessage{"add_prefix_space": json.RawMessage("false"), "tokenizer_class": json.RawMessage(`"LlamaTokenizer"`)}},
		{"gpt2/golden-turned", "split_special_tokens", map[string]json.RawMessage{"split_special_tokens": json.RawMessage("true")}},
		{"opt/golden-pre-norm", "add_eos_token", map[string]json.RawMessage{"add_eos_token": json.RawMessage("true")}},
		{"gemma2/golden-alternating", "added_tokens_decoder", map[string]json.RawMessage{"added_tokens_decoder": json.RawMessage(`{"900": {"content": "<new>", "special": true}}`)}},
	} {
		family, golden, _ := strings.Cut(c.folder, "/")
		dir := filepath.Join("..", "adapters", family, "testdata", golden, "checkpoint")
		edit := edits{"tokenizer_config.json": c.keys}
		_, err := outcome(t, editedTokenizer(t, dir, edit), families()[family].TokenizerFor(modelType(t, dir)), []string{"a"})
		if err == nil || !strings.Contains(err.Error(), c.key) {
			t.Errorf("%s with %s: got error %v, want a refusal that names %s", c.folder, c.keys, err, c.key)
		}
	}
}

func readSettingsTable(t *testing.T) settingsTable {
	t.Helper()
	var table settingsTable
	file, err := os.Open("testdata/settings.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	data, err := gzip.NewReader(file)
	if err == nil {
		err = json.NewDecoder(data).Decode(&table)
	}
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func modelType(t *testing.T, dir string) string {
	t.Helper()
	var c struct {
		ModelType string `json:"model_type"`
	}
	data, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c.ModelType
}

// editedTokenizer copies a folder without its weights and sets keys of its files.
func editedTokenizer(t *testing.T, dir string, e edits) string {
	t.Helper()
	to := t.TempDir()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !strings.Contains(file.Name(), "safetensors") {
			data, err := os.ReadFile(filepath.Join(dir, file.Name()))
			if err == nil {
				err = os.WriteFile(filepath.Join(to, file.Name()), data, 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, keys := range e {
		content := map[string]json.RawMessage{}
		if data, err := os.ReadFile(filepath.Join(to, name)); err == nil {
			if err := json.Unmarshal(data, &content); err != nil {
				t.Fatal(err)
			}
		}
		for key, value := range keys {
			content[key] = value
		}
		data, err := json.Marshal(content)
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// outcome returns what a folder's tokenizer makes of texts.
func outcome(t *testing.T, dir string, defaults adapters.TokenizerDefaults, texts []string) ([]tokenized, error) {
	t.Helper()
	tok, err := tokenizer.Open(context.Background(), dir, defaults)
	if err != nil {
		return nil, err
	}
	defer tok.Close()
	whole, err := tok.EncodeBatch(texts, true)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	plain, err := tok.EncodeBatch(texts, false)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	out := make([]tokenized, len(texts))
	for i := range texts {
		out[i] = tokenized{IDs: whole[i].IDs, Plain: plain[i].IDs}
		if out[i].Text, err = tok.Decode(plain[i].IDs, true); err != nil {
			return nil, err
		}
	}
	return out, nil
}
