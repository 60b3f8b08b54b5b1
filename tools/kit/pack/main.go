// Command pack copies a trained bridge into the kit, in bfloat16 to halve its
// size.
//
//	go run ./tools/kit/pack RUN/bridge kit/models/stage1
//	go run ./tools/kit/pack RUN/bridge kit/models/stage2 kit:stage1
//
// The third argument names the stage-1 bridge from which a stage-2 bridge started.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/backends"
)

func main() {
	if err := pack(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func pack(ctx context.Context, args []string) error {
	if len(args) < 2 || len(args) > 3 {
		return fmt.Errorf("got %d arguments, want the folder of a bridge, the folder to write and, for stage 2, the kit's name of its stage-1 bridge", len(args))
	}
	backend, err := backends.Open("go")
	if err != nil {
		return err
	}
	b, err := bridge.Load(ctx, backend, args[0])
	if err != nil {
		return err
	}
	defer b.Close()
	if len(args) == 3 {
		b.Info.Stage1 = args[2]
	}
	// The kit must not contain paths of the machine that trained the bridge.
	b.Info.Vision.Path = ""
	if b.Info.Language != nil {
		b.Info.Language.Path = ""
	}
	return b.Save(args[1], adapters.BFloat16)
}
