package serve

import "net/http"

// healthy answers GET /healthz: the server runs.
func (s *Server) healthy(w http.ResponseWriter, _ *http.Request) error {
	s.writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	return nil
}

// readiness is the answer of GET /readyz.
type readiness struct {
	Status string          `json:"status"` // ready, loading, draining or failed
	Models map[string]bool `json:"models"` // whether each is loaded
}

// ready answers 200 once a bridge is loaded and the server is not draining. A bridge that was
// evicted does not count against it: a request loads it again.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) error {
	r := readiness{Status: "loading", Models: map[string]bool{}}
	status := http.StatusServiceUnavailable
	for _, m := range s.fleet.Status() {
		r.Models[m.Name] = m.Loaded
		if m.Loaded {
			r.Status, status = "ready", http.StatusOK
		}
	}
	if s.draining.Load() {
		r.Status, status = "draining", http.StatusServiceUnavailable
	}
	s.writeJSON(w, status, r)
	return nil
}

// readyValue is the metric bridge_ready.
func (s *Server) readyValue() float64 {
	if !s.draining.Load() && s.fleet.Counts().Loaded > 0 {
		return 1
	}
	return 0
}
