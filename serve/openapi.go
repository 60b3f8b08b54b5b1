package serve

import "net/http"

func (s *Server) openapi(w http.ResponseWriter, _ *http.Request) error {
	s.writeJSON(w, http.StatusOK, map[string]string{"openapi": "3.1.0"})
	return nil
}
