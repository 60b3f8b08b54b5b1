package kit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
)

// files holds the frozen backbones, the Q-Former's tokenizer and the shipped bridges.
//
//go:embed models
var files embed.FS

// root is the folder of files that Extract writes.
const root = "models"

// Models returns the names of the frozen backbones, sorted: the sub-folders of what Extract
// writes that hold a Hugging Face checkpoint.
func Models() []string {
	var names []string
	entries, _ := fs.ReadDir(files, root) // cannot fail: the folder is embedded
	for _, entry := range entries {
		if _, err := fs.Stat(files, path.Join(root, entry.Name(), "config.json")); err == nil {
			names = append(names, entry.Name())
		}
	}
	return names
}

// Extract makes sure that the kit's folders exist under cacheDir and returns the folder that holds
// them. The folder's name is a digest of its content, so kits of different versions stand side by
// side, and it appears in one step, so processes that extract at the same time do not see each
// other's half-written files. A folder that exists is checked against the embedded content, and
// replaced if it differs.
func Extract(ctx context.Context, cacheDir string) (string, error) {
	digest, err := contentDigest()
	if err != nil {
		return "", fmt.Errorf("kit: digest: %w", err)
	}
	dir := filepath.Join(cacheDir, "kit-"+digest)
	if err := check(ctx, dir); err == nil {
		return dir, nil
	} else if ctx.Err() != nil {
		return "", fmt.Errorf("kit: extract: %w", ctx.Err())
	}
	if err := os.MkdirAll(cacheDir, 0o755); err != nil {
		return "", fmt.Errorf("kit: cache folder: %w", err)
	}
	fresh, err := os.MkdirTemp(cacheDir, ".kit-")
	if err != nil {
		return "", fmt.Errorf("kit: cache folder %s: %w", cacheDir, err)
	}
	defer os.RemoveAll(fresh)
	if err := write(ctx, filepath.Join(fresh, "new")); err != nil {
		return "", fmt.Errorf("kit: extract to %s: %w", cacheDir, err)
	}
	if err := install(ctx, fresh, dir); err != nil {
		return "", fmt.Errorf("kit: extract to %s: %w", dir, err)
	}
	return dir, nil
}

// install renames fresh/new to dir. Whatever stands at dir moves out of the way first, unless
// another process has put the right content there in the meantime.
func install(ctx context.Context, fresh, dir string) error {
	const attempts = 8
	var err error
	for i := range attempts {
		if err = os.Rename(filepath.Join(fresh, "new"), dir); err == nil {
			return nil
		}
		if check(ctx, dir) == nil {
			return nil
		}
		old := filepath.Join(fresh, fmt.Sprintf("old-%d", i))
		if moved := os.Rename(dir, old); moved != nil && !errors.Is(moved, fs.ErrNotExist) {
			return moved
		}
	}
	return err
}

// contentDigest names the embedded content: the start of a SHA-256 over every path and file.
// It is computed once in a process.
var contentDigest = sync.OnceValues(func() (string, error) {
	sum := sha256.New()
	err := walk(func(name string, data []byte) error {
		fmt.Fprintf(sum, "%s\x00%d\x00", name, len(data))
		sum.Write(data)
		return nil
	})
	return hex.EncodeToString(sum.Sum(nil))[:16], err
})

// check compares the files under dir with the embedded ones.
func check(ctx context.Context, dir string) error {
	return walk(func(name string, data []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		name = filepath.Join(dir, filepath.FromSlash(name))
		got, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if !bytes.Equal(got, data) {
			return fmt.Errorf("%s: content differs from the kit's", name)
		}
		return nil
	})
}

// write stores the embedded files under dir. It need not sync them: what a crash tears, the next
// check finds.
func write(ctx context.Context, dir string) error {
	return walk(func(name string, data []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		return os.WriteFile(name, data, 0o444)
	})
}

// walk calls f with the name (relative to root) and content of every embedded file, in order.
func walk(f func(name string, data []byte) error) error {
	models, err := fs.Sub(files, root)
	if err != nil {
		return err
	}
	return fs.WalkDir(models, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(models, name)
		if err != nil {
			return err
		}
		return f(name, data)
	})
}
