package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const pulledCommit = "0123456789abcdef0123456789abcdef01234567"

// localHub serves one of the kit's models as facebook/opt-125m. The manifest of opt-125m
// describes a larger model, but only opening the model would notice.
func localHub(t *testing.T) {
	t.Helper()
	dir := filepath.Join("..", "..", "kit", "models", "tiny-opt")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"README.md": []byte("not needed")}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/models/facebook/opt-125m/revision/main" ||
			r.URL.Path == "/api/models/facebook/opt-125m/revision/"+pulledCommit {
			var siblings []map[string]string
			for name := range files {
				siblings = append(siblings, map[string]string{"rfilename": name})
			}
			json.NewEncoder(w).Encode(map[string]any{"sha": pulledCommit, "siblings": siblings})
			return
		}
		data, ok := files[strings.TrimPrefix(r.URL.Path, "/facebook/opt-125m/resolve/"+pulledCommit+"/")]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		sum := sha256.Sum256(data)
		w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:])+`"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}))
	t.Cleanup(server.Close)
	t.Setenv("HF_ENDPOINT", server.URL)
	t.Setenv("HF_HUB_OFFLINE", "")
	t.Setenv("HF_TOKEN", "")
	t.Setenv("HF_HUB_CACHE", t.TempDir())
	t.Setenv("BRIDGE_CONFIG", t.TempDir())
}

// mustExitInEnv is [mustExit] with the current configuration folder and hub cache.
func mustExitInEnv(t *testing.T, status int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if got := run(t.Context(), append([]string{"bridge"}, args...), &out, &errs); got != status {
		t.Fatalf("bridge %s: status %d, want %d\n%s%s", strings.Join(args, " "), got, status, out.String(), errs.String())
	}
	return out.String(), errs.String()
}

func TestPullAndVerify(t *testing.T) {
	localHub(t)
	stdout, stderr := mustExitInEnv(t, exitDone, "models", "pull", "opt-125m")
	dir := strings.TrimSpace(stdout)
	if filepath.Base(dir) != pulledCommit || !strings.Contains(stderr, "facebook/opt-125m at main (0123456789ab)") ||
		!strings.Contains(stderr, "to download") || strings.Contains(stderr, "has no tokenizer") {
		t.Errorf("pull printed %q and %q", stdout, stderr)
	}
	if _, err := os.Stat(filepath.Join(dir, "README.md")); err == nil {
		t.Error("README.md was downloaded")
	}
	if list, _ := mustExitInEnv(t, exitDone, "models", "list"); !strings.Contains(list, "hub: "+dir) {
		t.Errorf("the list does not show the model:\n%s", list)
	}
	if show, _ := mustExitInEnv(t, exitDone, "models", "show", "opt-125m"); !strings.Contains(show, pulledCommit) ||
		strings.Contains(show, "to use it") {
		t.Errorf("show: %s", show)
	}
	if out, _ := mustExitInEnv(t, exitDone, "models", "verify", "opt-125m"); !strings.Contains(out, "model.safetensors") ||
		strings.Contains(out, "DAMAGED") {
		t.Errorf("verify: %s", out)
	}

	blob, err := filepath.EvalSymlinks(filepath.Join(dir, "config.json"))
	if err == nil {
		err = os.WriteFile(blob, []byte("{}"), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	out, errs := mustExitInEnv(t, exitFailed, "models", "verify", "opt-125m", "--json")
	if !strings.Contains(errs, "--repair") {
		t.Errorf("verify of a damaged file: %s", errs)
	}
	for _, o := range decodeLines(t, out) {
		if ok := o["path"] != "config.json"; o["ok"] != ok {
			t.Errorf("%v", o)
		}
	}
	mustExitInEnv(t, exitDone, "models", "verify", "opt-125m", "--repair")
	mustExitInEnv(t, exitDone, "models", "verify", "opt-125m")

	t.Setenv("HF_HUB_OFFLINE", "1")
	if again, _ := mustExitInEnv(t, exitDone, "models", "pull", "opt-125m", "--json"); !strings.Contains(again, pulledCommit) {
		t.Errorf("offline: %s", again)
	}
	if _, stderr := mustExitInEnv(t, exitFailed, "models", "pull", "opt-2.7b"); !strings.Contains(stderr, "HF_HUB_OFFLINE is set") {
		t.Errorf("offline: %s", stderr)
	}
}

// If the hub is slow to answer, its address is printed.
func TestPullNamesASlowHub(t *testing.T) {
	localHub(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(2200 * time.Millisecond)
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(server.Close)
	t.Setenv("HF_ENDPOINT", server.URL)
	_, stderr := mustExitInEnv(t, exitFailed, "models", "pull", "facebook/opt-125m")
	if !strings.HasPrefix(stderr, "waiting for "+server.URL+" to answer\n") {
		t.Errorf("no message about the slow hub:\n%s", stderr)
	}
}

func TestPullOfFilesAndRepositories(t *testing.T) {
	localHub(t)
	stdout, _ := mustExitInEnv(t, exitDone, "models", "pull", "facebook/opt-125m", "--files", "tokenizer.json", "--files", "con*.json")
	entries, err := os.ReadDir(strings.TrimSpace(stdout))
	if err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
	for id, want := range map[string]string{
		"opt-125": "did you mean opt-125m", "tiny-opt": "is built into the kit", t.TempDir(): "no model",
		"facebook/none": "no repository facebook/none",
	} {
		if _, stderr := mustExitInEnv(t, exitFailed, "models", "pull", id); !strings.Contains(stderr, want) {
			t.Errorf("%s: no %q in %s", id, want, stderr)
		}
	}
}

func TestVerifyWithoutChecksums(t *testing.T) {
	stdout, _ := mustExit(t, exitDone, "models", "verify", "tiny-opt")
	if !strings.Contains(stdout, "nothing to compare with") {
		t.Errorf("%s", stdout)
	}
	if _, stderr := mustExit(t, exitFailed, "models", "verify", "opt-2.7b"); !strings.Contains(stderr, "bridge models pull opt-2.7b") {
		t.Errorf("%s", stderr)
	}
}
