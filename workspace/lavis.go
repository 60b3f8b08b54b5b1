package workspace

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/builtin"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/convert"
	"github.com/modular-bridging/bridge/internal/atomicfile"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/cachedir"
	"github.com/modular-bridging/bridge/internal/shell"
	"github.com/modular-bridging/bridge/internal/weights"
	"github.com/modular-bridging/bridge/internal/writable"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/train/metrics"
)

// LAVISOptions describe the parts of a bridge that a .pth file of LAVIS does not contain. The
// fields have the names of the command line's flags.
type LAVISOptions struct {
	Encoder      string // ID of the vision encoder
	LLM          string // ID of the language model; stage 2
	Tokenizer    string // folder with the tokenizer.json of bert-base-uncased; stage 1
	Heads        int    // attention heads of the Q-Former; 0: heads of width 64
	EncoderHeads int    // attention heads of the encoder in the file; 0: heads of width 88
}

// lavisFile is an open .pth file with the options that complete it.
type lavisFile struct {
	*convert.LAVIS
	path    string
	options LAVISOptions
}

// lavisDir returns the folder of the bridge in a .pth file of LAVIS. The first call converts the
// file into the cache folder. The file's encoder is written beside the bridge; the language
// model is not copied.
func (w *Workspace) lavisDir(ctx context.Context, path string, o LAVISOptions) (string, error) {
	reg, err := w.Registry()
	if err != nil {
		return "", err
	}
	dir, older, err := o.cacheDir(reg, path)
	if err != nil || isDir(dir) {
		return filepath.Join(dir, "bridge"), err
	}
	for _, unused := range older {
		if isDir(unused) {
			w.log.Info("the file is converted again: an older version of bridge converted it without recording the models' descriptions, or without comparing the frozen weights",
				"unused", unused, "remedy", "delete the unused folder if you do not go back to that version")
		}
	}
	l, err := convert.OpenLAVIS(path)
	if err != nil {
		return "", err
	}
	defer w.Closer(l)()
	file := lavisFile{l, path, o}
	if err := file.checkGeneratesText(); err != nil {
		return "", err
	}
	if err := w.inferSides(&file); err != nil {
		return "", err
	}
	b, parts, err := w.lavisBridge(ctx, file, true)
	if err != nil {
		return "", err
	}
	defer b.Close()
	if parts.Activation != "" && b.Info.Language.Path != "" {
		w.log.Warn("LAVIS computes T5 with the exact gelu; a model from a folder uses the activation in its config",
			"llm", b.Info.Language.Path)
	}
	w.log.Info("converting the file, once", "file", path, "into", dir)
	err = atomicfile.Dir(dir, func(tmp string) error { return file.save(ctx, b, tmp, dir) })
	if err != nil && !isDir(dir) { // if the folder exists, another process was faster
		return "", writable.Explain(err, CacheDir(), cachedir.Variable)
	}
	return filepath.Join(dir, "bridge"), nil
}

// checkGeneratesText returns an error unless the file contains a bridge with a language model.
func (f lavisFile) checkGeneratesText() error {
	switch f.Stage() {
	case 0:
		return adapters.Errorf(adapters.Unsupported, "%s contains only an encoder, and no bridge", f.path).
			WithRemedy("convert it (bridge convert %s DIR), and use DIR in [vision] of a recipe", shell.Path(f.path))
	case 1:
		return adapters.Errorf(adapters.Unsupported, "%s is of stage 1 and contains no language model", f.path).
			WithRemedy("convert it (bridge convert %s DIR), and train stage 2 with from = \"DIR\" in a recipe", shell.Path(f.path))
	}
	return nil
}

// cacheDir returns the cache folder of a file's bridge. Its name is a hash of the file's digest,
// of the options, of what the registry says about the models (the bridge records their widths,
// layers and templates), and of a mark that frozen weights were compared. older are the folders
// that older versions of bridge used, whose names are without the last part, or the last two.
func (o LAVISOptions) cacheDir(reg *registry.Registry, file string) (dir string, older []string, err error) {
	digest, err := weights.FileDigest(file)
	if err != nil {
		return "", nil, err
	}
	key := []string{digest}
	for _, value := range []string{o.Encoder, o.LLM, fmt.Sprint(o.Heads), fmt.Sprint(o.EncoderHeads)} {
		if isDir(value) {
			if value, err = filepath.Abs(value); err != nil {
				return "", nil, err
			}
		}
		key = append(key, value)
	}
	models, err := o.manifests(reg)
	if err != nil {
		return "", nil, err
	}
	described := append(slices.Clone(key), models)
	return lavisFolder(append(slices.Clone(described), "frozen weights compared")), []string{lavisFolder(described), lavisFolder(key)}, nil
}

func lavisFolder(key []string) string {
	sum := sha256.Sum256([]byte(strings.Join(key, "\n")))
	return filepath.Join(CacheDir(), "lavis", hex.EncodeToString(sum[:16]))
}

// manifests returns the manifests of the options' models as text. If an option names no model, it
// may be inferred: then all manifests of the registry count.
func (o LAVISOptions) manifests(reg *registry.Registry) (string, error) {
	kinds := map[string]adapters.ModelKind{o.Encoder: adapters.KindVision, o.LLM: adapters.KindLanguage}
	ids := []string{o.Encoder, o.LLM}
	if o.Encoder == "" || o.LLM == "" {
		ids = append(ids, reg.IDs()...)
	}
	var all []registry.Manifest
	for _, id := range ids {
		if id == "" {
			continue
		}
		model, err := reg.LookupKind(id, kinds[id])
		if err != nil {
			return "", err
		}
		all = append(all, model.Manifest)
	}
	text, err := json.Marshal(all)
	return string(text), err
}

// inferSides sets the ids that are not set, if only one model of the registry fits the widths
// of the file's weights.
func (w *Workspace) inferSides(f *lavisFile) error {
	config, err := f.Config(f.options.Heads)
	if err != nil {
		return err
	}
	reg, err := w.Registry()
	if err != nil {
		return err
	}
	infer := func(flag string, option *string, modelType string, width int) {
		id := onlyModel(reg, modelType, width)
		if *option != "" || id == "" {
			return
		}
		w.log.Info(fmt.Sprintf("assuming %s, because of the width of the weights; use --%s for another", id, flag), "file", f.path)
		*option = id
	}
	if !f.HasEncoder() {
		infer("encoder", &f.options.Encoder, weights.TypeBLIP2Vision, config.EncoderWidth)
	}
	infer("llm", &f.options.LLM, f.LanguageType(), config.LanguageWidth)
	return nil
}

// onlyModel returns the id of the only model with a width that the family of a model_type
// reads. It is empty if there is none, or more than one.
func onlyModel(reg *registry.Registry, modelType string, width int) string {
	family, ok := adapters.FamilyOf(reg.Families(), modelType)
	if !ok {
		return ""
	}
	found := ""
	for _, id := range reg.IDs() {
		m, err := reg.Lookup(id)
		if err != nil || m.Manifest.Family != family.Name || m.Width != width {
			continue
		}
		if found != "" {
			return ""
		}
		found = id
	}
	return found
}

// save writes the bridge into dir, and the file's encoder if it is used. dir will be renamed to
// final.
func (f lavisFile) save(ctx context.Context, b *bridge.Bridge, dir, final string) error {
	if f.usesOwnEncoder() {
		encoder, err := f.Encoder(f.options.EncoderHeads)
		if err != nil {
			return err
		}
		err = encoder.Write(ctx, filepath.Join(dir, "encoder"), nil)
		if err = errors.Join(err, encoder.Close()); err != nil {
			return err
		}
		b.Info.Vision.Path = filepath.Join(final, "encoder")
	}
	return b.Save(filepath.Join(dir, "bridge"), adapters.Float32)
}

// usesOwnEncoder reports whether the bridge uses the encoder in the file.
func (f lavisFile) usesOwnEncoder() bool { return f.HasEncoder() && f.options.Encoder == "" }

// lavisBridge converts a .pth file to a bridge, and finds its frozen models. It uses the file's
// own encoder only if withEncoder is true, that is, if the caller writes it beside the bridge.
func (w *Workspace) lavisBridge(ctx context.Context, f lavisFile, withEncoder bool) (*bridge.Bridge, convert.Parts, error) {
	parts := convert.Parts{Activation: f.Activation()}
	config, err := f.Config(f.options.Heads)
	if err != nil {
		return nil, parts, err
	}
	encoder, _ := adapters.FamilyOf(builtin.Families(), weights.TypeBLIP2Vision)
	info := bridge.Info{Vision: bridge.Side{ID: "eva-vit-g", Family: encoder.Name, Width: config.EncoderWidth, Layer: -1}}
	if f.options.Encoder != "" {
		if info.Vision, parts.Vision, err = w.lavisSide(f.options.Encoder, adapters.KindVision); err != nil {
			return nil, parts, err
		}
	} else if !f.HasEncoder() || !withEncoder {
		return nil, parts, OptionErrorf("%s does not record which encoder it was trained with; name it with --encoder ID "+
			"(eva-vit-g, or the folder that bridge convert writes for eva_vit_g.pth)", f.path)
	}
	var tokenizer *bridge.Tokenizer
	if f.Stage() == 1 {
		tokenizer, err = w.lavisTokenizer(ctx, f)
	} else {
		err = w.lavisLanguage(f, &info, &parts)
	}
	if err == nil {
		err = w.checkFrozen(ctx, f, &info, parts)
	}
	if err != nil {
		return nil, parts, err
	}
	backend, err := backends.Open(backends.Go)
	if err != nil {
		return nil, parts, err
	}
	b, err := f.Bridge(backend, config, tokenizer, info)
	return b, parts, err
}

// checkFrozen compares the file's frozen weights with the folders of the models that bridge uses in
// their place. It records the digests of models that were compared.
func (w *Workspace) checkFrozen(ctx context.Context, f lavisFile, info *bridge.Info, parts convert.Parts) error {
	vision, language := f.HoldsFrozen()
	const mega = 1_000_000
	var task metrics.Task
	warnings, err := f.CheckFrozen(ctx, convert.FrozenFolders{Families: builtin.Families(), Vision: parts.Vision, Language: parts.Language},
		func(done, total int64) {
			if task == nil {
				task = w.Progress().Start("megabytes of frozen weights compared", int(total/mega), 0)
			}
			task.Step(int(done/mega), 0, 0)
		})
	if task != nil {
		task.Done()
	}
	for _, warning := range warnings {
		w.log.Warn(warning)
	}
	if err == nil && vision && parts.Vision != "" {
		info.Vision.Digest, err = weightsDigest(parts.Vision, adapters.KindVision)
	}
	if err == nil && language && parts.Language != "" {
		info.Language.Digest, err = weightsDigest(parts.Language, adapters.KindLanguage)
	}
	return err
}

// weightsDigest returns the digest of the weights in a model's folder, as its spec has it.
func weightsDigest(dir string, kind adapters.ModelKind) (string, error) {
	f, err := weights.OpenPart(dir, kind)
	if err != nil {
		return "", err
	}
	digest, err := f.Digest()
	return digest, errors.Join(err, f.Close())
}

// lavisSide returns the side and the folder of a frozen model.
func (w *Workspace) lavisSide(id string, kind adapters.ModelKind) (bridge.Side, string, error) {
	reg, err := w.Registry()
	if err != nil {
		return bridge.Side{}, "", err
	}
	m, err := reg.LookupKind(id, kind)
	if err != nil {
		return bridge.Side{}, "", err
	}
	if m.Kind != kind {
		return bridge.Side{}, "", OptionErrorf("%s is a %s, want a %s", id, m.Kind, kind)
	}
	dir, err := m.Folder()
	if err != nil {
		return bridge.Side{}, "", err
	}
	side := bridge.Side{ID: m.ID, Family: m.Manifest.Family, Width: m.Width}
	if m.Source == registry.FromFolder {
		side.Path = m.Path
	}
	if m.FeatureLayer != nil {
		side.Layer = *m.FeatureLayer
	}
	return side, dir, nil
}

// lavisLanguage finds the language model of a stage-2 file.
func (w *Workspace) lavisLanguage(f lavisFile, info *bridge.Info, parts *convert.Parts) error {
	id := f.options.LLM
	if id == "" {
		return OptionErrorf("%s is of stage 2 (it has %s) and does not contain its language model; name it with --llm ID",
			f.path, f.Projection())
	}
	side, dir, err := w.lavisSide(id, adapters.KindLanguage)
	if err != nil {
		return err
	}
	reg, err := w.Registry()
	if err != nil {
		return err
	}
	m, err := reg.LookupKind(id, adapters.KindLanguage)
	if err != nil {
		return err
	}
	templates := bridge.Templates(m.Templates)
	info.Language, info.Templates, parts.Language = &side, &templates, dir
	return nil
}

// lavisTokenizer opens the tokenizer of a stage-1 file.
func (w *Workspace) lavisTokenizer(ctx context.Context, f lavisFile) (*bridge.Tokenizer, error) {
	name := f.options.Tokenizer
	if name == "" {
		return nil, OptionErrorf("%s is of stage 1 and does not contain its tokenizer; "+
			"name the folder of bert-base-uncased with --tokenizer DIR", f.path)
	}
	reg, err := w.Registry()
	if err != nil {
		return nil, err
	}
	if dir, ok := reg.Snapshot(name, "tokenizer.json"); ok {
		name = dir
	}
	return bridge.OpenTokenizer(ctx, filepath.Join(name, "tokenizer.json"))
}
