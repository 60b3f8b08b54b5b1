// Package goldentest runs golden folders under package testing. Package golden owns the
// comparison.
package goldentest

import (
	"testing"

	"github.com/modular-bridging/bridge/golden"
)

// Run runs every case of the folder and fails the test where one misses.
func Run(t *testing.T, folder *golden.Folder, runner golden.Runner) {
	t.Helper()
	results, err := golden.Run(t.Context(), folder, runner)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		t.Logf("%-36s %-9s %.1e", r.Case, r.Op, r.MaxAbs)
		if !r.OK {
			t.Errorf("%s: %s", r.Case, r.Detail)
		}
	}
}
