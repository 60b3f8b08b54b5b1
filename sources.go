// Package sources holds the source code of what a plugin's project needs of this
// module, as it was when the program was built: nothing of it is published in a
// registry, so `bridge plugin new` writes it into the project. It stands at the
// module's root because go:embed reaches no folder above its own file.
package sources

import (
	"embed"
	"io/fs"
)

// A package that the SDK imports must stand here; a test of plugins/project
// names the one that is missing.
//
//go:embed go.mod go.sum LICENSE
//go:embed adapters/*.go adapters/adaptertest/*.go
//go:embed plugins/*.go plugins/internal/identity/*.go plugins/internal/memfile/*.go plugins/internal/pb/*.go plugins/proto
//go:embed internal/bytesize/*.go internal/cloexec/*.go internal/execerr/*.go internal/procfs/*.go internal/printable/*.go
//go:embed sdk/python/README.md sdk/python/pyproject.toml sdk/python/bridge_plugin/*.py sdk/python/bridge_plugin/py.typed
var files embed.FS

// Files returns the sources, with the module's go.mod and go.sum, under the paths
// that they have in the repository.
func Files() fs.FS { return files }
