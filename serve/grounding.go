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
	lease, err := s.acquire(ctx, request.Model)
	if err != nil {
		return err
	}
	job := &engine.GroundingRequest{Lease: lease, Tenant: tenantOf(r), Answer: lease.Info.Templates.TargetPrefix + request.Answer}
	if job.Input, err = s.input(ctx, lease, request.Messages); err == nil {
		job.Other, err = s.pictures.Read(ctx, otherPicture(request), pictureReader(lease))
		err = badOther(err)
	}
	if err != nil {
		lease.Release()
		return err
	}
	g, err := s.engine.Ground(ctx, job)
	if err != nil {
		return err
	}
	s.writeJSON(w, http.StatusOK, chat.NewGrounding(request.Model, g.Tokens, g.Right, g.Other, g.None))
	return nil
}

func badOther(err error) error {
	if err == nil {
		return nil
	}
	return badPicture("other.url", err)
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
