package talk

import (
	"bytes"
	"encoding/json"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/kit"
)

// get returns the answer of the page's handler.
func get(t *testing.T, h http.Handler, method, at string, header http.Header) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, at, nil)
	r.Header = header
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func content(t *testing.T, r *http.Response) []byte {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var (
	address = regexp.MustCompile(`(?:src|href)="([^"]+)"`)
	module  = regexp.MustCompile(`from "([^"]+)"`)
)

// Every file that the page or a module names is served with its type and the policy. A file that is
// named nowhere would be carried for nothing.
func TestHandlerServesAllThatThePageNames(t *testing.T) {
	h := Handler()
	wanted, seen := []string{"/"}, map[string]bool{"/": true}
	add := func(at string) {
		if !seen[at] {
			seen[at] = true
			wanted = append(wanted, at)
		}
	}
	types := map[string]string{"": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
	for i := 0; i < len(wanted); i++ {
		r := get(t, h, "GET", wanted[i], nil)
		text := string(content(t, r))
		if r.StatusCode != 200 || r.Header.Get("Content-Type") != types[path.Ext(wanted[i])] || r.Header.Get("Content-Security-Policy") != Policy ||
			r.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %s, header %v", wanted[i], r.Status, r.Header)
		}
		for _, m := range address.FindAllStringSubmatch(text, -1) {
			add("/" + m[1]) // relative to the page
		}
		for _, m := range module.FindAllStringSubmatch(text, -1) {
			add(path.Join("/talk", m[1]))
		}
	}
	files, err := static.ReadDir("static")
	if err != nil {
		t.Fatal(err)
	}
	if len(wanted) != len(files) {
		t.Errorf("the page names %d files, want all %d that are embedded: %v", len(wanted), len(files), wanted)
	}
}

// The policy forbids code and styles in the markup, so there must be none.
func TestPageHasNoInlineCodeOrStyle(t *testing.T) {
	text := string(content(t, get(t, Handler(), "GET", "/", nil)))
	if m := regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|<script(?: type="module" src="[^"]+")?>[^<]|https?://`).FindString(text); m != "" {
		t.Errorf("the page has %q", m)
	}
	for _, unsafe := range []string{"unsafe", "data:", "*", "http"} {
		if strings.Contains(Policy, unsafe) {
			t.Errorf("the policy has %q: %s", unsafe, Policy)
		}
	}
}

// A browser that has a file gets 304 instead of the file.
func TestHandlerAnswersByETag(t *testing.T) {
	h := Handler()
	first := get(t, h, "GET", "/talk/main.js", nil)
	tag := first.Header.Get("ETag")
	again := get(t, h, "GET", "/talk/main.js", http.Header{"If-None-Match": {tag}})
	if tag == "" || again.StatusCode != http.StatusNotModified || len(content(t, again)) != 0 {
		t.Errorf("with ETag %s: %s", tag, again.Status)
	}
	if other := get(t, h, "GET", "/", http.Header{"If-None-Match": {tag}}); other.StatusCode != 200 {
		t.Errorf("another file with the ETag %s: %s", tag, other.Status)
	}
	head := get(t, h, "HEAD", "/talk/main.js", nil)
	if head.StatusCode != 200 || len(content(t, head)) != 0 || head.ContentLength == 0 {
		t.Errorf("HEAD: %s", head.Status)
	}
}

func TestHandlerRefusesOtherPathsAndMethods(t *testing.T) {
	h := Handler()
	for _, at := range []string{"/talk", "/talk/", "/talk/index.html", "/talk/nothing.js", "/talk/../go.mod", "/talk/kit", "/talk/kit/", "/talk/kit/2.png", "/talk/kit/17.png/", "/talk/kit/-1.png", "/favicon.ico"} {
		if r := get(t, h, "GET", at, nil); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s, want 404", at, r.Status)
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		if r := get(t, h, method, "/", nil); r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %s, Allow %q", method, r.Status, r.Header.Get("Allow"))
		}
	}
}

// The pictures of the page are those of the kit that the list names, with their captions and questions.
func TestKitPictures(t *testing.T) {
	h := Handler()
	var list struct{ Pictures []listed }
	if err := json.Unmarshal(content(t, get(t, h, "GET", "/talk/kit.json", nil)), &list); err != nil {
		t.Fatal(err)
	}
	data, err := kit.Open(kit.HeldOut)
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Pictures) != len(shown) {
		t.Fatalf("%d pictures, want %d", len(list.Pictures), len(shown))
	}
	for i, p := range list.Pictures {
		example := data.Example(shown[i])
		if p.Caption != example.Caption || len(p.Questions) == 0 || p.Questions[0] != example.Questions[0].Question {
			t.Errorf("picture %d: %+v, want caption %q", i, p, example.Caption)
		}
		file, err := png.Decode(bytes.NewReader(content(t, get(t, h, "GET", "/"+p.Path, nil))))
		if err != nil {
			t.Fatal(err)
		}
		want := data.Picture(shown[i]).Image()
		for _, at := range [][2]int{{0, 0}, {20, 20}, {40, 31}, {63, 63}} {
			if r, g, b, _ := file.At(at[0], at[1]).RGBA(); [3]uint32{r, g, b} != rgb(want.At(at[0], at[1]).RGBA()) {
				t.Errorf("%s: other pixels at %v than the kit's picture", p.ID, at)
			}
		}
	}
}

func rgb(r, g, b, _ uint32) [3]uint32 { return [3]uint32{r, g, b} }
