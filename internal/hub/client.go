package hub

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// DefaultEndpoint is the hub's address.
const DefaultEndpoint = "https://huggingface.co"

// Main is the default revision of a repository.
const Main = "main"

// Client fetches files from one hub into one cache. Zero fields have defaults.
type Client struct {
	Endpoint string // address of the hub
	Cache    string // folder with the folders models--OWNER--NAME
	Token    string // sent only to the endpoint's host; may be empty
	Offline  bool   // do not use the network

	Parallel     int                       // files at once; 0: 4
	Attempts     int                       // consecutive failed attempts before giving up; 0: 5
	Pause        func(n int) time.Duration // before attempt n, from 1; nil: 1 s, 2 s, 4 s, … and at most 30 s
	StallTimeout time.Duration             // time without a byte after which an attempt fails; 0: a minute
	Transport    http.RoundTripper         // nil: http.DefaultTransport
	Free         func(dir string) (int64, error)
}

// FromEnvironment returns a client configured by Hugging Face's variables: HF_ENDPOINT,
// HF_HUB_CACHE, HF_HOME, HF_TOKEN, HF_TOKEN_PATH and HF_HUB_OFFLINE.
func FromEnvironment() *Client {
	return &Client{
		Endpoint: strings.TrimRight(os.Getenv("HF_ENDPOINT"), "/"),
		Cache:    CacheDir(),
		Token:    token(),
		Offline:  isTrue(os.Getenv("HF_HUB_OFFLINE")) || isTrue(os.Getenv("TRANSFORMERS_OFFLINE")),
	}
}

// CacheDir returns the cache folder of Hugging Face's tools, or "" if the user has no home
// folder.
func CacheDir() string {
	for _, name := range []string{"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"} {
		if dir := expand(os.Getenv(name)); dir != "" {
			return dir
		}
	}
	if home := homeDir(); home != "" {
		return filepath.Join(home, "hub")
	}
	return ""
}

// homeDir returns $HF_HOME or its default.
func homeDir() string {
	if dir := expand(os.Getenv("HF_HOME")); dir != "" {
		return dir
	}
	if dir := expand(os.Getenv("XDG_CACHE_HOME")); dir != "" {
		return filepath.Join(dir, "huggingface")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".cache", "huggingface")
}

// expand expands variables and a leading ~, like huggingface_hub.
func expand(path string) string {
	path = os.ExpandEnv(path)
	if rest, ok := strings.CutPrefix(path, "~"); ok && (rest == "" || rest[0] == '/') {
		if home, err := os.UserHomeDir(); err == nil {
			return home + rest
		}
	}
	return path
}

// token reads HF_TOKEN, its old name, or the file that `hf auth login` writes.
func token() string {
	if isTrue(os.Getenv("HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
		return ""
	}
	for _, name := range []string{"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"} {
		if t := strings.TrimSpace(os.Getenv(name)); t != "" {
			return t
		}
	}
	path := expand(os.Getenv("HF_TOKEN_PATH"))
	if path == "" {
		path = filepath.Join(homeDir(), "token")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

func isTrue(v string) bool {
	switch strings.ToUpper(v) {
	case "1", "ON", "YES", "TRUE":
		return true
	}
	return false
}

func (c *Client) endpoint() string {
	if c.Endpoint == "" {
		return DefaultEndpoint
	}
	return c.Endpoint
}

func (c *Client) parallel() int { return orDefault(c.Parallel, 4) }
func (c *Client) attempts() int { return orDefault(c.Attempts, 5) }

func (c *Client) stallTimeout() time.Duration { return orDefault(c.StallTimeout, time.Minute) }

func orDefault[N int | time.Duration](n, otherwise N) N {
	if n > 0 {
		return n
	}
	return otherwise
}

func (c *Client) pause(n int) time.Duration {
	if c.Pause != nil {
		return c.Pause(n)
	}
	return min(time.Second<<min(n-1, 5), 30*time.Second)
}

func (c *Client) free(dir string) (int64, error) {
	if c.Free != nil {
		return c.Free(dir)
	}
	return freeSpace(dir)
}

// tokenTransport adds the token to requests for the endpoint's own host. It sees each
// redirect as a separate request, so that no other host receives the token. It cancels a
// response that stalls.
type tokenTransport struct {
	endpoint *url.URL
	token    string
	silence  time.Duration
	next     http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (g tokenTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	r = r.Clone(ctx)
	r.Header.Del("Authorization")
	r.Header.Set("User-Agent", "bridge")
	if g.token != "" && r.URL.Scheme == g.endpoint.Scheme && r.URL.Host == g.endpoint.Host {
		r.Header.Set("Authorization", "Bearer "+g.token)
	}
	resp, err := g.next.RoundTrip(r)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	resp.Body = &stallReader{ReadCloser: resp.Body, limit: g.silence, cancel: cancel}
	return resp, nil
}

// stallReader is the body of a response. A read that takes longer than the limit cancels
// the request and fails.
type stallReader struct {
	io.ReadCloser
	limit  time.Duration
	cancel context.CancelCauseFunc
}

// Read implements [io.Reader].
func (w *stallReader) Read(p []byte) (int, error) {
	timer := time.AfterFunc(w.limit, func() { w.cancel(fmt.Errorf("no data for %s", w.limit)) })
	defer timer.Stop()
	return w.ReadCloser.Read(p)
}

// Close implements [io.Closer].
func (w *stallReader) Close() error {
	defer w.cancel(nil)
	return w.ReadCloser.Close()
}

// httpClient returns an HTTP client. If follow is false it stops at a redirect to another host,
// because only the hub's own response has the headers that describe a file.
func (c *Client) httpClient(follow bool) (*http.Client, error) {
	endpoint, err := url.Parse(c.endpoint())
	if err != nil {
		return nil, err
	}
	next := c.Transport
	if next == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.ResponseHeaderTimeout = c.stallTimeout()
		t.DisableCompression = true // sizes and ranges refer to the uncompressed files
		next = t
	}
	return &http.Client{
		Transport: tokenTransport{endpoint, c.Token, c.stallTimeout(), next},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > 10 || !follow && r.URL.Host != endpoint.Host {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}, nil
}
