package bridge

import (
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/weights"
	"github.com/modular-bridging/bridge/qformer"
)

// bertConfig holds the keys of a BERT's config.json, over transformers' defaults.
type bertConfig struct {
	Vocabulary   int     `json:"vocab_size"`
	HiddenSize   int     `json:"hidden_size"`
	Layers       int     `json:"num_hidden_layers"`
	Heads        int     `json:"num_attention_heads"`
	Intermediate int     `json:"intermediate_size"`
	Activation   string  `json:"hidden_act"`
	MaxPositions int     `json:"max_position_embeddings"`
	Positions    string  `json:"position_embedding_type"`
	Eps          float64 `json:"layer_norm_eps"`
}

// InitFromBERT initialises a fresh stage-1 bridge with the weights of a BERT, as LAVIS does
// (blip2.py, init_Qformer; blip2_qformer.py): embeddings, self-attention, feed-forward blocks,
// also of the queries, and the language modeling head. Weights that BERT lacks stay random:
// cross-attention, query tokens, projections, and the embedding of [DEC]. The folder holds a
// BertModel or a BertForMaskedLM of the bridge's own shape.
func (b *Bridge) InitFromBERT(dir string) error {
	if b.Stage() != qformer.Stage1 {
		return adapters.Errorf(adapters.Invalid, "only a stage-1 bridge is initialised from a BERT, this one is of stage %d", b.Info.Stage)
	}
	f, err := weights.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := b.fitsBERT(f); err != nil {
		return err
	}
	used := map[string]bool{}
	for _, p := range b.config.Parameters(qformer.Stage1) {
		name, err := b.fromBERT(f, p)
		if err != nil {
			return err
		}
		used[name] = true
	}
	return checkBERT(f, used)
}

// checkBERT returns an error for a tensor that is neither used nor known to have no place in
// a Q-Former.
func checkBERT(f *weights.Folder, used map[string]bool) error {
	unused := unusedOfBERT()
	for _, name := range f.Names() {
		plain := strings.TrimPrefix(name, bertPrefix)
		same := name
		switch plain {
		case "cls.predictions.decoder.weight":
			same = "embeddings.word_embeddings.weight"
		case "cls.predictions.decoder.bias":
			same = "cls.predictions.bias"
		}
		if used[name] || unused.Has(plain) && same == name {
			continue
		}
		if unused.Has(plain) && (f.Same(name, same) || f.Same(name, bertPrefix+same)) {
			continue
		}
		v, _ := f.Tensor(name)
		err := adapters.Errorf(adapters.Unsupported, "%s: %s %s has no place in a Q-Former", f.Dir(), name, v.Describe())
		if unused.Has(plain) {
			err = adapters.Errorf(adapters.Unsupported, "%s: %s differs from %s, and a Q-Former has one tensor for both", f.Dir(), name, same)
		}
		return err.WithRemedy("name a BertModel or a BertForMaskedLM, as transformers saves it")
	}
	return nil
}

// bertPrefix stands before the names of a BertModel in other classes.
const bertPrefix = "bert."

// unusedOfBERT lists a BERT's tensors, without the prefix, that a Q-Former lacks.
func unusedOfBERT() weights.UnusedList {
	const tied = "it equals a tensor to which it is tied; a Q-Former has one for both"
	return weights.UnusedList{
		{Name: "embeddings.token_type_embeddings.weight", Reason: "a Q-Former has no token types"},
		{Name: "embeddings.position_ids", Reason: "the numbers 0, 1, 2, …; older files hold them"},
		{Name: "pooler.dense.weight", Reason: "a Q-Former does not pool"},
		{Name: "pooler.dense.bias", Reason: "a Q-Former does not pool"},
		{Name: "cls.seq_relationship.weight", Reason: "the head for sentences that follow each other"},
		{Name: "cls.seq_relationship.bias", Reason: "the head for sentences that follow each other"},
		{Name: "cls.predictions.decoder.weight", Reason: tied},
		{Name: "cls.predictions.decoder.bias", Reason: tied},
	}
}

// fitsBERT checks that the Q-Former has BERT's shape.
func (b *Bridge) fitsBERT(f *weights.Folder) error {
	path := f.Path("config.json")
	if f.ModelType() != "bert" {
		return adapters.Errorf(adapters.Unsupported, "%s: model_type is %q, want \"bert\", which the Q-Former is", path, f.ModelType())
	}
	c := bertConfig{30522, 768, 12, 12, 3072, "gelu", 512, "absolute", 1e-12}
	if err := f.DecodeConfig(&c); err != nil {
		return err
	}
	if c.Positions != "absolute" || c.Activation != orDefault(b.config.Activation, "gelu") || c.Eps != b.config.LayerNormEps {
		return adapters.Errorf(adapters.Unsupported, "%s: positions %q, activation %q and epsilon %g, want \"absolute\", %q and %g",
			path, c.Positions, c.Activation, c.Eps, orDefault(b.config.Activation, "gelu"), b.config.LayerNormEps)
	}
	for _, size := range []struct {
		key       string
		bert, own int
	}{
		{"hidden_size", c.HiddenSize, b.config.HiddenSize}, {"num_hidden_layers", c.Layers, b.config.Layers},
		{"num_attention_heads", c.Heads, b.config.Heads}, {"intermediate_size", c.Intermediate, b.config.Intermediate},
		{"max_position_embeddings", c.MaxPositions, b.config.MaxPositions},
	} {
		if size.bert != size.own {
			return adapters.Errorf(adapters.Invalid, "%s: %s is %d, the Q-Former's is %d", path, size.key, size.bert, size.own).
				WithRemedy("give the Q-Former the BERT's shape in [qformer], or name another BERT")
		}
	}
	if own := b.config.Vocabulary; own != c.Vocabulary && own != c.Vocabulary+1 {
		return adapters.Errorf(adapters.Invalid, "%s: vocab_size is %d, the tokenizer of the text side has %d words with [DEC]", path, c.Vocabulary, own).
			WithRemedy("set qformer.tokenizer to the BERT's own folder")
	}
	return nil
}

// fromBERT sets one weight, where BERT has it. It returns the weight's name in the folder.
func (b *Bridge) fromBERT(f *weights.Folder, p qformer.Param) (string, error) {
	name, ok := nameInBERT(p)
	if !ok {
		return "", nil
	}
	inFile, view, found := findInBERT(f, name)
	if !found && p.Part == qformer.PartDecoder { // a BertModel has no head
		return "", nil
	}
	if !found {
		return "", adapters.Errorf(adapters.Corrupt, "%s has no %s, want it for %s", f.Dir(), name, p.Name).WithRemedy("fetch the folder again")
	}
	shape := slices.Clone(p.Shape)
	perWord := strings.HasPrefix(name, "embeddings.word_embeddings.") || name == "cls.predictions.bias"
	if perWord && len(view.Shape) == len(shape) && view.Shape[0] == shape[0]-1 {
		shape[0]-- // [DEC], the last word, is not BERT's: it stays random, its bias zero
	}
	if !slices.Equal(view.Shape, shape) {
		return "", adapters.Errorf(adapters.Corrupt, "%s: %s is %s, want %s for %s", f.Dir(), name, view.Describe(), adapters.ShapeString(p.Shape), p.Name)
	}
	values, err := view.Float32s()
	if err != nil {
		return "", err
	}
	current, err := b.values(p.Name)
	if err != nil {
		return "", err
	}
	copy(current, values)
	return inFile, b.setValues(p.Name, current, p.Shape...)
}

// nameInBERT returns BERT's name of a weight, without the prefix of its class.
func nameInBERT(p qformer.Param) (string, bool) {
	name := p.Name
	switch {
	case strings.HasPrefix(name, "embeddings."), p.Part == qformer.PartDecoder:
		return name, true
	case strings.HasPrefix(name, "qformer.layernorm."):
		return "embeddings.LayerNorm." + strings.TrimPrefix(name, "qformer.layernorm."), true
	case strings.Contains(name, ".crossattention."):
		return "", false
	}
	name, ok := strings.CutPrefix(name, "qformer.")
	name = strings.Replace(name, "attention.attention.", "attention.self.", 1)
	return strings.ReplaceAll(name, "_query.", "."), ok // the queries' blocks begin as the text's
}

// findInBERT knows the prefix of some classes, and what old files call norms. It returns the
// tensor's name in the folder too.
func findInBERT(f *weights.Folder, name string) (string, weights.View, bool) {
	old := strings.NewReplacer("LayerNorm.weight", "LayerNorm.gamma", "LayerNorm.bias", "LayerNorm.beta").Replace(name)
	for _, n := range []string{name, bertPrefix + name, old, bertPrefix + old} {
		if v, ok := f.Tensor(n); ok {
			return n, v, true
		}
	}
	return "", weights.View{}, false
}
