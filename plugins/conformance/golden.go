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

// runGolden runs the cases of a golden folder with its own checkpoint.
func (su *suite) runGolden(ctx context.Context, dir string) {
	prefix := "golden: " + filepath.Base(dir) + ": "
	folder, err := golden.Open(dir)
	if err != nil {
		su.runIfSelected(ctx, goldenInfo(prefix+"folder", "golden.Open"), func(t T) { t.Fatalf("%v", err) })
		return
	}
	var runner golden.Runner
	var model closer
	var own failedNeeds // for this folder's checkpoint
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
				su.skipIfBroken(t)
				var err error
				if runner, model, err = su.openGolden(ctx, folder); err != nil {
					su.failedStarts.Add(1)
					own.fail(needsLoad, t)
					t.Fatalf("the checkpoint of %s does not open: %v", folder.Dir, adviseFrom(t, err, fixOpen))
				}
				su.failedStarts.Store(0)
				own.pass(needsLoad)
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
		if name := cmp.Or(su.goldenNeeds(folder), own.blocker(needsLoad)); name != "" {
			run = needsFailed(name)
		}
		su.runIfSelected(ctx, goldenInfo(prefix+one.Cases[0].Name, folder.Source), run)
	}
}

// goldenNeeds returns the case that found something broken which a golden folder needs, or
// an empty string. A checkpoint other than the one that was tried may load.
func (su *suite) goldenNeeds(f *golden.Folder) string {
	if dir, err := filepath.Abs(f.Checkpoint()); err == nil && dir == su.target.Config.Load.Checkpoint {
		return su.failedNeeds.blocker(needsPlain)
	}
	return cmp.Or(su.failedNeeds.blocker(needsStart), su.failedNeeds.failure(needsPlain))
}

func goldenInfo(name, source string) Info {
	return Info{Name: name, Wants: "the numbers match the reference (" + source + ") within the folder's tolerance",
		Rule: "docs/contract.md, Numbers",
		Fix:  "`bridge verify DIR --plugin PATH` shows each case; start with the first wrong loss, alone in its batch"}
}

func (su *suite) openGolden(ctx context.Context, f *golden.Folder) (golden.Runner, closer, error) {
	cfg := su.target.Config
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
