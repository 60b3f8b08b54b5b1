//go:build linux && cgo

package hostmemory

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// resident returns the resident size of this process in bytes.
func resident(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "VmRSS:")
	var kilobytes int
	if _, err := fmt.Sscan(after, &kilobytes); err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}

// touched returns a new slice of zeros, all of whose pages exist.
func touched(bytes int) []byte {
	b := make([]byte, bytes)
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	return b
}

func TestSettleReturnsGarbageToTheSystem(t *testing.T) {
	const bytes = 64 << 20
	garbage := touched(bytes)
	before := resident(t)
	garbage[0] = 2 // alive up to here
	garbage = nil
	Settle()
	if after := resident(t); before-after < bytes/2 {
		t.Errorf("%d MB are resident after %d MB with 64 MB of garbage", after>>20, before>>20)
	}
}
