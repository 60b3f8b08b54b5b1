package workspace

import (
	"context"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/golden"
	"github.com/modular-bridging/bridge/registry"
)

// VerifyOptions describe how to run the cases of a golden folder.
type VerifyOptions struct {
	Backend   string // Backend, Isolation and Transport are as in OpenOptions
	Isolation string
	Transport string
	Plugin    string // name or path of a third-party adapter; empty for the built-in one
}

// Verify runs the cases of a golden folder in float32 and compares the results with the
// reference's numbers. It opens the folder's model once for each picture size.
func (w *Workspace) Verify(ctx context.Context, folder *golden.Folder, o VerifyOptions) ([]golden.Result, error) {
	var results []golden.Result
	for _, part := range folder.BySize() {
		runner, done, err := w.goldenRunner(ctx, part, o)
		if err != nil {
			return nil, err
		}
		some, err := golden.Run(ctx, part, runner)
		done()
		if err != nil {
			return nil, err
		}
		results = append(results, some...)
	}
	return results, nil
}

// goldenRunner opens the model of a golden folder. The caller calls the returned function to
// close it.
func (w *Workspace) goldenRunner(ctx context.Context, f *golden.Folder, o VerifyOptions) (golden.Runner, func(), error) {
	if f.Kind == golden.KindVision || f.Kind == golden.KindLanguage {
		return w.adapterRunner(ctx, f, o)
	}
	if o.Plugin != "" {
		return nil, nil, OptionErrorf("--plugin applies only to cases of an adapter, and %s has cases of a %s", f.Dir, f.Kind)
	}
	info, _, err := bridge.ReadInfo(f.Checkpoint())
	if err != nil {
		return nil, nil, err
	}
	info.Vision.Image = f.ImageSize()
	m, err := w.openParts(ctx, f.Checkpoint(), info,
		OpenOptions{Backend: o.Backend, Isolation: o.Isolation, Transport: o.Transport, DType: "float32"})
	if err != nil {
		return nil, nil, err
	}
	return golden.Bridge(m.Model, m.Language), m.Close, nil
}

// adapterRunner opens the frozen model of a golden folder.
func (w *Workspace) adapterRunner(ctx context.Context, f *golden.Folder, o VerifyOptions) (golden.Runner, func(), error) {
	reg, err := w.Registry()
	if err != nil {
		return nil, nil, err
	}
	s := OpenSpec{Plugin: o.Plugin, Isolation: o.Isolation, Transport: o.Transport, DType: "float32", Backend: o.Backend,
		FeatureLayer: f.Options.FeatureLayer, ImageSize: f.ImageSize()}
	if s.Model, err = reg.FolderKind(f.Checkpoint(), adapters.ModelKind(f.Kind)); err != nil {
		if o.Plugin == "" {
			return nil, nil, err
		}
		s.Model = registry.Backbone{Source: registry.FromFolder, Path: f.Checkpoint()} // only the plugin knows this model type
	}
	if f.Kind == golden.KindVision {
		encoder, err := w.OpenVision(ctx, s)
		if err != nil {
			return nil, nil, err
		}
		return golden.Vision(encoder), w.Closer(encoder), nil
	}
	model, err := w.OpenLanguage(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	return golden.Language(model), w.Closer(model), nil
}
