package serve

import (
	"net/http"
	"path"
	"strings"

	"github.com/modular-bridging/bridge/serve/talk"
)

// handler answers a request, or returns the error that it is answered with.
type handler func(w http.ResponseWriter, r *http.Request) error

// route is a method and path of the interface.
type route struct {
	method, path string
	open         bool // needs no key
	handle       handler
}

// routes are the paths that programs use. /openapi.json describes each of them.
func (s *Server) routes() []route {
	return []route{
		{http.MethodGet, "/v1/models", false, s.listModels},
		{http.MethodGet, "/v1/models/{model...}", false, s.showModel},
		{http.MethodPost, "/v1/chat/completions", false, s.complete},
		{http.MethodPost, "/v1/grounding", false, s.ground},
		{http.MethodGet, "/healthz", true, s.healthy},
		{http.MethodGet, "/readyz", true, s.ready},
		{http.MethodGet, "/metrics", false, s.metrics.show},
		{http.MethodGet, "/openapi.json", true, s.openapi},
	}
}

// Handler returns the handler of all paths.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	methods := map[string]string{}
	for _, r := range s.routes() {
		mux.Handle(r.method+" "+r.path, s.route(r))
		methods[r.path] = join(methods[r.path], r.method)
	}
	for path, allowed := range methods {
		mux.Handle(path, s.wrongMethod(allowed))
	}
	page := talk.Handler()
	for _, path := range []string{"/{$}", "/talk/"} {
		mux.Handle("GET "+path, page)
		mux.Handle(path, s.wrongMethod("GET, HEAD"))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, errNoPath(r.Method, r.URL.Path))
	})
	return s.guard(s.cleanPaths(mux))
}

// cleanPaths refuses paths with empty parts, . and .., which a ServeMux would redirect: no client of
// this server needs them, and a refusal is clearer.
func (s *Server) cleanPaths(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := r.URL.Path; p != "*" && p != "/" && path.Clean("/"+p) != strings.TrimSuffix(p, "/") {
			s.fail(w, r, errNoPath(r.Method, p))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func join(list, method string) string {
	if list == "" {
		return method
	}
	return list + ", " + method
}

// route checks the key and calls the handler.
func (s *Server) route(r route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !r.open {
			tenant, err := s.authenticate(req)
			if err != nil {
				s.fail(w, req, err)
				return
			}
			req = withTenant(req, tenant)
		}
		if err := r.handle(w, req); err != nil {
			s.fail(w, req, err)
		}
	})
}

func (s *Server) wrongMethod(allowed string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allowed)
		s.fail(w, r, errMethod(r.Method, r.URL.Path, allowed))
	})
}
