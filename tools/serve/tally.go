package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// outcome names how a request ended.
type outcome int

const (
	right       outcome = iota
	refused             // as it should be
	left                // the client went away; what it had got was right
	full                // 429 with Retry-After
	unavailable         // 503 with Retry-After
	wrong
	lost // no answer
	outcomes
)

// tally counts outcomes. Its methods are safe for concurrent use.
type tally struct {
	mu      sync.Mutex
	counts  map[string]*[outcomes]int // by kind
	seconds []float64                 // of right answers
	faults  []string                  // the first wrong and lost ones
	reasons map[string]int            // of 503
}

func newTally() *tally { return &tally{counts: map[string]*[outcomes]int{}, reasons: map[string]int{}} }

// add counts a request.
func (t *tally) add(kind string, o outcome, took time.Duration, c *testCase, got answer, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts[kind] == nil {
		t.counts[kind] = &[outcomes]int{}
	}
	t.counts[kind][o]++
	switch {
	case o == right:
		t.seconds = append(t.seconds, took.Seconds())
	case o == unavailable:
		t.reasons[got.message]++
	case (o == wrong || o == lost) && len(t.faults) < 20:
		t.faults = append(t.faults, fmt.Sprintf("%s: want %v, got %v %v after %v", c.name, c.want, got, err, took.Round(time.Millisecond)))
	}
}

// sum adds up the kinds.
func (t *tally) sum() (all [outcomes]int, total int) {
	for _, c := range t.counts {
		for o, n := range c {
			all[o] += n
			total += n
		}
	}
	return all, total
}

// report prints what happened, and returns an error if that is not as it should be.
func (s *soaking) report(before, after usage, samples []usage) error {
	t := s.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Printf("\n%v of load by %d clients, %d kills of models' processes, %d replaced bridges.\n\n", s.load, s.clients, s.kills.Load(), after.opened-before.opened)
	fmt.Println("| | right | refused | left | 429 | 503 | wrong | lost |\n|---|---|---|---|---|---|---|---|")
	for _, kind := range slices.Sorted(maps.Keys(t.counts)) {
		fmt.Println(row(kind, *t.counts[kind]))
	}
	all, total := t.sum()
	fmt.Println(row("all "+fmt.Sprint(total), all))
	slices.Sort(t.seconds)
	if n := len(t.seconds); n > 0 {
		fmt.Printf("\nA right answer takes %.3f s (median), %.3f s (95 %%), %.3f s (longest).\n", t.seconds[n/2], t.seconds[n*95/100], t.seconds[n-1])
	}
	for reason, n := range t.reasons {
		fmt.Printf("503, %d times: %s\n", n, reason)
	}
	fmt.Println("\n| | idle before | second quarter | last quarter | at most | idle after |\n|---|---|---|---|---|---|")
	early, late := quarters(samples)
	for _, f := range []struct {
		name string
		of   func(usage) int
	}{
		{"resident memory of the server, MB", func(u usage) int { return u.memory }}, {"of the models' processes, MB", func(u usage) int { return u.models }},
		{"heap in use, MB", func(u usage) int { return u.heap }}, {"open files", func(u usage) int { return u.files }},
		{"goroutines", func(u usage) int { return u.goroutines }}, {"models' processes", func(u usage) int { return u.processes }},
	} {
		most := 0
		for _, u := range samples {
			most = max(most, f.of(u))
		}
		fmt.Printf("| %s | %d | %d | %d | %d | %d |\n", f.name, f.of(before), middle(early, f.of), middle(late, f.of), most, f.of(after))
	}
	fmt.Println()
	for _, f := range t.faults {
		fmt.Println("FAULT", f)
	}
	switch percent := 100 * float64(all[unavailable]) / float64(max(1, total)); {
	case all[wrong] > 0 || all[lost] > 0:
		return fmt.Errorf("%d answers are wrong and %d are lost", all[wrong], all[lost])
	case all[right] == 0:
		return fmt.Errorf("no answer is right")
	case !s.evicts() && percent > mostPercent:
		return fmt.Errorf("%.2f %% of the answers are 503, want at most %g %%", percent, mostPercent)
	}
	if err := s.grown(before, after); err != nil {
		return err
	}
	return grownUnderLoad(samples)
}

func row(name string, c [outcomes]int) string {
	cells := []string{name}
	for _, n := range c {
		cells = append(cells, fmt.Sprint(n))
	}
	return "| " + strings.Join(cells, " | ") + " |"
}
