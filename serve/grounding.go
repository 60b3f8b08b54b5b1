package serve

import (
	"net/http"

	"github.com/modular-bridging/bridge/adapters"
)

func (s *Server) ground(http.ResponseWriter, *http.Request) error {
	return adapters.Errorf(adapters.Unsupported, "grounding is not built yet")
}
