package serve

import (
	"context"
	"net"
	"net/http"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/serve/chat"
)

// withTenant returns a request that [tenantOf] returns the tenant of.
func withTenant(r *http.Request, tenant string) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), tenantKey, tenant))
}

// tenantOf returns the name of the request's key, or the client's address if there are no keys.
func tenantOf(r *http.Request) string {
	tenant, _ := r.Context().Value(tenantKey).(string)
	return tenant
}

// authenticate returns whose request it is. A server without keys ignores those that clients send.
func (s *Server) authenticate(r *http.Request) (tenant string, err error) {
	keys := s.config.Load().Keys
	if !keys.Required() {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			host = r.RemoteAddr
		}
		return host, nil
	}
	scheme, sent, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || strings.TrimSpace(sent) == "" {
		return "", unauthorized("the request has no API key").WithRemedy("send the header Authorization: Bearer KEY")
	}
	name, ok := keys.Name(strings.TrimSpace(sent))
	if !ok {
		return "", unauthorized("the API key is not one of this server's").WithRemedy("check the key")
	}
	return name, nil
}

func unauthorized(message string) *chat.Error {
	e := chat.Errorf("", "%s", message).WithStatus(http.StatusUnauthorized, adapters.Invalid).WithCode("invalid_api_key")
	e.Type = chat.TypeAuthentication
	return e
}
