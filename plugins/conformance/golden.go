package conformance

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/golden"
	"github.com/modular-bridging/bridge/plugins/host"
)

// golden runs the cases of a golden folder with its own checkpoint.
func (k *kit) golden(ctx context.Context, dir string) {
	prefix := "golden: " + filepath.Base(dir) + ": "
	folder, err := golden.Open(dir)
	if err != nil {
		k.attempt(ctx, goldenInfo(prefix+"folder", "golden.Open"), func(t T) { t.Fatalf("%v", err) })
		return
	}
	var runner golden.Runner
	var model closer
	var own lost // of this folder's checkpoint
	defer func() {
		if model != nil {
			_ = model.Close()
		}
	}()
	for i := range folder.Cases {
		one := *folder
		one.Cases = folder.Cases[i : i+1]
		run := func(t T) {
			if runner == nil {
				k.hopeful(t)
				var err error
				if runner, model, err = k.openGolden(ctx, folder); err != nil {
					k.unready.Add(1)
					own.fails(needsLoad, t)
					t.Fatalf("the checkpoint of %s does not open: %v", folder.Dir, adviseOf(t, err, fixOpen))
				}
				k.unready.Store(0)
				own.works(needsLoad)
			}
			results, err := golden.Run(t.Context(), &one, runner)
			if err != nil {
				t.Fatalf("%v", err)
			}
			for _, r := range results {
				if !r.OK {
					t.Errorf("%s: %s", r.Op, r.Detail)
				} else {
					t.Logf("largest error %.2g", r.MaxAbs)
				}
			}
		}
		if name := cmp.Or(k.goldenNeeds(folder), own.blames(needsLoad)); name != "" {
			run = needsFailed(name)
		}
		k.attempt(ctx, goldenInfo(prefix+one.Cases[0].Name, folder.Source), run)
	}
}

// goldenNeeds names the case that found what a golden folder needs not to work; empty
// where there is none. Another checkpoint than the one that was tried may load.
func (k *kit) goldenNeeds(f *golden.Folder) string {
	if dir, err := filepath.Abs(f.Checkpoint()); err == nil && dir == k.target.Config.Load.Checkpoint {
		return k.lost.blames(needsPlain)
	}
	return cmp.Or(k.lost.blames(needsStart), k.lost.only(needsPlain))
}

func goldenInfo(name, source string) Info {
	return Info{Name: name, Wants: "the numbers match the reference (" + source + ") within the folder's tolerance",
		Rule: "docs/contract.md, Numbers",
		Fix:  "`bridge verify DIR --plugin PATH` shows each case; start with the first wrong loss, alone in its batch"}
}

func (k *kit) openGolden(ctx context.Context, f *golden.Folder) (golden.Runner, closer, error) {
	cfg := k.target.Config
	req := f.LoadRequest(cfg.Load.Backend)
	req.Progress = cfg.Load.Progress
	cfg.Load = *req
	switch f.Kind {
	case golden.KindVision:
		m, err := host.OpenVision(ctx, cfg)
		if err != nil {
			return nil, nil, err
		}
		return golden.Vision(m), m, nil
	case golden.KindLanguage:
		m, err := host.OpenLanguage(ctx, cfg)
		if err != nil {
			return nil, nil, err
		}
		return golden.Language(m), m, nil
	}
	return nil, nil, adapters.Errorf(adapters.Unsupported, "%s", fmt.Sprintf("%s holds cases of a %s", f.Dir, f.Kind)).
		WithRemedy("name a golden folder of a language model or a vision encoder")
}
