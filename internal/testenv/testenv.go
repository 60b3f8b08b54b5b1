// Package testenv is for tests that want what a plain machine may lack: a browser,
// rights to mount, a plugin that is installed apart. Such a test skips and names
// what is missing; where BRIDGE_TEST_REQUIRE is set, as CI sets it after having
// installed everything, it fails instead, so that no test is lost unnoticed.
package testenv

import (
	"os"
	"testing"
)

// LongVariable is the environment variable that asks for the long form of tests
// that have two, as `make test-long` does.
const LongVariable = "BRIDGE_TEST_LONG"

// Long reports whether the long form of a test is asked for.
func Long() bool { return os.Getenv(LongVariable) != "" }

// RequireVariable is the environment variable that makes a lack a failure.
const RequireVariable = "BRIDGE_TEST_REQUIRE"

// Lacking ends the test: skipped, or failed where everything is required.
func Lacking(t testing.TB, what string, reason error) {
	t.Helper()
	if os.Getenv(RequireVariable) != "" {
		t.Fatalf("this machine lacks %s, and %s is set: %v", what, RequireVariable, reason)
	}
	t.Skipf("this machine lacks %s: %v", what, reason)
}
