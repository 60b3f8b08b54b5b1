package host

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/plugintest"
)

// BenchmarkTransport moves 46 MB between two processes of Go: to the plugin
// (soft prompts), to the host (features), and both (soft prompts, and their
// gradient). The time is that of the whole call, checks included: sizes on both
// sides, and that an answer's numbers are finite.
//
// GB/s counts each tensor once. copied-B/op counts the bytes that are copied. In shared
// memory these are the copies into an arena and out of it, which the test counts. Through
// gRPC there are seven copies, according to its source: by protobuf, TLS, the kernel, the
// kernel, TLS, protobuf, and into the tensor.
//
//	go test -run '^$' -bench Transport -benchtime 50x ./plugins/host
func BenchmarkTransport(b *testing.B) {
	const copiesOfChunks = 7
	prompts := adapters.NewTensor(adapters.Float32, plugintest.EchoBatch, plugintest.EchoTokens, plugintest.EchoWidth)
	examples := make([]adapters.Example, plugintest.EchoBatch)
	for i := range examples {
		examples[i] = adapters.Example{Segments: []adapters.Segment{adapters.PromptSegment(i)}, Target: "a"}
	}
	images := adapters.NewTensor(adapters.Uint8, plugintest.EchoBatch, 8, 8, 3)
	for _, transport := range []Transport{TransportShared, TransportGRPC} {
		for _, way := range []struct {
			name, family string
			bytes        int64
			call         func(p *Process) error
		}{
			{"to-plugin", "language", plugintest.EchoBytes, func(p *Process) error {
				m, _ := p.Language()
				_, err := m.Loss(b.Context(), &adapters.LossRequest{Prompts: prompts, Examples: examples})
				return err
			}},
			{"to-host", "vision", plugintest.EchoBytes + int64(len(images.Data)), func(p *Process) error {
				m, _ := p.Vision()
				_, err := m.Encode(b.Context(), &adapters.EncodeRequest{Images: images})
				return err
			}},
			{"both", "language", 2 * plugintest.EchoBytes, func(p *Process) error {
				m, _ := p.Language()
				_, err := m.Loss(b.Context(), &adapters.LossRequest{Prompts: prompts, Examples: examples, Gradient: true})
				return err
			}},
		} {
			b.Run(string(transport)+"/"+way.name, func(b *testing.B) {
				cfg := config(b, "echo", way.family)
				cfg.Transport = transport
				p, err := Launch(b.Context(), cfg)
				if err != nil {
					b.Fatal(err)
				}
				defer p.Close()
				for range 2 { // pages appear, buffers grow
					if err := way.call(p); err != nil {
						b.Fatal(err)
					}
				}
				before := copiedBy(p)
				for b.Loop() {
					if err := way.call(p); err != nil {
						b.Fatal(err)
					}
				}
				perCall := float64(way.bytes) * copiesOfChunks
				if transport == TransportShared {
					perCall = 2 * float64(copiedBy(p)-before) / float64(b.N) // the plugin copies as much
				}
				b.ReportMetric(float64(way.bytes)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GB/s")
				b.ReportMetric(perCall, "copied-B/op")
			})
		}
	}
}

// copiedBy returns the bytes that the host has copied into and out of a
// process's arenas.
func copiedBy(p *Process) uint64 {
	a := p.current.arenas
	if a == nil {
		return 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.copied
}
