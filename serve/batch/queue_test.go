package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// recorder computes batches one at a time, when the test says so.
type recorder struct {
	started chan []string // the names of a batch's jobs
	proceed chan struct{}
}

func newRecorder() *recorder {
	return &recorder{started: make(chan []string), proceed: make(chan struct{})}
}

func (r *recorder) run(jobs []*Job) {
	var names []string
	for _, j := range jobs {
		names = append(names, j.Data.(string))
	}
	r.started <- names
	<-r.proceed
	for _, j := range jobs {
		j.Done(nil)
	}
}

// job returns a job and the channel of its result.
func (r *recorder) job(ctx context.Context, tenant, group, name string, rows int) (*Job, chan error) {
	done := make(chan error, 1)
	return &Job{Context: ctx, Tenant: tenant, Group: group, Rows: rows, Run: r.run, Data: name, Done: func(err error) { done <- err }}, done
}

// next lets the current batch end and returns the next one.
func (r *recorder) next() []string {
	r.proceed <- struct{}{}
	return <-r.started
}

// busy submits a job and waits until it is being computed, so that those behind it wait.
func (r *recorder) busy(t *testing.T, q *Queue) {
	t.Helper()
	j, _ := r.job(context.Background(), "first", "g", "busy", 1)
	if err := q.Submit(j); err != nil {
		t.Fatal(err)
	}
	<-r.started
}

func submit(t *testing.T, q *Queue, jobs ...*Job) {
	t.Helper()
	for _, j := range jobs {
		if err := q.Submit(j); err != nil {
			t.Fatalf("%v: %v", j.Data, err)
		}
	}
}

func TestWaitingJobsOfAGroupAreComputedTogether(t *testing.T) {
	r, q := newRecorder(), New(Options{Rows: 4, Limit: 100})
	r.busy(t, q)
	for i, group := range []string{"g", "h", "g", "g", "h", "g"} {
		j, _ := r.job(t.Context(), "a", group, fmt.Sprint(group, i), 1)
		submit(t, q, j)
	}
	large, _ := r.job(t.Context(), "a", "g", "large", 9)
	submit(t, q, large)
	for _, want := range [][]string{{"g0", "g2", "g3", "g5"}, {"h1", "h4"}, {"large"}} {
		if got := r.next(); !slices.Equal(got, want) {
			t.Errorf("batch %v, want %v", got, want)
		}
	}
	r.proceed <- struct{}{}
}

// Somebody who sends a hundred requests must not make another wait for all of them.
func TestTenantsGetEqualShares(t *testing.T) {
	r, q := newRecorder(), New(Options{Rows: 4, Limit: 1000})
	r.busy(t, q)
	for i := range 12 {
		j, _ := r.job(t.Context(), "greedy", "g", fmt.Sprint("greedy", i), 1)
		submit(t, q, j)
	}
	for i := range 3 {
		j, _ := r.job(t.Context(), "modest", "g", fmt.Sprint("modest", i), 1)
		submit(t, q, j)
	}
	count := map[string]int{}
	for range 2 {
		for _, name := range r.next() {
			count[name[:6]]++
		}
	}
	if count["modest"] != 3 || count["greedy"] != 5 {
		t.Errorf("two batches of 4 have %v, want all 3 of the modest tenant", count)
	}
	rows, _ := r.job(t.Context(), "many rows", "g", "rows", 4)
	one, _ := r.job(t.Context(), "one row", "g", "one", 1)
	submit(t, q, rows, one)
	got := r.next()
	if !slices.Contains(got, "one") && !slices.Contains(got, "rows") {
		t.Errorf("new tenants wait behind one that has had 5 rows: %v", got)
	}
	for range 20 {
		select {
		case r.proceed <- struct{}{}:
		case <-r.started:
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestAFullQueueRefusesWhoHasMost(t *testing.T) {
	r, q := newRecorder(), New(Options{Rows: 1, Limit: 4})
	r.busy(t, q)
	var greedy []chan error
	for i := range 4 {
		j, done := r.job(t.Context(), "greedy", "g", fmt.Sprint(i), 1)
		submit(t, q, j)
		greedy = append(greedy, done)
	}
	fifth, _ := r.job(t.Context(), "greedy", "g", "fifth", 1)
	if err := q.Submit(fifth); !errors.Is(err, ErrFull) {
		t.Errorf("a fifth job of the tenant that fills the queue: %v, want %v", err, ErrFull)
	}
	modest, modestDone := r.job(t.Context(), "modest", "g", "modest", 1)
	if err := q.Submit(modest); err != nil {
		t.Errorf("the first job of another tenant: %v", err)
	}
	select {
	case err := <-greedy[3]:
		if !errors.Is(err, ErrFull) {
			t.Errorf("the newest job of the tenant with most: %v, want %v", err, ErrFull)
		}
	default:
		t.Error("no job has made room")
	}
	large, _ := r.job(t.Context(), "large", "g", "large", 4)
	if err := q.Submit(large); !errors.Is(err, ErrFull) {
		t.Errorf("a job as large as the whole queue: %v, want %v", err, ErrFull)
	}
	if waiting, running := q.Load(); waiting != 4 || running != 1 {
		t.Errorf("%d rows wait and %d are computed, want 4 and 1", waiting, running)
	}
	for range 4 {
		r.next()
	}
	r.proceed <- struct{}{}
	if err := <-modestDone; err != nil {
		t.Error(err)
	}
}

func TestAJobLeavesWithItsClient(t *testing.T) {
	r, q := newRecorder(), New(Options{Rows: 4, Limit: 100})
	r.busy(t, q)
	ctx, cancel := context.WithCancel(t.Context())
	gone, goneDone := r.job(ctx, "a", "g", "gone", 1)
	stays, _ := r.job(t.Context(), "a", "g", "stays", 1)
	submit(t, q, gone, stays)
	cancel()
	if err := <-goneDone; !errors.Is(err, context.Canceled) {
		t.Errorf("the job of a client that left ends with %v", err)
	}
	if got := r.next(); !slices.Equal(got, []string{"stays"}) {
		t.Errorf("batch %v, want the job that stays alone", got)
	}
	r.proceed <- struct{}{}
}

// Two halves of the clients must not take turns: who waits while a batch is computed waits a little
// longer for those who are about to ask again.
func TestAWorkerWaitsForTheClientsOfTheLastBatch(t *testing.T) {
	q := New(Options{Rows: 8, Limit: 100, Fill: 300 * time.Millisecond})
	q.last, q.took, q.busy = 2, time.Hour, true // a worker has just computed 2 rows
	sizes := make(chan int, 4)
	var ended sync.WaitGroup
	run := func(jobs []*Job) {
		sizes <- len(jobs)
		for _, j := range jobs {
			j.Done(nil)
		}
	}
	for i := range 5 { // 3 have waited, 2 ask again
		ended.Add(1)
		submit(t, q, &Job{Context: t.Context(), Tenant: fmt.Sprint(i), Rows: 1, Run: run, Done: func(error) { ended.Done() }})
		if i == 2 {
			go q.work()
		}
	}
	ended.Wait()
	if got := <-sizes; got != 5 {
		t.Errorf("a batch of %d rows, want all 5", got)
	}
}

// A client that is alone must not wait for anybody.
func TestALoneClientDoesNotWait(t *testing.T) {
	q := New(Options{Rows: 8, Limit: 100, Fill: time.Hour})
	q.last, q.took = 1, 100*time.Hour
	q.fill()
	q.last = 0
	q.fill()
}

// Whatever order jobs come and go in, each must end once.
func TestEveryJobEndsOnce(t *testing.T) {
	q := New(Options{Rows: 4, Limit: 12, Fill: time.Millisecond})
	run := func(jobs []*Job) {
		for _, j := range jobs {
			j.Done(nil)
		}
	}
	var clients sync.WaitGroup
	for c := range 8 {
		clients.Go(func() {
			for i := range 50 {
				ctx, cancel := context.WithCancel(context.Background())
				done := make(chan error, 2)
				j := &Job{Context: ctx, Tenant: fmt.Sprint(c % 3), Group: i % 2, Rows: 1 + i%3, Run: run, Done: func(err error) { done <- err }}
				err := q.Submit(j)
				if i%5 == 0 {
					cancel()
				}
				if err == nil {
					<-done
				}
				cancel()
				if len(done) > 0 {
					t.Errorf("job %d of client %d has ended twice", i, c)
				}
			}
		})
	}
	clients.Wait()
	if waiting, _ := q.Load(); waiting != 0 {
		t.Errorf("%d rows wait at the end", waiting)
	}
}
