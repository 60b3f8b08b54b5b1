package hub

import (
	"bytes"
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
)

const (
	repository = "someone/model"
	commit     = "0123456789abcdef0123456789abcdef01234567"
	secret     = "hf_secret"
)

// fakeHub is a hub with one repository. It redirects large files to a second host, like the real
// hub.
type fakeHub struct {
	t        *testing.T
	hub, cdn *httptest.Server
	mu       sync.Mutex
	files    map[string][]byte
	large    []string // names of the large files
	requests []string // "METHOD path range" on both hosts
	leaked   []string // requests to the second host that had a token
	// contentHook may respond to a GET of content, and requestHook to any request to the hub. They
	// return true if they responded.
	contentHook func(w http.ResponseWriter, r *http.Request, body []byte) bool
	requestHook func(w http.ResponseWriter, r *http.Request) bool
	pulls       string            // response for discussions
	commits     map[string]string // of other revisions
	commit      string
}

func newFake(t *testing.T) *fakeHub {
	f := &fakeHub{t: t, commit: commit, files: map[string][]byte{
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

func (f *fakeHub) client(cache string) *Client {
	return &Client{Endpoint: f.hub.URL, Cache: cache, Token: secret, Pause: func(int) time.Duration { return time.Millisecond }}
}

func sha(data []byte) string { sum := sha256.Sum256(data); return hex.EncodeToString(sum[:]) }

func git(data []byte) string {
	h := digest(strings.Repeat("0", 40), int64(len(data)))
	h.Write(data)
	return hex.EncodeToString(h.Sum(nil))
}

func (f *fakeHub) record(r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+r.Header.Get("Range")))
}

func (f *fakeHub) count(prefix string) int {
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

func (f *fakeHub) serveHub(w http.ResponseWriter, r *http.Request) {
	f.record(r)
	if r.Header.Get("Authorization") != "Bearer "+secret {
		f.t.Errorf("%s %s: no token", r.Method, r.URL)
	}
	if f.requestHook != nil && f.requestHook(w, r) {
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

func (f *fakeHub) list(w http.ResponseWriter, revision string) {
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

// content responds to a request for a file at a commit.
func (f *fakeHub) content(w http.ResponseWriter, r *http.Request) {
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

func (f *fakeHub) serveCDN(w http.ResponseWriter, r *http.Request) {
	f.record(r)
	if r.Header.Get("Authorization") != "" {
		f.leaked = append(f.leaked, r.URL.Path)
	}
	w.Header().Set("ETag", `"`+strings.Repeat("e", 64)+`"`) // differs from the hub's
	name := strings.TrimPrefix(r.URL.Path, "/")
	f.send(w, r, name, f.files[name])
}

func (f *fakeHub) send(w http.ResponseWriter, r *http.Request, name string, data []byte) {
	if r.Method == http.MethodGet && f.contentHook != nil && f.contentHook(w, r, data) {
		return
	}
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(data))
}

func patterns() []string { return []string{"config.json", "tokenizer.json", "model*.safetensors"} }

func (f *fakeHub) pull(c *Client) (Snapshot, error) {
	return c.Pull(f.t.Context(), Request{Repository: repository, Patterns: patterns()})
}

func (f *fakeHub) mustPull(c *Client) Snapshot {
	f.t.Helper()
	s, err := f.pull(c)
	if err != nil {
		f.t.Fatal(err)
	}
	f.checkSnapshot(s)
	return s
}

// checkSnapshot checks the files of a snapshot and the layout of the cache.
func (f *fakeHub) checkSnapshot(s Snapshot) {
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
