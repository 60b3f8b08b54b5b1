package kit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// walker calls f with the name, relative to the folder, and the content of every file of a
// folder, in order.
type walker func(f func(name string, data []byte) error) error

// contents are the files of a folder that the kit writes to a cache.
type contents struct {
	prefix string // of the folder's name; the digest follows
	digest func() (string, error)
	walk   walker
	check  func(ctx context.Context, dir string) error // fails if dir does not hold the contents

	checked sync.Map // a folder that check accepted → []fs.FileInfo of its files at that time
}

// extract makes sure that the folder exists under cacheDir, and returns it. The folder appears in
// one step, so processes that extract at the same time do not see each other's half-written
// files. A folder that exists is checked, and replaced if it differs.
func (c *contents) extract(ctx context.Context, cacheDir string) (string, error) {
	digest, err := c.digest()
	if err != nil {
		return "", fmt.Errorf("kit: digest: %w", err)
	}
	dir := filepath.Join(cacheDir, c.prefix+digest)
	if err := c.checkOnce(ctx, dir); err == nil {
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
	if err := c.write(ctx, filepath.Join(fresh, "new")); err != nil {
		return "", fmt.Errorf("kit: extract to %s: %w", cacheDir, err)
	}
	if err := c.install(ctx, fresh, dir); err != nil {
		return "", fmt.Errorf("kit: extract to %s: %w", dir, err)
	}
	return dir, nil
}

// checkOnce is check, but reads the files only if one of them has changed since this process read
// them: a command asks for the folder of the kit several times.
func (c *contents) checkOnce(ctx context.Context, dir string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	now, err := filesIn(dir)
	if err != nil {
		return err
	}
	if last, ok := c.checked.Load(dir); ok && slices.EqualFunc(last.([]fs.FileInfo), now, unchanged) {
		return nil
	}
	if err := c.check(ctx, dir); err != nil {
		return err
	}
	c.checked.Store(dir, now)
	return nil
}

// filesIn returns the information of all files in a folder, in order.
func filesIn(dir string) (files []fs.FileInfo, err error) {
	err = filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := os.Stat(name)
		files = append(files, info)
		return err
	})
	return files, err
}

// unchanged reports whether a file is the same one and was not written between two looks at it.
func unchanged(before, after fs.FileInfo) bool {
	return os.SameFile(before, after) && before.Size() == after.Size() && before.ModTime().Equal(after.ModTime())
}

// install renames fresh/new to dir. Whatever stands at dir moves out of the way first, unless
// another process has put the right content there in the meantime.
func (c *contents) install(ctx context.Context, fresh, dir string) error {
	const attempts = 8
	var err error
	for i := range attempts {
		if err = os.Rename(filepath.Join(fresh, "new"), dir); err == nil {
			return nil
		}
		if c.check(ctx, dir) == nil {
			return nil
		}
		old := filepath.Join(fresh, fmt.Sprintf("old-%d", i))
		if moved := os.Rename(dir, old); moved != nil && !errors.Is(moved, fs.ErrNotExist) {
			return moved
		}
	}
	return err
}

// digestOf returns the start of a SHA-256 over the path and the content of every file.
func digestOf(walk walker) (string, error) {
	sum := sha256.New()
	err := walk(func(name string, data []byte) error {
		fmt.Fprintf(sum, "%s\x00%d\x00", name, len(data))
		sum.Write(data)
		return nil
	})
	return hex.EncodeToString(sum.Sum(nil))[:16], err
}

// compare returns a check that compares the files under dir with those of walk.
func compare(walk walker) func(ctx context.Context, dir string) error {
	return func(ctx context.Context, dir string) error {
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
}

// write stores the contents under dir. It need not sync them: what a crash tears, the next
// check finds.
func (c *contents) write(ctx context.Context, dir string) error {
	return c.walk(func(name string, data []byte) error {
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
