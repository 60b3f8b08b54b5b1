package serve

import (
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/serve/chat"
)

// checkHost refuses a request whose Host is no name of this machine if the server listens on
// loopback: a page of the internet can give its own name the address 127.0.0.1, and would then read
// the answers.
func (s *Server) checkHost(r *http.Request) error {
	c := s.config.Load()
	if !c.Loopback() || c.Keys.Required() {
		return nil
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() || strings.EqualFold(host, "localhost") || strings.HasSuffix(strings.ToLower(host), ".localhost") {
		return nil
	}
	return chat.Errorf("", "the request is for host %s, and the server answers on this machine alone", quoted(r.Host)).
		WithStatus(http.StatusForbidden, adapters.Invalid).WithRemedy("use http://localhost or http://127.0.0.1; to serve under another name, set keys")
}

// cors lets the pages of listed origins read answers, and refuses requests of other pages. It
// answers preflight requests itself.
func (s *Server) cors(w http.ResponseWriter, r *http.Request) (done bool) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	listed := slices.Contains(s.config.Load().Origins, origin)
	if !listed && !sameOrigin(origin, r) {
		s.fail(w, r, chat.Errorf("", "pages of %s may not use this server", quoted(origin)).WithStatus(http.StatusForbidden, adapters.Invalid).
			WithRemedy("the server's operator can list the origin in its configuration, as origins"))
		return true
	}
	if listed {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", "X-Request-Id, Retry-After")
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	}
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", allowedHeaders(r.Header.Get("Access-Control-Request-Headers")))
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// allowedHeaders returns those of the headers that a page wants to send which the server accepts:
// OpenAI's client for browsers sends x-stainless-… with facts about itself.
func allowedHeaders(wanted string) string {
	allowed := []string{"authorization", "content-type"}
	for name := range strings.SplitSeq(strings.ToLower(wanted), ",") {
		name = strings.TrimSpace(name)
		if strings.HasPrefix(name, "x-stainless-") && len(name) < 64 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz-") == "" {
			allowed = append(allowed, name)
		}
	}
	return strings.Join(allowed, ", ")
}

// sameOrigin reports whether a page is the server's own.
func sameOrigin(origin string, r *http.Request) bool {
	scheme, host, ok := strings.Cut(origin, "://")
	return ok && (scheme == "http" || scheme == "https") && strings.EqualFold(host, r.Host)
}
