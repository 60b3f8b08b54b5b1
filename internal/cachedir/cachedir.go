// Package cachedir names the folder in which bridge keeps what it can make again.
package cachedir

import (
	"os"
	"path/filepath"
)

// Variable is the environment variable that moves the folder.
const Variable = "BRIDGE_CACHE"

// Dir returns $BRIDGE_CACHE, or the folder bridge in the user's cache folder if the variable is not
// set. It returns "" if the user has no cache folder. The folder may not exist yet.
func Dir() string {
	if dir := os.Getenv(Variable); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "bridge")
}
