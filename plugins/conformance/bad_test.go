package conformance

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/plugins"
)

// runPlugin is the main function of a plugin that does one thing wrong.
func runPlugin(mode string) {
	switch mode {
	case "silent by hand":
		if os.Getenv("BRIDGE_PLUGIN") == "" {
			os.Exit(0)
		}
	case "no lifeline":
		os.Unsetenv("BRIDGE_LIFELINE_FD")
	case "late":
		time.Sleep(time.Hour)
	case "lacks a package":
		if os.Getenv("BRIDGE_PLUGIN") != "" {
			fmt.Fprintln(os.Stderr, "ModuleNotFoundError: No module named 'torch'")
			os.Exit(1)
		}
	case "any client":
		os.Unsetenv("PLUGIN_CLIENT_CERT")
		runSloppy(mode)
	}
	stdout, err := unix.FcntlInt(1, unix.F_DUPFD_CLOEXEC, 3) // before Serve moves it
	if err != nil {
		panic(err)
	}
	if mode == "exits 1" {
		if err := plugins.ServeWith(plugins.ServeConfig{Families: families(mode, stdout)}); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	plugins.Serve(families(mode, stdout)...)
}

func families(mode string, stdout int) []adapters.Family {
	return []adapters.Family{
		{Name: string(adapters.KindLanguage), Kind: adapters.KindLanguage,
			OpenLanguage: func(_ context.Context, req *adapters.LoadRequest) (adapters.LanguageModel, error) {
				if err := atLoad(mode, req); err != nil {
					return nil, err
				}
				return language(mode, stdout), nil
			}},
		{Name: string(adapters.KindVision), Kind: adapters.KindVision,
			OpenVision: func(_ context.Context, req *adapters.LoadRequest) (adapters.VisionEncoder, error) {
				if err := atLoad(mode, req); err != nil {
					return nil, err
				}
				return &badVision{adaptertest.NewFakeVision("tiny", 1), mode}, nil
			}},
	}
}

func atLoad(mode string, req *adapters.LoadRequest) error {
	switch mode {
	case "any checkpoint":
		return nil
	case "no load":
		return adapters.Errorf(adapters.Internal, "TypeError: on purpose")
	case "no load for want of a file":
		return adapters.Errorf(adapters.NotFound, "tokens.json is not there").WithRemedy("download it again")
	case "ends at SIGINT":
		interrupts := make(chan os.Signal, 1)
		signal.Notify(interrupts, os.Interrupt)
		go func() { <-interrupts; os.Exit(130) }()
	}
	req.Report("weights", 1, 1)
	if _, err := os.Stat(req.Checkpoint); err != nil {
		return adapters.Errorf(adapters.NotFound, "%w", err)
	}
	return nil
}

// language is the fake with a fault.
func language(mode string, stdout int) adapters.LanguageModel {
	m := &badLanguage{FakeLanguage: adaptertest.NewFakeLanguage("tiny", 1), mode: mode, stdout: stdout}
	if mode == "lacks what it names" {
		return struct{ adapters.LanguageModel }{m} // without the other methods
	}
	return m
}

type badLanguage struct {
	*adaptertest.FakeLanguage
	mode   string
	stdout int

	calls  atomic.Int64
	busy   atomic.Int32
	stuck  sync.Mutex
	kept   [][]byte
	shared *adapters.LossResponse
}

func (m *badLanguage) Spec() adapters.LanguageSpec {
	s := m.FakeLanguage.Spec()
	switch m.mode {
	case "another digest":
		s.Digest = fmt.Sprintf("sha256:%064x", os.Getpid())
	case "no digest":
		s.Digest = "tiny"
	case "wrong width":
		s.Width++
	case "wrong token norm":
		s.TokenNorm *= 2
	case "no gradient named":
		s.Capabilities = s.Capabilities[1:]
	}
	return s
}

func (m *badLanguage) Close() error {
	switch m.mode {
	case "exits 1":
		return errors.New("on purpose")
	case "slow to end":
		time.Sleep(time.Hour)
	case "answers when closed":
		return nil
	}
	return m.FakeLanguage.Close()
}

func (m *badLanguage) Loss(ctx context.Context, req *adapters.LossRequest) (*adapters.LossResponse, error) {
	n := m.calls.Add(1)
	if m.mode == "no loss" || m.mode == "no gradient" && req.Gradient {
		return nil, adapters.Errorf(adapters.Internal, "TypeError: on purpose").WithRemedy("this is a bug in the adapter")
	}
	if m.mode == "two at once" {
		defer m.busy.Add(-1)
		if m.busy.Add(1) > 1 {
			time.Sleep(20 * time.Millisecond)
			return nil, adapters.Errorf(adapters.Internal, "busy")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := m.before(req); err != nil {
		return nil, err
	}
	if m.mode == "hangs when canceled" {
		m.stuck.Lock()
		defer m.stuck.Unlock()
	}
	resp, err := m.FakeLanguage.Loss(ctx, m.changed(req))
	if err != nil {
		return nil, err
	}
	m.spoil(req, resp, n)
	return resp, nil
}

// before misbehaves before the loss is computed.
func (m *badLanguage) before(req *adapters.LossRequest) error {
	switch m.mode {
	case "prints":
		_, err := syscall.Write(m.stdout, []byte("a debug message\n"))
		return err
	case "leaks a descriptor":
		_, err := unix.Open("/dev/null", unix.O_RDONLY, 0)
		return err
	case "leaks memory":
		b := make([]byte, 8<<20)
		for i := range b {
			b[i] = byte(i)
		}
		m.kept = append(m.kept, b)
	case "dies at an empty target":
		for _, e := range req.Examples {
			if e.Target == "" {
				os.Exit(3)
			}
		}
	case "writes to the request":
		if req.Prompts != nil && len(req.Prompts.Data) > 0 {
			req.Prompts.Data[0] ^= 1
		}
	}
	return nil
}

// changed returns the request as a faulty model reads it.
func (m *badLanguage) changed(req *adapters.LossRequest) *adapters.LossRequest {
	c := *req
	switch m.mode {
	case "cuts long texts":
		c.Examples = nil
		for _, e := range req.Examples {
			e.Target = e.Target[:min(len(e.Target), 500)]
			e.Segments = append([]adapters.Segment(nil), e.Segments...)
			for i := range e.Segments {
				e.Segments[i].Text = e.Segments[i].Text[:min(len(e.Segments[i].Text), 500)]
			}
			c.Examples = append(c.Examples, e)
		}
	case "cuts at NUL":
		c.Examples = nil
		for _, e := range req.Examples {
			e.Target, _, _ = strings.Cut(e.Target, "\x00")
			c.Examples = append(c.Examples, e)
		}
	}
	return &c
}

// spoil makes an answer wrong.
func (m *badLanguage) spoil(req *adapters.LossRequest, resp *adapters.LossResponse, n int64) {
	switch m.mode {
	case "padding counts":
		longest := 0
		for _, e := range req.Examples {
			longest = max(longest, len(e.Target))
		}
		for i, e := range req.Examples {
			resp.Loss[i] += float32(longest-len(e.Target)) * 0.01
		}
	case "wrong sign":
		for i := range gradient(resp) {
			gradient(resp)[i] *= -1
		}
	case "mean instead of sum":
		for i := range gradient(resp) {
			gradient(resp)[i] /= float32(len(req.Examples))
		}
	case "not deterministic":
		resp.Loss[0] += float32(n) * 1e-3
	case "no bfloat16":
		if req.Prompts != nil && req.Prompts.DType == adapters.BFloat16 {
			resp.Loss[0]++
		}
	case "wrong shape":
		if resp.Gradient != nil {
			resp.Gradient.Shape = []int{resp.Gradient.Shape[0] * resp.Gradient.Shape[1], resp.Gradient.Shape[2]}
		}
	case "hides NaN":
		for i, x := range resp.Loss {
			if math.IsNaN(float64(x)) {
				resp.Loss[i] = 0
				clear(gradient(resp))
			}
		}
	case "NaN reaches others":
		for _, x := range resp.Loss {
			if math.IsNaN(float64(x)) {
				for i := range resp.Loss {
					resp.Loss[i] = x
				}
				return
			}
		}
	case "answers with a buffer":
		if m.shared != nil && len(m.shared.Loss) == len(resp.Loss) {
			*resp = *m.shared
		}
		m.shared = resp
	}
}

func gradient(resp *adapters.LossResponse) []float32 {
	if resp.Gradient == nil {
		return nil
	}
	return resp.Gradient.Float32s()
}

func (m *badLanguage) Generate(ctx context.Context, req *adapters.GenerateRequest, emit func(adapters.Piece) error) (*adapters.GenerateResponse, error) {
	c := *req
	switch m.mode {
	case "no answers":
		return nil, adapters.Errorf(adapters.Internal, "TypeError: on purpose")
	case "ignores top-k":
		c.Options.TopK, c.Options.Temperature = 0, 1
	case "ignores sampling":
		c.Options.Sample = false
	case "ignores the seed":
		c.Options.Seed, c.Options.Temperature = 0, 1
	case "ignores the penalty":
		c.Options.RepetitionPenalty = 0
	case "ends early":
		c.Options.MinNewTokens, c.Options.MaxNewTokens = 0, min(max(1, c.Options.MaxNewTokens), 3)
	case "ignores the maximum":
		c.Options.MaxNewTokens = 30
	case "ignores rows":
		c.Options = c.RowOptions(0)
		c.Options.Copy, c.Rows = 0, nil
	case "ignores stop texts":
		c.Options.Stop = nil
	case "ignores cancellations":
		c.Cancel = nil
	case "hangs when canceled":
		m.stuck.Lock()
		defer m.stuck.Unlock()
		resp, err := m.FakeLanguage.Generate(ctx, &c, func(p adapters.Piece) error {
			time.Sleep(10 * time.Millisecond)
			return emit(p)
		})
		if ctx.Err() != nil {
			select {}
		}
		return resp, err
	}
	resp, err := m.FakeLanguage.Generate(ctx, &c, emit)
	switch {
	case err != nil:
	case m.mode == "answers are not trimmed":
		resp.Texts[0] = " " + resp.Texts[0]
	case m.mode == "scores the end" && resp.LogProbs != nil:
		resp.LogProbs[0] = resp.LogProbs[0][1:]
	case m.mode == "counts padding":
		for i := range resp.InputTokens {
			resp.InputTokens[i] = slices.Max(resp.InputTokens)
		}
	}
	return resp, err
}

func (m *badLanguage) Score(ctx context.Context, req *adapters.ScoreRequest) (*adapters.ScoreResponse, error) {
	resp, err := m.FakeLanguage.Score(ctx, req)
	if err == nil && m.mode == "scores are losses" {
		for i := range resp.Scores.Float32s() {
			resp.Scores.Float32s()[i] *= -1
		}
	}
	return resp, err
}

func (m *badLanguage) CountTokens(ctx context.Context, texts []string) ([]int32, error) {
	counts, err := m.FakeLanguage.CountTokens(ctx, texts)
	if m.mode == "counts a bos" {
		for i := range counts {
			counts[i]++
		}
	}
	return counts, err
}

// badVision is the fake with a fault.
type badVision struct {
	*adaptertest.FakeVision
	mode string
}

func (m *badVision) Encode(ctx context.Context, req *adapters.EncodeRequest) (*adapters.EncodeResponse, error) {
	if m.mode == "no features" {
		return nil, adapters.Errorf(adapters.Internal, "TypeError: on purpose")
	}
	resp, err := m.FakeVision.Encode(ctx, req)
	if err != nil {
		return nil, err
	}
	out := resp.Features.Float32s()
	switch m.mode {
	case "normalises over the batch":
		var mean float32
		for _, x := range out {
			mean += x / float32(len(out))
		}
		for i := range out {
			out[i] -= mean
		}
	case "plain pictures divide by zero":
		for i := range resp.Features.Shape[0] {
			row := resp.Features.Row(i).Float32s()
			spread := float32(0)
			for _, x := range row {
				spread = max(spread, x-row[0], row[0]-x)
			}
			for j := range row {
				row[j] /= spread
			}
		}
	}
	return resp, nil
}
