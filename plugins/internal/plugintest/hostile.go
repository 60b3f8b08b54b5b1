package plugintest

import (
	"context"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
)

// hostileFamily names in its id what the plugin could do that it must not.
func hostileFamily(done []string) adapters.Family {
	return adapters.Family{Name: "language", Kind: adapters.KindLanguage,
		OpenLanguage: func(context.Context, *adapters.LoadRequest) (adapters.LanguageModel, error) {
			return adaptertest.NewFakeLanguage("did: "+strings.Join(append(done, inheritable()...), ", "), 1), nil
		}}
}

// inheritable returns the memory files that a child of the plugin would inherit.
func inheritable() (left []string) {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		fd, _ := strconv.Atoi(e.Name())
		target, _ := os.Readlink("/proc/self/fd/" + e.Name())
		flags, err := unix.FcntlInt(uintptr(fd), syscall.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 && strings.Contains(target, "memfd") {
			left = append(left, "bequeath "+target)
		}
	}
	return left
}
