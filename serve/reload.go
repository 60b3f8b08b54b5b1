package serve

import (
	"context"
	"reflect"

	"github.com/modular-bridging/bridge/serve/config"
)

// Reload reads the configuration again, and opens bridges that are new or have changed. Each
// replaced bridge serves until the new one is open. A configuration with a mistake changes nothing.
func (s *Server) Reload(ctx context.Context) {
	if s.reread == nil {
		return
	}
	c, err := s.reread()
	if err != nil {
		s.log.Error("the configuration cannot be used; the old one stays", "error", err)
		return
	}
	wanted := c
	if keepFixed(&c, *s.config.Load()); !reflect.DeepEqual(c, wanted) {
		s.log.Warn("the address, the memory budget and the limits of connections, bodies and batches change when the server is started again")
	}
	s.config.Store(&c)
	s.pictures.Set(pictureOptions(c))
	s.fleet.Set(entries(c))
	for name, err := range s.fleet.Refresh(ctx) {
		s.log.Error("cannot open a bridge", "model", name, "error", err)
	}
	s.log.Info("read the configuration again", "models", len(c.Bridges), "keys", c.Keys.Len())
}

// keepFixed gives a configuration the settings that stay as they were at the start.
func keepFixed(c *config.Config, old config.Config) {
	c.Address, c.Memory = old.Address, old.Memory
	l, o := &c.Limits, old.Limits
	l.Connections, l.BodiesBytes, l.BatchRows, l.QueueRows, l.Fill = o.Connections, o.BodiesBytes, o.BatchRows, o.QueueRows, o.Fill
}
