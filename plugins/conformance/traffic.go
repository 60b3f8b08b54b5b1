package conformance

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/host"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

func callCases() []processCase {
	return []processCase{
		{about("chunks of any size", "the bytes of a tensor may come in chunks of 1 byte to 2 MiB, and the answer has the same bits", ruleArenas,
			"join the chunks by their offsets before you compute; accept messages of 16 MiB"), needsCall, (*suite).chunks},
		{about("malformed messages", "a request that breaks the protocol gets a failure or a gRPC error, and the plugin keeps working", ruleErrors,
			"check every size before you allocate memory, and end the call with a failure of kind invalid"), needsCall, (*suite).malformed},
		{about("a message that is too large", "a message over 16 MiB gets RESOURCE_EXHAUSTED or a failure, and the plugin keeps working", ruleErrors,
			"set the server's message limit to 16 MiB, not to unlimited"), needsCall, (*suite).tooLarge},
		{about("refusals", "a request that breaks the contract gets a failure of kind invalid with an op and a message, even if the host does not check it", "docs/contract.md, Refusals",
			"check each request against the spec before you compute; the SDKs do this"), needsCall, (*suite).refusals},
		{about("calls that the host gives up", "after 20 calls that were given up, the plugin answers as before", ruleErrors,
			"check the call's context; free the memory and locks of the call"), needsCall, (*suite).givenUp},
		{about("leaks", "20 calls leave no descriptors open, and memory does not grow", ruleProcess,
			"close files and sockets that a call opens; keep no request after you answered it"), needsCall, (*suite).leaks},
		{about("both transports", "shared memory and chunks give the same bits", ruleArenas,
			"write answers into the lease unchanged, C-contiguous and little-endian"), needsCall, (*suite).transports},
	}
}

// sameAnswer compares all that came back.
func sameAnswer(a, b *answer) bool {
	return proto.Equal(a.reply, b.reply) && bytes.Equal(a.tensors, b.tensors)
}

func (su *suite) chunks(t T) {
	g := su.sharedGuest(t)
	s := su.sample(g)
	tensor, data := s.tensor(1)
	want := su.answers(t, s.callWith(1, tensor, chunk(0, 0, data)))
	for name, sizes := range map[string][]int{
		"1 byte, then the rest": {1, len(data)}, "uneven parts": {3, len(data)/2 + 1, 5, len(data)}, "many small parts": {max(1, len(data)/50)},
	} {
		got, err := s.callWith(1, tensor, chunked(data, sizes...)...).ask(t.Context())
		if err != nil || got.failure() != nil {
			t.Errorf("%s: %s", name, describe(got, err))
		} else if !sameAnswer(got, want) {
			t.Errorf("%s: the answer differs from that to one chunk", name)
		}
	}
	if s.vision() {
		return
	}
	// Soft prompts of more than a chunk, beside an example that uses none: those
	// that a model can read are as short as its context.
	rows := (2<<20)/(4*int(g.spec.Width)) + 1
	prompts, data := s.prompts(rows)
	large := s.callWith(0, prompts, chunked(data, 2<<20)...)
	large.messages[0].GetLoss().Gradient = false
	large.messages[0].GetLoss().Examples = []*pb.Example{{
		Segments: []*pb.Segment{{Part: &pb.Segment_Text{Text: s.text[0]}}}, Target: s.text[1]}}
	if a, err := large.ask(t.Context()); err != nil || a.failure() != nil {
		t.Errorf("a chunk of 2 MiB: %s", describe(a, err))
	}
}

// answers makes a call that must be answered.
func (su *suite) answers(t T, c wireCall) *answer {
	t.Helper()
	a, err := c.ask(t.Context())
	if err != nil || a.failure() != nil {
		t.Fatalf("a plain call gives %s", describe(a, err))
	}
	return a
}

func (su *suite) malformed(t T) {
	g := su.sharedGuest(t)
	want := su.mustAnswer(t, g)
	calls := su.sample(g).broken()
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		ctx, cancel := context.WithTimeout(t.Context(), su.scaled(10*time.Second))
		a, err := calls[name].ask(ctx)
		if ctx.Err() != nil {
			t.Errorf("%s: no answer after %v", name, su.scaled(10*time.Second))
		} else if err == nil && a.failure() == nil {
			t.Errorf("%s: answered with %s, want a failure", name, describe(a, err))
		}
		cancel()
		if !g.alive() {
			t.Fatalf("%s: the plugin died: %s", name, g.status())
		}
	}
	if got := su.mustAnswer(t, g); !sameAnswer(got, want) {
		t.Errorf("after malformed messages a call has another answer than before")
	}
}

func (su *suite) tooLarge(t T) {
	g := su.sharedGuest(t)
	want := su.mustAnswer(t, g)
	s := su.sample(g)
	c := s.callWith(1, nil)
	if s.vision() {
		tensor, _ := s.tensor(1)
		c = s.callWith(1, tensor, chunk(0, 0, make([]byte, maxMessage+1<<20)))
	} else {
		c.messages[0].GetLoss().Gradient = false
		c.messages[0].GetLoss().Examples = []*pb.Example{{Segments: []*pb.Segment{
			{Part: &pb.Segment_Text{Text: strings.Repeat("a ", (maxMessage+1<<20)/2)}}}}}
	}
	a, err := c.ask(t.Context())
	switch {
	case err == nil && a.failure() == nil:
		t.Errorf("a message of 17 MiB is answered with %s", describe(a, err))
	case err != nil && status.Code(err) != codes.ResourceExhausted:
		t.Errorf("a message of 17 MiB gives %v, want RESOURCE_EXHAUSTED", err)
	}
	if got := su.mustAnswer(t, g); !sameAnswer(got, want) {
		t.Errorf("after a message that was too large a call has another answer than before")
	}
}

// refusals sends requests that plugins/host would refuse: the plugin must check, too.
func (su *suite) refusals(t T) {
	g := su.sharedGuest(t)
	want := su.mustAnswer(t, g)
	calls := su.sample(g).refused()
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		a, err := calls[name].ask(t.Context())
		switch f := a.failure(); {
		case err != nil || f == nil:
			t.Errorf("%s: got %s, want a failure", name, describe(a, err))
		case adapters.Kind(f.Kind) != adapters.Invalid:
			t.Errorf("%s: got %s, want kind %q", name, describe(a, err), adapters.Invalid)
		case f.Op == "" || f.Message == "":
			t.Errorf("%s: the failure has the op %q and the message %q, want both", name, f.Op, f.Message)
		}
		if !g.alive() {
			t.Fatalf("%s: the plugin died: %s", name, g.status())
		}
	}
	if got := su.mustAnswer(t, g); !sameAnswer(got, want) {
		t.Errorf("after refusals a call has another answer than before")
	}
}

func (su *suite) givenUp(t T) {
	g := su.sharedGuest(t)
	want := su.mustAnswer(t, g)
	s := su.sample(g)
	for i := range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*2*time.Millisecond)
		_, _ = s.call(16).ask(ctx)
		cancel()
	}
	half := s.call(1)
	half.messages, half.unended = half.messages[:1], true // given up while it is being sent
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, _ = half.ask(ctx)
		cancel()
	}
	if got := su.mustAnswer(t, g); !sameAnswer(got, want) {
		t.Errorf("after calls that were given up a call has another answer than before")
	}
}

// What 20 calls may leave behind: descriptors, and memory that a runtime may keep.
const (
	spareDescriptors = 3
	spareMemory      = 48 << 20
)

func (su *suite) leaks(t T) {
	g := su.sharedGuest(t)
	s := su.sample(g)
	round := func() {
		for i := range 20 {
			su.answers(t, s.call(1+i%8))
		}
	}
	round() // compiles and caches, which is no leak
	files, ok := g.descriptors()
	memory, _ := g.resident()
	if !ok {
		t.Skipf("there is no /proc to count descriptors in")
	}
	var more int
	var grown int64
	for try := range 2 { // growth that ends is no leak
		round()
		now, _ := g.descriptors()
		resident, _ := g.resident()
		more, grown = now-files, resident-memory
		t.Logf("20 calls, round %d: %+d descriptors, %+d KiB of memory", try+1, more, grown>>10)
		if more <= spareDescriptors && grown <= spareMemory+memory/10 {
			return
		}
		files, memory = now, resident
	}
	if more > spareDescriptors {
		t.Errorf("20 calls leave %d more descriptors open", more)
	}
	if grown > spareMemory+memory/10 {
		t.Errorf("20 calls leave %d MiB more of memory", grown>>20)
	}
}

func (su *suite) transports(t T) {
	su.skipIfBroken(t)
	var want []byte
	for _, transport := range []host.Transport{host.TransportGRPC, host.TransportShared} {
		cfg := su.target.Config
		cfg.Transport = transport
		p, err := host.Launch(t.Context(), cfg)
		if transport == host.TransportShared && adapters.KindOf(err) == adapters.Unsupported {
			t.Skipf("chunks alone: %v", err)
		}
		if err != nil {
			t.Fatalf("with the transport %q it does not start: %v", transport, err)
		}
		got, err := su.bits(t.Context(), p)
		again := got
		if err == nil { // what was lent is lent again
			again, err = su.bits(t.Context(), p)
		}
		_ = p.Close()
		switch {
		case err != nil:
			t.Fatalf("with the transport %q: %v", transport, err)
		case !bytes.Equal(again, got):
			t.Errorf("with the transport %q the same request has other bits the second time", transport)
		case want != nil && !bytes.Equal(got, want):
			t.Errorf("shared memory and chunks give other bits")
		}
		want = got
	}
}
