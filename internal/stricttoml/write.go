package stricttoml

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/BurntSushi/toml"

	"github.com/modular-bridging/bridge/internal/atomicfile"
)

// WriteFile replaces the content of a file with header and v as TOML. After an error, the file is
// unchanged.
func WriteFile(path, header string, v any) error {
	var buf bytes.Buffer
	buf.WriteString(header)
	encoder := toml.NewEncoder(&buf)
	encoder.Indent = ""
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return atomicfile.WriteBytes(path, buf.Bytes())
}
