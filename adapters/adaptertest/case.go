package adaptertest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters"
)

// T receives the results of a case: *testing.T is one, and [Attempt] has another. Fatalf
// and Skipf end the case and do not return.
type T interface {
	Context() context.Context
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
}

var _ T = (*testing.T)(nil)

// Info describes a case.
type Info struct {
	Name  string `json:"name"`
	Wants string `json:"wants"` // what an adapter promises
	Rule  string `json:"rule"`  // the page and the heading that have it in full
	Fix   string `json:"fix"`   // where to look in an adapter that fails
}

// Advice returns the text for the author of an adapter that fails the case.
func (i Info) Advice() string {
	return fmt.Sprintf("wants: %s (%s)\nfix:   %s", i.Wants, i.Rule, i.Fix)
}

// Subject is the adapter that a case examines.
type Subject[M any] struct {
	Model M // shared by the cases, which leave it open
	// Another opens the same checkpoint once more; the case closes it.
	Another func(context.Context) (M, error)
}

// Case checks one requirement of the contract on adapters of type M. It leaves the model
// unchanged, so that cases can run alone and in any order.
type Case[M any] struct {
	Info
	// Needs names earlier cases of the list that make the plainest form of this case's
	// calls. If one of them fails, this case is skipped because it would add nothing.
	Needs []string
	Run   func(t T, s Subject[M])
}

// NeedsFailed returns the reason for skipping a case: one that it needs failed.
func NeedsFailed(name string) string { return fmt.Sprintf("needs `%s`, which failed", name) }

// model has the methods that both kinds of adapter have.
type model interface{ Close() error }

// test runs cases as subtests.
func test[M model](t *testing.T, cases []Case[M], open func() M) {
	m := open()
	s := Subject[M]{Model: m, Another: func(context.Context) (M, error) { return open(), nil }}
	failed := map[string]bool{}
	for _, c := range cases {
		failed[c.Name] = !t.Run(c.Name, func(t *testing.T) {
			for _, name := range c.Needs {
				if failed[name] {
					t.Skip(NeedsFailed(name))
				}
			}
			defer func() {
				if t.Failed() {
					t.Log(c.Advice())
				}
			}()
			c.Run(t, s)
		})
	}
	if err := m.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// Verdict is the outcome of a case.
type Verdict string

// The verdicts.
const (
	Pass Verdict = "pass"
	Fail Verdict = "fail"
	Skip Verdict = "skip"
)

// Result is the result of a case.
type Result struct {
	Info
	Verdict  Verdict       `json:"verdict"`
	Messages []string      `json:"messages,omitempty"` // what is wrong, why it was skipped, what it logged
	Took     time.Duration `json:"-"`
	// Hung is set if the case did not return. It may still be running, and its subject
	// should not be used again.
	Hung bool `json:"hung,omitempty"`
}

// grace is the time that a case gets to return after its limit.
const grace = 2 * time.Second

// Attempt runs a case without package testing. It ends after limit, and says
// so, also if the case does not; a panic is a failure.
func Attempt(ctx context.Context, info Info, limit time.Duration, run func(T)) Result {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	r := &recorder{ctx: ctx, verdict: Pass}
	began, done := time.Now(), make(chan struct{})
	go func() {
		defer close(done)
		defer r.recovered()
		run(r)
	}()
	hung := false
	select {
	case <-done:
	case <-ctx.Done():
		select {
		case <-done:
		case <-time.After(grace):
			hung = true
		}
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		r.Errorf("the case has not ended after %v", limit)
	}
	verdict, messages := r.close()
	return Result{Info: info, Verdict: verdict, Messages: messages, Took: time.Since(began), Hung: hung}
}

// recorder is the T of [Attempt].
type recorder struct {
	ctx context.Context

	mu       sync.Mutex
	verdict  Verdict
	messages []string
	closed   bool
}

// maxMessages bounds what one case has to say: the first ones tell it.
const maxMessages = 20

func (r *recorder) say(verdict Verdict, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	if verdict != "" && r.verdict != Fail {
		r.verdict = verdict
	}
	switch n := len(r.messages); {
	case n < maxMessages:
		r.messages = append(r.messages, fmt.Sprintf(format, args...))
	case n == maxMessages:
		r.messages = append(r.messages, "…")
	}
}

func (r *recorder) close() (Verdict, []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	return r.verdict, r.messages
}

// recovered turns a panic of the case, or of an adapter in this process, into a failure
// with its stack.
func (r *recorder) recovered() {
	if p := recover(); p != nil {
		stack := strings.Split(string(debug.Stack()), "\n")
		r.say(Fail, "panic: %v\n%s", p, strings.Join(stack[:min(len(stack), 30)], "\n"))
	}
}

func (r *recorder) Context() context.Context          { return r.ctx }
func (r *recorder) Helper()                           {}
func (r *recorder) Logf(format string, args ...any)   { r.say("", format, args...) }
func (r *recorder) Errorf(format string, args ...any) { r.say(Fail, format, args...) }

func (r *recorder) Fatalf(format string, args ...any) {
	r.say(Fail, format, args...)
	runtime.Goexit()
}

func (r *recorder) Skipf(format string, args ...any) {
	r.say(Skip, format, args...)
	runtime.Goexit()
}

// endsWithin runs f and returns its error. It fails the case if f takes longer than wait, or
// longer than the time of the case.
func endsWithin(t T, what string, wait time.Duration, f func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- guarded(f) }()
	select {
	case err := <-done:
		return err
	case <-t.Context().Done():
		t.Fatalf("%s has not ended in the time of the case", what)
		return nil
	case <-time.After(wait):
		t.Fatalf("%s has not ended after %v", what, wait)
		return nil
	}
}

// guarded turns a panic of an adapter in this process into an error.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = adapters.Errorf(adapters.Internal, "panic: %v", p)
		}
	}()
	return f()
}

// kindText returns the name of an error's kind, or a text for no error.
func kindText(err error) string {
	if err == nil {
		return "no error"
	}
	return fmt.Sprintf("an error of kind %q (%v)", adapters.KindOf(err), err)
}
