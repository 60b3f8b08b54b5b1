package convert

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nlpodyssey/safetensors"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/builtin"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/internal/torchfile"
	"github.com/modular-bridging/bridge/internal/weights"
)

// goldenFolder opens the frozen model in a golden folder.
func goldenFolder(t *testing.T, path string, kind adapters.ModelKind) *weights.Folder {
	t.Helper()
	f, err := weights.OpenPart(filepath.Join("..", path, "checkpoint"), kind)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// lavisWith returns a stage-2 file with the given frozen weights.
func lavisWith(t *testing.T, frozen map[string]weights.View) *LAVIS {
	t.Helper()
	one := weights.View{DType: safetensors.F32, Shape: []int{1}, Data: make([]byte, 4)}
	all := map[string]weights.View{"query_tokens": one, "opt_proj.weight": one}
	for name, v := range frozen {
		all[name] = v
	}
	l := newLAVIS("x.pth", &torchfile.File{Tensors: all})
	if err := l.classify(); err != nil {
		t.Fatal(err)
	}
	return l
}

// changed returns a tensor with another last element: its lowest bit is turned.
func changed(v weights.View) weights.View {
	v.Data = slices.Clone(v.Data)
	v.Data[len(v.Data)-int(v.DType.Size())] ^= 1
	return v
}

// languageOf returns the weights of a folder's language model as LAVIS names them: those of the
// class with a head.
func languageOf(f *weights.Folder, module string) map[string]weights.View {
	family, _ := adapters.FamilyOf(builtin.Families(), f.ModelType())
	held := map[string]weights.View{}
	for _, name := range f.Names() {
		v, _ := f.Tensor(name)
		if to := family.TensorName(name); to != "" {
			held[module+"."+to] = v
		}
	}
	return held
}

func checkFrozen(t *testing.T, l *LAVIS, vision, language *weights.Folder) ([]string, error) {
	t.Helper()
	folders := FrozenFolders{Families: builtin.Families()}
	if vision != nil {
		folders.Vision = vision.Dir()
	}
	if language != nil {
		folders.Language = language.Dir()
	}
	return l.CheckFrozen(context.Background(), folders, nil)
}

// Each weight of a frozen language model in a file counts: a file with one bit of one tensor
// changed is refused with the tensor's name.
func TestEveryFrozenTensorOfALanguageModelIsCompared(t *testing.T) {
	modules := map[string]string{
		"bridge/testdata/golden-opt": "opt_model", "bridge/testdata/golden-t5": "t5_model", "adapters/gpt2/testdata/golden-released": "llm_model",
	}
	if testenv.Long() {
		modules["adapters/opt/testdata/golden-post-norm"] = "opt_model"
		modules["adapters/llama/testdata/golden-llama-3"] = "llm_model"
		modules["adapters/gemma2/testdata/golden-turned"] = "llm_model"
	}
	for path, module := range modules {
		f := goldenFolder(t, path, adapters.KindLanguage)
		held := languageOf(f, module)
		if warnings, err := checkFrozen(t, lavisWith(t, held), nil, f); err != nil || len(warnings) > 0 || len(held) < 10 {
			t.Errorf("%s: %d equal weights: %q, %v", path, len(held), warnings, err)
		}
		for name, v := range held {
			held[name] = changed(v)
			_, err := checkFrozen(t, lavisWith(t, held), nil, f)
			if adapters.KindOf(err) != adapters.Unsupported || !strings.Contains(err.Error(), name+" "+v.Describe()+" differs from ") {
				t.Errorf("%s: %s is changed: %v", path, name, err)
			}
			held[name] = v
		}
	}
}

// Weights that a folder lacks are refused; constants and tied heads are not missed.
func TestFrozenWeightsThatTheFolderLacks(t *testing.T) {
	f := goldenFolder(t, "bridge/testdata/golden-opt", adapters.KindLanguage)
	table, _ := f.Tensor("model.decoder.embed_tokens.weight")
	fewer, more := rows(table, 0, table.Shape[0]-2), appendRows(table, table.Shape[0]+3)
	for _, c := range []struct {
		name string
		view weights.View
		warn string
		want string
	}{
		{"opt_model.lm_head.weight", table, "", ""},
		{"opt_model.lm_head.weight", changed(table), "", "opt_model.lm_head.weight " + table.Describe() + " differs from model.decoder.embed_tokens.weight"},
		{"opt_model.model.decoder.embed_tokens.weight", fewer, "rows", ""},
		{"opt_model.model.decoder.embed_tokens.weight", more, "rows", ""},
		{"opt_model.model.decoder.embed_tokens.weight", changed(fewer), "rows", "differs"},
		{"opt_model.model.decoder.layers.0.lora_A.weight", table, "", "opt_model.model.decoder.layers.0.lora_A.weight has no counterpart"},
		{"t5_model.encoder.final_layer_norm.weight", table, "", "t5_model.encoder.final_layer_norm.weight has no counterpart"},
	} {
		held := languageOf(f, "opt_model")
		delete(held, "opt_model.lm_head.weight")
		held[c.name] = c.view
		warnings, err := checkFrozen(t, lavisWith(t, held), nil, f)
		if strings.Contains(fmt.Sprint(warnings), "rows") != (c.warn != "") {
			t.Errorf("%s %s: warnings %q", c.name, c.view.Describe(), warnings)
		}
		if (err != nil) != (c.want != "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v, want %q", c.name, c.view.Describe(), err, c.want)
		}
	}
}

func TestFrozenWeightsWithoutAFolderAreNamed(t *testing.T) {
	f := goldenFolder(t, "bridge/testdata/golden-opt", adapters.KindLanguage)
	warnings, err := checkFrozen(t, lavisWith(t, languageOf(f, "opt_model")), nil, nil)
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "neither read nor compared") || !strings.Contains(warnings[0], "opt_model.model.decoder.") {
		t.Errorf("%q, %v", warnings, err)
	}
}

// clipOf returns the weights of a CLIP's folder as LAVIS names them.
func clipOf(f *weights.Folder) map[string]weights.View {
	back := strings.NewReplacer("embeddings.class_embedding", "class_embedding", "embeddings.position_embedding.weight", "positional_embedding",
		"embeddings.patch_embedding.", "conv1.", "pre_layrnorm.", "ln_pre.", "encoder.layers.", "transformer.resblocks.",
		".self_attn.out_proj.", ".attn.out_proj.", ".layer_norm1.", ".ln_1.", ".layer_norm2.", ".ln_2.", ".mlp.fc1.", ".mlp.c_fc.", ".mlp.fc2.", ".mlp.c_proj.")
	held := map[string]weights.View{}
	for _, name := range f.Names() {
		short := strings.TrimPrefix(name, weights.VisionPrefix)
		v, _ := f.Tensor(name)
		block, kind, attention := strings.Cut(short, ".self_attn.q_proj.")
		switch {
		case attention:
			for _, part := range []string{"k", "v"} {
				more, _ := f.Tensor(strings.Replace(name, "q_proj", part+"_proj", 1))
				v = weights.View{DType: v.DType, Shape: append([]int{v.Shape[0] + more.Shape[0]}, v.Shape[1:]...), Data: slices.Concat(v.Data, more.Data)}
			}
			held["visual_encoder."+back.Replace(block)+".attn.in_proj_"+kind] = v
		case strings.Contains(short, "k_proj") || strings.Contains(short, "v_proj") || strings.HasPrefix(short, "post_layernorm") || strings.HasPrefix(short, "text_"),
			strings.Contains(short, "projection") || strings.HasPrefix(short, "logit"):
		default:
			held["visual_encoder."+back.Replace(short)] = v
		}
	}
	return held
}

func TestEveryFrozenTensorOfACLIPIsCompared(t *testing.T) {
	for _, path := range []string{"adapters/vit/testdata/golden-quick-gelu", "adapters/vit/testdata/golden-whole-clip"} {
		f := goldenFolder(t, path, adapters.KindVision)
		held := clipOf(f)
		if warnings, err := checkFrozen(t, lavisWith(t, held), f, nil); err != nil || len(warnings) > 0 || len(held) < 16 {
			t.Errorf("%s: %d equal weights: %q, %v", path, len(held), warnings, err)
		}
		for name, v := range held {
			held[name] = changed(v)
			if _, err := checkFrozen(t, lavisWith(t, held), f, nil); err == nil || !strings.Contains(err.Error(), name+" ") || !strings.Contains(err.Error(), " differs from ") {
				t.Errorf("%s: %s is changed: %v", path, name, err)
			}
			held[name] = v
		}
		held["visual_encoder.proj"] = held["visual_encoder.class_embedding"]
		if _, err := checkFrozen(t, lavisWith(t, held), f, nil); err == nil || !strings.Contains(err.Error(), "visual_encoder.proj has no counterpart") {
			t.Errorf("%s: an unknown weight: %v", path, err)
		}
	}
}

// A file's EVA-CLIP that is not used must be the one that is named instead.
func TestEveryTensorOfAnUnusedEVAIsCompared(t *testing.T) {
	f := goldenFolder(t, "bridge/testdata/golden-opt", adapters.KindVision)
	open := func() *LAVIS {
		l, err := OpenLAVIS(filepath.Join("testdata", "stage2.pth"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	if warnings, err := checkFrozen(t, open(), f, nil); err != nil || len(warnings) > 0 {
		t.Errorf("equal: %q, %v", warnings, err)
	}
	for name := range open().encoder {
		l := open()
		l.encoder[name] = changed(l.encoder[name])
		if _, err := checkFrozen(t, l, f, nil); err == nil || !strings.Contains(err.Error(), "differs from") {
			t.Errorf("%s is changed: %v", name, err)
		}
	}
	other := goldenFolder(t, "adapters/vit/testdata/golden-quick-gelu", adapters.KindVision)
	if _, err := checkFrozen(t, open(), other, nil); err == nil || !strings.Contains(err.Error(), `(model_type "clip_vision_model")`) {
		t.Errorf("CLIP instead of EVA: %v", err)
	}
}
