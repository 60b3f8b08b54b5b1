package serve

import (
	"context"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/serve/engine"
)

// warmUp captions a black picture and asks about it with each bridge. Backends that compile graphs
// do it then, and not at the first client's request. Errors are logged: requests will show them too.
func (s *Server) warmUp(ctx context.Context) {
	c := s.config.Load()
	if !c.WarmUp {
		return
	}
	began := time.Now()
	for _, status := range s.fleet.Status() {
		for _, question := range []string{"", "what is in the picture?"} {
			if err := s.warmUpWith(ctx, status.Name, question, c.Limits.Chat.DefaultTokens); err != nil && ctx.Err() == nil {
				s.log.Warn("a bridge did not answer a first question", "model", status.Name, "error", err)
			}
		}
	}
	s.log.Debug("warmed up", "seconds", time.Since(began).Seconds())
}

func (s *Server) warmUpWith(ctx context.Context, name, question string, tokens int) error {
	lease, err := s.fleet.Acquire(ctx, name)
	if err != nil {
		return err
	}
	size := lease.Vision.Spec().Image.Size()
	example := lease.Info.Templates.CaptionExample(0, "")
	if question != "" {
		example = lease.Info.Templates.QuestionExample(0, question, "")
	}
	_, err = s.engine.Generate(ctx, &engine.Request{
		Lease: lease, Rows: []adapters.GenerateOptions{{MaxNewTokens: tokens}},
		Input: engine.Input{Segments: example.Segments, Pictures: []*adapters.Tensor{adapters.NewTensor(adapters.Uint8, size.Height, size.Width, 3)}},
	})
	return err
}
