package hub

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters"
)

func TestPull(t *testing.T) {
	f, cache := newFake(t), t.TempDir()
	var last, total int64
	s, err := f.client(cache).Pull(t.Context(), Request{Repository: repository, Patterns: patterns(), Progress: func(done, all int64) { last, total = done, all }})
	if err != nil {
		t.Fatal(err)
	}
	f.checkSnapshot(s)
	if want := int64(320_000 + 21 + 2); last != want || total != want {
		t.Errorf("progress ended at %d of %d, want %d", last, total, want)
	}
	if dir, at, ok := Find(cache, repository, Main, IsModel); !ok || dir != s.Dir || at != commit {
		t.Errorf("found %q %q %v, want %q", dir, at, ok, s.Dir)
	}
	if exists(filepath.Join(s.Dir, "pytorch_model.bin")) || exists(filepath.Join(s.Dir, "sub")) {
		t.Error("a file that matches no pattern was fetched")
	}
	if len(f.leaked) > 0 {
		t.Errorf("the token was sent to another host: %v", f.leaked)
	}
	before := f.count("GET /model")
	f.mustPull(f.client(cache))
	if f.count("GET /model") != before {
		t.Error("a file in the cache was fetched again")
	}
}

// After a broken connection, the download resumes where it stopped, in the same pull and in the
// next.
func TestPullResumes(t *testing.T) {
	f, cache := newFake(t), t.TempDir()
	cuts := 0
	f.contentHook = func(w http.ResponseWriter, r *http.Request, data []byte) bool {
		if len(data) < 1000 || cuts >= 3 {
			return false
		}
		cuts++
		return cut(w, r, data, 70_000)
	}
	f.mustPull(f.client(cache))
	if f.count("GET /model.safetensors bytes=70000-") != 1 || f.count("GET /model.safetensors bytes=210000-") != 1 {
		t.Errorf("requests: %v", f.requests)
	}

	f, cache = newFake(t), t.TempDir()
	f.contentHook = func(w http.ResponseWriter, r *http.Request, data []byte) bool {
		return len(data) > 1000 && r.Header.Get("Range") != "" && fail(w, http.StatusServiceUnavailable) || len(data) > 1000 && cut(w, r, data, 70_000)
	}
	if _, err := f.pull(f.client(cache)); adapters.KindOf(err) != adapters.Unavailable || !strings.Contains(err.Error(), "pull again") {
		t.Fatalf("a failing hub: %v", err)
	}
	if _, _, ok := Find(cache, repository, Main, IsModel); ok {
		t.Error("Find found the snapshot of a failed pull")
	}
	f.contentHook, f.requests = nil, nil
	f.mustPull(f.client(cache))
	if f.count("GET /model.safetensors bytes=70000-") != 1 {
		t.Errorf("requests: %v", f.requests)
	}
}

// A server that sends another range than requested is an error, and not retried forever.
func TestPullRefusesAnotherRange(t *testing.T) {
	f, cache := newFake(t), t.TempDir()
	f.contentHook = func(w http.ResponseWriter, r *http.Request, data []byte) bool {
		if len(data) < 1000 {
			return false
		}
		if r.Header.Get("Range") == "" {
			return cut(w, r, data, 70_000)
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", 70_001, len(data)-1, len(data)))
		w.Header().Set("Content-Length", fmt.Sprint(len(data)-70_001))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(data[70_001:])
		return true
	}
	if _, err := f.pull(f.client(cache)); adapters.KindOf(err) != adapters.Corrupt || !strings.Contains(err.Error(), "from 70001 on") {
		t.Errorf("another range: %v", err)
	}
}

// cut sends n bytes of the requested content and then breaks the connection.
func cut(w http.ResponseWriter, r *http.Request, data []byte, n int) bool {
	start := 0
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &start); err == nil {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, len(data)-1, len(data)))
		w.Header().Set("Content-Length", fmt.Sprint(len(data)-start))
		w.WriteHeader(http.StatusPartialContent)
	} else {
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
	}
	w.Write(data[start:min(start+n, len(data))])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func fail(w http.ResponseWriter, status int) bool {
	w.WriteHeader(status)
	return true
}

// A server without support for ranges sends the whole file each time. One attempt must succeed.
func TestPullWithoutRanges(t *testing.T) {
	f, cache := newFake(t), t.TempDir()
	n := 0
	f.contentHook = func(w http.ResponseWriter, r *http.Request, data []byte) bool {
		if len(data) < 1000 {
			return false
		}
		r.Header.Del("Range")
		if n++; n == 1 {
			return cut(w, r, data, 50_000)
		}
		w.Write(data)
		return true
	}
	f.mustPull(f.client(cache))
	n = -1000
	f, cache = newFake(t), t.TempDir()
	f.contentHook = func(w http.ResponseWriter, r *http.Request, data []byte) bool {
		r.Header.Del("Range")
		return len(data) > 1000 && cut(w, r, data, 50_000)
	}
	if _, err := f.pull(f.client(cache)); adapters.KindOf(err) != adapters.Unavailable {
		t.Errorf("a server that always stops at the same byte: %v", err)
	}
}

func TestPullRefusesWrongContent(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(w http.ResponseWriter, r *http.Request, data []byte) bool
		want  string
	}{
		"other content of the same size": {func(w http.ResponseWriter, r *http.Request, data []byte) bool {
			w.Write(bytes.ToUpper(data))
			return true
		}, "changed during the download"},
		"longer": {func(w http.ResponseWriter, r *http.Request, data []byte) bool {
			w.Write(append(slices.Clone(data), "more"...))
			return true
		}, "bytes, the hub reports"},
		"longer, without a length": {func(w http.ResponseWriter, r *http.Request, data []byte) bool {
			w.(http.Flusher).Flush()
			w.Write(append(slices.Clone(data), "more"...))
			return true
		}, "bytes, the hub reports"},
		"shorter, as if whole": {func(w http.ResponseWriter, r *http.Request, data []byte) bool {
			w.Header().Set("Content-Length", fmt.Sprint(len(data)-1))
			w.Write(data[:len(data)-1])
			return true
		}, "bytes, the hub reports"},
		"shorter, without a length": {func(w http.ResponseWriter, r *http.Request, data []byte) bool {
			w.(http.Flusher).Flush()
			w.Write(data[:len(data)-1])
			return true
		}, "ended after"},
		"part of another size": {func(w http.ResponseWriter, r *http.Request, data []byte) bool {
			w.Header().Set("Content-Range", "bytes 0-9/12")
			w.WriteHeader(http.StatusPartialContent)
			w.Write(data[:10])
			return true
		}, "sends 12 bytes"},
	} {
		f, cache := newFake(t), t.TempDir()
		f.contentHook = func(w http.ResponseWriter, r *http.Request, data []byte) bool {
			r.Header.Del("Range")
			return len(data) > 1000 && c.spoil(w, r, data)
		}
		_, err := f.pull(f.client(cache))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "model.safetensors") || !strings.Contains(err.Error(), "pull again") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if _, _, ok := Find(cache, repository, Main, IsModel); ok {
			t.Errorf("%s: the snapshot exists", name)
		}
		f.contentHook = nil
		f.mustPull(f.client(cache))
	}
}

// If the bytes of an earlier attempt are damaged, the whole file is fetched again.
func TestPullOverDamagedPart(t *testing.T) {
	for _, left := range []string{strings.Repeat("x", 5000), strings.Repeat("x", 320_000), strings.Repeat("x", 400_000)} {
		f, cache := newFake(t), t.TempDir()
		c := f.client(cache)
		part := c.blobPath(repository, sha(f.files["model.safetensors"])) + ".incomplete"
		if err := os.MkdirAll(filepath.Dir(part), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(part, []byte(left), 0o644); err != nil {
			t.Fatal(err)
		}
		f.mustPull(c)
	}
}

// A file that changes between two requests is an error.
func TestPullDetectsAChangedFile(t *testing.T) {
	f, cache := newFake(t), t.TempDir()
	f.large = nil // the hub itself sends it
	f.files["model.safetensors"] = bytes.Repeat([]byte("a"), 100_000)
	f.contentHook = func(w http.ResponseWriter, r *http.Request, data []byte) bool {
		if len(data) < 1000 || r.Header.Get("Range") != "" {
			return false
		}
		f.files["model.safetensors"] = bytes.Repeat([]byte("b"), 100_000)
		return cut(w, r, data, 30_000)
	}
	if _, err := f.pull(f.client(cache)); err == nil || !strings.Contains(err.Error(), "changed during the download: its ETag was") {
		t.Errorf("%v", err)
	}

	f, cache = newFake(t), t.TempDir()
	f.requestHook = func(w http.ResponseWriter, r *http.Request) bool { // between the list and the files
		if r.Method != http.MethodHead {
			return false
		}
		w.Header().Set("X-Repo-Commit", strings.Repeat("f", 40))
		w.Header().Set("ETag", `"`+strings.Repeat("0", 40)+`"`)
		return true
	}
	if _, err := f.pull(f.client(cache)); err == nil || !strings.Contains(err.Error(), "now it is ffff") {
		t.Errorf("%v", err)
	}
}

func TestRequestErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		code   string
		text   string
		kind   adapters.Kind
		want   []string
	}{
		{"gated", 403, "GatedRepo", "Access to model someone/model is restricted", adapters.NotFound, []string{"accepted its license", "is restricted", "/someone/model", "HF_TOKEN"}},
		{"gated, no token", 401, "GatedRepo", "", adapters.NotFound, []string{"accepted its license"}},
		{"no repository", 401, "RepoNotFound", "", adapters.NotFound, []string{"no repository someone/model, or it is private", "check the name"}},
		{"wrong token", 401, "", "Invalid credentials", adapters.NotFound, []string{"refuses the token", "Invalid credentials"}},
		{"not found", 404, "", "", adapters.NotFound, []string{"no repository"}},
		{"no revision", 404, "RevisionNotFound", "", adapters.NotFound, []string{`no revision "main"`}},
		{"busy", 429, "", "too many requests", adapters.Unavailable, []string{"429", "too many requests", "pull again"}},
		{"broken", 503, "", "", adapters.Unavailable, []string{"503", "in 5 attempts"}},
		{"odd", 418, "", "", adapters.Unavailable, []string{"418"}},
	} {
		f := newFake(t)
		f.requestHook = func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("X-Error-Code", c.code)
			w.Header().Set("X-Error-Message", c.text)
			return fail(w, c.status)
		}
		_, err := f.pull(f.client(t.TempDir()))
		if adapters.KindOf(err) != c.kind {
			t.Errorf("%s: %v, want kind %s", c.name, err, c.kind)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: no %q in %v", c.name, want, err)
			}
		}
	}
}

// A request to a busy hub is retried.
func TestBusyHubIsRetried(t *testing.T) {
	f := newFake(t)
	n := 0
	var mu sync.Mutex
	f.requestHook = func(w http.ResponseWriter, _ *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		n++
		return n%2 == 1 && n < 9 && fail(w, []int{429, 500, 502, 504}[n/2])
	}
	f.mustPull(f.client(t.TempDir()))
}

// A connection without data is closed after a timeout. The bytes that were received are kept.
func TestPullFromAStalledServer(t *testing.T) {
	f := newFake(t)
	ended, silent := make(chan struct{}), 0
	f.contentHook = func(w http.ResponseWriter, r *http.Request, data []byte) bool {
		if len(data) < 1000 || silent >= 2 {
			return false
		}
		silent++
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		w.Write(data[:70_000])
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
		case <-ended:
		}
		return true
	}
	t.Cleanup(func() { close(ended) })
	c := f.client(t.TempDir())
	c.StallTimeout, c.Attempts = 50*time.Millisecond, 1
	_, err := f.pull(c)
	if err == nil || !strings.Contains(err.Error(), "failed after 70000 of 320000 bytes: no data for 50ms") {
		t.Fatalf("got %v, want the file and the cause", err)
	}
	c.Attempts = 0
	f.mustPull(c)
	if f.count("GET /model.safetensors bytes=70000-") == 0 {
		t.Errorf("the second pull did not resume where the first stopped: %q", f.requests)
	}
}

func TestTwoPullsAtOnce(t *testing.T) {
	f, cache := newFake(t), t.TempDir()
	f.contentHook = func(http.ResponseWriter, *http.Request, []byte) bool { time.Sleep(50 * time.Millisecond); return false }
	var wait sync.WaitGroup
	for range 3 {
		wait.Go(func() {
			if s, err := f.pull(f.client(cache)); err != nil {
				t.Error(err)
			} else {
				f.checkSnapshot(s)
			}
		})
	}
	wait.Wait()
	if n := f.count("GET /model.safetensors"); n != 1 {
		t.Errorf("fetched %d times", n)
	}
}

func TestDiskSpace(t *testing.T) {
	f := newFake(t)
	c := f.client(t.TempDir())
	c.Free = func(string) (int64, error) { return 1000, nil }
	if _, err := f.pull(c); adapters.KindOf(err) != adapters.Exhausted || !strings.Contains(err.Error(), "HF_HUB_CACHE") {
		t.Errorf("%v", err)
	}
	if f.count("GET /model") > 0 {
		t.Error("files were fetched although the disk has no space")
	}
	if free, err := freeSpace(t.TempDir()); err != nil || free <= 0 {
		t.Errorf("free space %d, %v", free, err)
	}
}

func TestOffline(t *testing.T) {
	f, cache := newFake(t), t.TempDir()
	c := f.client(cache)
	c.Offline = true
	if _, err := f.pull(c); adapters.KindOf(err) != adapters.NotFound || !strings.Contains(err.Error(), "HF_HUB_OFFLINE") {
		t.Errorf("%v", err)
	}
	f.mustPull(f.client(cache))
	f.requests = nil
	f.mustPull(c)
	if len(f.requests) > 0 {
		t.Errorf("offline, but the requests are %v", f.requests)
	}
}

// If main has no safetensors, those in the pull request of the hub's conversion service are
// fetched.
func TestPullOfAConversion(t *testing.T) {
	const pr = "89abcdef0123456789abcdef0123456789abcdef"
	f, cache := newFake(t), t.TempDir()
	f.commits = map[string]string{"refs/pr/7": pr}
	for name, data := range f.files {
		f.files["pr:"+name] = data
	}
	delete(f.files, "model.safetensors")
	f.pulls = `{"discussions": [
		{"num": 5, "title": "Adding ` + "`safetensors`" + ` variant of this model", "status": "open", "isPullRequest": true, "author": {"name": "somebody"}},
		{"num": 6, "title": "Adding ` + "`safetensors`" + ` variant of this model", "status": "closed", "isPullRequest": true, "author": {"name": "SFconvertbot"}}]}`
	if _, err := f.pull(f.client(cache)); adapters.KindOf(err) != adapters.Unsupported || !strings.Contains(err.Error(), "has no safetensors") {
		t.Errorf("no conversion: %v", err)
	}
	f.pulls = strings.Replace(f.pulls, `6, "title"`, `7, "title"`, 1)
	f.pulls = strings.Replace(f.pulls, "closed", "open", 1)
	s, err := f.pull(f.client(cache))
	if err != nil {
		t.Fatal(err)
	}
	if s.Revision != "refs/pr/7" || s.Commit != pr {
		t.Errorf("fetched %q at %q", s.Revision, s.Commit)
	}
	if dir, at, ok := Find(cache, repository, Main, IsModel); !ok || dir != s.Dir || at != pr {
		t.Errorf("found %q %q %v", dir, at, ok)
	}
}

func TestListRefusesPathsOutside(t *testing.T) {
	for _, name := range []string{"../x", "/etc/x", "a/../../x", `a\..\x`, "a//b", ""} {
		f := newFake(t)
		f.files[name] = []byte("x")
		if _, err := f.client(t.TempDir()).List(t.Context(), repository, Main); adapters.KindOf(err) != adapters.Corrupt {
			t.Errorf("%q: %v", name, err)
		}
	}
	f := newFake(t)
	f.commit = "../../x"
	if _, err := f.client(t.TempDir()).List(t.Context(), repository, Main); adapters.KindOf(err) != adapters.Corrupt {
		t.Errorf("commit: %v", err)
	}
	if _, err := f.client(t.TempDir()).List(t.Context(), "../x", Main); adapters.KindOf(err) != adapters.Invalid {
		t.Errorf("repository: %v", err)
	}
}

func TestCanceled(t *testing.T) {
	f := newFake(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.requestHook = func(http.ResponseWriter, *http.Request) bool { cancel(); return false }
	_, err := f.client(t.TempDir()).Pull(ctx, Request{Repository: repository, Patterns: patterns()})
	if adapters.KindOf(err) != adapters.Canceled {
		t.Errorf("%v", err)
	}
}
