package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/opt"
	"github.com/modular-bridging/bridge/adapters/vit"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/plugins"
	"github.com/modular-bridging/bridge/plugins/host"
)

// unsoundVariable makes this binary a plugin with a bad value in its answers: "gradient NaN".
const unsoundVariable = "BRIDGE_TEST_UNSOUND"

func serveUnsound(defect string) int {
	name, value, _ := strings.Cut(defect, " ")
	bad, err := strconv.ParseFloat(value, 32)
	f := opt.Family()
	if name == "features" {
		f = vit.Family()
		open := f.OpenVision
		f.OpenVision = func(ctx context.Context, req *adapters.LoadRequest) (adapters.VisionEncoder, error) {
			e, err := open(ctx, req)
			return unsoundEncoder{e, float32(bad)}, err
		}
	} else {
		open := f.OpenLanguage
		f.OpenLanguage = func(ctx context.Context, req *adapters.LoadRequest) (adapters.LanguageModel, error) {
			m, err := open(ctx, req)
			counter, _ := m.(adapters.TokenCounter)
			return unsoundModel{m, counter, float32(bad)}, err
		}
	}
	if err == nil {
		err = plugins.ServeWith(plugins.ServeConfig{Families: []adapters.Family{f}, Name: f.Name})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitFailed
	}
	return exitDone
}

type unsoundEncoder struct {
	adapters.VisionEncoder
	bad float32
}

func (e unsoundEncoder) Encode(ctx context.Context, req *adapters.EncodeRequest) (*adapters.EncodeResponse, error) {
	resp, err := e.VisionEncoder.Encode(ctx, req)
	if err == nil {
		resp.Features.Float32s()[2] = e.bad
	}
	return resp, err
}

type unsoundModel struct {
	adapters.LanguageModel
	adapters.TokenCounter
	bad float32
}

func (m unsoundModel) Loss(ctx context.Context, req *adapters.LossRequest) (*adapters.LossResponse, error) {
	resp, err := m.LanguageModel.Loss(ctx, req)
	if err == nil && req.Gradient {
		resp.Gradient.Float32s()[2] = m.bad
	}
	return resp, err
}

// A run stops with an error that names the bad value, the plugin and the call, before the
// value reaches a weight or the cache of features. Package plugins tests all values.
func TestARunRefusesUnsoundNumbers(t *testing.T) {
	if testing.Short() {
		t.Skip("short: starts four runs")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	from := saveSmallBridge(t)
	for defect, message := range map[string]string{
		"gradient NaN":  "gradient[0, 0, 2] is NaN",
		"features -Inf": "features[0, 0, 2] is -Inf",
	} {
		for _, transport := range host.Transports()[1:] {
			t.Run(defect+"/"+transport, func(t *testing.T) {
				testenv.Cache(t)
				path := filepath.Join(t.TempDir(), "adapter")
				script := fmt.Sprintf("#!/bin/sh\nexport %s='%s'\nexec '%s'\n", unsoundVariable, defect, self)
				if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
					t.Fatal(err)
				}
				side, model, rpc := "language", "tiny-opt", "Loss"
				if strings.HasPrefix(defect, "features") {
					side, model, rpc = "vision", "tiny-vit", "Encode"
				}
				_, stderr := mustExit(t, exitFailed, disturbableRun(filepath.Join(t.TempDir(), "run"), from, "process",
					"--set", side+".isolation=process", "--set", side+".plugin="+path,
					"--set", side+".transport="+transport, "--set", side+".id="+copyModel(t, model))...)
				for _, text := range []string{message, "plugin adapter ", "rpc " + rpc} {
					if !strings.Contains(stderr, text) {
						t.Errorf("no %q in\n%s", text, stderr)
					}
				}
			})
		}
	}
}
