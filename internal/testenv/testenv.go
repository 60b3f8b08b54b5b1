// Package testenv helps tests that need something that not every machine has: a browser, the right
// to mount file systems, or a Python with packages. If it is missing, such a test is skipped with a
// message that names it. If BRIDGE_TEST_REQUIRE is set, the test fails instead. CI installs
// everything and sets the variable, so that no test is skipped unnoticed.
package testenv

import (
	"os"
	"testing"
)

// LongVariable is the environment variable that selects the long form of tests, for tests with a
// long and a short form. `make test-long` sets it.
const LongVariable = "BRIDGE_TEST_LONG"

// Long reports whether tests should run in their long form.
func Long() bool { return os.Getenv(LongVariable) != "" }

// RequireVariable is the environment variable with which a missing requirement fails the test.
const RequireVariable = "BRIDGE_TEST_REQUIRE"

// Lacking ends the test because something is missing: it fails the test if [RequireVariable] is
// set, and skips it otherwise.
func Lacking(t testing.TB, what string, reason error) {
	t.Helper()
	if os.Getenv(RequireVariable) != "" {
		t.Fatalf("this machine lacks %s, and %s is set: %v", what, RequireVariable, reason)
	}
	t.Skipf("this machine lacks %s: %v", what, reason)
}
