package pictures

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"image"
	"image/png"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
)

func pngFile(t testing.TB, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewRGBA(image.Rect(0, 0, width, height))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestDecodeDataURL(t *testing.T) {
	file := pngFile(t, 2, 2)
	std, raw := base64.StdEncoding.EncodeToString(file), base64.RawURLEncoding.EncodeToString(file)
	for _, text := range []string{
		"data:image/png;base64," + std, "DATA:IMAGE/PNG;BASE64," + std, "data:image/png;base64," + raw,
		"data:image/png;charset=utf-8;base64," + std, "data:application/octet-stream;base64," + std,
		"data:image/png;base64," + url.PathEscape(std), "data:image/png;base64," + std[:8] + "\n" + std[8:], "data:image/png," + url.PathEscape(string(file)),
	} {
		if got, err := DecodeDataURL(text, 1000); err != nil || !bytes.Equal(got, file) {
			t.Errorf("%.40s…: %d bytes, %v", text, len(got), err)
		}
	}
	for text, kind := range map[string]adapters.Kind{
		"":                                            adapters.Invalid,
		"data:":                                       adapters.Invalid,
		"data:image/png;base64":                       adapters.Invalid,
		"data:image/png;base64,":                      adapters.Invalid,
		"data:text/html;base64," + std:                adapters.Invalid,
		"data:," + std:                                adapters.Invalid,
		"data:image/png;base64,&&&&":                  adapters.Invalid,
		"data:image/png;base64,%zz":                   adapters.Invalid,
		"data:image/png,%zz":                          adapters.Invalid,
		"data:image/png;base64,A":                     adapters.Invalid,
		"data:image/png,":                             adapters.Invalid,
		"datax:image/png;base64," + std:               adapters.Invalid,
		"data:image/png;base64," + std + std:          adapters.Invalid, // padding in the middle
		"data:image/png," + strings.Repeat("a", 1001): adapters.Exhausted,
		"data:image/png;base64," + strings.Repeat("A", 4000): adapters.Exhausted,
	} {
		if _, err := DecodeDataURL(text, 1000); adapters.KindOf(err) != kind {
			t.Errorf("%.40q: %v, want kind %v", text, err, kind)
		}
	}
}

func FuzzDecodeDataURL(f *testing.F) {
	for _, seed := range []string{"data:image/png;base64,aGVsbG8=", "data:image/gif,%47IF", "data:;base64,", "http://x", "data:image/png;a=b;base64,a-_b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, err := DecodeDataURL(text, 100)
		if err == nil && (len(file) == 0 || len(file) > 100) {
			t.Errorf("%d bytes", len(file))
		}
		if k := adapters.KindOf(err); err != nil && k != adapters.Invalid && k != adapters.Exhausted {
			t.Errorf("kind %v: %v", k, err)
		}
	})
}

func TestAddressesThatAreNotPublic(t *testing.T) {
	for _, text := range []string{
		"127.0.0.1", "127.9.9.9", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1",
		"100.127.255.255", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b:1::1", "fe80::1", "fe80::1%eth0",
		"fc00::1", "fd12:3456::1", "fec0::1", "ff02::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "100::1",
	} {
		if public(netip.MustParseAddr(text)) {
			t.Errorf("%s counts as public", text)
		}
	}
	for _, text := range []string{"8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.167.1.1", "2001:4860:4860::8888", "::ffff:8.8.8.8"} {
		if !public(netip.MustParseAddr(text)) {
			t.Errorf("%s does not count as public", text)
		}
	}
}

// reader returns a reader whose names have the given addresses.
func reader(t *testing.T, o Options, names map[string]string) *Reader {
	t.Helper()
	r := NewReader(o)
	r.client = newClient(func(_ context.Context, _, host string) ([]netip.Addr, error) {
		if a, err := netip.ParseAddr(host); err == nil {
			return []netip.Addr{a}, nil
		}
		var all []netip.Addr
		for text := range strings.FieldsSeq(names[host]) {
			all = append(all, netip.MustParseAddr(text))
		}
		if all == nil {
			return nil, errors.New("no such host at 10.1.2.3")
		}
		return all, nil
	}, r.listed)
	return r
}

func TestOnlyListedHostsAtPublicAddresses(t *testing.T) {
	o := Options{Bytes: 1000, Pixels: 100, Timeout: time.Second, Hosts: []string{"pictures.example.org", "internal.example.org", "both.example.org", "127.0.0.1"}}
	r := reader(t, o, map[string]string{"internal.example.org": "10.0.0.7", "both.example.org": "8.8.8.8 127.0.0.1"})
	for text, want := range map[string]string{
		"https://other.example.org/a.png":                 "fetches no pictures from host",
		"https://pictures.example.org.evil.org/a.png":     "fetches no pictures from host",
		"https://evil.org/?https://pictures.example.org/": "fetches no pictures from host",
		"https://me:secret@pictures.example.org/a.png":    "user name",
		"https://pictures.example.org:22/a.png":           "port",
		"http://pictures.example.org:443/a.png":           "port",
		"https://pictures.example.org/a.png":              "cannot be fetched", // its name has no address
		"http://internal.example.org/a.png":               "not public",
		"http://both.example.org/a.png":                   "not public",
		"http://127.0.0.1/a.png":                          "not public", // a listed address, but this machine's
		"http://[::ffff:127.0.0.1]/a.png":                 "fetches no pictures from host",
		"http://2130706433/":                              "fetches no pictures from host",
		"ftp://pictures.example.org/a.png":                `begins with "ftp:"`,
		"file:///etc/passwd":                              `begins with "file:"`,
		"/etc/passwd":                                     "is no URL",
		"https://pictures.example.org\\@evil.org/a.png":   "not valid",
	} {
		_, err := r.Read(t.Context(), text, data.Reader{})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "10.") {
			t.Errorf("%s: %v, want %q and no address", text, err, want)
		}
	}
	if _, err := reader(t, Options{Bytes: 10, Timeout: time.Second}, nil).Read(t.Context(), "https://a.org/", data.Reader{}); adapters.KindOf(err) != adapters.Unsupported {
		t.Errorf("without listed hosts: %v", err)
	}
}

// A redirect must not lead from a listed host to anything else. The test's own server stands for
// a public host, so the check of addresses is left out here.
func TestRedirects(t *testing.T) {
	file := pngFile(t, 2, 2)
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/a.png":
			_, _ = w.Write(file)
		case "/large.png":
			_, _ = w.Write(make([]byte, 2000))
		case "/moved":
			http.Redirect(w, r, "/a.png", http.StatusFound)
		case "/away":
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data", http.StatusFound)
		case "/file":
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/slow":
			<-r.Context().Done()
		default:
			http.NotFound(w, r)
		}
	}))
	defer host.Close()
	r := reader(t, Options{Bytes: 1000, Pixels: 100, Timeout: 300 * time.Millisecond, Hosts: []string{"pictures.example.org"}}, nil)
	r.client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, host.Listener.Addr().String())
	}
	for path, want := range map[string]string{
		"/a.png": "", "/moved": "", "/away": "169.254.169.254", "/file": "scheme", "/loop": "redirects", "/large.png": "larger than 1000", "/no": "status 404", "/slow": "in time",
	} {
		got, err := r.file(t.Context(), "http://pictures.example.org"+path)
		if want == "" && (err != nil || !bytes.Equal(got, file)) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %d bytes, %v, want %q", path, len(got), err, want)
		}
	}
}

func TestReadChecksTheSizeFirst(t *testing.T) {
	r := NewReader(Options{Bytes: 10000, Pixels: 99})
	as := data.Reader{Spec: adapters.ImageSpec{Width: 4, Height: 4, Mode: adapters.Squash, Resample: adapters.Bicubic}}
	encoded := func(file []byte) string { return "data:image/png;base64," + base64.StdEncoding.EncodeToString(file) }
	got, err := r.Read(t.Context(), encoded(pngFile(t, 9, 11)), as)
	if err != nil || got.Check("picture", []int{4, 4, 3}, adapters.Uint8) != nil {
		t.Errorf("a picture of 99 pixels: %v, %v", got.Describe(), err)
	}
	if _, err := r.Read(t.Context(), encoded(pngFile(t, 10, 10)), as); adapters.KindOf(err) != adapters.Exhausted {
		t.Errorf("a picture of 100 pixels: %v, want it refused", err)
	}
}
