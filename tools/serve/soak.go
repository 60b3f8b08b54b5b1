package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// soakOptions are the settings of a soak.
type soakOptions struct {
	program, backend  string
	memory, isolation string
	models            []string // NAME=FOLDER, beside the kit's bridge
	load, kill        time.Duration
	clients           int
	seed              uint64
}

// times of a soak.
const (
	sampleEvery  = 5 * time.Second
	touchEvery   = 45 * time.Second
	burstEvery   = 15 * time.Second
	clientsWait  = 150 * time.Second // more than the server's own limit
	mostPercent  = 1.0               // of the answers may be 503
	settleWithin = time.Minute
)

// soaking is a soak that runs.
type soaking struct {
	soakOptions
	*process
	client *http.Client
	cases  []*testCase
	tally  *tally
	copies []string // folders of bridges that are touched
	keys   []string
	kills  atomic.Int64
}

// soak loads a server, kills its models' processes, and checks each answer. It prints a report.
func soak(ctx context.Context, o soakOptions) error {
	dir, err := os.MkdirTemp("", "bridge-soak-")
	if err != nil {
		return err
	}
	s := &soaking{soakOptions: o, tally: newTally(), keys: []string{"soak-key-one-0123456789", "soak-key-two-0123456789"},
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	names, err := s.configure(dir)
	if err != nil {
		return err
	}
	if s.process, err = startServer(context.WithoutCancel(ctx), o.program, dir, "--config", filepath.Join(dir, "serve.toml")); err != nil {
		return err
	}
	s.process.key = s.keys[0]
	err = s.run(ctx, names)
	err = errors.Join(err, s.process.stop())
	if err != nil {
		return fmt.Errorf("%w\nthe server's log is %s", err, s.log)
	}
	fmt.Println("The server ended with status 0 at SIGTERM.")
	return os.RemoveAll(dir)
}

// configure writes the configuration and returns the names of the bridges: the kit's under two names, which share
// their frozen models, and those of the options, whose folders are copied so that they can be touched.
func (s *soaking) configure(dir string) ([]string, error) {
	keys := filepath.Join(dir, "keys")
	if err := os.WriteFile(keys, []byte("one: "+s.keys[0]+"\ntwo: "+s.keys[1]+"\n"), 0o600); err != nil {
		return nil, err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "watch = \"5s\"\nmemory = %q\n[keys]\nfile = %q\n[limits]\nqueue = 24\n", s.memory, keys)
	names := []string{"kit", "twin"}
	for _, name := range names {
		s.writeModel(&text, name, "kit:stage2")
	}
	for _, m := range s.models {
		name, folder, ok := strings.Cut(m, "=")
		if !ok {
			return nil, fmt.Errorf("the model %q has no name, want NAME=FOLDER", m)
		}
		to := filepath.Join(dir, name)
		if err := os.CopyFS(to, os.DirFS(folder)); err != nil {
			return nil, err
		}
		s.copies, names = append(s.copies, to), append(names, name)
		s.writeModel(&text, name, to)
	}
	return names, os.WriteFile(filepath.Join(dir, "serve.toml"), []byte(text.String()), 0o600)
}

// evicts reports whether the server closes bridges for want of memory. Then it has other processes at the end, and
// requests for a bridge that does not fit beside those in use are answered with 503.
func (s *soaking) evicts() bool { return s.memory != "0B" }

// writeModel writes the table of a bridge.
func (s *soaking) writeModel(w io.Writer, name, model string) {
	fmt.Fprintf(w, "[models.%s]\nmodel = %q\nbackend = %q\nisolation = %q\n", name, model, s.backend, s.isolation)
}

// run computes the answers, loads the server and reports.
func (s *soaking) run(ctx context.Context, names []string) error {
	cases, err := newCases(names, s.keys)
	if err != nil {
		return err
	}
	began := time.Now()
	var ties int
	if s.cases, ties, err = computeAnswers(ctx, s.client, s.url, cases); err != nil {
		return err
	}
	fmt.Printf("%d requests to %d bridges answered alone in %v; %d more have a near-tie and are left out.\n", len(s.cases), len(names), time.Since(began).Round(time.Second), ties)
	before, err := s.settled(ctx, usage{})
	if err != nil {
		return err
	}
	samples, err := s.underLoad(ctx)
	if err != nil {
		return err
	}
	after, err := s.settled(ctx, before)
	if err != nil {
		return err
	}
	return s.report(before, after, samples)
}

// underLoad runs the clients and the faults for the time of the load, and measures the server meanwhile.
func (s *soaking) underLoad(ctx context.Context) (samples []usage, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.load)
	defer cancel()
	var clients, others sync.WaitGroup
	for i := range s.clients {
		clients.Go(func() { s.asks(ctx, rand.New(rand.NewPCG(s.seed, uint64(i)))) })
	}
	others.Go(func() { s.every(ctx, s.kill, s.killProcesses) })
	others.Go(func() { s.every(ctx, touchEvery, s.touch) })
	others.Go(func() { s.every(ctx, burstEvery, s.burst) })
	others.Go(func() {
		s.every(ctx, sampleEvery, func(int) {
			u, sampleErr := s.usage()
			err = errors.Join(err, sampleErr)
			samples = append(samples, u)
		})
	})
	clients.Wait()
	others.Wait()
	return samples, err
}

// every calls f again and again, with the number of the call.
func (s *soaking) every(ctx context.Context, d time.Duration, f func(n int)) {
	t := time.NewTicker(d)
	defer t.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			f(n)
		}
	}
}

// killProcesses kills one process of a model, and every third time all of them.
func (s *soaking) killProcesses(n int) {
	all := s.children()
	if len(all) == 0 {
		return
	}
	if n%3 != 2 {
		all = all[n%len(all) : n%len(all)+1]
	}
	for _, pid := range all {
		if syscall.Kill(pid, syscall.SIGKILL) == nil {
			s.kills.Add(1)
		}
	}
}

// touch makes the copied bridges look new, so that the server replaces them.
func (s *soaking) touch(int) {
	now := time.Now()
	for _, dir := range s.copies {
		_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error { // the report counts what the server opens
			return errors.Join(err, os.Chtimes(path, now, now))
		})
	}
}

// burst sends more requests at once than the queue holds.
func (s *soaking) burst(n int) {
	var wg sync.WaitGroup
	for i, c := range s.cases {
		if c.kind == "sampled" && i%2 == n%2 {
			wg.Go(func() { s.ask(c, "burst") })
		}
	}
	wg.Wait()
}

// asks sends requests one after the other until the load ends. A request that has begun is waited for.
func (s *soaking) asks(ctx context.Context, random *rand.Rand) {
	for ctx.Err() == nil {
		c := s.cases[random.IntN(len(s.cases))]
		if c.kind == "left" {
			s.leave(c, random.IntN(12), time.Duration(random.IntN(60))*time.Millisecond)
		} else {
			s.ask(c, c.kind)
		}
	}
}

// ask sends a request and checks its answer.
func (s *soaking) ask(c *testCase, kind string) {
	ctx, cancel := context.WithTimeout(context.Background(), clientsWait)
	defer cancel()
	began := time.Now()
	got, err := send(ctx, s.client, s.url, c.key, c.body, nil)
	s.tally.add(kind, judge(c, got, err), time.Since(began), c, got, err)
}

// leave begins a stream and goes away after some pieces, or before the first one.
func (s *soaking) leave(c *testCase, pieces int, wait time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), clientsWait)
	defer cancel()
	if pieces == 0 {
		time.AfterFunc(wait, cancel)
	}
	began, said, n, crossed := time.Now(), "", 0, false
	got, err := send(ctx, s.client, s.url, c.key, c.body, func(_ int, text string) {
		said += text
		crossed = crossed || !strings.HasPrefix(c.want.texts[0], said)
		if n++; n == pieces {
			cancel()
		}
	})
	result := left
	switch {
	case crossed:
		result = wrong
	case err == nil || ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded):
		result = judge(c, got, err) // the answer came before the client could leave
	}
	s.tally.add(c.kind, result, time.Since(began), c, got, err)
}

// judge says what became of a request.
func judge(c *testCase, got answer, err error) outcome {
	switch {
	case err != nil:
		return lost
	case got.status == http.StatusServiceUnavailable && got.retryAfter && c.want.status != got.status:
		return unavailable
	case got.status == http.StatusTooManyRequests && got.retryAfter:
		return full
	case !got.equal(c.want) || !got.done:
		return wrong
	case got.status != http.StatusOK:
		return refused
	}
	return right
}

// settled waits until the server holds no more than before, and returns what it holds.
func (s *soaking) settled(ctx context.Context, before usage) (u usage, err error) {
	for deadline := time.Now().Add(settleWithin); ; {
		s.client.CloseIdleConnections()
		http.DefaultClient.CloseIdleConnections()
		select {
		case <-ctx.Done():
			return u, ctx.Err()
		case <-time.After(3 * time.Second):
		}
		u, err = s.usage()
		if err != nil || before == (usage{}) || s.grown(before, u) == nil || time.Now().After(deadline) {
			return u, err
		}
	}
}

// grown returns an error if the idle server holds more than before the load.
func (s *soaking) grown(before, after usage) error {
	switch {
	case after.files > before.files+4:
		return fmt.Errorf("the idle server has %d open files, want at most 4 more than the %d before the load", after.files, before.files)
	case after.goroutines > before.goroutines+6:
		return fmt.Errorf("the idle server has %d goroutines, want at most 6 more than the %d before the load", after.goroutines, before.goroutines)
	case len(s.copies) > 0 && s.load > 2*touchEvery && after.opened == before.opened:
		return fmt.Errorf("the server has opened no bridge again, though the files of %v changed", s.copies)
	case !s.evicts() && after.processes != before.processes:
		return fmt.Errorf("the idle server has %d models' processes, want the %d before the load", after.processes, before.processes)
	}
	return nil
}

// middle returns the median of a figure; 0 for no samples.
func middle(part []usage, of func(usage) int) int {
	if len(part) == 0 {
		return 0
	}
	var all []int
	for _, u := range part {
		all = append(all, of(u))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// quarters returns the samples of the second and of the last quarter of the load.
func quarters(samples []usage) (early, late []usage) {
	n := len(samples) / 4
	return samples[n : 2*n], samples[len(samples)-n:]
}

// grownUnderLoad compares the memory of the second quarter of the load with that of the last one.
func grownUnderLoad(samples []usage) error {
	before, after := quarters(samples)
	for what, of := range map[string]func(usage) int{
		"resident memory": func(u usage) int { return u.memory }, "memory of models": func(u usage) int { return u.models }, "heap": func(u usage) int { return u.heap },
	} {
		if early, late := middle(before, of), middle(after, of); late > early+early/5+30 {
			return fmt.Errorf("the %s grew from %d to %d MB under load, want at most a fifth and 30 MB", what, early, late)
		}
	}
	return nil
}
