package conformance

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/procfs"
	"github.com/modular-bridging/bridge/plugins/host"
	"github.com/modular-bridging/bridge/plugins/internal/identity"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

// The headings of plugins/proto/README.md that cases refer to.
const (
	ruleProcess   = "plugins/proto/README.md, Started by the host"
	ruleHandshake = "plugins/proto/README.md, Handshake"
	ruleErrors    = "plugins/proto/README.md, Errors"
	ruleArenas    = "plugins/proto/README.md, Arenas"
)

// processCase is a case of the group "process".
type processCase struct {
	Info
	needs need
	run   func(su *suite, t T)
}

func about(name, wants, rule, fix string) Info {
	return Info{Name: "process: " + name, Wants: wants, Rule: rule, Fix: fix}
}

func processCases() []processCase {
	return slices.Concat(startCases(), lifeCases(), callCases(), arenaCases())
}

func startCases() []processCase {
	return []processCase{
		{about("started by hand", "without BRIDGE_PLUGIN in its environment, the program prints its purpose and exits with status 2", ruleProcess,
			"call the SDK's serve first in main: it checks the variable"), needsNothing, (*suite).byHand},
		{about("handshake", "the plugin prints one line on stdout within 30 seconds, then runs a TLS server that requires the host's certificate and reports that it is serving", ruleHandshake,
			fixSilent), needsNothing, (*suite).handshake},
		{about("other versions of the protocol", "the plugin takes the highest version that both sides speak, or else its own highest", ruleProcess,
			"choose from PLUGIN_PROTOCOL_VERSIONS; the SDKs do this"), needsStart, (*suite).otherVersions},
		{about("load", "load sends hello with a name and a version first, then progress, then a spec", ruleProcess,
			"pass name and version to serve; report progress (done, total) while the weights are read"), needsStart, (*suite).load},
		{about("plain call", "the plugin answers the simplest call, a loss of one text and target or an encode of one picture; it also answers one for two, with a gradient if the spec lists that capability", ruleProcess,
			"fix the error of your own code that the message shows; the plugin's log has the traceback. The cases that need this call are skipped until it works"), needsLoad, (*suite).plainCall},
		{about("manifest", "version, protocol and capabilities in plugin.toml match the running program", ruleProcess,
			"make plugin.toml and the program agree: rebuild the program, pass the version to serve, list the spec's capabilities"), needsLoad, (*suite).manifest},
		{about("slow load", "a host that pauses in the middle of a load still gets the spec", ruleProcess,
			"put no deadline on the load"), needsLoad, (*suite).slowLoad},
		{about("one model a process", "calls before Load and a second Load are refused, and the model keeps working", ruleProcess,
			"answer a second Load with a failure of kind invalid; keep the first model"), needsCall, (*suite).oneModel},
		{about("a checkpoint that is not there", "load fails with kind not found, and the error names the path", "docs/contract.md, Refusals",
			"first check that the folder exists, and put its path in the message"), needsLoad, (*suite).noCheckpoint},
		{about("stdout", "only the handshake goes to the host's stdout; descriptor 1 leads to stderr", ruleProcess,
			"call serve before any code prints, imports or loads: it moves descriptor 1 aside"), needsCall, (*suite).stdout},
		{about("noise before the handshake", "the plugin starts even if a program that wraps it prints first, up to a line of 1 MiB", ruleHandshake,
			"write the handshake as a separate line, and flush it"), needsCall, (*suite).noiseBefore},
		{about("noise after the handshake", "later lines on stdout, even one of 1 MiB, do not stop a call", ruleHandshake,
			"never write to the host's stdout while you hold a lock"), needsCall, (*suite).noiseAfter},
	}
}

func lifeCases() []processCase {
	return []processCase{
		{about("interrupt", "SIGINT does not end the plugin, because the host decides when to stop", ruleProcess,
			"ignore SIGINT, also in programs that you start (Serve in Go and serve in Python do this)"), needsCall, (*suite).interrupt},
		{about("shutdown when idle", "after a shutdown request, the plugin exits with status 0 within 2 seconds, and all processes that it started end too", ruleHandshake,
			"serve GRPCController/Shutdown; close the model; leave no thread or program that keeps the process alive"), needsCall, (*suite).shutdownIdle},
		{about("shutdown during a call", "after a shutdown request during a call, the plugin cancels the call and exits with status 0 within 2 seconds", ruleHandshake,
			"cancel the running calls; do not wait for them longer than 2 seconds"), needsCall, (*suite).shutdownBusy},
		{about("shutdown during load", "after a shutdown request during a load, the plugin exits with status 0 within 2 seconds", ruleHandshake,
			"do not wait for the load"), needsLoad, (*suite).shutdownLoading},
		{about("the host dies", "however the host ends, the plugin and all processes that it started end with it", ruleProcess,
			"read BRIDGE_LIFELINE_FD in a thread from the start; when it closes, kill the process group"), needsLoad, (*suite).hostDies},
	}
}

func (su *suite) byHand(t T) {
	dir, err := os.MkdirTemp("", "bridge-suite-")
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer os.RemoveAll(dir)
	cfg := su.target.Config
	cmd := exec.CommandContext(t.Context(), cfg.Path, cfg.Args...)
	cmd.Dir = dir
	for _, entry := range cfg.Environ(dir) {
		if !strings.HasPrefix(entry, "BRIDGE_PLUGIN=") {
			cmd.Env = append(cmd.Env, entry)
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err = cfg.StartCommand(cmd); err == nil {
		err = cmd.Wait()
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 {
		t.Errorf("it ended with %v, want exit status 2", orZero(err))
	}
	if strings.TrimSpace(out.String()) == "" {
		t.Errorf("it says nothing, want what it is for")
	}
}

func orZero(err error) any {
	if err == nil {
		return "exit status 0"
	}
	return err
}

func (su *suite) handshake(t T) {
	g := su.start(t)
	defer g.kill()
	if h := g.handshake; h.core != 1 || h.protocol != 1 || h.network != "unix" || h.speak != "grpc" {
		t.Errorf("the handshake is %d|%d|%s|…|%s, want 1|1|unix|PATH|grpc", h.core, h.protocol, h.network, h.speak)
	}
	if inside, err := filepath.Rel(g.dir, g.handshake.address); err != nil || !filepath.IsLocal(inside) {
		t.Errorf("the socket is %s, want it in PLUGIN_UNIX_SOCKET_DIR, %s", g.handshake.address, g.dir)
	}
	if _, err := x509.ParseCertificate(g.handshake.certificate); err != nil {
		t.Errorf("the certificate: %v", err)
	}
	health, err := grpc_health_v1.NewHealthClient(g.conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "plugin"})
	if err != nil {
		t.Fatalf("health check of the service \"plugin\": %v", err)
	}
	if health.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("the service \"plugin\" is %s, want SERVING", health.Status)
	}
	su.stranger(t, g)
}

// stranger connects with a certificate that is not the host's, which the plugin must refuse.
func (su *suite) stranger(t T, g *guest) {
	other, err := identity.New()
	if err != nil {
		t.Fatalf("%v", err)
	}
	stranger := &guest{identity: other, handshake: g.handshake}
	if err := stranger.connect(); err != nil {
		t.Fatalf("%v", err)
	}
	defer stranger.conn.Close()
	_, err = grpc_health_v1.NewHealthClient(stranger.conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "plugin"})
	if err == nil {
		t.Errorf("it answers a client whose certificate is not the host's (PLUGIN_CLIENT_CERT)")
	}
}

func (su *suite) otherVersions(t T) {
	su.skipIfBroken(t)
	for majors, want := range map[string]int{"1,987": 1, "987": 0} {
		g, err := start(su.target.Config, majors)
		if err != nil {
			t.Errorf("with a host that speaks %s it does not start: %v", majors, err)
			continue
		}
		if got := g.handshake.protocol; got < 1 || got == 987 || want != 0 && got != want {
			t.Errorf("with a host that speaks %s it says that it speaks %d", majors, got)
		}
		g.kill()
	}
}

func (su *suite) load(t T) {
	g := su.start(t)
	defer g.kill()
	began := time.Now()
	l, err := g.load(t.Context(), loadRequest(su.target.Config), nil)
	took := time.Since(began)
	switch {
	case err != nil:
		su.failLoad(t, err, g.status())
	case l.failure != nil:
		su.failLoad(t, adapters.Errorf(adapters.Kind(min(l.failure.Kind, 255)), "a failure of kind %q: %s", adapters.Kind(min(l.failure.Kind, 255)), l.failure.Message).
			WithRemedy("%s", l.failure.Remedy), g.status())
	case l.hello == nil || !l.helloFirst:
		t.Errorf("the load does not begin with a hello")
	case l.hello.Name == "" || l.hello.Version == "":
		t.Errorf("hello has the name %q and the version %q, want both", l.hello.Name, l.hello.Version)
	}
	for _, p := range l.progress {
		if p.Stage == "" || p.Done < 0 || p.Total < 0 || p.Total > 0 && p.Done > p.Total {
			t.Errorf("progress %q: %d of %d", p.Stage, p.Done, p.Total)
		}
	}
	if len(l.progress) == 0 && took > 5*time.Second {
		t.Errorf("the load took %v and reported no progress", took.Round(time.Second))
	}
	su.failedNeeds.pass(needsLoad)
	su.record(g, l)
	if want := su.target.Kind; want != "" && want != su.report.Kind {
		t.Errorf("it holds a %s, want a %s", su.report.Kind, want)
	}
}

// plainCall makes the calls with which most cases begin, and reports their failures.
func (su *suite) plainCall(t T) {
	g := su.sharedGuest(t)
	s := su.sample(g)
	for _, c := range []struct {
		needs need
		what  string
		call  wireCall
	}{{needsPlain, "the plainest call", s.plainest()}, {needsCall, s.calledTwo(), s.call(2)}} {
		a, err := c.call.ask(t.Context())
		if err == nil && a.failure() == nil {
			su.failedNeeds.pass(c.needs)
			continue
		}
		su.failedNeeds.fail(c.needs, t)
		if f := a.failure(); f != nil && f.Remedy != "" {
			if adapters.Kind(f.Kind) != adapters.Internal { // then the case's own says more
				advise(t, "%s", f.Remedy)
			}
			f.Remedy = ""
		}
		t.Fatalf("%s gives %s; %s", c.what, describe(a, err), g.status())
	}
}

// manifest compares the manifest with the program's description of itself.
func (su *suite) manifest(t T) {
	if su.target.Manifest == nil {
		t.Skipf("there is no plugin.toml")
	}
	g := su.start(t)
	defer g.kill()
	l, err := g.load(t.Context(), loadRequest(su.target.Config), nil)
	if err != nil || l.failure != nil || l.hello == nil {
		t.Fatalf("it does not load: %v; %s", err, g.status())
	}
	identity := host.Identity{Version: strings.TrimPrefix(l.hello.Version, "unknown"), Protocol: g.handshake.protocol}
	for _, c := range g.spec.Capabilities {
		identity.Capabilities = append(identity.Capabilities, adapters.Capability(c))
	}
	for _, difference := range su.target.Manifest(identity) {
		t.Errorf("%s", difference)
	}
}

// slowLoad stops the process in the middle of a load for a second.
func (su *suite) slowLoad(t T) {
	g := su.start(t)
	defer g.kill()
	l, err := g.load(t.Context(), loadRequest(su.target.Config), func() {
		_ = syscall.Kill(-g.pid(), syscall.SIGSTOP)
		time.Sleep(time.Second)
		_ = syscall.Kill(-g.pid(), syscall.SIGCONT)
	})
	if err != nil || l.failure != nil {
		t.Errorf("a load that was held up for a second: %v, %v; %s", err, l.failure, g.status())
	}
}

func (su *suite) oneModel(t T) {
	g := su.start(t)
	defer g.kill()
	early := wireCall{method: sample{g: g}.loss, messages: []*pb.Call{{Part: &pb.Call_Loss{Loss: &pb.LossRequest{
		Examples: []*pb.Example{{Segments: []*pb.Segment{{Part: &pb.Segment_Text{Text: "a"}}}}}}}}}}
	if a, err := early.ask(t.Context()); err == nil && a.failure() == nil {
		t.Errorf("a call before Load is answered with %s", describe(a, err))
	}
	if l, err := g.load(t.Context(), loadRequest(su.target.Config), nil); err != nil || l.failure != nil {
		t.Fatalf("after a call that came too early, load: %v, %v; %s", err, l.failure, g.status())
	}
	spec := g.spec
	l, err := g.load(t.Context(), loadRequest(su.target.Config), nil)
	switch {
	case err != nil:
		t.Errorf("a second load breaks the connection: %v", err)
	case l.failure == nil:
		t.Errorf("a second load succeeds, want a failure")
	case adapters.Kind(l.failure.Kind) != adapters.Invalid:
		t.Errorf("a second load fails with kind %q, want %q", adapters.Kind(l.failure.Kind), adapters.Invalid)
	}
	g.spec = spec
	su.mustAnswer(t, g)
}

// mustAnswer makes a call and fails the case unless it is answered.
func (su *suite) mustAnswer(t T, g *guest) *answer {
	t.Helper()
	a, err := su.sample(g).call(2).ask(t.Context())
	if err != nil || a.failure() != nil {
		t.Fatalf("a plain call gives %s; %s", describe(a, err), g.status())
	}
	return a
}

func (su *suite) noCheckpoint(t T) {
	cfg := su.target.Config
	if cfg.Load.Checkpoint == "" {
		t.Skipf("the plugin is given no checkpoint")
	}
	g := su.start(t)
	defer g.kill()
	cfg.Load.Checkpoint = filepath.Join(g.dir, "no-such-checkpoint")
	l, err := g.load(t.Context(), loadRequest(cfg), nil)
	switch {
	case err != nil:
		t.Errorf("load of a checkpoint that is not there: %v; %s", err, g.status())
	case l.failure == nil:
		t.Errorf("load of a checkpoint that is not there succeeds")
	case adapters.Kind(l.failure.Kind) != adapters.NotFound:
		t.Errorf("the failure is of kind %q, want %q: %s", adapters.Kind(l.failure.Kind), adapters.NotFound, l.failure.Message)
	case !strings.Contains(l.failure.Message, "no-such-checkpoint"):
		t.Errorf("the failure does not name the path: %s", l.failure.Message)
	}
}

func (su *suite) stdout(t T) {
	g := su.startAndLoad(t)
	defer g.kill()
	su.mustAnswer(t, g)
	link := func(fd string) string {
		to, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(g.pid()), "fd", fd))
		if err != nil {
			t.Logf("descriptor %s cannot be looked at on %s", fd, runtime.GOOS)
		}
		return to
	}
	if one, two := link("1"), link("2"); one != two {
		t.Errorf("descriptor 1 leads to %s, want where descriptor 2 leads, %s: what a library prints there would go to the host", one, two)
	}
	g.kill() // afterwards everything that it has printed is read
	if lines := g.printed(); len(lines) > 0 {
		t.Errorf("on stdout it prints, beside the handshake, %q", lines)
	}
}

func (su *suite) interrupt(t T) {
	g := su.sharedGuest(t)
	su.mustAnswer(t, g)
	if err := syscall.Kill(g.pid(), syscall.SIGINT); err != nil {
		t.Fatalf("%v", err)
	}
	dies := g.ended(300 * time.Millisecond)
	if _, err := su.sample(g).call(2).ask(t.Context()); err != nil { // it may take longer to die
		dies = dies || g.ended(su.scaled(time.Second))
	}
	if dies {
		t.Fatalf("SIGINT ends it: %s", g.status())
	}
	su.mustAnswer(t, g)
}

// grace is the time that the contract gives a plugin to shut down.
const grace = 2 * time.Second

// endsWell asks for a shutdown and checks how the plugin ends.
func (su *suite) endsWell(t T, g *guest) {
	t.Helper()
	limit := su.scaled(grace)
	began := time.Now()
	go g.shutdown(context.WithoutCancel(t.Context()))
	if !g.ended(limit) {
		t.Fatalf("it runs %v after the shutdown was asked for", limit)
	}
	if state := g.cmd.ProcessState; !state.Success() {
		t.Errorf("it ends with %s, want exit status 0; %s", state, g.status())
	}
	t.Logf("ended after %v", time.Since(began).Round(time.Millisecond))
	if syscall.Kill(-g.pid(), 0) == nil && !allZombies(g.pid()) {
		t.Errorf("a program that it has started runs on")
	}
}

func (su *suite) shutdownIdle(t T) {
	g := su.startAndLoad(t)
	defer g.kill()
	su.mustAnswer(t, g)
	su.endsWell(t, g)
}

func (su *suite) shutdownBusy(t T) {
	g := su.startAndLoad(t)
	defer g.kill()
	su.mustAnswer(t, g)
	done := su.sample(g).inFlight(t.Context())
	su.endsWell(t, g)
	<-done
}

// inFlight makes a long call in the background. The channel is closed when it ends.
func (s sample) inFlight(ctx context.Context) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = s.long().ask(ctx)
	}()
	time.Sleep(50 * time.Millisecond)
	return done
}

func (su *suite) shutdownLoading(t T) {
	g := su.start(t)
	defer g.kill()
	hello, done := make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := g.load(t.Context(), loadRequest(su.target.Config), func() { close(hello) })
		done <- err
	}()
	select {
	case <-hello:
	case err := <-done:
		t.Fatalf("load: %v; %s", err, g.status())
	}
	su.endsWell(t, g)
	<-done
}

// hostDies kills a host while its plugin computes, or closes the lifeline.
func (su *suite) hostDies(t T) {
	limit := su.scaled(5 * time.Second)
	if len(su.o.Host) == 0 || su.target.Confine != nil { // a host in another process cannot confine the plugin
		g := su.startAndLoad(t)
		defer g.kill()
		done := su.sample(g).inFlight(t.Context())
		g.lifeline.Close()
		if !g.ended(limit) {
			t.Errorf("it runs %v after the host's end of the lifeline was closed", limit)
		}
		for deadline := time.Now().Add(limit); len(g.descendants()) > 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Errorf("%d programs that it has started run %v after the host's end of the lifeline was closed", len(g.descendants()), limit)
				break
			}
		}
		g.kill()
		<-done
		return
	}
	pid := su.killHost(t)
	for deadline := time.Now().Add(limit); !groupEnded(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("process %d, or one that it has started, runs %v after its host was killed", pid, limit)
			_ = syscall.Kill(-pid, syscall.SIGKILL)
			return
		}
	}
}

// killHost starts a host whose plugin is in a call, kills the host, and returns the plugin's
// process id.
func (su *suite) killHost(t T) int {
	su.skipIfBroken(t)
	order, err := json.Marshal(newHostOrder(su))
	if err != nil {
		t.Fatalf("%v", err)
	}
	cmd := exec.Command(su.o.Host[0], su.o.Host[1:]...)
	cmd.Stdin = strings.NewReader(string(order))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatalf("starting a host: %v", err)
	}
	kill := context.AfterFunc(t.Context(), func() { _ = cmd.Process.Kill() })
	defer kill()
	var pid int
	_, err = fmt.Fscanln(out, &pid)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if err != nil || pid <= 0 {
		t.Fatalf("the host failed before it was killed: %v\n%s", err, stderr.String())
	}
	return pid
}

// groupEnded reports whether no process of a group runs.
func groupEnded(pid int) bool { return syscall.Kill(-pid, 0) != nil || allZombies(pid) }

// allZombies reports whether all processes of a group have ended and only wait to be
// reaped. Without /proc it reports false.
func allZombies(group int) bool {
	for p := range procfs.All() {
		if p.Group == group && !p.Ended() {
			return false
		}
	}
	return procfs.Available() == nil
}
