package hub

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

// File is one file of a repository.
type File struct {
	Path     string // relative to the repository, with slashes
	Size     int64  // in bytes
	Checksum string // 64 hex digits: SHA-256 of the content; 40 hex digits: SHA-1 of git's blob
}

// Listing is the content of a repository at a commit.
type Listing struct {
	Repository string // "owner/name"
	Revision   string // requested revision
	Commit     string
	Paths      []string
}

var (
	commitPattern     = regexp.MustCompile(`^[0-9a-f]{40}$`)
	checksumPattern   = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
	repositoryPattern = regexp.MustCompile(`^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?$`)
)

// List returns the content of a repository at a revision: a branch, a tag, a commit or
// "refs/pr/N".
func (c *Client) List(ctx context.Context, repository, revision string) (Listing, error) {
	l := Listing{Repository: repository, Revision: revision}
	if !repositoryPattern.MatchString(repository) {
		return l, adapters.Errorf(adapters.Invalid, "repository is %q, want OWNER/NAME", repository)
	}
	var info struct {
		Commit   string `json:"sha"`
		Siblings []struct {
			Path string `json:"rfilename"`
		} `json:"siblings"`
	}
	err := c.getJSON(ctx, "/api/models/"+repository+"/revision/"+url.PathEscape(revision), repository, revision, &info)
	if err != nil {
		return l, err
	}
	if !commitPattern.MatchString(info.Commit) {
		return l, adapters.Errorf(adapters.Corrupt, "the hub returned commit %q for %s at %s, want 40 hex digits", info.Commit, repository, revision)
	}
	l.Commit = info.Commit
	for _, s := range info.Siblings {
		if !filepath.IsLocal(filepath.FromSlash(s.Path)) || path.Clean(s.Path) != s.Path || strings.Contains(s.Path, `\`) {
			return l, adapters.Errorf(adapters.Corrupt, "the hub lists file %q in %s, want a path inside the repository", s.Path, repository)
		}
		l.Paths = append(l.Paths, s.Path)
	}
	slices.Sort(l.Paths)
	return l, nil
}

// Matching returns the paths that match any of the patterns ([path.Match]). A pattern without
// a slash matches only paths without one.
func (l Listing) Matching(patterns []string) []string {
	var found []string
	for _, p := range l.Paths {
		if slices.ContainsFunc(patterns, func(pattern string) bool { ok, err := path.Match(pattern, p); return ok && err == nil }) {
			found = append(found, p)
		}
	}
	return found
}

// stat requests a file's size and checksum.
func (c *Client) stat(ctx context.Context, l Listing, name string) (File, error) {
	f := File{Path: name}
	resp, err := c.do(ctx, http.MethodHead, c.fileURL(l, name), l.Repository, l.Revision, false)
	if err != nil {
		return f, err
	}
	resp.Body.Close()
	if commit := resp.Header.Get("X-Repo-Commit"); commit != "" && commit != l.Commit {
		return f, changedError(l, name, "its commit was "+l.Commit+", now it is "+commit)
	}
	etag, size := resp.Header.Get("X-Linked-Etag"), resp.Header.Get("X-Linked-Size")
	if etag == "" {
		etag = resp.Header.Get("ETag")
	}
	if size == "" && resp.StatusCode < 300 {
		size = resp.Header.Get("Content-Length")
	}
	f.Checksum = strings.Trim(strings.TrimPrefix(etag, "W/"), `"`)
	if !checksumPattern.MatchString(f.Checksum) {
		return f, adapters.Errorf(adapters.Corrupt, "%s of %s: the hub's ETag is %q, want a SHA-1 or SHA-256 in hex", name, l.Repository, etag)
	}
	if f.Size, err = strconv.ParseInt(size, 10, 64); err != nil || f.Size < 0 {
		return f, adapters.Errorf(adapters.Corrupt, "%s of %s: the hub reports size %q, want a number of bytes", name, l.Repository, size)
	}
	return f, nil
}

func (c *Client) fileURL(l Listing, name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return c.endpoint() + "/" + l.Repository + "/resolve/" + l.Commit + "/" + strings.Join(parts, "/")
}

// findConversion finds the pull request in which the hub's conversion service adds a
// repository's weights as safetensors. transformers falls back to it too
// (transformers/safetensors_conversion.py). It returns "" if there is none.
func (c *Client) findConversion(ctx context.Context, repository string) (string, error) {
	var page struct {
		Discussions []struct {
			Number int    `json:"num"`
			Title  string `json:"title"`
			Status string `json:"status"`
			IsPull bool   `json:"isPullRequest"`
			Author struct {
				Name string `json:"name"`
			} `json:"author"`
		} `json:"discussions"`
	}
	if err := c.getJSON(ctx, "/api/models/"+repository+"/discussions?p=0", repository, Main, &page); err != nil {
		return "", err
	}
	for _, d := range page.Discussions {
		if d.IsPull && d.Status == "open" && d.Author.Name == "SFconvertbot" && d.Title == "Adding `safetensors` variant of this model" {
			return "refs/pr/" + strconv.Itoa(d.Number), nil
		}
	}
	return "", nil
}

func (c *Client) getJSON(ctx context.Context, path, repository, revision string, v any) error {
	resp, err := c.do(ctx, http.MethodGet, c.endpoint()+path, repository, revision, true)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	const limit = 32 << 20
	if err := json.NewDecoder(io.LimitReader(resp.Body, limit)).Decode(v); err != nil {
		return adapters.Errorf(adapters.Corrupt, "the hub's response for %s is not JSON: %w", repository, err).
			WithRemedy("check that %s (HF_ENDPOINT) is the address of a hub", c.endpoint())
	}
	return nil
}

func changedError(l Listing, name, how string) error {
	return adapters.Errorf(adapters.Corrupt, "%s of %s changed during the download: %s", name, l.Repository, how).
		WithRemedy("pull again")
}
