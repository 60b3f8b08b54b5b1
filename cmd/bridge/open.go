package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/kit"
	"github.com/modular-bridging/bridge/plugins/host"
	"github.com/modular-bridging/bridge/plugins/store"
	"github.com/modular-bridging/bridge/plugins/trust"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/metrics"
)

// opening says how a frozen model is opened.
type opening struct {
	model     registry.Backbone
	plugin    string // name or path of a third-party adapter; empty for a built-in one
	wishes    wishes // of that plugin
	isolation string // "process" or "none"
	transport string // of tensors between processes; empty: auto
	dtype     string
	backend   string
	limits    recipes.Limits // of its process
	layer     *int           // of a vision encoder
	image     adapters.Size  // that a vision encoder is to take; zero: its own
}

func openingOf(model registry.Backbone, b recipes.Backbone, backend string) opening {
	return opening{model: model, plugin: b.Plugin, wishes: wishes{locked: b.Locked, sandbox: trust.Sandbox(b.Sandbox), environment: b.Environment}, isolation: b.Isolation,
		transport: b.Transport, dtype: b.DType, backend: backend, limits: b.Limits}
}

// request finds the weights and returns what the adapter is asked for.
func (p *program) request(o opening) (adapters.LoadRequest, error) {
	req := adapters.LoadRequest{ID: o.model.ID, Backend: o.backend, FeatureLayer: o.layer, ImageSize: o.image, Activation: o.model.Activation}
	types := map[string]adapters.DType{"": adapters.InvalidDType, "float32": adapters.Float32, "bfloat16": adapters.BFloat16}
	req.DType = types[o.dtype]
	if o.model.Path == "" && o.plugin != "" { // the plugin brings its weights
		return req, nil
	}
	var err error
	req.Checkpoint, err = o.model.Folder()
	req.Progress = p.loading(o.model.ID)
	return req, err
}

// loading logs what has been loaded of a model, not every step of the way.
func (p *program) loading(id string) func(adapters.Progress) {
	return func(s adapters.Progress) {
		if s.Done == s.Total {
			p.log.Debug("loaded", "model", id, "stage", s.Stage, "total", s.Total)
		}
	}
}

// process returns the plugin to start: a third-party one, or this binary as the
// server of a built-in family.
func (p *program) process(o opening, kind adapters.ModelKind, family string, req adapters.LoadRequest) (host.Config, error) {
	cfg := host.Config{Transport: host.Transport(o.transport), Load: req, Logger: p.log, Running: &p.running, Limits: host.Limits{
		Memory: o.limits.Memory(), Devices: o.limits.Devices, Threads: o.limits.Threads, Call: o.limits.Call(),
	}}
	if n := o.limits.Restarts; n != nil {
		cfg.Restart.Limit = *n
		if *n == 0 {
			cfg.Restart.Limit = -1 // Config takes 0 for its default
		}
	}
	if o.plugin != "" {
		found, err := store.Default().Find(o.plugin)
		if err != nil {
			return host.Config{}, err
		}
		if got := found.Manifest.Kind; got != "" && got != kind {
			return host.Config{}, adapters.Errorf(adapters.Invalid, "plugin %s is a %s, want a %s", found.Name, got, kind).
				WithRemedy("see `bridge plugin list` for the plugins of each kind")
		}
		err = p.trusted(&cfg, found, o.wishes) // changes cfg: not in one statement with its use
		return cfg, err
	}
	self, err := os.Executable()
	if err != nil {
		return cfg, fmt.Errorf("find this program to start it as a plugin: %w", err)
	}
	cfg.Name, cfg.Path, cfg.Args, cfg.Family = family, self, []string{"adapter", "serve", family}, family
	return cfg, nil
}

// family returns the built-in adapter of a model, zero where a plugin serves it.
func family(reg *registry.Registry, o opening, kind adapters.ModelKind) (adapters.Family, error) {
	if o.plugin != "" {
		return adapters.Family{}, nil
	}
	f, err := reg.Family(o.model)
	if err == nil && f.Kind != kind {
		err = adapters.Errorf(adapters.Invalid, "%s is a %s, want a %s", o.model.ID, f.Kind, kind)
	}
	return f, err
}

func (p *program) openVision(ctx context.Context, reg *registry.Registry, o opening) (adapters.VisionEncoder, error) {
	f, err := family(reg, o, adapters.KindVision)
	if err != nil {
		return nil, err
	}
	req, err := p.request(o)
	if err != nil {
		return nil, err
	}
	encoder, err := p.startVision(ctx, o, f, req)
	if err != nil {
		return nil, err
	}
	if err := req.CheckImageSize(encoder.Spec()); err != nil {
		return nil, errors.Join(err, encoder.Close())
	}
	return encoder, nil
}

// startVision opens an encoder in this process or in one of its own.
func (p *program) startVision(ctx context.Context, o opening, f adapters.Family, req adapters.LoadRequest) (adapters.VisionEncoder, error) {
	if o.isolation == "none" && o.plugin == "" {
		return f.OpenVision(ctx, &req)
	}
	cfg, err := p.process(o, adapters.KindVision, f.Name, req)
	if err != nil {
		return nil, err
	}
	return host.OpenVision(ctx, cfg)
}

func (p *program) openLanguage(ctx context.Context, reg *registry.Registry, o opening) (adapters.LanguageModel, error) {
	f, err := family(reg, o, adapters.KindLanguage)
	if err != nil {
		return nil, err
	}
	req, err := p.request(o)
	if err != nil {
		return nil, err
	}
	if o.isolation == "none" && o.plugin == "" {
		return f.OpenLanguage(ctx, &req)
	}
	cfg, err := p.process(o, adapters.KindLanguage, f.Name, req)
	if err != nil {
		return nil, err
	}
	return host.OpenLanguage(ctx, cfg)
}

// bridgeDir returns the folder of a bridge that a MODEL names: a run folder's,
// a bridge's own, or one of the kit's.
func bridgeDir(ctx context.Context, model string) (string, error) {
	if name, ok := strings.CutPrefix(model, "kit:"); ok {
		dir, err := kit.Extract(ctx, cacheDir())
		if err != nil {
			return "", err
		}
		dir = filepath.Join(dir, name)
		if _, err := os.Stat(dir); err != nil {
			return "", adapters.Errorf(adapters.NotFound, "the kit has no bridge %q", model).
				WithRemedy("the kit's bridges are kit:stage1 and kit:stage2; `make kit` builds them")
		}
		return dir, nil
	}
	if run := train.BridgeDir(model); isDir(run) {
		return run, nil
	}
	if isFile(model) {
		return "", adapters.Errorf(adapters.Unsupported, "%s is a file, want a folder", model).
			WithRemedy("a .pth file of LAVIS becomes a MODEL with: bridge convert %s DIR --encoder ID --llm ID", model)
	}
	if !isDir(model) {
		return "", adapters.Errorf(adapters.NotFound, "no model %q: there is no such folder", model).
			WithRemedy("name a run folder, its bridge folder, a folder with a BLIP-2 that transformers saved, kit:stage1 or kit:stage2")
	}
	return model, nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// progress shows long work on stderr.
func (p *program) progress() metrics.Progress { return metrics.NewProgress(p.stderr) }
