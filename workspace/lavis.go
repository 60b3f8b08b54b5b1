package workspace

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/builtin"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/convert"
	"github.com/modular-bridging/bridge/internal/atomicfile"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/weights"
	"github.com/modular-bridging/bridge/registry"
)

// LAVISOptions say what a .pth file of LAVIS does not hold. The fields have the names
// of the command line's flags.
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

// lavisDir returns the folder of the bridge that a .pth file of LAVIS holds. The first
// time the file is converted into the cache folder, its encoder beside the bridge; the
// language model stays where it is.
func (w *Workspace) lavisDir(ctx context.Context, path string, o LAVISOptions) (string, error) {
	dir, err := o.cacheDir(path)
	if err != nil || isDir(dir) {
		return filepath.Join(dir, "bridge"), err
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
		w.log.Warn("LAVIS computes T5 with the exact gelu; a model that is named by its folder has its own activation", "llm", b.Info.Language.Path)
	}
	w.log.Info("converting the file, once", "file", path, "into", dir)
	err = atomicfile.Dir(dir, func(tmp string) error { return file.save(ctx, b, tmp, dir) })
	if err != nil && !isDir(dir) { // another process may have been faster
		return "", err
	}
	return filepath.Join(dir, "bridge"), nil
}

// checkGeneratesText refuses a file that holds no bridge which writes text.
func (f lavisFile) checkGeneratesText() error {
	switch f.Stage() {
	case 0:
		return adapters.Errorf(adapters.Unsupported, "%s holds an encoder alone, and no bridge", f.path).
			WithRemedy("bridge convert %s DIR makes a folder of it, which a recipe's [vision] can name", f.path)
	case 1:
		return adapters.Errorf(adapters.Unsupported, "%s holds no language model to write with: it is of stage 1", f.path).
			WithRemedy("train stage 2 from it: bridge convert %s DIR, and from = \"DIR\" in a recipe", f.path)
	}
	return nil
}

// cacheDir returns where a file's bridge is kept: by the file's digest and the options
// that complete it.
func (o LAVISOptions) cacheDir(file string) (string, error) {
	digest, err := weights.FileDigest(file)
	if err != nil {
		return "", err
	}
	key := []string{digest}
	for _, value := range []string{o.Encoder, o.LLM, fmt.Sprint(o.Heads), fmt.Sprint(o.EncoderHeads)} {
		if isDir(value) {
			if value, err = filepath.Abs(value); err != nil {
				return "", err
			}
		}
		key = append(key, value)
	}
	sum := sha256.Sum256([]byte(strings.Join(key, "\n")))
	return filepath.Join(CacheDir(), "lavis", hex.EncodeToString(sum[:16])), nil
}

// inferSides sets the ids that are not given, if the widths of the file's weights leave
// one model of the registry.
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
		w.log.Info(fmt.Sprintf("the file is taken to belong to %s, by its width; --%s names another", id, flag), "file", f.path)
		*option = id
	}
	if !f.HasEncoder() {
		infer("encoder", &f.options.Encoder, weights.TypeBLIP2Vision, config.EncoderWidth)
	}
	infer("llm", &f.options.LLM, f.LanguageType(), config.LanguageWidth)
	return nil
}

// onlyModel returns the id of the only model of a width that the family of a model_type
// reads. It is empty if there are none or several.
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

// save writes the bridge and, if the file holds it and no other is named, the encoder
// into dir, which will be final.
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

// usesOwnEncoder reports whether the file's own encoder is meant.
func (f lavisFile) usesOwnEncoder() bool { return f.HasEncoder() && f.options.Encoder == "" }

// lavisBridge makes a bridge of a .pth file, and finds its frozen models. The file's own
// encoder counts only if it is written beside the bridge.
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
		return nil, parts, OptionErrorf("%s does not say which encoder it was trained with; name it with --encoder ID (eva-vit-g, or the folder that bridge convert makes of eva_vit_g.pth)", f.path)
	}
	var words *bridge.Tokenizer
	if f.Stage() == 1 {
		words, err = w.lavisTokenizer(ctx, f)
	} else {
		err = w.lavisLanguage(f, &info, &parts)
	}
	if err != nil {
		return nil, parts, err
	}
	backend, err := backends.Open(backends.Go)
	if err != nil {
		return nil, parts, err
	}
	b, err := f.Bridge(backend, config, words, info)
	return b, parts, err
}

// lavisSide describes a frozen model that an option names, and returns its folder.
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
		return OptionErrorf("%s is of stage 2 (it has %s) and does not hold its language model; name it with --llm ID", f.path, f.Projection())
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
	prompts := bridge.Templates(m.Templates)
	info.Language, info.Templates, parts.Language = &side, &prompts, dir
	return nil
}

// lavisTokenizer opens the tokenizer of a stage-1 file's text side.
func (w *Workspace) lavisTokenizer(ctx context.Context, f lavisFile) (*bridge.Tokenizer, error) {
	name := f.options.Tokenizer
	if name == "" {
		return nil, OptionErrorf("%s is of stage 1 and does not hold its tokenizer; name the folder of bert-base-uncased with --tokenizer DIR", f.path)
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
