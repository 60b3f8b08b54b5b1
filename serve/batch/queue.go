package batch

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/modular-bridging/bridge/adapters"
)

// Job is a request that waits for its turn.
type Job struct {
	Context context.Context // ends if nobody wants the answer any more, or at the deadline
	Tenant  string          // whose share of the time the job takes
	Group   any             // comparable; only jobs of one group are computed together
	Rows    int             // answers; a job is never split

	// Run is called with the jobs of a batch, of which it must call Done for each. It is the
	// same function for all jobs of a group.
	Run  func(jobs []*Job)
	Data any // for Run
	// Done is called once: with nil after Run, or with the error of a job that leaves the
	// queue without being computed. It must not block.
	Done func(error)

	added time.Time
}

// Waited returns how long the job has waited since it was submitted.
func (j *Job) Waited() time.Duration { return time.Since(j.added) }

// Options are the limits of a queue.
type Options struct {
	Rows  int // of a batch; a larger job is a batch of its own
	Limit int // rows that may wait
	// Fill is how long a worker waits at most for the clients of the last batch to ask again, so
	// that they share the next batch with those that waited meanwhile. It waits no longer than a
	// tenth of the time that the last batch took.
	Fill time.Duration
}

// Queue holds the jobs that wait for a language model. Its methods are safe for concurrent use.
type Queue struct {
	options Options

	mu      sync.Mutex
	tenants map[string]*tenant // those with waiting jobs, and those that had some lately
	rows    int                // that wait
	time    float64            // virtual time: rows served to the tenant that waits longest
	last    int                // rows of the last batch
	took    time.Duration      // the last batch
	busy    bool               // a worker runs
	running int                // rows of the current batch
	arrived chan struct{}      // of size 1: told of a new job
}

// tenant is a client, or several, that submit jobs under one name.
type tenant struct {
	jobs   []*Job
	served float64 // rows, in virtual time
}

// New returns an empty queue.
func New(o Options) *Queue {
	return &Queue{options: o, tenants: map[string]*tenant{}, arrived: make(chan struct{}, 1)}
}

// ErrFull is the error of a job that finds no room, or gives way to a tenant that has fewer rows
// waiting.
var ErrFull = adapters.Errorf(adapters.Exhausted, "too many requests are waiting").WithRemedy("try again later")

// Submit adds a job. If the queue is full, the tenant with the most waiting rows loses its newest
// jobs; if that is the job's own tenant, Submit returns [ErrFull]. A job that is added leaves the
// queue when its context ends.
func (q *Queue) Submit(j *Job) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	dropped, ok := q.makeRoom(j)
	if !ok {
		return ErrFull
	}
	for _, d := range dropped {
		d.Done(ErrFull)
	}
	j.added = time.Now()
	t := q.tenants[j.Tenant]
	if t == nil {
		t = &tenant{}
		q.tenants[j.Tenant] = t
	}
	if len(t.jobs) == 0 { // it saved up nothing while it was away
		t.served = max(t.served, q.time)
	}
	t.jobs = append(t.jobs, j)
	q.rows += j.Rows
	context.AfterFunc(j.Context, func() { q.leave(j) })
	if !q.busy {
		q.busy = true
		go q.work()
	}
	select {
	case q.arrived <- struct{}{}:
	default:
	}
	return nil
}

// makeRoom drops jobs of tenants that have more rows waiting than j's would have.
func (q *Queue) makeRoom(j *Job) (dropped []*Job, ok bool) {
	own := j.Rows
	if t := q.tenants[j.Tenant]; t != nil {
		own += t.waiting()
	}
	for q.rows+j.Rows > q.options.Limit {
		most := q.largest()
		if most == nil || most == q.tenants[j.Tenant] || most.waiting() <= own {
			if q.rows == 0 { // a job larger than the whole limit
				return dropped, len(dropped) > 0
			}
			q.restore(dropped)
			return nil, false
		}
		newest := most.jobs[len(most.jobs)-1]
		most.jobs = most.jobs[:len(most.jobs)-1]
		q.rows -= newest.Rows
		dropped = append(dropped, newest)
	}
	return dropped, true
}

// restore puts dropped jobs back where they were.
func (q *Queue) restore(dropped []*Job) {
	for _, d := range slices.Backward(dropped) {
		t := q.tenants[d.Tenant]
		t.jobs = append(t.jobs, d)
		q.rows += d.Rows
	}
}

// largest returns the tenant with the most waiting rows.
func (q *Queue) largest() *tenant {
	var most *tenant
	for _, t := range q.tenants {
		if most == nil || t.waiting() > most.waiting() {
			most = t
		}
	}
	return most
}

func (t *tenant) waiting() int {
	n := 0
	for _, j := range t.jobs {
		n += j.Rows
	}
	return n
}

// leave removes a waiting job whose context has ended.
func (q *Queue) leave(j *Job) {
	q.mu.Lock()
	t := q.tenants[j.Tenant]
	i := -1
	if t != nil {
		i = slices.Index(t.jobs, j)
	}
	if i >= 0 {
		t.jobs = slices.Delete(t.jobs, i, i+1)
		q.rows -= j.Rows
	}
	q.mu.Unlock()
	if i >= 0 {
		j.Done(j.Context.Err())
	}
}

// work computes batches until no job waits.
func (q *Queue) work() {
	for {
		q.fill()
		jobs := q.take()
		if len(jobs) == 0 {
			return
		}
		began := time.Now()
		jobs[0].Run(jobs)
		q.mu.Lock()
		q.took = time.Since(began)
		q.mu.Unlock()
	}
}

// fill waits until the clients of the last batch may have asked again. A client that is alone does
// not wait.
func (q *Queue) fill() {
	q.mu.Lock()
	last, want, wait := q.last, min(q.last+q.rows, q.options.Rows), min(q.options.Fill, q.took/10)
	q.mu.Unlock()
	if last == 0 || want <= 1 || wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		q.mu.Lock()
		enough := q.rows >= want
		q.mu.Unlock()
		if enough {
			return
		}
		select {
		case <-q.arrived:
		case <-timer.C:
			return
		}
	}
}

// take removes the jobs of the next batch from the queue. Without any, the worker ends.
func (q *Queue) take() []*Job {
	q.mu.Lock()
	defer q.mu.Unlock()
	first := q.next(nil)
	if first == nil {
		q.busy, q.running, q.last = false, 0, 0
		q.tenants = map[string]*tenant{}
		q.time = 0
		return nil
	}
	jobs, rows := []*Job{first}, first.Rows
	for rows < q.options.Rows {
		j := q.next(func(j *Job) bool { return j.Group == first.Group && rows+j.Rows <= q.options.Rows })
		if j == nil {
			break
		}
		jobs, rows = append(jobs, j), rows+j.Rows
	}
	q.last, q.running = rows, rows
	return jobs
}

// next removes the oldest job that fits from the tenant that was served least. A nil fits means
// any job.
func (q *Queue) next(fits func(*Job) bool) *Job {
	var least *tenant
	at, from := 0, ""
	for name, t := range q.tenants {
		i := slices.IndexFunc(t.jobs, func(j *Job) bool { return fits == nil || fits(j) })
		if i < 0 || least != nil && (t.served > least.served || t.served == least.served && !older(t.jobs[i], least.jobs[at], name, from)) {
			continue
		}
		least, at, from = t, i, name
	}
	if least == nil {
		return nil
	}
	j := least.jobs[at]
	least.jobs = slices.Delete(least.jobs, at, at+1)
	q.rows -= j.Rows
	q.time = max(q.time, least.served)
	least.served += float64(j.Rows)
	return j
}

// older decides between tenants that were served equally.
func older(a, b *Job, nameA, nameB string) bool {
	if !a.added.Equal(b.added) {
		return a.added.Before(b.added)
	}
	return nameA < nameB
}

// Load returns the rows that wait and those that are being computed.
func (q *Queue) Load() (waiting, running int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.rows, q.running
}
