package hub

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters"
)

const (
	repository = "someone/model"
	commit     = "0123456789abcdef0123456789abcdef01234567"
	secret     = "hf_secret"
)

// fake is a hub with one repository: large files are redirected to a second
// host, as the hub does with LFS files.
type fake struct {
	t        *testing.T
	hub, cdn *httptest.Server
	mu       sync.Mutex
	files    map[string][]byte
	large    []string                                                       // of files
	requests []string                                                       // "METHOD path range" on both hosts
	leaked   []string                                                       // requests to the second host that carried a token
	spoil    func(w http.ResponseWriter, r *http.Request, body []byte) bool // answers a GET of content instead, where it returns true
	refuse   func(w http.ResponseWriter, r *http.Request) bool              // answers any request of the hub instead
	pulls    string                                                         // answer about discussions
	commits  map[string]string                                              // of other revisions
	commit   string
}

func newFake(t *testing.T) *fake {
	f := &fake{t: t, commit: commit, files: map[string][]byte{
		"config.json":       []byte(`{"model_type": "opt"}`),
		"model.safetensors": bytes.Repeat([]byte("0123456789abcdef"), 20_000),
		"tokenizer.json":    []byte(`{}`),
		"pytorch_model.bin": []byte("a pickle"),
		"sub/other.json":    []byte("[]"),
	}, large: []string{"model.safetensors"}}
	f.hub = httptest.NewServer(http.HandlerFunc(f.serveHub))
	f.cdn = httptest.NewServer(http.HandlerFunc(f.serveCDN))
	t.Cleanup(func() { f.hub.Close(); f.cdn.Close() })
	return f
}

func (f *fake) client(cache string) *Client {
	return &Client{Endpoint: f.hub.URL, Cache: cache, Token: secret, Pause: func(int) time.Duration { return time.Millisecond }}
}

func sha(data []byte) string { sum := sha256.Sum256(data); return hex.EncodeToString(sum[:]) }

func git(data []byte) string {
	h := digest(strings.Repeat("0", 40), int64(len(data)))
	h.Write(data)
	return hex.EncodeToString(h.Sum(nil))
}

func (f *fake) record(r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+r.Header.Get("Range")))
}

func (f *fake) count(prefix string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, r := range f.requests {
		if strings.HasPrefix(r, prefix) {
			n++
		}
	}
	return n
}

func (f *fake) serveHub(w http.ResponseWriter, r *http.Request) {
	f.record(r)
	if r.Header.Get("Authorization") != "Bearer "+secret {
		f.t.Errorf("%s %s: no token", r.Method, r.URL)
	}
	if f.refuse != nil && f.refuse(w, r) {
		return
	}
	switch rest, ok := strings.CutPrefix(r.URL.Path, "/api/models/"+repository); {
	case ok && strings.HasPrefix(rest, "/discussions"):
		fmt.Fprint(w, f.pulls)
	case ok && strings.HasPrefix(rest, "/revision/"):
		f.list(w, strings.TrimPrefix(rest, "/revision/"))
	default:
		f.content(w, r)
	}
}

func (f *fake) list(w http.ResponseWriter, revision string) {
	type sibling struct {
		Path string `json:"rfilename"`
	}
	var all []sibling
	at := f.commit
	if other := f.commits[revision]; other != "" {
		at = other
	}
	for name := range f.files {
		if strings.HasPrefix(name, "pr:") == (at == f.commit) {
			continue
		}
		all = append(all, sibling{strings.TrimPrefix(name, "pr:")})
	}
	json.NewEncoder(w).Encode(map[string]any{"sha": at, "siblings": all})
}

// content answers for a file at a commit.
func (f *fake) content(w http.ResponseWriter, r *http.Request) {
	rest, ok := strings.CutPrefix(r.URL.Path, "/"+repository+"/resolve/")
	at, name, _ := strings.Cut(rest, "/")
	if at != f.commit {
		name = "pr:" + name
	}
	data, found := f.files[name]
	if !ok || !found {
		w.Header().Set("X-Error-Code", "EntryNotFound")
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("X-Repo-Commit", at)
	if slices.Contains(f.large, name) {
		w.Header().Set("X-Linked-Etag", `"`+sha(data)+`"`)
		w.Header().Set("X-Linked-Size", fmt.Sprint(len(data)))
		w.Header().Set("Location", f.cdn.URL+"/"+name)
		w.WriteHeader(http.StatusFound)
		return
	}
	w.Header().Set("ETag", `"`+git(data)+`"`)
	f.send(w, r, name, data)
}

func (f *fake) serveCDN(w http.ResponseWriter, r *http.Request) {
	f.record(r)
	if r.Header.Get("Authorization") != "" {
		f.leaked = append(f.leaked, r.URL.Path)
	}
	w.Header().Set("ETag", `"`+strings.Repeat("e", 64)+`"`) // its own, not the hub's
	name := strings.TrimPrefix(r.URL.Path, "/")
	f.send(w, r, name, f.files[name])
}

func (f *fake) send(w http.ResponseWriter, r *http.Request, name string, data []byte) {
	if r.Method == http.MethodGet && f.spoil != nil && f.spoil(w, r, data) {
		return
	}
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(data))
}

func patterns() []string { return []string{"config.json", "tokenizer.json", "model*.safetensors"} }

func (f *fake) pull(c *Client) (Snapshot, error) {
	return c.Pull(f.t.Context(), Request{Repository: repository, Patterns: patterns()})
}

func (f *fake) mustPull(c *Client) Snapshot {
	f.t.Helper()
	s, err := f.pull(c)
	if err != nil {
		f.t.Fatal(err)
	}
	f.holds(s)
	return s
}

// holds checks the snapshot and the layout of the cache.
func (f *fake) holds(s Snapshot) {
	f.t.Helper()
	for _, name := range []string{"config.json", "tokenizer.json", "model.safetensors"} {
		data, err := os.ReadFile(filepath.Join(s.Dir, name))
		if err != nil || !bytes.Equal(data, f.files[name]) {
			f.t.Errorf("%s: %d bytes, %v; want %d", name, len(data), err, len(f.files[name]))
		}
	}
	target, err := os.Readlink(filepath.Join(s.Dir, "model.safetensors"))
	if want := filepath.Join("..", "..", "blobs", sha(f.files["model.safetensors"])); err != nil || target != want {
		f.t.Errorf("link to %q, %v; want %q", target, err, want)
	}
	if left, _ := filepath.Glob(filepath.Join(s.Dir, "..", "..", "blobs", "*.incomplete")); len(left) > 0 {
		f.t.Errorf("left behind: %v", left)
	}
}

func TestPull(t *testing.T) {
	f, cache := newFake(t), t.TempDir()
	var last, total int64
	s, err := f.client(cache).Pull(t.Context(), Request{Repository: repository, Patterns: patterns(), Progress: func(done, all int64) { last, total = done, all }})
	if err != nil {
		t.Fatal(err)
	}
	f.holds(s)
	if want := int64(320_000 + 21 + 2); last != want || total != want {
		t.Errorf("progress ended at %d of %d, want %d", last, total, want)
	}
	if dir, at, ok := Find(cache, repository, Main, IsModel); !ok || dir != s.Dir || at != commit {
		t.Errorf("found %q %q %v, want %q", dir, at, ok, s.Dir)
	}
	if exists(filepath.Join(s.Dir, "pytorch_model.bin")) || exists(filepath.Join(s.Dir, "sub")) {
		t.Error("fetched what matches no pattern")
	}
	if len(f.leaked) > 0 {
		t.Errorf("the token went to another host: %v", f.leaked)
	}
	before := f.count("GET /model")
	f.mustPull(f.client(cache))
	if f.count("GET /model") != before {
		t.Error("fetched again what the cache holds")
	}
}

// A connection that breaks is taken up where it broke, in the same pull and in
// the next.
func TestPullGoesOn(t *testing.T) {
	f, cache := newFake(t), t.TempDir()
	cuts := 0
	f.spoil = func(w http.ResponseWriter, r *http.Request, data []byte) bool {
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
	f.spoil = func(w http.ResponseWriter, r *http.Request, data []byte) bool {
		return len(data) > 1000 && r.Header.Get("Range") != "" && fail(w, http.StatusServiceUnavailable) || len(data) > 1000 && cut(w, r, data, 70_000)
	}
	if _, err := f.pull(f.client(cache)); adapters.KindOf(err) != adapters.Unavailable || !strings.Contains(err.Error(), "pull again") {
		t.Fatalf("a hub that fails: %v", err)
	}
	if _, _, ok := Find(cache, repository, Main, IsModel); ok {
		t.Error("a broken pull is found")
	}
	f.spoil, f.requests = nil, nil
	f.mustPull(f.client(cache))
	if f.count("GET /model.safetensors bytes=70000-") != 1 {
		t.Errorf("requests: %v", f.requests)
	}
}

// cut sends n bytes of what was asked for and breaks off.
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

// A server that knows no ranges begins anew each time: it must get through once.
func TestPullWithoutRanges(t *testing.T) {
	f, cache := newFake(t), t.TempDir()
	n := 0
	f.spoil = func(w http.ResponseWriter, r *http.Request, data []byte) bool {
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
	f.spoil = func(w http.ResponseWriter, r *http.Request, data []byte) bool {
		r.Header.Del("Range")
		return len(data) > 1000 && cut(w, r, data, 50_000)
	}
	if _, err := f.pull(f.client(cache)); adapters.KindOf(err) != adapters.Unavailable {
		t.Errorf("a server that always stops at the same place: %v", err)
	}
}

func TestPullRefusesWhatIsNotTheFile(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(w http.ResponseWriter, r *http.Request, data []byte) bool
		want  string
	}{
		"other content of the same size": {func(w http.ResponseWriter, r *http.Request, data []byte) bool {
			w.Write(bytes.ToUpper(data))
			return true
		}, "changed while it was fetched"},
		"longer": {func(w http.ResponseWriter, r *http.Request, data []byte) bool {
			w.Write(append(slices.Clone(data), "more"...))
			return true
		}, "bytes, the hub says"},
		"longer, without a length": {func(w http.ResponseWriter, r *http.Request, data []byte) bool {
			w.(http.Flusher).Flush()
			w.Write(append(slices.Clone(data), "more"...))
			return true
		}, "bytes, the hub says"},
		"shorter, as if whole": {func(w http.ResponseWriter, r *http.Request, data []byte) bool {
			w.Header().Set("Content-Length", fmt.Sprint(len(data)-1))
			w.Write(data[:len(data)-1])
			return true
		}, "bytes, the hub says"},
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
		f.spoil = func(w http.ResponseWriter, r *http.Request, data []byte) bool {
			r.Header.Del("Range")
			return len(data) > 1000 && c.spoil(w, r, data)
		}
		_, err := f.pull(f.client(cache))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "model.safetensors") || !strings.Contains(err.Error(), "pull again") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if _, _, ok := Find(cache, repository, Main, IsModel); ok {
			t.Errorf("%s: the snapshot is there", name)
		}
		f.spoil = nil
		f.mustPull(f.client(cache))
	}
}

// What an earlier attempt left may be damaged: then all is fetched once more.
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

// A file that is another one at the same address when the rest is asked for.
func TestPullSeesAChange(t *testing.T) {
	f, cache := newFake(t), t.TempDir()
	f.large = nil // the hub itself sends it
	f.files["model.safetensors"] = bytes.Repeat([]byte("a"), 100_000)
	f.spoil = func(w http.ResponseWriter, r *http.Request, data []byte) bool {
		if len(data) < 1000 || r.Header.Get("Range") != "" {
			return false
		}
		f.files["model.safetensors"] = bytes.Repeat([]byte("b"), 100_000)
		return cut(w, r, data, 30_000)
	}
	if _, err := f.pull(f.client(cache)); err == nil || !strings.Contains(err.Error(), "changed while it was fetched: its ETag is") {
		t.Errorf("%v", err)
	}

	f, cache = newFake(t), t.TempDir()
	f.refuse = func(w http.ResponseWriter, r *http.Request) bool { // between the list and the files
		if r.Method != http.MethodHead {
			return false
		}
		w.Header().Set("X-Repo-Commit", strings.Repeat("f", 40))
		w.Header().Set("ETag", `"`+strings.Repeat("0", 40)+`"`)
		return true
	}
	if _, err := f.pull(f.client(cache)); err == nil || !strings.Contains(err.Error(), "its commit is ffff") {
		t.Errorf("%v", err)
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		code   string
		text   string
		kind   adapters.Kind
		want   []string
	}{
		{"gated", 403, "GatedRepo", "Access to model someone/model is restricted", adapters.NotFound, []string{"accepted its licence", "is restricted", "/someone/model", "HF_TOKEN"}},
		{"gated, no token", 401, "GatedRepo", "", adapters.NotFound, []string{"accepted its licence"}},
		{"no repository", 401, "RepoNotFound", "", adapters.NotFound, []string{"no repository someone/model, or it is private", "check the name"}},
		{"wrong token", 401, "", "Invalid credentials", adapters.NotFound, []string{"refuses the token", "Invalid credentials"}},
		{"not found", 404, "", "", adapters.NotFound, []string{"no repository"}},
		{"no revision", 404, "RevisionNotFound", "", adapters.NotFound, []string{`no revision "main"`}},
		{"busy", 429, "", "too many requests", adapters.Unavailable, []string{"429", "too many requests", "pull again"}},
		{"broken", 503, "", "", adapters.Unavailable, []string{"503", "in 5 attempts"}},
		{"odd", 418, "", "", adapters.Unavailable, []string{"418"}},
	} {
		f := newFake(t)
		f.refuse = func(w http.ResponseWriter, _ *http.Request) bool {
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

// A hub that is busy for a moment is asked again.
func TestPassingTrouble(t *testing.T) {
	f := newFake(t)
	n := 0
	var mu sync.Mutex
	f.refuse = func(w http.ResponseWriter, _ *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		n++
		return n%2 == 1 && n < 9 && fail(w, []int{429, 500, 502, 504}[n/2])
	}
	f.mustPull(f.client(t.TempDir()))
}

// A connection that stays open but brings nothing is given up, and what came is
// kept.
func TestPullFromAServerThatFallsSilent(t *testing.T) {
	f := newFake(t)
	ended, silent := make(chan struct{}), 0
	f.spoil = func(w http.ResponseWriter, r *http.Request, data []byte) bool {
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
	c.Silence, c.Attempts = 50*time.Millisecond, 1
	_, err := f.pull(c)
	if err == nil || !strings.Contains(err.Error(), "broke off after 70000 of 320000 bytes: nothing came for 50ms") {
		t.Fatalf("got %v, want what broke off and why", err)
	}
	c.Attempts = 0
	f.mustPull(c)
	if f.count("GET /model.safetensors bytes=70000-") == 0 {
		t.Errorf("the second pull did not go on where the first stopped: %q", f.requests)
	}
}

func TestTwoPullsAtOnce(t *testing.T) {
	f, cache := newFake(t), t.TempDir()
	f.spoil = func(http.ResponseWriter, *http.Request, []byte) bool { time.Sleep(50 * time.Millisecond); return false }
	var wait sync.WaitGroup
	for range 3 {
		wait.Go(func() {
			if s, err := f.pull(f.client(cache)); err != nil {
				t.Error(err)
			} else {
				f.holds(s)
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
	if _, err := f.pull(c); adapters.KindOf(err) != adapters.Exhausted || !strings.Contains(err.Error(), "HF_HOME") {
		t.Errorf("%v", err)
	}
	if f.count("GET /model") > 0 {
		t.Error("it was fetched all the same")
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
		t.Errorf("offline, and asked %v", f.requests)
	}
}

// Where main has no safetensors, the pull request of the hub's converter has.
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
	f.refuse = func(http.ResponseWriter, *http.Request) bool { cancel(); return false }
	_, err := f.client(t.TempDir()).Pull(ctx, Request{Repository: repository, Patterns: patterns()})
	if adapters.KindOf(err) != adapters.Canceled {
		t.Errorf("%v", err)
	}
}

func TestVerify(t *testing.T) {
	f, cache := newFake(t), t.TempDir()
	s := f.mustPull(f.client(cache))
	checked, err := Verify(t.Context(), s.Dir, nil)
	if err != nil || len(checked) != 3 {
		t.Fatalf("%v, %v", checked, err)
	}
	for _, c := range checked {
		if !c.OK() || c.Want == "" {
			t.Errorf("%+v", c)
		}
	}
	blob, err := filepath.EvalSymlinks(filepath.Join(s.Dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(blob, bytes.Repeat([]byte("X"), 320_000), 0o644); err != nil {
		t.Fatal(err)
	}
	checked, err = Verify(t.Context(), s.Dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(checked, func(c Checked) bool { return !c.OK() })
	if i < 0 || checked[i].Path != "model.safetensors" {
		t.Fatalf("damage was not seen: %+v", checked)
	}
	if err := Forget(s.Dir, checked[i]); err != nil {
		t.Fatal(err)
	}
	f.mustPull(f.client(cache))

	plain := t.TempDir()
	if err := os.WriteFile(filepath.Join(plain, "a"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	checked, err = Verify(t.Context(), plain, nil)
	if err != nil || len(checked) != 1 || checked[0].Got != sha([]byte("x")) || checked[0].Want != "" {
		t.Errorf("%+v, %v", checked, err)
	}
}

func TestEnvironment(t *testing.T) {
	home := t.TempDir()
	for _, name := range []string{"HF_ENDPOINT", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN",
		"HF_TOKEN_PATH", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_IMPLICIT_TOKEN", "XDG_CACHE_HOME"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", home)
	if c := FromEnvironment(); c.endpoint() != DefaultEndpoint || c.Cache != filepath.Join(home, ".cache", "huggingface", "hub") || c.Token != "" || c.Offline {
		t.Errorf("nothing set: %+v", c)
	}
	t.Setenv("XDG_CACHE_HOME", "/xdg")
	if got := CacheDir(); got != filepath.Join("/xdg", "huggingface", "hub") {
		t.Errorf("XDG_CACHE_HOME: %s", got)
	}
	t.Setenv("HF_HOME", "~/hf")
	if err := os.MkdirAll(filepath.Join(home, "hf"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "hf", "token"), []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HF_ENDPOINT", "https://mirror.example/")
	t.Setenv("HF_HUB_OFFLINE", "yes")
	if c := FromEnvironment(); c.endpoint() != "https://mirror.example" || c.Cache != filepath.Join(home, "hf", "hub") || c.Token != "from-file" || !c.Offline {
		t.Errorf("HF_HOME: %+v", c)
	}
	t.Setenv("HF_HUB_CACHE", "/cache")
	t.Setenv("HF_TOKEN", " from-variable ")
	if c := FromEnvironment(); c.Cache != "/cache" || c.Token != "from-variable" {
		t.Errorf("HF_HUB_CACHE: %+v", c)
	}
}

func TestIsModel(t *testing.T) {
	dir := t.TempDir()
	add := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		name, content string
		want          bool
	}{
		{"model-00001-of-00002.safetensors", "", false}, // no config
		{"config.json", "{}", true},
		{"model.safetensors.index.json", `{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}`, false},
		{"model-00002-of-00002.safetensors", "", true},
	} {
		add(step.name, step.content)
		if got := IsModel(dir); got != step.want {
			t.Errorf("with %s: %v, want %v", step.name, got, step.want)
		}
	}
	dir = t.TempDir()
	add("config.json", "{}")
	add("tokenizer.json", "{}")
	if IsModel(dir) || !Holds(dir, "token*.json") || Holds(dir, "*.txt") {
		t.Error("a tokenizer is no model, but holds its file")
	}
}
