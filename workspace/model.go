package workspace

import (
	"context"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/imaging"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/shell"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/tokenizer"
)

// OpenOptions describe how to open a whole bridge. The zero value computes on the best backend
// of this machine, with built-in adapters in this process.
type OpenOptions struct {
	Backend   string // auto (or empty), go, xla:cpu, xla:cuda or xla:/abs/plugin.so
	Isolation string // of built-in adapters: IsolationProcess or IsolationNone; empty is IsolationNone
	Transport string // of tensors between processes: auto (or empty), shared-memory or grpc
	DType     string // of the frozen models: float32 or bfloat16; empty: the checkpoints'
	// EncoderPlugin and LLMPlugin are names or paths of plugins. They serve the bridge's frozen
	// models instead of the adapters that the bridge was trained with. For captions and
	// answers, an adapter needs no gradient.
	EncoderPlugin, LLMPlugin string
	// LAVIS completes a .pth file of LAVIS.
	LAVIS LAVISOptions
	// Limits are those of the frozen models' processes.
	Limits recipes.Limits
	// Pool, if not nil, shares frozen models with the other bridges that are opened with it.
	Pool *Pool
}

// Model is an open bridge with its frozen models. Close frees all of them.
type Model struct {
	*bridge.Model
	// Orientation says how the pictures of the bridge's training were turned, for
	// data.Reader. It is "exif" for a bridge outside any run.
	Orientation imaging.Orientation
	Dir         string   // of the bridge
	close       []func() // last opened first
}

// Close frees the bridge and its frozen models. It logs errors.
func (m *Model) Close() {
	for _, c := range m.close {
		c()
	}
	m.close = nil
}

// onClose adds a function for Close to call, before those added earlier.
func (m *Model) onClose(c func()) { m.close = append([]func(){c}, m.close...) }

// OpenModel opens a stage-2 bridge by name, in a new workspace that logs nothing. See
// [Workspace.OpenModel].
func OpenModel(ctx context.Context, name string, o OpenOptions) (*Model, error) {
	return New(Options{}).OpenModel(ctx, name, o)
}

// OpenModel opens a stage-2 bridge and both frozen models. name is a MODEL like on the command
// line: a run folder, its bridge folder, a BLIP-2 folder of transformers, a stage-2 .pth file of
// LAVIS, or a bridge of the kit ("kit:stage2").
func (w *Workspace) OpenModel(ctx context.Context, name string, o OpenOptions) (*Model, error) {
	dir, info, err := w.named(ctx, name, o)
	if err != nil {
		return nil, err
	}
	if info.Stage != 2 {
		return nil, adapters.Errorf(adapters.Unsupported, "%s is a stage-1 bridge, which has no language model", name).
			WithRemedy("train stage 2 from it: bridge train RECIPE --set %s", shell.Word("from="+name))
	}
	return w.openParts(ctx, dir, info, o)
}

// OpenBridge is [Workspace.OpenModel] for a bridge of either stage. The language model of a stage-1 bridge is
// nil.
func (w *Workspace) OpenBridge(ctx context.Context, name string, o OpenOptions) (*Model, error) {
	dir, info, err := w.named(ctx, name, o)
	if err != nil {
		return nil, err
	}
	return w.openParts(ctx, dir, info, o)
}

// named returns the folder of a bridge by name, and the record of its training.
func (w *Workspace) named(ctx context.Context, name string, o OpenOptions) (dir string, info bridge.Info, err error) {
	if dir, err = w.modelDir(ctx, name, o.LAVIS); err == nil {
		info, err = w.readInfo(dir)
	}
	return dir, info, err
}

// modelDir is like [Workspace.BridgeDir], and also takes a .pth file of LAVIS.
func (w *Workspace) modelDir(ctx context.Context, model string, o LAVISOptions) (string, error) {
	if isFile(model) {
		return w.lavisDir(ctx, model, o)
	}
	return w.BridgeDir(ctx, model)
}

// openParts opens the bridge of either stage in a folder, and its frozen models.
func (w *Workspace) openParts(ctx context.Context, dir string, info bridge.Info, o OpenOptions) (*Model, error) {
	orientation, err := trainedOrientation(dir)
	if err != nil {
		return nil, err
	}
	m := &Model{Orientation: orientation, Dir: dir}
	if err := w.open(ctx, m, dir, info, o); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// open fills m. After an error, the caller closes m.
func (w *Workspace) open(ctx context.Context, m *Model, dir string, info bridge.Info, o OpenOptions) error {
	vision, language, err := w.openSides(ctx, m, dir, info, o)
	if err != nil {
		return err
	}
	backend, err := backends.Open(o.Backend)
	if err != nil {
		return err
	}
	backends.LogXLACaches(w.log)
	b, err := bridge.Load(ctx, backend, dir)
	if err != nil {
		return err
	}
	m.onClose(b.Close)
	m.Model, err = bridge.Compose(b, vision, language, w.log)
	return err
}

// openSides opens the frozen models of a bridge; m closes them. The language model of a stage-1
// bridge is nil.
func (w *Workspace) openSides(ctx context.Context, m *Model, dir string, info bridge.Info, o OpenOptions) (
	vision adapters.VisionEncoder, language adapters.LanguageModel, err error,
) {
	if info, err = w.overrideAdapters(info, o); err != nil {
		return nil, nil, err
	}
	vs, err := w.SpecForSide(dir, info.Vision, adapters.KindVision)
	if err != nil {
		return nil, nil, err
	}
	var ls OpenSpec
	if info.Language != nil { // checked before anything starts
		if ls, err = w.SpecForSide(dir, *info.Language, adapters.KindLanguage); err != nil {
			return nil, nil, err
		}
	}
	vision, release, err := o.Pool.vision(ctx, w, o.apply(vs), info.Vision.Digest)
	w.WarnSideChanges(vs, adapters.KindVision, info.Vision) // also if the changed model cannot be opened
	if err != nil {
		return nil, nil, err
	}
	m.onClose(release)
	if info.Language == nil {
		return vision, nil, nil
	}
	language, release, err = o.Pool.language(ctx, w, o.apply(ls), info.Language.Digest)
	if info.Language.Files == nil {
		w.warnOtherTokenizer(ls.Model, *info.Language)
	}
	w.WarnSideChanges(ls, adapters.KindLanguage, *info.Language)
	if err != nil {
		return nil, nil, err
	}
	m.onClose(release)
	return vision, language, nil
}

// apply returns a spec with the options that apply to every frozen model.
func (o OpenOptions) apply(s OpenSpec) OpenSpec {
	s.Backend, s.Isolation, s.Transport, s.DType, s.Limits = o.Backend, o.Isolation, o.Transport, o.DType, o.Limits
	return s
}

// warnOtherTokenizer warns if the language model has another tokenizer than in training. It is for
// bridges of older versions, which record no other file. The weights can be the same.
func (w *Workspace) warnOtherTokenizer(model registry.Backbone, trained bridge.Side) {
	if trained.TokenizerDigest == "" {
		return
	}
	if now, err := TokenizerDigest(model); err == nil && now != "" && now != trained.TokenizerDigest {
		w.log.Warn("the language model has another tokenizer than the bridge was trained with", "language model", model.ID)
	}
}

// TokenizerDigest returns the digest of a language model's tokenizer files. It is empty for a
// model without a folder.
func TokenizerDigest(model registry.Backbone) (string, error) {
	if model.Path == "" && model.Source != registry.FromKit {
		return "", nil
	}
	dir, err := model.Folder()
	if err != nil {
		return "", err
	}
	return tokenizer.FolderDigest(dir)
}
