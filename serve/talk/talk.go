// Package talk owns the page that the server shows in a browser.
package talk

import "net/http"

// Handler serves the page at / and its files below /talk/.
func Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte("<!doctype html><title>bridge</title><p>The page is not built in."))
	})
}
