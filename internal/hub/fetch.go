package hub

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/diskfull"
)

// digest returns the hash function of a checksum: SHA-256 of the content, or SHA-1 of git's blob,
// whose header contains the size.
func digest(checksum string, size int64) hash.Hash {
	if len(checksum) == sha256.Size*2 {
		return sha256.New()
	}
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", size)
	return h
}

// blob is the content of a file, while it is fetched into the cache.
type blob struct {
	client   *Client
	listing  Listing
	file     File
	path     string // path of the finished blob
	progress func(bytes int64)
	fetched  int64 // bytes reported to progress
}

// fetch fetches the blob into the cache if it is missing. If another process fetches the same
// blob, it waits for that process.
func (b *blob) fetch(ctx context.Context) error {
	if finished(b.path, b.file.Size) {
		b.report(b.file.Size)
		return nil
	}
	lock := flock.New(lockPath(b.client.Cache, b.listing.Repository, b.file.Checksum))
	if err := os.MkdirAll(filepath.Dir(lock.Path()), 0o755); err != nil {
		return err
	}
	if ok, err := lock.TryLockContext(ctx, 200*time.Millisecond); err != nil || !ok {
		return errors.Join(err, ctx.Err())
	}
	defer lock.Unlock()
	if finished(b.path, b.file.Size) { // another process fetched it
		b.report(b.file.Size)
		return nil
	}
	return b.download(ctx)
}

func finished(path string, size int64) bool {
	info, err := os.Stat(path)
	return err == nil && info.Size() == size
}

// report passes the number of bytes that are present to progress.
func (b *blob) report(bytes int64) {
	b.progress(bytes - b.fetched)
	b.fetched = bytes
}

// download fetches into a file beside the blob, and renames the file if its checksum is right. It
// resumes an earlier attempt. If the checksum of resumed content is wrong, it fetches the whole
// file again, once.
func (b *blob) download(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Dir(b.path), 0o755); err != nil {
		return err
	}
	part := b.path + ".incomplete"
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	h, have, err := b.resume(f)
	if err != nil {
		return err
	}
	resumed := have > 0
	for {
		if err := b.transfer(ctx, f, h, have); err != nil {
			return err
		}
		sum := hex.EncodeToString(h.Sum(nil))
		if sum == b.file.Checksum {
			break
		}
		if err := f.Truncate(0); err != nil {
			return err
		}
		b.report(0)
		if !resumed {
			changed := changedError(b.listing, b.file.Path, fmt.Sprintf("its checksum is %s, the hub has %s", sum, b.file.Checksum))
			return errors.Join(changed, os.Remove(part))
		}
		h, have, resumed = digest(b.file.Checksum, b.file.Size), 0, false
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return explainDiskFull(err)
	}
	return os.Rename(part, b.path)
}

// resume hashes the bytes of an earlier attempt. It discards them if they are too many.
func (b *blob) resume(f *os.File) (hash.Hash, int64, error) {
	h := digest(b.file.Checksum, b.file.Size)
	have, err := io.Copy(h, f)
	if err == nil && have > b.file.Size {
		h, have, err = digest(b.file.Checksum, b.file.Size), 0, f.Truncate(0)
	}
	b.report(have)
	return h, have, err
}

// transfer fetches the bytes after the first have bytes, in as many requests as needed.
func (b *blob) transfer(ctx context.Context, f *os.File, h hash.Hash, have int64) error {
	return b.client.retry(ctx, func() (bool, error) {
		if have == b.file.Size {
			return false, nil
		}
		before := have
		resp, err := b.client.doOnce(ctx, http.MethodGet, b.client.fileURL(b.listing, b.file.Path), b.listing.Repository, b.listing.Revision, have, true)
		if err != nil {
			return false, err
		}
		defer resp.Body.Close()
		if err := b.sameFile(resp); err != nil {
			return false, err
		}
		start, err := b.startOf(resp)
		if err != nil {
			return false, err
		}
		switch start {
		case have:
		case 0: // the server sends the whole file again
			have = 0
			h.Reset()
			if len(b.file.Checksum) == sha1.Size*2 {
				fmt.Fprintf(h, "blob %d\x00", b.file.Size)
			}
		default:
			return false, adapters.Errorf(adapters.Corrupt, "%s: the server sends the bytes from %d on, bridge requested those from %d on",
				b.file.Path, start, have).
				WithRemedy("pull again; if the error remains, the hub or a proxy is broken")
		}
		have, err = b.copy(f, h, resp.Body, have)
		return have > before, err
	})
}

// sameFile checks that the hub still has the same file. It ignores the ETags of other hosts,
// which are different.
func (b *blob) sameFile(resp *http.Response) error {
	etag := strings.Trim(resp.Header.Get("ETag"), `"`)
	own := strings.HasPrefix(resp.Request.URL.String(), b.client.endpoint()+"/")
	if own && checksumPattern.MatchString(etag) && len(etag) == len(b.file.Checksum) && etag != b.file.Checksum {
		return changedError(b.listing, b.file.Path, "its ETag was "+b.file.Checksum+", now it is "+etag)
	}
	return nil
}

// startOf returns the offset in the file at which a response begins.
func (b *blob) startOf(resp *http.Response) (int64, error) {
	length := resp.ContentLength
	var start int64
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusPartialContent:
		var end, total int64
		if _, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-%d/%d", &start, &end, &total); err != nil || end < start {
			return 0, adapters.Errorf(adapters.Corrupt, "%s: the server's Content-Range is %q", b.file.Path, resp.Header.Get("Content-Range"))
		}
		length = total - start
	default:
		return 0, adapters.Errorf(adapters.Unavailable, "%s: the server returned %s", b.file.Path, resp.Status).
			WithRemedy("pull again")
	}
	if length >= 0 && start+length != b.file.Size {
		return 0, b.wrongSize(start + length)
	}
	return start, nil
}

func (b *blob) wrongSize(got int64) error {
	return adapters.Errorf(adapters.Corrupt, "%s of %s: the server sends %d bytes, the hub reports %d",
		b.file.Path, b.listing.Repository, got, b.file.Size).
		WithRemedy("pull again; if the error remains, the hub or a proxy is broken")
}

// copy appends the body to the file and returns the new number of bytes.
func (b *blob) copy(f *os.File, h hash.Hash, body io.Reader, have int64) (int64, error) {
	if _, err := f.Seek(have, io.SeekStart); err != nil {
		return have, err
	}
	if err := f.Truncate(have); err != nil {
		return have, err
	}
	b.report(have)
	buf := make([]byte, 1<<20)
	for {
		n, err := body.Read(buf)
		if have+int64(n) > b.file.Size {
			return have, b.wrongSize(have + int64(n))
		}
		if _, err := f.Write(buf[:n]); err != nil {
			return have, explainDiskFull(err)
		}
		h.Write(buf[:n])
		have += int64(n)
		b.report(have)
		switch {
		case err == io.EOF && have == b.file.Size:
			return have, nil
		case err == io.EOF:
			return have, retryable{err: fmt.Errorf("%s ended after %d of %d bytes", b.file.Path, have, b.file.Size)}
		case err != nil:
			return have, retryable{err: fmt.Errorf("%s failed after %d of %d bytes: %w", b.file.Path, have, b.file.Size, err)}
		}
	}
}

func explainDiskFull(err error) error {
	return diskfull.Explain(err, "the download cannot be written", "free disk space and pull again: the download resumes where it stopped")
}
