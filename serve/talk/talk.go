// Package talk owns the page on which a person talks to bridges: one HTML file, ES modules and a
// style sheet, which the binary carries, and the kit's pictures to begin with. The page calls the
// server's API from the browser and keeps conversations there. It must not know how answers are made.
//
// The page is at /, its files are under /talk/. All of its addresses are relative, so it also works
// below a prefix of a reverse proxy.
package talk

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

// Policy is the content security policy of the page: it loads scripts, styles and data from its own
// server only, runs no code that stands in the page or comes as text, and cannot be framed.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

//go:embed static
var static embed.FS

// file is a file of the page in memory.
type file struct {
	content  []byte
	mimeType string
	tag      string // ETag
}

func newFile(name string, content []byte) file {
	sum := sha256.Sum256(content)
	return file{content: content, mimeType: mimeType(name), tag: `"` + hex.EncodeToString(sum[:12]) + `"`}
}

// mimeType returns the type of a file by its name. It does not ask the machine's tables, which may say
// something else for .js.
func mimeType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".png":
		return "image/png"
	case ".json":
		return "application/json"
	}
	return mime.TypeByExtension(path.Ext(name))
}

// Handler returns the handler of the page, for the paths / and /talk/. It answers GET and HEAD. Any
// other path below /talk/ is 404.
func Handler() http.Handler { return &handler{} }

// handler serves the page's files and the kit's pictures.
type handler struct{ kit pictures }

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "the page takes GET and HEAD only", http.StatusMethodNotAllowed)
		return
	}
	f, err := h.find(r.URL.Path)
	if errors.Is(err, fs.ErrNotExist) {
		http.Error(w, "the page has no such file", http.StatusNotFound)
		return
	}
	if err != nil {
		http.Error(w, "the page's files cannot be read", http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", f.mimeType)
	header.Set("ETag", f.tag)
	header.Set("Cache-Control", "no-cache") // a new binary has new files: the browser asks, and ETag spares it the content
	setSecurity(header)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.content))
}

// find returns the file at a path, or fs.ErrNotExist.
func (h *handler) find(at string) (file, error) {
	if at == "/" {
		return readStatic(index)
	}
	if name, ok := strings.CutPrefix(at, "/talk/kit"); ok {
		return h.kit.find(name)
	}
	name, ok := strings.CutPrefix(at, "/talk/")
	if !ok || name == index || strings.Contains(name, "/") {
		return file{}, fs.ErrNotExist
	}
	return readStatic(name)
}

// index is the page itself, which is at / only, because its addresses are relative to it.
const index = "index.html"

func readStatic(name string) (file, error) {
	content, err := static.ReadFile("static/" + name)
	if err != nil {
		return file{}, err
	}
	return newFile(name, content), nil
}

// setSecurity sets the headers that keep the page from being framed, sniffed or watched.
func setSecurity(header http.Header) {
	header.Set("Content-Security-Policy", Policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
}
