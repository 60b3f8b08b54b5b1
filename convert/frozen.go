package convert

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/weights"
)

// FrozenFolders are the folders that stand for the frozen weights in a file of LAVIS.
type FrozenFolders struct {
	// Families are the adapter families, which name the tensors of language models.
	Families []adapters.Family
	// Vision is the encoder's folder; empty if the file's own encoder is used.
	Vision string
	// Language is the language model's folder; empty in stage 1.
	Language string
}

// HoldsFrozen reports for each side whether the file holds weights of a frozen model: an encoder,
// be it CLIP's or EVA-CLIP's, or a language model.
func (l *LAVIS) HoldsFrozen() (vision, language bool) {
	return len(l.clip)+len(l.encoder) > 0, len(l.language) > 0
}

// CheckFrozen compares the frozen weights in the file with those of the folders, in which bridge
// reads them, tensor by tensor as [weights.View.SameValues] does. Biases of EVA's keys are not
// compared, because they cancel in the softmax. The error names the first tensor that
// differs or that the folder lacks. Warnings name tensors that were compared only in part, or not
// at all because their folder is not known. progress, if not nil, is called with the bytes of the
// file compared so far and in all.
func (l *LAVIS) CheckFrozen(ctx context.Context, folders FrozenFolders, progress func(done, total int64)) (warnings []string, err error) {
	var all []frozenPair
	for _, side := range []struct {
		dir  string
		kind adapters.ModelKind
		held map[string]weights.View
		pair func(f *weights.Folder) ([]frozenPair, error)
	}{
		{folders.Language, adapters.KindLanguage, l.language, func(f *weights.Folder) ([]frozenPair, error) { return l.pairLanguage(f, folders.Families) }},
		{folders.Vision, adapters.KindVision, l.clip, l.pairCLIP},
		{folders.Vision, adapters.KindVision, l.encoder, l.pairEVA},
	} {
		switch {
		case len(side.held) == 0:
			continue
		case side.dir == "":
			warnings = append(warnings, l.notCompared(side.kind)...)
			continue
		}
		f, err := weights.OpenPart(side.dir, side.kind)
		if err != nil {
			return warnings, err
		}
		defer f.Close()
		pairs, err := side.pair(f)
		if err != nil {
			return warnings, err
		}
		all = append(all, pairs...)
	}
	cut, err := l.comparePairs(ctx, all, progress)
	return append(warnings, cut...), err
}

// notCompared returns a warning about the weights of a side whose folder is not known. The
// file's own EVA-CLIP needs none.
func (l *LAVIS) notCompared(kind adapters.ModelKind) []string {
	held := l.language
	if kind == adapters.KindVision {
		held = l.clip
	}
	if len(held) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s: %d frozen weights are neither read nor compared, because no folder of a %s is named; the first is %s",
		l.path, len(held), kind, slices.Sorted(maps.Keys(held))[0])}
}

// frozenPair is a weight of the file with the tensor of a folder that stands for it.
type frozenPair struct {
	name   string       // in the file
	view   weights.View // of the file
	folder *weights.Folder
	as     string // the tensor's name in the folder
	want   weights.View
	remedy string
}

func (l *LAVIS) comparePairs(ctx context.Context, pairs []frozenPair, progress func(done, total int64)) (warnings []string, err error) {
	var done, total int64
	for _, p := range pairs {
		total += int64(len(p.view.Data))
	}
	for _, p := range pairs {
		if err := ctx.Err(); err != nil {
			return warnings, adapters.Errorf(adapters.Canceled, "compare %s with %s: %w", l.path, p.folder.Dir(), err)
		}
		size := int64(len(p.view.Data))
		if cut := p.commonRows(); cut != "" {
			warnings = append(warnings, l.path+": "+cut)
		}
		if !p.view.SameValues(p.want) {
			return warnings, adapters.Errorf(adapters.Unsupported, "%s: %s %s differs from %s %s in %s, which bridge would read instead",
				l.path, p.name, p.view.Describe(), p.as, p.want.Describe(), p.folder.Dir()).WithRemedy("%s", p.remedy)
		}
		p.view.Release()
		p.want.Release()
		if done += size; progress != nil {
			progress(done, total)
		}
	}
	return warnings, nil
}

// commonRows cuts tables of token embeddings to the rows that both have, and says so: LAVIS and
// `bridge convert` append rows for tokens that the other does not have.
func (p *frozenPair) commonRows() string {
	a, b := p.view, p.want
	if !isTokenTable(p.as) || len(a.Shape) != 2 || len(b.Shape) != 2 || a.Shape[0] == b.Shape[0] || a.Shape[1] != b.Shape[1] {
		return ""
	}
	n := min(a.Shape[0], b.Shape[0])
	p.view, p.want = rows(a, 0, n), rows(b, 0, n)
	return fmt.Sprintf("%s has %d rows and %s in %s has %d; the first %d are compared, the others belong to tokens that one of the two added",
		p.name, a.Shape[0], p.as, p.folder.Dir(), b.Shape[0], n)
}

// rows returns the rows of a tensor from one to before another.
func rows(v weights.View, from, to int) weights.View {
	size := len(v.Data) / max(v.Shape[0], 1)
	v.Data = v.Data[from*size : to*size]
	v.Shape = append([]int{to - from}, v.Shape[1:]...)
	return v
}

// missing returns the error about a weight that the folder has no tensor for.
func (l *LAVIS) missing(f *weights.Folder, name, as, remedy string) error {
	return adapters.Errorf(adapters.Unsupported, "%s: %s has no counterpart in %s (model_type %q), which has no %s",
		l.path, name, f.Dir(), f.ModelType(), as).WithRemedy("%s", remedy)
}

// pairLanguage pairs the language model's weights with those of its folder, under the names of
// transformers' class with a head. It leaves out constants, which that class does not have.
func (l *LAVIS) pairLanguage(f *weights.Folder, families []adapters.Family) ([]frozenPair, error) {
	const remedy = "name the folder that the file's language model came from with --llm; if it was tuned, write it from LAVIS with save_pretrained and name that folder"
	family, _ := adapters.FamilyOf(families, f.ModelType())
	rename := func(name string) string {
		if family.TensorName == nil {
			return name
		}
		return family.TensorName(name)
	}
	held, tokens := map[string]string{}, ""
	for _, name := range f.Names() {
		to := rename(name)
		held[to] = name
		if tokens == "" && isTokenTable(to) && to != "lm_head.weight" {
			tokens = name
		}
	}
	var pairs []frozenPair
	for _, name := range slices.Sorted(maps.Keys(l.language)) {
		_, inner, _ := strings.Cut(name, ".")
		to := rename(inner)
		if to == "" {
			continue
		}
		as, ok := held[to]
		if !ok && isTokenTable(to) { // tied to the embeddings, and not saved
			as, ok = tokens, tokens != ""
		}
		if !ok {
			return nil, l.missing(f, name, to, remedy)
		}
		want, _ := f.Tensor(as)
		pairs = append(pairs, frozenPair{name, l.language[name], f, as, want, remedy})
	}
	return pairs, nil
}

// pairEVA pairs the file's EVA-CLIP with the folder of another one.
func (l *LAVIS) pairEVA(f *weights.Folder) ([]frozenPair, error) {
	const remedy = "leave --encoder out, and --to bridge, so that the file's own encoder is used"
	e := evaReader{l: l, out: newCheckpoint(), used: map[string]bool{}}
	if _, err := e.readTensors(); err != nil {
		return nil, err
	}
	var pairs []frozenPair
	for _, to := range slices.Sorted(maps.Keys(e.out.tensors)) {
		as, want, ok := findVision(f, to)
		if !ok {
			return nil, l.missing(f, "visual_encoder's "+to, to, remedy)
		}
		pair := frozenPair{"visual_encoder's " + to, e.out.tensors[to], f, as, want, remedy}
		if !strings.HasSuffix(to, "qkv.bias") || !slices.Equal(pair.view.Shape, want.Shape) {
			pairs = append(pairs, pair)
			continue
		}
		n := want.Shape[0] / 3
		for _, from := range []int{0, 2 * n} { // queries and values; LAVIS has no bias of keys
			part := pair
			part.view, part.want = rows(pair.view, from, from+n), rows(want, from, from+n)
			pairs = append(pairs, part)
		}
	}
	return pairs, nil
}

// clipNames are OpenAI's names of parts of CLIP's vision transformer, which LAVIS keeps
// (clip_vit.py), and transformers' names.
var clipNames = strings.NewReplacer(
	"class_embedding", "embeddings.class_embedding", "positional_embedding", "embeddings.position_embedding.weight",
	"conv1.", "embeddings.patch_embedding.", "ln_pre.", "pre_layrnorm.", "ln_post.", "post_layernorm.",
	"transformer.resblocks.", "encoder.layers.", ".attn.out_proj.", ".self_attn.out_proj.",
	".ln_1.", ".layer_norm1.", ".ln_2.", ".layer_norm2.", ".mlp.c_fc.", ".mlp.fc1.", ".mlp.c_proj.", ".mlp.fc2.")

// pairCLIP pairs the file's CLIP with its folder.
func (l *LAVIS) pairCLIP(f *weights.Folder) ([]frozenPair, error) {
	const remedy = "name the folder of the file's encoder with --encoder (LAVIS's clip_L is openai/clip-vit-large-patch14); if it was tuned, write it in transformers' form and name that folder"
	var pairs []frozenPair
	for _, name := range slices.Sorted(maps.Keys(l.clip)) {
		v, to := l.clip[name], clipNames.Replace(name)
		parts := []string{to}
		if block, kind, ok := strings.Cut(to, ".attn.in_proj_"); ok { // one tensor of queries, keys and values
			parts = nil
			for _, part := range []string{"q", "k", "v"} {
				parts = append(parts, block+".self_attn."+part+"_proj."+kind)
			}
			if len(v.Shape) == 0 || v.Shape[0]%3 != 0 {
				return nil, adapters.Errorf(adapters.Corrupt, "%s: visual_encoder.%s is %s, want queries, keys and values", l.path, name, v.Describe())
			}
		}
		for i, to := range parts {
			as, want, ok := findVision(f, to)
			if !ok {
				return nil, l.missing(f, "visual_encoder."+name, to, remedy)
			}
			part := v
			if len(parts) > 1 {
				part = rows(v, i*v.Shape[0]/3, (i+1)*v.Shape[0]/3)
			}
			pairs = append(pairs, frozenPair{"visual_encoder." + name, part, f, as, want, remedy})
		}
	}
	return pairs, nil
}

// findVision returns an encoder's tensor, whose name may have a prefix.
func findVision(f *weights.Folder, name string) (as string, v weights.View, ok bool) {
	for _, as := range []string{name, weights.VisionPrefix + name} {
		if v, ok := f.Tensor(as); ok {
			return as, v, true
		}
	}
	return "", weights.View{}, false
}
