package pictures

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/printable"
)

// maxRedirects bounds the redirects of a picture's URL. Each must lead to a listed host.
const maxRedirects = 3

// fetch gets a picture's file from a listed host.
func (r *Reader) fetch(ctx context.Context, text string) ([]byte, error) {
	o := r.options.Load()
	if len(o.Hosts) == 0 {
		return nil, adapters.Errorf(adapters.Unsupported, "the server fetches no pictures from other hosts").
			WithRemedy("send the picture as a data URL; the server's operator can list hosts as picture_hosts")
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, adapters.Errorf(adapters.Invalid, "the picture's URL is not valid")
	}
	if err := checkURL(u, r.listed); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, adapters.Errorf(adapters.Invalid, "the picture's URL is not valid")
	}
	req.Header.Set("User-Agent", "bridge")
	req.Header.Set("Accept", "image/*")
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, fetchError(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, adapters.Errorf(adapters.NotFound, "the picture's host answered with status %d, want 200", resp.StatusCode)
	}
	file, err := io.ReadAll(io.LimitReader(resp.Body, int64(o.Bytes)+1))
	switch {
	case err != nil:
		return nil, fetchError(err)
	case len(file) > o.Bytes:
		return nil, tooLarge(o.Bytes)
	}
	return file, nil
}

// fetchError returns the refusal that an error of the HTTP client holds, or says that the picture
// cannot be fetched. It names no address: a client could learn the network from it.
func fetchError(err error) error {
	var own *adapters.Error
	if errors.As(err, &own) {
		return own
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return adapters.Errorf(adapters.NotFound, "the picture's host did not answer in time").WithRemedy("send the picture as a data URL")
	}
	return adapters.Errorf(adapters.NotFound, "the picture cannot be fetched").WithRemedy("send the picture as a data URL")
}

// checkURL returns an error for a URL that is not of a listed host at the usual port.
func checkURL(u *url.URL, listed func(string) bool) error {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return adapters.Errorf(adapters.Invalid, "the picture's URL is of scheme %q, want https", printable.Clip(u.Scheme, 20))
	case u.User != nil:
		return adapters.Errorf(adapters.Invalid, "the picture's URL has a user name, want none")
	case u.Port() != "" && u.Port() != map[string]string{"http": "80", "https": "443"}[u.Scheme]:
		return adapters.Errorf(adapters.Invalid, "the picture's URL has port %s, want the usual one", printable.Clip(u.Port(), 8))
	case !listed(u.Hostname()):
		return adapters.Errorf(adapters.Unsupported, "the server fetches no pictures from host %q", printable.Clip(u.Hostname(), 80)).
			WithRemedy("send the picture as a data URL; the server's operator can list the host as picture_hosts")
	}
	return nil
}

// newClient returns a client that connects to public addresses alone. The address is checked when
// the connection is made, so that a host's name cannot stand for another address then.
func newClient(lookup func(ctx context.Context, network, host string) ([]netip.Addr, error), listed func(string) bool) *http.Client {
	dial := func(ctx context.Context, _, address string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		addresses, err := lookup(ctx, "ip", host)
		if err != nil {
			return nil, err
		}
		return dialPublic(ctx, addresses, port)
	}
	return &http.Client{
		Transport: &http.Transport{DialContext: dial, TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: 10 * time.Second,
			DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 32 << 10, Proxy: nil},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return adapters.Errorf(adapters.Invalid, "the picture's URL leads through more than %d redirects", maxRedirects)
			}
			return checkURL(req.URL, listed)
		},
	}
}

// dialPublic connects to the first address that answers. All must be public: a name that also
// stands for a private one is refused.
func dialPublic(ctx context.Context, addresses []netip.Addr, port string) (net.Conn, error) {
	for _, a := range addresses {
		if !public(a) {
			return nil, adapters.Errorf(adapters.Unsupported, "the picture's host is at an address that is not public").
				WithRemedy("send the picture as a data URL")
		}
	}
	err := errors.New("the host has no address")
	for _, a := range addresses {
		var d net.Dialer
		conn, dialErr := d.DialContext(ctx, "tcp", net.JoinHostPort(a.String(), port))
		if dialErr == nil {
			return conn, nil
		}
		err = dialErr
	}
	return nil, err
}

// closed are ranges that are not for the public internet, beside those that package netip knows
// (IANA's special-purpose registries).
var closed = prefixes("0.0.0.0/8 100.64.0.0/10 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 240.0.0.0/4 " +
	"::/96 64:ff9b::/96 64:ff9b:1::/48 100::/64 2001::/23 2001:db8::/32 2002::/16 3fff::/20 5f00::/16 fec0::/10")

func prefixes(list string) []netip.Prefix {
	var all []netip.Prefix
	for p := range strings.FieldsSeq(list) {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}

// public reports whether an address is one of the public internet: not of this machine, a private
// network, a link, a provider's network (CGNAT) or a form of IPv6 that embeds another address.
func public(a netip.Addr) bool {
	a = a.Unmap() // ::ffff:127.0.0.1
	if a.Zone() != "" || !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		return false
	}
	for _, p := range closed {
		if p.Contains(a) {
			return false
		}
	}
	return true
}
