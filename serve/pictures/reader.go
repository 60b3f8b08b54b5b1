package pictures

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/imaging"
	"github.com/modular-bridging/bridge/internal/printable"
)

// Options are the settings of a reader.
type Options struct {
	Bytes   int           // of a picture's file
	Pixels  int           // of a picture
	Hosts   []string      // from which pictures are fetched; empty: none
	Timeout time.Duration // of fetching a picture
}

// Reader reads pictures for encoders. Its methods are safe for concurrent use.
type Reader struct {
	options atomic.Pointer[Options]
	decoder chan struct{} // bounds the pictures that are decoded at once
	client  *http.Client
}

// NewReader returns a reader.
func NewReader(o Options) *Reader {
	r := &Reader{decoder: make(chan struct{}, runtime.GOMAXPROCS(0))}
	r.client = newClient(net.DefaultResolver.LookupNetIP, r.listed)
	r.Set(o)
	return r
}

// Set changes the settings for pictures that are read from now on.
func (r *Reader) Set(o Options) { r.options.Store(&o) }

// listed reports whether pictures may be fetched from a host.
func (r *Reader) listed(host string) bool {
	return slices.ContainsFunc(r.options.Load().Hosts, func(h string) bool { return strings.EqualFold(h, host) })
}

// KitPrefix begins the URL of a picture of the kit: "kit:held-out/17".
const KitPrefix = "kit:"

// Read returns the picture at a URL as uint8[H, W, 3], as an encoder needs it.
func (r *Reader) Read(ctx context.Context, url string, as data.Reader) (*adapters.Tensor, error) {
	if strings.HasPrefix(url, KitPrefix) {
		return as.Picture(url)
	}
	file, err := r.file(ctx, url)
	if err != nil {
		return nil, err
	}
	select {
	case r.decoder <- struct{}{}:
		defer func() { <-r.decoder }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return r.decode(file, as)
}

// file returns the bytes of the file at a URL.
func (r *Reader) file(ctx context.Context, url string) ([]byte, error) {
	scheme, _, ok := strings.Cut(url, ":")
	switch {
	case ok && strings.EqualFold(scheme, "data"):
		return DecodeDataURL(url, r.options.Load().Bytes)
	case ok && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")):
		return r.fetch(ctx, url)
	}
	got := "is no URL"
	if ok {
		got = fmt.Sprintf("begins with %q", printable.Clip(scheme, 12)+":")
	}
	return nil, adapters.Errorf(adapters.Invalid, "the picture's URL %s, want data:image/…, https:// or kit:", got).
		WithRemedy("send the picture as a data URL")
}

// decode checks the size of a picture before its pixels are read.
func (r *Reader) decode(file []byte, as data.Reader) (*adapters.Tensor, error) {
	config, err := imaging.DecodeConfig(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	if most := r.options.Load().Pixels; config.Width > most/config.Height {
		return nil, adapters.Errorf(adapters.Exhausted, "the picture has %d by %d pixels, want at most %d in all", config.Width, config.Height, most).
			WithRemedy("send a smaller picture")
	}
	img, err := imaging.Decode(bytes.NewReader(file), as.Orientation)
	if err != nil {
		return nil, err
	}
	pixels, err := imaging.Process(img, as.Spec)
	if err != nil {
		return nil, err
	}
	return adapters.FromUint8(pixels, as.Spec.Height, as.Spec.Width, 3), nil
}
