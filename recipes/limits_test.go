package recipes

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestLimitProblems(t *testing.T) {
	testProblems(t, []problemTest{
		{"limits", "tiny-stage2-opt", []string{`language.memory_limit="8"`, "language.threads=-1", "language.gpu_memory=1.5", "run.gpu_memory=0", "language.call_timeout=soon", "language.restarts=-2", "vision.devices=0, 1", "vision.call_timeout=0s"},
			[]string{`memory_limit: is "8", want a positive number with a unit, such as 8GB`, "threads: is -1", `call_timeout: is "soon", want a time with a unit`,
				"restarts: is -2", "language.gpu_memory: is 1.5", "run.gpu_memory: is 0", `vision.devices: is "0, 1"`, `vision.call_timeout: is "0s"`}},
		{"limits without a process", "tiny-stage1", []string{"vision.isolation=none", "vision.memory_limit=8GB", `vision.devices="0"`},
			[]string{`vision.memory_limit: is given, but vision.isolation is "none"`, "vision.devices: is given"}},
	})
}

func TestLimits(t *testing.T) {
	workplace(t)
	sets := []string{"language.memory_limit=1.5GiB", `language.devices=""`, "language.threads=3", "language.call_timeout=90s", "language.restarts=0"}
	first := resolve(t, load(t, "tiny-stage2-opt", sets...))
	file := filepath.Join(t.TempDir(), "recipe.toml")
	encoded, err := first.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, encoded, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, l := range []Limits{first.Language.Limits, load(t, file).Language.Limits} {
		if l.Memory() != 3<<29 || *l.Devices != "" || l.Threads != 3 || l.Call() != 90*time.Second || *l.Restarts != 0 {
			t.Errorf("the limits are %+v", l)
		}
	}
	if l := first.Vision.Limits; l != (Limits{}) || l.Memory() != 0 || l.Call() != 0 {
		t.Errorf("without limits they are %+v", l)
	}
}
