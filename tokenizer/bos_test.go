package tokenizer

import (
	"encoding/json"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

// TestBOS gives one vocabulary several post-processors and configurations.
func TestBOS(t *testing.T) {
	token := func(id string) any { return object{"SpecialToken": object{"id": id, "type_id": 0}} }
	text := object{"Sequence": object{"id": "A", "type_id": 0}}
	template := func(single ...any) any {
		return object{"type": "TemplateProcessing", "single": single, "pair": []any{text, text}, "special_tokens": object{
			"</s>":  object{"id": "</s>", "ids": []int{1}, "tokens": []string{"</s>"}},
			"<pad>": object{"id": "<pad>", "ids": []int{0}, "tokens": []string{"<pad>"}}}}
	}
	bytes := object{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true}
	for name, test := range map[string]struct {
		post   any
		config string
		want   string // "" for none
		kind   adapters.Kind
	}{
		"no post-processor":          {nil, "", "", 0},
		"template":                   {template(token("<pad>"), text), "", "<pad>", 0},
		"template with an end":       {template(token("<pad>"), text, token("</s>")), `{"bos_token": "</s>"}`, "<pad>", 0},
		"end alone":                  {template(text, token("</s>")), "", "", 0},
		"sequence":                   {object{"type": "Sequence", "processors": []any{bytes, template(token("<pad>"), text)}}, "", "<pad>", 0},
		"two in front":               {template(token("<pad>"), token("</s>"), text), "", "", adapters.Unsupported},
		"the configuration adds":     {bytes, `{"add_bos_token": true, "bos_token": {"content": "</s>"}}`, "", 0}, // transformers 5 does not look
		"the configuration adds not": {template(token("<pad>"), text), `{"add_bos_token": false, "bos_token": "<pad>"}`, "<pad>", 0},
	} {
		t.Run(name, func(t *testing.T) {
			var file object
			if err := json.Unmarshal(readGolden(t, "t5").Tokenizer, &file); err != nil {
				t.Fatal(err)
			}
			file["post_processor"] = test.post
			changed, err := json.Marshal(file)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			write(t, dir, "tokenizer.json", string(changed))
			if test.config != "" {
				write(t, dir, "tokenizer_config.json", test.config)
			}
			tok, err := Open(t.Context(), dir, adapters.TokenizerDefaults{})
			if err != nil {
				t.Fatal(err)
			}
			defer tok.Close()
			id, ok, err := tok.BOS()
			if adapters.KindOf(err) != test.kind && (err != nil || test.kind != 0) {
				t.Fatalf("got %v, want %v", err, test.kind)
			}
			if got := tok.Token(id); ok != (test.want != "") || ok && got != test.want {
				t.Errorf("got %q, %v, want %q", got, ok, test.want)
			}
		})
	}
}
