package tokenizer

import (
	"bytes"
	"compress/gzip"
	"context"
	_ "embed" // for the module
	"fmt"
	"io"
	"path/filepath"
	"sync"

	"github.com/modular-bridging/bridge/internal/cachedir"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// wasmGzip is tools/tokenizer/src/lib.rs, compiled by tools/tokenizer/build.sh.
//
//go:embed tokenizer.wasm.gz
var wasmGzip []byte

// module is the compiled code, without a memory.
type module struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
}

// shared compiles the module when first called and returns the same one ever
// after. It is never closed: its code is in use as long as the process may open
// a tokenizer.
var shared = sync.OnceValues(func() (*module, error) {
	code, err := unpack()
	if err != nil {
		return nil, fmt.Errorf("embedded tokenizer module: %w", err)
	}
	return compile(cacheDir(), code)
})

func unpack() ([]byte, error) {
	zr, err := gzip.NewReader(bytes.NewReader(wasmGzip))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(zr)
}

// cacheDir returns the folder for compiled code, or "" if the system has none.
func cacheDir() string {
	if dir := cachedir.Dir(); dir != "" {
		return filepath.Join(dir, "wasm")
	}
	return ""
}

// compile compiles a module, or loads what an earlier process compiled into dir.
// A dir that cannot be used costs time, never correctness.
func compile(dir string, code []byte) (*module, error) {
	if dir != "" {
		if cache, err := wazero.NewCompilationCacheWithDir(dir); err == nil {
			if m, err := compileWith(wazero.NewRuntimeConfig().WithCompilationCache(cache), code); err == nil {
				return m, nil
			}
		}
	}
	m, err := compileWith(wazero.NewRuntimeConfig(), code)
	if err != nil {
		return nil, fmt.Errorf("compile the tokenizer module: %w", err)
	}
	return m, nil
}

func compileWith(config wazero.RuntimeConfig, code []byte) (*module, error) {
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, config)
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, r); err != nil {
		r.Close(ctx)
		return nil, err
	}
	compiled, err := r.CompileModule(ctx, code)
	if err != nil {
		r.Close(ctx)
		return nil, err
	}
	return &module{r, compiled}, nil
}

// instance is the module with a memory; it holds one tokenizer.
type instance struct{ mod api.Module }

// instantiate returns a new instance without a tokenizer.
func (m *module) instantiate(ctx context.Context) (*instance, error) {
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize")
	mod, err := m.runtime.InstantiateModule(ctx, m.compiled, config)
	if err != nil {
		return nil, fmt.Errorf("instantiate the tokenizer module: %w", err)
	}
	return &instance{mod}, nil
}

// trap is a call that did not return: the instance's memory is in an unknown
// state and must not be used again.
type trap struct{ err error }

func (t *trap) Error() string { return t.err.Error() }
func (t *trap) Unwrap() error { return t.err }

// call runs one of the functions of tools/tokenizer/src/lib.rs and returns the
// payload of its answer, which is overwritten by the next call.
func (in *instance) call(function string, request []byte, args ...uint64) ([]byte, error) {
	ctx := context.Background()
	at, err := in.mod.ExportedFunction("request").Call(ctx, uint64(len(request)))
	if err != nil {
		return nil, &trap{err}
	}
	if !in.mod.Memory().Write(uint32(at[0]), request) {
		return nil, &trap{fmt.Errorf("request buffer of %d bytes lies outside the module's memory", len(request))}
	}
	packed, err := in.mod.ExportedFunction(function).Call(ctx, args...)
	if err != nil {
		return nil, &trap{err}
	}
	answer, ok := in.mod.Memory().Read(uint32(packed[0]>>32), uint32(packed[0]))
	if !ok || len(answer) == 0 {
		return nil, &trap{fmt.Errorf("answer of %d bytes at %d, want at least one byte within the module's memory", uint32(packed[0]), packed[0]>>32)}
	}
	if answer[0] != 0 {
		return nil, fmt.Errorf("%s", answer[1:])
	}
	return answer[1:], nil
}

func (in *instance) close() error { return in.mod.Close(context.Background()) }
