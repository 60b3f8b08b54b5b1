// Package sources holds the source code of this module that a plugin's project needs, as it
// was when the program was built. `bridge plugin new` writes it into the project, because
// it is not published in a registry. The package is at the module's root because go:embed
// cannot reach a folder above its own file.
package sources

import (
	"embed"
	"io/fs"
)

// Every package that the SDK imports must be here. A test of plugins/project names missing
// packages.
//
//go:embed go.mod go.sum LICENSE
//go:embed adapters/*.go adapters/adaptertest/*.go
//go:embed plugins/*.go plugins/internal/identity/*.go plugins/internal/pb/*.go plugins/internal/wire/*.go plugins/proto
//go:embed internal/loglevel/*.go internal/procfs/*.go
//go:embed sdk/python/README.md sdk/python/pyproject.toml sdk/python/bridge_plugin/*.py sdk/python/bridge_plugin/py.typed
var files embed.FS

// Files returns the sources, with the module's go.mod and go.sum, under their paths in the
// repository.
func Files() fs.FS { return files }
