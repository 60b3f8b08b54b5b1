package registry

import (
	"embed"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/stricttoml"
)

// Manifest describes a backbone before its weights are opened.
type Manifest struct {
	ID           string                `toml:"id"`
	About        string                `toml:"about"` // one line for people
	Kind         adapters.ModelKind    `toml:"kind"`
	Family       string                `toml:"family"`        // of the adapter: "vit", "opt", …
	Repository   string                `toml:"repository"`    // "owner/name" on the Hugging Face hub; empty for the kit's
	Revision     string                `toml:"revision"`      // of the repository: a branch, tag or commit; empty is main
	Files        []string              `toml:"files"`         // patterns of the repository's files; empty: [DefaultFiles]
	Width        int                   `toml:"width"`         // D: of the features, or of the soft prompts
	Tokens       int                   `toml:"tokens"`        // N: feature tokens per picture, vision only
	ImageSize    int                   `toml:"image_size"`    // pixels a side, vision only
	PatchSize    int                   `toml:"patch_size"`    // pixels a side, vision only
	FeatureLayer *int                  `toml:"feature_layer"` // as transformers indexes hidden_states; absent: the family's choice
	Architecture adapters.Architecture `toml:"architecture"`  // language only
	Context      int                   `toml:"context"`       // longest sequence in tokens, language only; 0 is unbounded
	DType        string                `toml:"dtype"`         // that it is usually computed in
	Activation   string                `toml:"activation"`    // of feed-forwards, in place of the one that config.json names; language only
	EndOfAnswer  string                `toml:"end_of_answer"` // the token that ends an answer, for people; language only
	Templates    Templates             `toml:"prompts"`       // language only
	Parameters   int64                 `toml:"parameters"`    // 0 if unknown without the weights
	Download     int64                 `toml:"download"`      // bytes of the weights to fetch; 0 for the kit's
	Memory       Memory                `toml:"memory"`
	Sizes        Sizes                 `toml:"sizes"` // zero if they are not known
}

// Templates are the texts around captions and questions; bridge.Templates defines their
// meaning.
type Templates struct {
	Caption      string `toml:"caption"`
	Question     string `toml:"question"`
	TargetPrefix string `toml:"target_prefix"`
}

// DefaultTemplates returns BLIP-2's texts for decoder-only models: the templates of a
// language model that no manifest describes.
func DefaultTemplates() Templates {
	return Templates{Caption: "a photo of", Question: "Question: {} Answer:", TargetPrefix: " "}
}

// DefaultFiles returns the patterns of the files that a model needs of its repository: weights
// as safetensors, whole or sharded, configuration, tokenizer, preprocessing.
func DefaultFiles() []string {
	return append([]string{"model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json",
		"config.json", "preprocessor_config.json", "processor_config.json"}, languageFiles()...)
}

// languageFiles returns the files that only language models need: for generation and for the
// tokenizer.
func languageFiles() []string {
	return []string{"generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
		"vocab.json", "vocab.txt", "merges.txt", "tokenizer.model", "spiece.model"}
}

// Patterns returns the patterns of the files to fetch.
func (m Manifest) Patterns() []string {
	if len(m.Files) > 0 {
		return m.Files
	}
	return DefaultFiles()
}

// WeightBytes returns the size of the weights at the manifest's dtype.
func (m Manifest) WeightBytes() int64 {
	if m.DType == "float32" {
		return 4 * m.Parameters
	}
	return 2 * m.Parameters
}

// Memory is the peak memory of the model's process in bytes, as somebody measured it. A manifest has it only if
// it has no sizes. With sizes it follows from them (docs/models.md).
type Memory struct {
	Inference int64 `toml:"inference"` // the caption of one picture
	Stage2    int64 `toml:"stage2"`    // stage-2 steps of 16 examples, the model frozen
}

// Sizes are the numbers of a transformer from which the memory of its activations follows.
type Sizes struct {
	Layers      int `toml:"layers"`       // blocks; of an encoder-decoder, of both sides together
	FeedForward int `toml:"feed_forward"` // numbers inside a feed-forward; a gated one has twice its width
	Heads       int `toml:"heads"`
	Vocabulary  int `toml:"vocabulary"` // language only
}

// Known reports whether the sizes are known.
func (s Sizes) Known() bool { return s.Layers > 0 }

//go:embed models/*.toml
var shipped embed.FS

// dtypes returns the element types that a frozen model can compute in.
func dtypes() []adapters.DType { return []adapters.DType{adapters.Float32, adapters.BFloat16} }

// DTypes returns the names of element types that a manifest or recipe may give.
func DTypes() []string {
	var names []string
	for _, d := range dtypes() {
		names = append(names, d.String())
	}
	return names
}

// DType returns the element type of one of the names of [DTypes]; of another name
// [adapters.InvalidDType].
func DType(name string) adapters.DType {
	for _, d := range dtypes() {
		if d.String() == name {
			return d
		}
	}
	return adapters.InvalidDType
}

var idPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)

// readManifest decodes one file strictly and checks it.
func readManifest(name string, data []byte) (Manifest, error) {
	doc, err := stricttoml.Parse(name, data)
	if err != nil {
		return Manifest{}, err
	}
	var m Manifest
	doc.Decode(&m)
	m.check(doc)
	return m, doc.Err()
}

func (m *Manifest) check(doc *stricttoml.Document) {
	if !idPattern.MatchString(m.ID) {
		doc.Errorf("id", "is %q, want lower-case letters, digits, dots and hyphens", m.ID)
	}
	if m.Family == "" {
		doc.Errorf("family", "is missing, want the adapter family that opens the model")
	}
	if m.Width <= 0 {
		doc.Errorf("width", "is %d, want the width of the features or of the soft prompts", m.Width)
	}
	if DType(m.DType) == adapters.InvalidDType {
		doc.Errorf("dtype", "is %q, want one of %s", m.DType, strings.Join(DTypes(), ", "))
	}
	if (len(m.Files) > 0 || m.Revision != "") && m.Repository == "" {
		doc.Errorf("repository", "is missing, and files or revision say what to fetch of it")
	}
	for _, pattern := range m.Files {
		if _, err := path.Match(pattern, ""); err != nil {
			doc.Errorf("files", "has the pattern %q, which is malformed", pattern)
		}
	}
	switch m.Kind {
	case adapters.KindVision:
		m.checkVision(doc)
	case adapters.KindLanguage:
		m.checkLanguage(doc)
	default:
		doc.Errorf("kind", "is %q, want %q or %q", m.Kind, adapters.KindVision, adapters.KindLanguage)
	}
}

func (m *Manifest) checkVision(doc *stricttoml.Document) {
	if m.PatchSize <= 0 || m.ImageSize < m.PatchSize {
		doc.Errorf("image_size", "is %d with patch_size %d, want at least one patch", m.ImageSize, m.PatchSize)
	}
	if m.Tokens <= 0 {
		doc.Errorf("tokens", "is %d, want the feature tokens per picture, class token included", m.Tokens)
	}
	for _, key := range []string{"architecture", "context", "prompts", "activation", "end_of_answer"} {
		if doc.Has(key) {
			doc.Errorf(key, "belongs to a %s, this is a %s", adapters.KindLanguage, adapters.KindVision)
		}
	}
}

func (m *Manifest) checkLanguage(doc *stricttoml.Document) {
	if m.Architecture != adapters.DecoderOnly && m.Architecture != adapters.EncoderDecoder {
		doc.Errorf("architecture", "is %q, want %q or %q", m.Architecture, adapters.DecoderOnly, adapters.EncoderDecoder)
	}
	if m.Templates.Question != "" && strings.Count(m.Templates.Question, "{}") != 1 {
		doc.Errorf("prompts.question", "is %q, want {} once, where the question goes", m.Templates.Question)
	}
	for _, key := range []string{"tokens", "image_size", "patch_size", "feature_layer"} {
		if doc.Has(key) {
			doc.Errorf(key, "belongs to a %s, this is a %s", adapters.KindVision, adapters.KindLanguage)
		}
	}
}

// TokensAt returns N for pictures of another size: one token per patch and the tokens that do
// not depend on the size. It returns 0 if the size is not a multiple of the patch. At its own
// size a model may ignore a rim of the picture, as SigLIP does at 384.
func (m Manifest) TokensAt(imageSize int) int {
	if m.PatchSize <= 0 || imageSize <= 0 || imageSize%m.PatchSize != 0 && imageSize != m.ImageSize {
		return 0
	}
	patches := func(size int) int { return (size / m.PatchSize) * (size / m.PatchSize) }
	return m.Tokens - patches(m.ImageSize) + patches(imageSize)
}

// readManifests reads every TOML file of a folder. A file is named after its id.
func readManifests(fsys fs.FS, where string) ([]Manifest, error) {
	files, err := fs.Glob(fsys, "*.toml")
	if err != nil {
		return nil, err
	}
	var all []Manifest
	for _, f := range files {
		data, err := fs.ReadFile(fsys, f)
		if err != nil {
			return nil, err
		}
		name := filepath.Join(where, f)
		m, err := readManifest(name, data)
		if err != nil {
			return nil, err
		}
		if want := strings.TrimSuffix(f, ".toml"); m.ID != want {
			return nil, adapters.Errorf(adapters.Invalid, "%s: id is %q, want %q, the file's name", name, m.ID, want)
		}
		all = append(all, m)
	}
	return all, nil
}

// readUserManifests reads models.d of the configuration folder, if it is there.
func readUserManifests(config string) ([]Manifest, error) {
	dir := filepath.Join(config, "models.d")
	if _, err := os.Stat(dir); config == "" || os.IsNotExist(err) {
		return nil, nil
	}
	return readManifests(os.DirFS(dir), dir)
}

// Size returns a number of bytes for people: "11.4 GB".
func Size(bytes int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	v, i := float64(bytes), 0
	for v >= 999.5 && i < len(units)-1 {
		v, i = v/1000, i+1
	}
	if v >= 99.5 || v == math.Trunc(v) {
		return trimmed(v, 0) + " " + units[i]
	}
	return trimmed(v, 1) + " " + units[i]
}
