package workspace

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/plugins/host"
	"github.com/modular-bridging/bridge/plugins/store"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
)

// The places in which a built-in adapter can run.
const (
	IsolationProcess = recipes.IsolationProcess // in its own process
	IsolationNone    = recipes.IsolationNone    // in this process
)

// OpenSpec describes how to open a frozen model.
type OpenSpec struct {
	Model        registry.Backbone
	Plugin       string // name or path of a third-party adapter; empty for a built-in one
	Constraints  PluginConstraints
	Isolation    string // of a built-in adapter: IsolationProcess or IsolationNone; empty is IsolationNone
	Transport    string // of tensors between processes: auto (or empty), shared-memory or grpc
	DType        string // float32 or bfloat16; empty: the checkpoint's
	Backend      string
	Limits       recipes.Limits // of the adapter's process
	FeatureLayer *int           // layer of a vision encoder that gives the features; nil: its default
	ImageSize    adapters.Size  // picture size of a vision encoder; zero: its default
}

// SpecForRecipe returns how to open a frozen model of a recipe.
func SpecForRecipe(model registry.Backbone, b recipes.Backbone, backend string) OpenSpec {
	return OpenSpec{Model: model, Plugin: b.Plugin, Constraints: constraintsOf(b), Isolation: b.Isolation,
		Transport: b.Transport, DType: b.DType, Backend: backend, Limits: b.Limits}
}

// SpecForSide returns how to open a frozen model that the bridge in dir was trained with. It
// sets the current path, the constraints of the run's recipe, and the feature layer and
// picture size of training. The caller chooses where the model runs.
func (w *Workspace) SpecForSide(dir string, side bridge.Side, kind adapters.ModelKind) (OpenSpec, error) {
	s, err := w.specForSide(side, kind)
	if err != nil {
		return s, err
	}
	constraints, err := constraintsOfRun(dir, kind)
	constraints.Trained = s.Constraints.Trained
	s.Constraints = constraints
	return s, err
}

// specForSide is [Workspace.SpecForSide] without the constraints of a recipe.
func (w *Workspace) specForSide(side bridge.Side, kind adapters.ModelKind) (OpenSpec, error) {
	s := OpenSpec{Plugin: side.Plugin, Constraints: PluginConstraints{Trained: TrainedPlugin(side)}, ImageSize: side.Image}
	if side.Layer != 0 {
		s.FeatureLayer = &side.Layer
	}
	if err := checkPresent(side, kind); err != nil {
		return s, err
	}
	reg, err := w.Registry()
	if err != nil {
		return s, err
	}
	switch {
	case side.Plugin != "": // the plugin reads the folder itself, or contains the weights
		s.Model = registry.Backbone{Manifest: registry.Manifest{ID: side.ID}, Source: registry.FromFolder, Path: side.Path}
	case side.Path != "":
		s.Model, err = reg.FolderKind(side.Path, kind)
	default:
		s.Model, err = reg.LookupKind(side.ID, kind)
	}
	return s, err
}

// OpenVision opens a vision encoder. The caller closes it.
func (w *Workspace) OpenVision(ctx context.Context, s OpenSpec) (adapters.VisionEncoder, error) {
	family, req, err := w.prepare(s, adapters.KindVision)
	if err != nil {
		return nil, err
	}
	encoder, err := w.startVision(ctx, s, family, req)
	if err != nil {
		return nil, err
	}
	if err := req.CheckImageSize(encoder.Spec()); err != nil {
		return nil, errors.Join(err, encoder.Close())
	}
	return encoder, nil
}

// startVision opens an encoder, in this process or in its own.
func (w *Workspace) startVision(ctx context.Context, s OpenSpec, family adapters.Family,
	req adapters.LoadRequest) (adapters.VisionEncoder, error) {
	if w.inProcess(s, family) {
		return family.OpenVision(ctx, &req)
	}
	cfg, err := w.pluginConfig(s, adapters.KindVision, family.Name, req)
	if err != nil {
		return nil, err
	}
	return host.OpenVision(ctx, cfg)
}

// OpenLanguage opens a language model. The caller closes it.
func (w *Workspace) OpenLanguage(ctx context.Context, s OpenSpec) (adapters.LanguageModel, error) {
	family, req, err := w.prepare(s, adapters.KindLanguage)
	if err != nil {
		return nil, err
	}
	if w.inProcess(s, family) {
		return family.OpenLanguage(ctx, &req)
	}
	cfg, err := w.pluginConfig(s, adapters.KindLanguage, family.Name, req)
	if err != nil {
		return nil, err
	}
	return host.OpenLanguage(ctx, cfg)
}

// inProcess reports whether a family runs in this process. A family of the program always
// does, because no command serves it.
func (w *Workspace) inProcess(s OpenSpec, family adapters.Family) bool {
	own := slices.ContainsFunc(w.options.Families, func(f adapters.Family) bool { return f.Name == family.Name })
	return s.Plugin == "" && (own || s.Isolation != IsolationProcess || len(w.options.AdapterCommand) == 0)
}

// prepare returns the family of a model, which is zero if a plugin serves the model, and the
// request to load its weights.
func (w *Workspace) prepare(s OpenSpec, kind adapters.ModelKind) (family adapters.Family, req adapters.LoadRequest, err error) {
	if s.Plugin == "" {
		reg, err := w.Registry()
		if err != nil {
			return family, req, err
		}
		if family, err = reg.Family(s.Model); err != nil {
			return family, req, err
		}
		if family.Kind != kind {
			return family, req, adapters.Errorf(adapters.Invalid, "%s is a %s, want a %s", s.Model.ID, family.Kind, kind)
		}
	}
	req, err = w.loadRequest(s)
	return family, req, err
}

// loadRequest finds the weights and returns the request to load them.
func (w *Workspace) loadRequest(s OpenSpec) (adapters.LoadRequest, error) {
	if s.DType != "" && !slices.Contains(registry.DTypes(), s.DType) {
		return adapters.LoadRequest{}, adapters.Errorf(adapters.Invalid, "dtype of %s: is %q, want %s", s.Model.ID, s.DType, strings.Join(registry.DTypes(), " or "))
	}
	req := adapters.LoadRequest{ID: s.Model.ID, Backend: s.Backend, DType: registry.DType(s.DType), FeatureLayer: s.FeatureLayer,
		ImageSize: s.ImageSize, Activation: s.Model.Activation}
	if s.Model.Path == "" && s.Plugin != "" { // the plugin contains its weights
		return req, nil
	}
	var err error
	req.Checkpoint, err = s.Model.Folder()
	req.Progress = w.LogLoading(s.Model.ID)
	return req, err
}

// LogLoading returns a progress function that logs each finished stage of loading a model.
func (w *Workspace) LogLoading(id string) func(adapters.Progress) {
	return func(p adapters.Progress) {
		if p.Done == p.Total {
			w.log.Debug("loaded", "model", id, "stage", p.Stage, "total", p.Total)
		}
	}
}

// pluginConfig returns the configuration of the process to start: a third-party plugin, or
// the command that serves a built-in family.
func (w *Workspace) pluginConfig(s OpenSpec, kind adapters.ModelKind, family string, req adapters.LoadRequest) (host.Config, error) {
	cfg := host.Config{Transport: host.Transport(s.Transport), Load: req, Logger: w.log, Running: &w.running, Limits: host.Limits{
		Memory: s.Limits.Memory(), Devices: s.Limits.Devices, Threads: s.Limits.Threads, GPUMemory: s.Limits.GPUMemory, Call: s.Limits.Call(),
	}}
	if n := s.Limits.Restarts; n != nil {
		cfg.Restart.Limit = *n
		if *n == 0 {
			cfg.Restart.Limit = -1 // 0 means the default in Config
		}
	}
	if s.Plugin == "" {
		err := w.serveBuiltIn(&cfg, family)
		return cfg, err
	}
	found, err := store.Default().Find(s.Plugin)
	if err != nil {
		return cfg, err
	}
	if got := found.Manifest.Kind; got != "" && got != kind {
		return cfg, adapters.Errorf(adapters.Invalid, "plugin %s is a %s, want a %s", found.Name, got, kind).
			WithRemedy("see `bridge plugin list` for the plugins of each kind")
	}
	err = w.guard(&cfg, found, s.Constraints) // a statement of its own, because it changes cfg
	return cfg, err
}

// serveBuiltIn completes the configuration of a process that serves a built-in family.
func (w *Workspace) serveBuiltIn(cfg *host.Config, family string) error {
	command := w.options.AdapterCommand
	if len(command) == 0 {
		return adapters.Errorf(adapters.Unsupported,
			"adapter %s cannot run in its own process: this program has no command to serve it", family).
			WithRemedy("set Options.AdapterCommand, for example to bridge adapter serve")
	}
	cfg.Name, cfg.Family = family, family
	cfg.Path, cfg.Args = command[0], append(slices.Clone(command[1:]), family)
	return nil
}
