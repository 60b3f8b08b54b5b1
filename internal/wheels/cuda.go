package wheels

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

// cudaPlugin is the file name of the plugin. bridge and go-xla search for it.
const cudaPlugin = "pjrt_c_api_cuda_plugin.so"

// cudaWheels returns the wheels of XLA's plugin for CUDA 13 and of NVIDIA's libraries that it
// loads. They are the dependencies of jax-cuda13-plugin[with-cuda] 0.11.2, at the versions that
// were current when they were pinned.
func cudaWheels() []Wheel {
	return []Wheel{
		{"jax-cuda13-pjrt", "0.11.2", "e5ff589d43064913bb74027682d89639c7ea48f9f81c2bae6fc75117e913f93e"},
		{"nvidia-cublas", "13.10.0.20", "dcc6d63884c53d07e267ce7e6feac17b2538cebaafec5db865736c3e28e4dc84"},
		{"nvidia-cuda-cupti", "13.5.25", "9dcca41c12a734192b14e7128ae116bc9ce1b9da686e2ebf48ae7a4415f76650"},
		{"nvidia-cuda-nvcc", "13.5.37", "f5c4f7ead5d964fb4af42bbf1e6d3ec3c1e6e9d83b53749f691d387e7fcaa3a7"},
		{"nvidia-cuda-nvrtc", "13.5.37", "86b4d68058807988b7d9af5b44917a0601e9c337f35ccd657bfb3c759ff8d8bc"},
		{"nvidia-cuda-runtime", "13.5.37", "df2b79a8852f10d1fef8c848489c49eebb5754051bf870202a862831412b179d"},
		{"nvidia-cudnn-cu13", "9.28.1.4", "a54f205b1db1f2895d99f398754db1369816f0569dd459731f925635cf7b65ec"},
		{"nvidia-cufft", "12.5.0.14", "b8be26837a5abad2b5b74f3e92dd29f622a42934b355be0961a48712cbba23ad"},
		{"nvidia-cusolver", "12.4.1.2", "b3b8e02fd2f2df869369af075dc3a179d43f6f7b85e94632a7dce556697be044"},
		{"nvidia-cusparse", "12.9.4.2", "072667e58c851a318738f5527a12eb225cbf058803f2ea451c722d8cf8edddec"},
		{"nvidia-nccl-cu13", "2.32.3", "1459723080ac889d73a26edfa3e04383a7928ab31ac8f0ec43b3ea9548b04ff3"},
		{"nvidia-nvjitlink", "13.5.37", "280d7cb9649704145f074b8dbde500de04ce02d0872e066e20a83c17bcaa93eb"},
		{"nvidia-nvshmem-cu13", "3.8.0", "81a4d1f666543e6d34df6d2ff940c7da1435e34e186aab6f3c2b48861b64ef38"},
		{"nvidia-nvvm", "13.5.37", "c41bfa362e407405163f103c2229f0765f8cc2ed7d148b754dc77f228bf7e070"},
	}
}

// installCUDA replaces lib/nvidia with the plugin and the libraries, and returns the plugin's
// path. After an error, lib/nvidia is unchanged. The plugin searches for libraries in
// ../nvidia/cu13/lib, ../nvidia/cudnn/lib and ../nvidia/nccl/lib relative to itself. go-xla sets
// ../nvidia as the folder of ptxas and libdevice.
func installCUDA(ctx context.Context, pip Pip, wheels []Wheel, lib string) (plugin string, err error) {
	if err := pip.Check(ctx); err != nil {
		return "", err
	}
	if err := os.MkdirAll(lib, 0o755); err != nil {
		return "", err
	}
	fresh, err := os.MkdirTemp(lib, ".nvidia-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(fresh)) }()
	tree := filepath.Join(fresh, "nvidia")
	for i, w := range wheels {
		fmt.Fprintf(pip.Log, "%d/%d %s %s\n", i+1, len(wheels), w.Package, w.Version)
		if err := add(ctx, pip, w, fresh, tree); err != nil {
			return "", err
		}
	}
	if err := linkTools(tree); err != nil {
		return "", err
	}
	target := filepath.Join(lib, "nvidia")
	if err := os.Rename(target, filepath.Join(fresh, "before")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return filepath.Join(target, cudaPlugin), os.Rename(tree, target)
}

// add fetches one wheel and unpacks it into the tree.
func add(ctx context.Context, pip Pip, w Wheel, fresh, tree string) error {
	dir, err := os.MkdirTemp(fresh, "wheel-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	wheel, err := pip.Download(ctx, w, dir)
	if err != nil {
		return err
	}
	n, err := Unpack(wheel, tree, cudaMemberPath)
	if err == nil && n == 0 {
		err = adapters.Errorf(adapters.Corrupt, "%s %s contains no file of CUDA", w.Package, w.Version)
	}
	return err
}

// cudaMemberPath returns the path in the nvidia folder for a wheel's member, or "" to skip the
// member.
func cudaMemberPath(member string) string {
	if rest, ok := strings.CutPrefix(member, "jax_plugins/"); ok && strings.HasSuffix(rest, "/xla_cuda_plugin.so") {
		return cudaPlugin
	}
	if rest, ok := strings.CutPrefix(member, "nvidia/"); ok {
		return rest
	}
	return ""
}

// linkTools checks that the tree is complete, and links the tools into the folders that XLA
// searches.
func linkTools(tree string) error {
	for _, name := range []string{cudaPlugin, "cu13/lib/libcudart.so.13", "cu13/lib/libcublas.so.13", "cudnn/lib/libcudnn.so.9", "nccl/lib/libnccl.so.2",
		"cu13/bin/ptxas", "cu13/nvvm/libdevice/libdevice.10.bc"} {
		if _, err := os.Stat(filepath.Join(tree, filepath.FromSlash(name))); err != nil {
			return adapters.Errorf(adapters.Corrupt, "the wheels do not contain %s: %w", name, err)
		}
	}
	for _, name := range []string{"bin", "nvvm"} {
		if err := os.Symlink(filepath.Join("cu13", name), filepath.Join(tree, name)); err != nil {
			return err
		}
	}
	return nil
}
