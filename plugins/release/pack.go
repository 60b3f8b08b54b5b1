package release

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/store"
)

// Pack writes the files of a release as a .tar.gz of one folder with the plugin's name: the
// files that a signature covers, and the signature. Equal files make an equal archive. A
// signature of other files is an error.
func Pack(p store.Plugin, w io.Writer) (Release, error) {
	if p.Dir == "" {
		return Release{}, noManifest(p)
	}
	now, err := p.Read()
	if err != nil {
		return Release{}, err
	}
	r := Of(now)
	if err := checkSignatureCurrent(now, r); err != nil {
		return r, err
	}
	if err := archive(now, r, w); err != nil {
		return r, adapters.Errorf(adapters.Unknown, "packing %s: %w", p.Name, err)
	}
	again, err := p.Read()
	if err == nil && again.Pin.Digest != now.Pin.Digest {
		err = adapters.Errorf(adapters.Corrupt, "%s changed while it was packed", p.Dir).WithRemedy("try again")
	}
	return r, err
}

// checkSignatureCurrent returns an error if the signature is of an earlier state of the
// plugin.
func checkSignatureCurrent(now store.Snapshot, r Release) error {
	if !now.Signed() {
		return nil
	}
	signed, err := readRelease(now)
	if err != nil {
		return badSignature(now, err)
	}
	if !signed.equal(r) {
		return adapters.Errorf(adapters.Invalid, "%s has changed since it was signed: the signature is for %s %s with %s, but the folder has %s %s with %s",
			now.Dir, signed.Name, signed.Version, signed.Digest, r.Name, r.Version, r.Digest).
			WithRemedy("sign it again (`bridge plugin sign`), or remove %s", store.SignatureFile)
	}
	return nil
}

func archive(now store.Snapshot, r Release, w io.Writer) error {
	root, err := os.OpenRoot(now.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	zipped := gzip.NewWriter(w)
	out := tar.NewWriter(zipped)
	if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: r.Name + "/", Mode: 0o755, ModTime: packed()}); err != nil {
		return err
	}
	for _, e := range now.Entries {
		if top, _, _ := strings.Cut(e.Path, "/"); slices.Contains(r.Built, top) {
			continue
		}
		if err := pack(out, root, r.Name+"/", e); err != nil {
			return err
		}
	}
	return errors.Join(out.Close(), zipped.Close())
}

// packed is the time of all files in an archive, so that only their content counts.
func packed() time.Time { return time.Unix(0, 0) }

func pack(out *tar.Writer, root *os.Root, prefix string, e store.Entry) error {
	name := filepath.FromSlash(e.Path)
	h := &tar.Header{Name: prefix + e.Path, Mode: int64(e.Mode.Perm()), ModTime: packed()}
	switch e.Mode.Type() {
	case fs.ModeDir:
		h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
		return out.WriteHeader(h)
	case fs.ModeSymlink:
		leads, err := root.Readlink(name)
		if err != nil {
			return err
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, leads
		return out.WriteHeader(h)
	}
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h.Typeflag, h.Size = tar.TypeReg, info.Size()
	if err := out.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.Copy(out, f)
	return err
}
