package workspace

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/builtin"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/convert"
	"github.com/modular-bridging/bridge/internal/atomicfile"
	"github.com/modular-bridging/bridge/internal/backends"
)

// The forms of a folder that [Workspace.Convert] writes.
const (
	FormHuggingFace = "huggingface" // a whole BLIP-2, as transformers saves it
	FormBridge      = "bridge"      // the trained part alone
)

// ConvertOptions say what is written.
type ConvertOptions struct {
	Form  string       // FormHuggingFace (or empty) or FormBridge
	LAVIS LAVISOptions // what a .pth file of LAVIS does not hold
}

// Converted describes the folder that was written.
type Converted struct {
	Form  string
	Stage int    // of a bridge
	Class string // of transformers
	Bytes int64  // of the tensors
}

// Convert writes a folder. from is a MODEL, or a .pth file of LAVIS: a BLIP-2 of stage 1
// or 2, or the encoder alone. to appears whole or not at all.
func (w *Workspace) Convert(ctx context.Context, from, to string, o ConvertOptions) (Converted, error) {
	if isFile(from) {
		return w.convertLAVIS(ctx, from, to, o)
	}
	dir, err := w.BridgeDir(ctx, from)
	if err != nil {
		return Converted{}, err
	}
	if o.Form == FormBridge {
		b, err := loadForConversion(ctx, dir)
		if err != nil {
			return Converted{}, err
		}
		defer b.Close()
		return saveBridge(b, to)
	}
	if isTransformers(dir) {
		checkpoint, err := convert.FromFolder(ctx, dir, builtin.Families())
		if err != nil {
			return Converted{}, err
		}
		return w.writeCheckpoint(ctx, checkpoint, to)
	}
	return w.convertBridge(ctx, dir, to)
}

// isTransformers reports whether a folder holds a whole BLIP-2 and no bridge of ours.
func isTransformers(dir string) bool {
	return !isFile(filepath.Join(dir, "bridge.json")) && isFile(filepath.Join(dir, "config.json"))
}

// loadForConversion reads a bridge's weights. Nothing is computed with them.
func loadForConversion(ctx context.Context, dir string) (*bridge.Bridge, error) {
	backend, err := backends.Open(backends.Go)
	if err != nil {
		return nil, err
	}
	return bridge.Load(ctx, backend, dir)
}

// saveBridge writes the trained part alone, whole or not at all.
func saveBridge(b *bridge.Bridge, to string) (Converted, error) {
	b.Info.Project = ProjectDir()
	err := atomicfile.Dir(to, func(dir string) error { return b.Save(dir, adapters.Float32) })
	return Converted{Form: FormBridge, Stage: b.Info.Stage}, err
}

// convertBridge joins the bridge in a folder with the frozen models that it names.
func (w *Workspace) convertBridge(ctx context.Context, dir, to string) (Converted, error) {
	info, err := w.readInfo(dir)
	if err != nil {
		return Converted{}, err
	}
	parts := convert.Parts{Image: info.Vision.Image}
	if parts.Vision, err = w.sideFolder(info.Vision, adapters.KindVision); err != nil {
		return Converted{}, err
	}
	if info.Language != nil {
		if parts.Language, err = w.sideFolder(*info.Language, adapters.KindLanguage); err != nil {
			return Converted{}, err
		}
	}
	b, err := loadForConversion(ctx, dir)
	if err != nil {
		return Converted{}, err
	}
	defer b.Close()
	return w.assemble(ctx, b, parts, to)
}

// sideFolder finds the checkpoint of a frozen model that a bridge names.
func (w *Workspace) sideFolder(side bridge.Side, kind adapters.ModelKind) (string, error) {
	if side.Plugin != "" {
		return "", adapters.Errorf(adapters.Unsupported, "the %s %s is served by a plugin, %s, and transformers cannot load it", kind, side.ID, side.Plugin).
			WithRemedy("keep the run as it is: every command of bridge takes it as a MODEL")
	}
	s, err := w.specForSide(side, kind)
	if err != nil {
		return "", err
	}
	return s.Model.Folder()
}

func (w *Workspace) assemble(ctx context.Context, b *bridge.Bridge, parts convert.Parts, to string) (Converted, error) {
	parts.Families = builtin.Families()
	checkpoint, warnings, err := convert.Assemble(ctx, b, parts)
	if err != nil {
		return Converted{}, err
	}
	for _, warning := range warnings {
		w.log.Warn(warning)
	}
	return w.writeCheckpoint(ctx, checkpoint, to)
}

// writeCheckpoint writes with progress, and closes what was read.
func (w *Workspace) writeCheckpoint(ctx context.Context, checkpoint *convert.Checkpoint, to string) (done Converted, err error) {
	defer func() { err = errors.Join(err, checkpoint.Close()) }()
	const mega = 1_000_000
	done = Converted{Form: FormHuggingFace, Class: checkpoint.Class(), Bytes: checkpoint.WeightBytes()}
	task := w.Progress().Start("megabytes of "+to, int(done.Bytes/mega), 0)
	defer task.Done()
	return done, checkpoint.Write(ctx, to, func(written, _ int64) { task.Step(int(written/mega), 0, 0) })
}

// convertLAVIS converts a .pth file.
func (w *Workspace) convertLAVIS(ctx context.Context, from, to string, o ConvertOptions) (Converted, error) {
	l, err := convert.OpenLAVIS(from)
	if err != nil {
		return Converted{}, err
	}
	defer w.Closer(l)()
	file := lavisFile{l, from, o.LAVIS}
	if l.Stage() == 0 {
		if o.Form == FormBridge {
			return Converted{}, OptionErrorf("%s holds an encoder alone, which is no bridge; leave --to out", from)
		}
		encoder, err := l.Encoder(o.LAVIS.EncoderHeads)
		if err != nil {
			return Converted{}, err
		}
		return w.writeCheckpoint(ctx, encoder, to)
	}
	b, parts, err := w.lavisBridge(ctx, file, o.Form != FormBridge)
	if err != nil {
		return Converted{}, err
	}
	defer b.Close()
	if o.Form == FormBridge {
		return saveBridge(b, to)
	}
	if file.usesOwnEncoder() {
		if parts.Encoder, err = l.Encoder(o.LAVIS.EncoderHeads); err != nil {
			return Converted{}, err
		}
	}
	return w.assemble(ctx, b, parts, to)
}
