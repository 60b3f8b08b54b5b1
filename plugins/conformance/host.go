package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/host"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

// hostOrder tells a host that will be killed which plugin to start.
type hostOrder struct {
	Path  string   `json:"path"`
	Args  []string `json:"args"`
	Env   []string `json:"env"`
	Load  []byte   `json:"load"` // a pb.LoadRequest
	Texts []string `json:"texts"`
}

func newHostOrder(su *suite) hostOrder {
	cfg := su.target.Config
	load, err := proto.Marshal(loadRequest(cfg))
	if err != nil { // a text that is not UTF-8: the load reports it
		load = nil
	}
	return hostOrder{Path: cfg.Path, Args: cfg.Args, Env: cfg.Env, Load: load, Texts: su.o.Contract.Texts}
}

// RunHost is the program of a host that will be killed. It starts the plugin that order
// describes, makes a call, prints the plugin's process id and waits until it is killed.
func RunHost(ctx context.Context, order io.Reader, out io.Writer) error {
	var o hostOrder
	if err := json.NewDecoder(order).Decode(&o); err != nil {
		return adapters.Errorf(adapters.Invalid, "this program is a part of bridge plugin test and was started by hand: %w", err)
	}
	load := &pb.LoadRequest{}
	if err := proto.Unmarshal(o.Load, load); err != nil {
		return err
	}
	g, err := start(host.Config{Path: o.Path, Args: o.Args, Env: o.Env}, "1")
	if err != nil {
		return err
	}
	defer g.kill()
	l, err := g.load(ctx, load, nil)
	if err != nil {
		return err
	}
	if l.failure != nil {
		return adapters.Errorf(adapters.Kind(l.failure.Kind), "%s", l.failure.Message)
	}
	su := &suite{}
	su.o.Contract.Texts = o.Texts
	done := su.sample(g).inFlight(ctx)
	if _, err := fmt.Fprintln(out, g.pid()); err != nil {
		return err
	}
	<-ctx.Done()
	<-done
	return ctx.Err()
}
