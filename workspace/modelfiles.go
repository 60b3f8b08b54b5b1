package workspace

import (
	"context"
	"io"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/hub"
	"github.com/modular-bridging/bridge/registry"
)

// ModelFile is a file of a model with its checksum.
type ModelFile struct {
	Path     string // relative to the model's folder
	Size     int64  // bytes
	Checksum string // computed from the file's content
	Want     string // the hub's checksum; empty if the file did not come from the hub
	OK       bool   // Checksum is the hub's, or there is nothing to compare with
}

// ModelFiles are the files of a model.
type ModelFiles struct {
	Model   registry.Backbone
	Files   []ModelFile
	checked []hub.Checked
	dir     string
}

// VerifyModel hashes the files of a model of the registry and compares them with the hub's
// checksums. Damaged files are no error of VerifyModel: [ModelFiles.Err] reports them.
func (w *Workspace) VerifyModel(ctx context.Context, id string) (*ModelFiles, error) {
	reg, err := w.Registry()
	if err != nil {
		return nil, err
	}
	m := &ModelFiles{}
	if m.Model, err = reg.Lookup(id); err != nil {
		return nil, err
	}
	if m.dir, err = m.Model.Folder(); err != nil {
		return nil, err
	}
	m.checked, err = hub.Verify(ctx, m.dir, func(path string) { w.Log().Debug("hashing", "file", path) })
	for _, f := range m.checked {
		m.Files = append(m.Files, ModelFile{Path: f.Path, Size: f.Size, Checksum: f.Got, Want: f.Want, OK: f.OK()})
	}
	return m, err
}

// Err returns an error of kind [adapters.Corrupt] if files are damaged.
func (m *ModelFiles) Err() error {
	damaged := 0
	for _, f := range m.Files {
		if !f.OK {
			damaged++
		}
	}
	if damaged == 0 {
		return nil
	}
	return adapters.Errorf(adapters.Corrupt, "%d of %d files of %s are damaged", damaged, len(m.Files), m.Model.ID).
		WithRemedy("download them again: bridge models verify %s --repair", m.Model.ID)
}

// RepairModel deletes the damaged files of a model from the hub's cache and downloads them
// again, with progress on output. Files of a model that did not come from the hub are not
// repaired, and the error is that of [ModelFiles.Err].
func (w *Workspace) RepairModel(ctx context.Context, m *ModelFiles, output io.Writer) error {
	if err := m.Err(); err == nil || m.Model.Repository == "" {
		return err
	}
	for _, f := range m.checked {
		if f.OK() {
			continue
		}
		if err := hub.Forget(m.dir, f); err != nil {
			return err
		}
	}
	_, err := w.Pull(ctx, m.Model.ID, PullOptions{Revision: m.Model.Commit, Output: output})
	return err
}
