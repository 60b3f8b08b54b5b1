package workspace

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/builtin"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/convert"
	"github.com/modular-bridging/bridge/internal/atomicfile"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/homepath"
	"github.com/modular-bridging/bridge/internal/shell"
)

// The forms of a folder that [Workspace.Convert] writes.
const (
	FormHuggingFace = "huggingface" // a whole BLIP-2, in the form of transformers
	FormBridge      = "bridge"      // only the trained part
)

// ConvertOptions describe the folder to write.
type ConvertOptions struct {
	Form  string       // FormHuggingFace (or empty) or FormBridge
	LAVIS LAVISOptions // completes a .pth file of LAVIS
}

// Converted describes the folder that [Workspace.Convert] wrote.
type Converted struct {
	Form  string
	Stage int    // stage of the bridge; set for FormBridge
	Class string // class of transformers; set for FormHuggingFace
	Bytes int64  // size of the tensors; set for FormHuggingFace
}

// Convert converts a bridge to a folder of another form. from is as for [Workspace.BridgeDir],
// or a .pth file of LAVIS: a BLIP-2 of stage 1 or 2, or only the encoder. After an error, the
// folder to does not exist.
func (w *Workspace) Convert(ctx context.Context, from, to string, o ConvertOptions) (Converted, error) {
	if write, found := homepath.Advice(to); found {
		return Converted{}, adapters.Errorf(adapters.Invalid, "the folder to write is %q, and no shell has expanded ~", to).
			WithRemedy("write %s", write)
	}
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
	if info, err := w.readInfo(dir); err == nil && info.Words != nil {
		return Converted{}, errInWords(from, info)
	}
	return w.convertBridge(ctx, dir, to)
}

// errInWords returns the error for a bridge that speaks in words. Its remedy is the command that
// fits a linear projection to what the words say to the same language model.
func errInWords(from string, info bridge.Info) error {
	language := cmp.Or(info.Language.Path, info.Language.ID)
	return adapters.Errorf(adapters.Unsupported, "the projection of %s speaks in %d words, and no class of transformers has such a projection", from, len(info.Words)).
		WithRemedy("retrain it with a linear projection, `%s`, and convert that, or write a folder of bridge with --to %s",
			shell.Command("bridge", "retrain", "--from", from, "--llm", language, "--set", "projection.kind=linear", "--set", "optimizer.words_lr=0"), FormBridge)
}

// isTransformers reports whether a folder has a whole BLIP-2 of transformers, not a bridge.
func isTransformers(dir string) bool {
	return !isFile(filepath.Join(dir, "bridge.json")) && isFile(filepath.Join(dir, "config.json"))
}

// loadForConversion loads a bridge on the Go backend, because nothing is computed with it.
func loadForConversion(ctx context.Context, dir string) (*bridge.Bridge, error) {
	backend, err := backends.Open(backends.Go)
	if err != nil {
		return nil, err
	}
	return bridge.Load(ctx, backend, dir)
}

// saveBridge writes only the trained part. After an error, the folder does not exist.
func saveBridge(b *bridge.Bridge, to string) (Converted, error) {
	b.Info.Project = ProjectDir()
	err := atomicfile.Dir(to, func(dir string) error { return b.Save(dir, adapters.Float32) })
	return Converted{Form: FormBridge, Stage: b.Info.Stage}, err
}

// convertBridge writes the bridge in a folder together with its frozen models.
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

// sideFolder finds the checkpoint of a bridge's frozen model.
func (w *Workspace) sideFolder(side bridge.Side, kind adapters.ModelKind) (string, error) {
	if side.Plugin != "" {
		return "", adapters.Errorf(adapters.Unsupported, "%s %s is served by plugin %s, and transformers cannot load plugins",
			kind, side.ID, side.Plugin).
			WithRemedy("use the run without conversion: every command of bridge takes it as a MODEL")
	}
	s, err := w.specForSide(side, kind)
	if err != nil {
		return "", err
	}
	return s.Model.Folder()
}

// assemble writes a bridge and its frozen models as a folder of transformers.
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

// writeCheckpoint writes a checkpoint with progress, and closes it.
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
			return Converted{}, OptionErrorf("%s contains only an encoder, and no bridge; omit --to", from)
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
