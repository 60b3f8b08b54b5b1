package main

import (
	"os"
	"testing"

	"github.com/modular-bridging/bridge/internal/testenv"
)

// examplesVariable is the environment variable with the number of requests that are generated for each path, and
// seedVariable the one with the seed of their values.
const (
	examplesVariable = "BRIDGE_TEST_EXAMPLES"
	seedVariable     = "BRIDGE_TEST_SEED"
)

// Every answer to requests that schemathesis generates from /openapi.json must be one that it describes. What a schema
// allows may still be refused (an unknown model, options that exclude each other), so that this is not checked.
func TestTheDescriptionHolds(t *testing.T) {
	python := testenv.PythonWith(t, "schemathesis")
	open, _ := servers(t)
	examples, seed := os.Getenv(examplesVariable), os.Getenv(seedVariable)
	if examples == "" {
		examples = "10"
	}
	if seed == "" {
		seed = "1"
	}
	t.Setenv("SCHEMATHESIS_HOOKS", "hooks")
	t.Setenv("PYTHONDONTWRITEBYTECODE", "1")
	phases := "fuzzing"
	if testenv.Long() {
		phases = "examples,coverage,fuzzing"
	}
	out := runClient(t, "schema", python, "-m", "schemathesis.cli", "run", open+"/openapi.json", "--max-examples", examples, "--seed", seed, "--phases", phases,
		"--exclude-checks", "positive_data_acceptance", "--continue-on-failure", "--generation-database", "none", "--no-color", "--warnings", "off")
	t.Log(out)
}
