package hub

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/modular-bridging/bridge/adapters"
)

// retryable is an error that may not occur in the next attempt.
type retryable struct {
	err   error
	after time.Duration // delay that the server requests; 0 if it requests none
}

func (t retryable) Error() string { return t.err.Error() }
func (t retryable) Unwrap() error { return t.err }

// do makes a request, with retries. It returns a response of status 2xx, or 3xx if it
// does not follow redirects to other hosts.
func (c *Client) do(ctx context.Context, method, url, repository, revision string, follow bool) (*http.Response, error) {
	var resp *http.Response
	err := c.retry(ctx, func() (bool, error) {
		var err error
		resp, err = c.doOnce(ctx, method, url, repository, revision, 0, follow)
		return false, err
	})
	return resp, err
}

// retry calls f until it succeeds, fails with an error that is not retryable, or fails
// c.attempts() times in a row without progress.
func (c *Client) retry(ctx context.Context, f func() (progress bool, err error)) error {
	for n := 1; ; n++ {
		progress, err := f()
		var again retryable
		if err == nil || !errors.As(err, &again) || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if progress {
			n = 1
		}
		if n >= c.attempts() {
			return adapters.Errorf(adapters.Unavailable, "%w, in %d attempts", again.err, n).
				WithRemedy("check the network and pull again: the download resumes where it stopped")
		}
		wait := c.pause(n)
		if c.Pause == nil {
			wait = max(wait, min(again.after, 5*time.Minute))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// doOnce makes one request for the bytes from offset from on.
func (c *Client) doOnce(ctx context.Context, method, url, repository, revision string, from int64, follow bool) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", "identity")
	if from > 0 {
		req.Header.Set("Range", "bytes="+strconv.FormatInt(from, 10)+"-")
	}
	client, err := c.httpClient(follow)
	if err != nil {
		return nil, adapters.Errorf(adapters.Invalid, "HF_ENDPOINT: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, retryable{err: err}
	}
	if resp.StatusCode < 400 || resp.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, c.statusError(resp, repository, revision)
}

// statusError returns the error for a response's status. X-Error-Code distinguishes cases
// that share a status (huggingface_hub, utils/_http.py).
func (c *Client) statusError(resp *http.Response, repository, revision string) error {
	code, page := resp.Header.Get("X-Error-Code"), c.endpoint()+"/"+repository
	detail := message(resp)
	switch status := resp.StatusCode; {
	case code == "GatedRepo" || status == http.StatusForbidden:
		return adapters.Errorf(adapters.NotFound, "%s is available only to users who accepted its license%s", repository, detail).
			WithRemedy("accept it on %s, then set HF_TOKEN to a token of yours that may read it", page)
	case code == "RevisionNotFound":
		return adapters.Errorf(adapters.NotFound, "%s has no revision %q", repository, revision).WithRemedy("name a branch, a tag or a commit of %s", page)
	case code == "EntryNotFound":
		return adapters.Errorf(adapters.NotFound, "%s has no such file at %s: %s", repository, revision, resp.Request.URL.Path)
	case status == http.StatusUnauthorized && c.Token != "" && code == "":
		return adapters.Errorf(adapters.NotFound, "the hub refuses the token for %s%s", repository, detail).
			WithRemedy("set HF_TOKEN to a valid token, or unset it")
	case status == http.StatusUnauthorized || status == http.StatusNotFound:
		// The hub also returns 401 for a repository that does not exist, so that the names of
		// private repositories cannot be guessed.
		return adapters.Errorf(adapters.NotFound, "the hub has no repository %s, or it is private%s", repository, detail).
			WithRemedy("check the name; for a private repository, set HF_TOKEN to a token that may read it")
	case status == http.StatusTooManyRequests || status >= 500 || status == http.StatusRequestTimeout:
		return retryable{adapters.Errorf(adapters.Unavailable, "the hub returned %s%s", resp.Status, detail), retryAfter(resp)}
	default:
		return adapters.Errorf(adapters.Unavailable, "the hub returned %s for %s%s", resp.Status, repository, detail)
	}
}

// message returns ": " and the response's error message, or "" if it has none.
func message(resp *http.Response) string {
	text := resp.Header.Get("X-Error-Message")
	if text == "" {
		var body struct {
			Error string `json:"error"`
		}
		if data, err := io.ReadAll(io.LimitReader(resp.Body, 4096)); err == nil && json.Unmarshal(data, &body) == nil {
			text = body.Error
		}
	}
	if text = strings.Join(strings.Fields(text), " "); text == "" {
		return ""
	}
	return ": " + text
}

func retryAfter(resp *http.Response) time.Duration {
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
