// Package sources embeds the source code of this module that a plugin's project needs. `bridge
// plugin new` writes it into the project, because it is not published in a registry. The package is
// at the module's root, because go:embed cannot embed files above its own folder.
package sources

import (
	"embed"
	"io/fs"
)

// The list must have every package that the SDK imports. A test of plugins/project reports missing
// packages.
//
//go:embed go.mod go.sum LICENSE
//go:embed adapters/*.go adapters/adaptertest/*.go
//go:embed plugins/*.go plugins/internal/identity/*.go plugins/internal/pb/*.go plugins/internal/wire/*.go plugins/proto
//go:embed internal/loglevel/*.go internal/procfs/*.go
//go:embed sdk/python/README.md sdk/python/pyproject.toml sdk/python/bridge_plugin/*.py sdk/python/bridge_plugin/py.typed
var files embed.FS

// Files returns the sources with the module's go.mod and go.sum. Their paths are those in the
// repository.
func Files() fs.FS { return files }
