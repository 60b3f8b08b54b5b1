package conformance

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/plugins/host"
)

// Scripts that start the plugin: $0 and the arguments are its command line.
const (
	// noisyBefore prints and then becomes the plugin.
	noisyBefore = noise + `exec "$0" "$@"`
	// noisyAfter leaves a program behind that prints on the plugin's stdout once the gate
	// file exists. Before, its lines could end up in the middle of the handshake.
	noisyAfter = `( while [ ! -e "$` + gateKey + `" ]; do sleep 0.02; done; i=0; while [ $i -lt 20 ]; do ` + noise +
		`sleep 0.02; i=$((i+1)); done; : > "$` + gateKey + `.done" ) & exec "$0" "$@"`
	noise   = `echo "a library says hello"; head -c 1048576 /dev/zero | tr '\0' x; echo; `
	gateKey = "BRIDGE_KIT_GATE"
)

// noisy starts the plugin through a script, with plugins/host, and makes one call, or calls
// until the script is done.
func (su *suite) noisy(t T, script string, waits bool) {
	su.skipIfBroken(t)
	dir, err := os.MkdirTemp("", "bridge-suite-")
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer os.RemoveAll(dir)
	cfg, gate := su.target.Config, filepath.Join(dir, "gate")
	cfg.Env = append(slices.Clone(cfg.Env), gateKey+"="+gate)
	if confine := su.target.Confine; confine != nil {
		cfg.Prepare = func(cmd *exec.Cmd) error { return confine(cmd, dir) }
	}
	cfg.Name, cfg.Path, cfg.Args = "noisy", "/bin/sh", append([]string{"-c", script, cfg.Path}, cfg.Args...)
	p, err := host.Launch(t.Context(), cfg)
	if err != nil {
		t.Fatalf("it does not start: %v", err)
	}
	defer p.Close()
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatalf("%v", err)
	}
	for {
		if _, err := su.bits(t.Context(), p); err != nil {
			t.Fatalf("a call amid noise: %v", err)
		}
		if _, err := os.Stat(gate + ".done"); !waits || err == nil {
			return
		}
	}
}

func (su *suite) noiseBefore(t T) { su.noisy(t, noisyBefore, false) }

func (su *suite) noiseAfter(t T) { su.noisy(t, noisyAfter, true) }

// bits makes a call through plugins/host and returns the bits of the answer.
func (su *suite) bits(ctx context.Context, p *host.Process) ([]byte, error) {
	if p.Kind() == adapters.KindVision {
		m, err := p.Vision()
		if err != nil {
			return nil, err
		}
		spec := m.Spec()
		images := adapters.NewTensor(adapters.Uint8, 3, spec.Image.Height, spec.Image.Width, 3)
		for i := range images.Data {
			images.Data[i] = byte(i * 7)
		}
		resp, err := m.Encode(ctx, &adapters.EncodeRequest{Images: images})
		if err != nil {
			return nil, err
		}
		return resp.Features.Data, nil
	}
	m, err := p.Language()
	if err != nil {
		return nil, err
	}
	req := adaptertest.LossRequest(m.Spec(), su.o.Contract)
	resp, err := m.Loss(ctx, req)
	if err != nil {
		return nil, err
	}
	all := adapters.FromFloat32(resp.Loss, len(resp.Loss)).Data
	if resp.Gradient != nil {
		all = append(bytes.Clone(all), resp.Gradient.Data...)
	}
	return all, nil
}
