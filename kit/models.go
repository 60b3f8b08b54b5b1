package kit

import (
	"context"
	"embed"
	"io/fs"
	"path"
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

// Extract makes sure that the folders of the kit's models exist under cacheDir, and returns the
// folder that holds them. Its name is a digest of its content, so kits of different versions stand
// side by side. A folder that exists is checked against the embedded content, and replaced if it
// differs.
func Extract(ctx context.Context, cacheDir string) (string, error) {
	return models.extract(ctx, cacheDir)
}

// models are the folders that Extract writes.
var models = contents{
	prefix: "kit-", walk: walkModels, check: compare(walkModels),
	digest: sync.OnceValues(func() (string, error) { return digestOf(walkModels) }), // once in a process
}

// walkModels calls f with the name (relative to root) and content of every embedded file, in order.
func walkModels(f func(name string, data []byte) error) error {
	sub, err := fs.Sub(files, root)
	if err != nil {
		return err
	}
	return fs.WalkDir(sub, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(sub, name)
		if err != nil {
			return err
		}
		return f(name, data)
	})
}
