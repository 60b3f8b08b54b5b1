package serve

import (
	"context"
	"net/http"

	"github.com/modular-bridging/bridge/serve/chat"
	"github.com/modular-bridging/bridge/serve/engine"
)

// otherPictures are the pictures that stand for another one, if the request has none. The second
// is for a conversation about the first.
var otherPictures = [2]string{"kit:fresh/1", "kit:fresh/2"}

// ground answers POST /v1/grounding.
func (s *Server) ground(w http.ResponseWriter, r *http.Request) error {
	body, free, err := s.readBody(w, r)
	if err != nil {
		return err
	}
	defer free()
	limits := s.config.Load().Limits
	request, err := chat.ParseGrounding(body, limits.Chat)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), limits.Request)
	defer cancel()
	lease, input, err := s.open(ctx, request.Model, request.Messages)
	if err != nil {
		return err
	}
	other, err := s.pictures.Read(ctx, otherPicture(request), pictureReader(lease))
	if err != nil {
		lease.Release()
		return badPicture("other.url", err)
	}
	job := &engine.GroundingRequest{Lease: lease, Tenant: tenantOf(r), Input: input, Other: other,
		Answer: lease.Info.Templates.TargetPrefix + request.Answer}
	g, err := s.engine.Ground(ctx, job)
	if err != nil {
		return err
	}
	s.writeJSON(w, http.StatusOK, chat.NewGrounding(request.Model, g.Tokens, g.Right, g.Other, g.None))
	return nil
}

// otherPicture returns the URL of the other picture.
func otherPicture(r *chat.GroundingRequest) string {
	if r.Other != nil {
		return r.Other.URL
	}
	for _, m := range r.Messages {
		for _, p := range m.Content {
			if p.ImageURL != nil && p.ImageURL.URL == otherPictures[0] {
				return otherPictures[1]
			}
		}
	}
	return otherPictures[0]
}
