package workspace

import (
	"context"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/tokenizer"
)

// OpenOptions say how a whole bridge is opened. The zero value computes on the best
// backend of this machine, with built-in adapters in this process.
type OpenOptions struct {
	Backend   string // auto (or empty), go, xla:cpu, xla:cuda or xla:/abs/plugin.so
	Isolation string // of built-in adapters: IsolationProcess, or IsolationNone (or empty)
	Transport string // of tensors between processes: auto (or empty), shared-memory or grpc
	DType     string // of the frozen models: float32 or bfloat16; empty: the checkpoints'
	// EncoderPlugin and LLMPlugin name plugins, by name or path, that serve the bridge's own
	// frozen models instead of the adapters that it was trained with. An adapter that
	// gives no gradient is good enough for captions and answers.
	EncoderPlugin, LLMPlugin string
	// LAVIS says what a .pth file of LAVIS does not hold.
	LAVIS LAVISOptions
}

// Model is an open bridge with its frozen models. Close frees all of them.
type Model struct {
	*bridge.Model
	close []func() // the last opened first
}

// Close frees the bridge and its frozen models. What goes wrong is logged.
func (m *Model) Close() {
	for _, c := range m.close {
		c()
	}
	m.close = nil
}

func (m *Model) onClose(c func()) { m.close = append([]func(){c}, m.close...) }

// OpenModel opens a stage-2 bridge by name with a workspace of its own that logs nothing:
// see [Workspace.OpenModel].
func OpenModel(ctx context.Context, name string, o OpenOptions) (*Model, error) {
	return New(Options{}).OpenModel(ctx, name, o)
}

// OpenModel opens a stage-2 bridge and both frozen models. name is a MODEL of the
// command line: a run folder, its bridge folder, a BLIP-2 folder of transformers, a
// stage-2 .pth file of LAVIS, or one of the kit's ("kit:stage2").
func (w *Workspace) OpenModel(ctx context.Context, name string, o OpenOptions) (*Model, error) {
	dir, err := w.modelDir(ctx, name, o.LAVIS)
	if err != nil {
		return nil, err
	}
	info, err := w.readInfo(dir)
	if err != nil {
		return nil, err
	}
	if info.Stage != 2 {
		return nil, adapters.Errorf(adapters.Unsupported, "%s is a stage-1 bridge, which has no language model to write with", name).
			WithRemedy("train stage 2 from it: bridge train RECIPE --set from=%s", name)
	}
	return w.openParts(ctx, dir, info, o)
}

// modelDir is [Workspace.BridgeDir] that also takes a .pth file of LAVIS.
func (w *Workspace) modelDir(ctx context.Context, model string, o LAVISOptions) (string, error) {
	if isFile(model) {
		return w.lavisDir(ctx, model, o)
	}
	return w.BridgeDir(ctx, model)
}

// openParts opens the bridge in a folder, of either stage, and its frozen models.
func (w *Workspace) openParts(ctx context.Context, dir string, info bridge.Info, o OpenOptions) (*Model, error) {
	m := &Model{}
	if err := w.open(ctx, m, dir, info, o); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// open fills m. On an error m has to close what is open already.
func (w *Workspace) open(ctx context.Context, m *Model, dir string, info bridge.Info, o OpenOptions) error {
	vision, language, err := w.openSides(ctx, m, dir, info, o)
	if err != nil {
		return err
	}
	backend, err := backends.Open(o.Backend)
	if err != nil {
		return err
	}
	b, err := bridge.Load(ctx, backend, dir)
	if err != nil {
		return err
	}
	m.onClose(b.Close)
	m.Model, err = bridge.Compose(b, vision, language, w.log)
	return err
}

// openSides opens the frozen models that a bridge names, to be closed with m. The
// language model is nil in stage 1.
func (w *Workspace) openSides(ctx context.Context, m *Model, dir string, info bridge.Info, o OpenOptions) (vision adapters.VisionEncoder, language adapters.LanguageModel, err error) {
	if info, err = w.overrideAdapters(info, o); err != nil {
		return nil, nil, err
	}
	vs, err := w.SpecForSide(dir, info.Vision, adapters.KindVision)
	if err != nil {
		return nil, nil, err
	}
	var ls OpenSpec
	if info.Language != nil { // before anything is started
		if ls, err = w.SpecForSide(dir, *info.Language, adapters.KindLanguage); err != nil {
			return nil, nil, err
		}
	}
	if vision, err = w.OpenVision(ctx, o.apply(vs)); err != nil {
		return nil, nil, err
	}
	m.onClose(w.Closer(vision))
	if info.Language == nil {
		return vision, nil, nil
	}
	if language, err = w.OpenLanguage(ctx, o.apply(ls)); err != nil {
		return nil, nil, err
	}
	m.onClose(w.Closer(language))
	w.warnOtherTokenizer(ls.Model, *info.Language)
	return vision, language, nil
}

// apply returns a spec with the options that concern every frozen model.
func (o OpenOptions) apply(s OpenSpec) OpenSpec {
	s.Backend, s.Isolation, s.Transport, s.DType = o.Backend, o.Isolation, o.Transport, o.DType
	return s
}

// warnOtherTokenizer warns if the tokenizer is not the one that the bridge was trained
// with. The language model's weights may still be the same.
func (w *Workspace) warnOtherTokenizer(model registry.Backbone, trained bridge.Side) {
	if trained.TokenizerDigest == "" {
		return
	}
	if now, err := TokenizerDigest(model); err == nil && now != "" && now != trained.TokenizerDigest {
		w.log.Warn("language model has another tokenizer than the bridge was trained with", "language model", model.ID)
	}
}

// TokenizerDigest returns the digest of a language model's tokenizer files. It is empty
// for a model without a folder of its own.
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
