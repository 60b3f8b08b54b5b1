package data

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/record"
)

// PictureError is the error of a picture that cannot be used: its file cannot be opened,
// decoded or resized, or the encoder refuses it.
type PictureError struct {
	Picture string // its name in the data set; may be empty if Row tells it
	Row     int    // of the data set
	Err     error
}

// Error returns the text of the cause, which names the file.
func (p *PictureError) Error() string { return p.Err.Error() }

// Unwrap returns the cause.
func (p *PictureError) Unwrap() error { return p.Err }

// PictureErrors is the error of features: it has every picture of the request that cannot be
// used. The other pictures are not to blame.
type PictureErrors []*PictureError

// Error returns the text of the first, and the number of others.
func (p PictureErrors) Error() string {
	text := fmt.Sprintf("picture %d: %v", p[0].Row, p[0].Err)
	if len(p) > 1 {
		text += fmt.Sprintf(" (and %d more pictures)", len(p)-1)
	}
	return text
}

// Unwrap returns the errors of the pictures.
func (p PictureErrors) Unwrap() []error {
	all := make([]error, len(p))
	for i, e := range p {
		all[i] = e
	}
	return all
}

// Once returns the errors with one for each row.
func (p PictureErrors) Once() PictureErrors {
	seen := map[int]bool{}
	var once PictureErrors
	for _, e := range p {
		if !seen[e.Row] {
			seen[e.Row] = true
			once = append(once, e)
		}
	}
	return once
}

// OfProcess reports whether a picture or a record cannot be read because the process lacks files or
// memory, or is cancelled. Then it is not to blame.
func OfProcess(err error) bool {
	for _, ours := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, context.Canceled} {
		if errors.Is(err, ours) {
			return true
		}
	}
	return false
}

// LeftOut is a picture that a run does not use.
type LeftOut struct {
	Picture string `json:"picture"`
	Reason  string `json:"reason"`
	// Why, File, Key and Offset are those of a [record.BadRecord].
	Why    record.Why `json:"why,omitempty"`
	File   string     `json:"file,omitempty"`
	Key    string     `json:"key,omitempty"`
	Offset *int64     `json:"offset,omitempty"` // in bytes
	Record Record     `json:"record"`           // what the annotations said
}

// MaxBad is how many pictures of a data set may be left out: a count such as "25", a
// percentage such as "1%", or empty for 1 % but never fewer than 10.
type MaxBad string

// Of returns the number for a data set of a number of pictures. It returns an error if the
// value is neither a count nor a percentage.
func (m MaxBad) Of(pictures int) (int, error) {
	if m == "" {
		return max(10, pictures/100), nil
	}
	text, percent := strings.CutSuffix(string(m), "%")
	if percent {
		v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil || !(v >= 0 && v <= 100) {
			return 0, fmt.Errorf("is %q, want a percentage from 0%% to 100%%", string(m))
		}
		return int(float64(pictures) * v / 100), nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("is %q, want a count such as 25 or a percentage such as \"1%%\"", string(m))
	}
	return n, nil
}

// UnmarshalText reads a count that is given as a number.
func (m *MaxBad) UnmarshalText(text []byte) error {
	if _, err := strconv.Atoi(string(text)); err != nil {
		return fmt.Errorf("is the number %s, want %s", text, m.Wanted())
	}
	*m = MaxBad(text)
	return nil
}

// Wanted says what a recipe may hold.
func (MaxBad) Wanted() string {
	return "a count such as 25, or a percentage in quotes such as \"1%\""
}

// LeftOutList is the list of the pictures that a run leaves out of a data set. A picture on
// it stays on it. Its methods may be called from several goroutines.
type LeftOutList struct {
	Data     string // name of the data set
	Pictures int    // of the data set, with those on the list; 0 means that any number may fail
	Max      MaxBad
	Log      *slog.Logger // nil discards
	// Changed, if non-nil, is called with each picture that was added.
	Changed func(added LeftOut) error

	mu       sync.Mutex
	all      []LeftOut
	names    map[string]bool
	expected []string           // names in the order in which they were given, with those that were drawn since
	pending  map[string]LeftOut // by name: what is expected and not on the list yet
}

// All returns the pictures on the list, in the order in which they were added.
func (l *LeftOutList) All() []LeftOut {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all[:len(l.all):len(l.all)]
}

// Names returns the names of the pictures on the list.
func (l *LeftOutList) Names() map[string]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.names)
}

// Expect makes pictures fail when they are drawn, though they are not on the list yet. A run
// that continues from a checkpoint expects the pictures that it left out after the checkpoint
// before it was stopped: so it leaves them out at the same steps again, even if they can be
// read now.
func (l *LeftOutList) Expect(all []LeftOut) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending == nil {
		l.pending = map[string]LeftOut{}
	}
	for _, p := range all {
		if _, ok := l.pending[p.Picture]; !ok && !l.names[p.Picture] {
			l.pending[p.Picture] = p
			l.expected = append(l.expected, p.Picture)
		}
	}
}

// Expects returns an error for a picture that will be left out when it is drawn; nil for another.
func (l *LeftOutList) Expects(picture string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if was, ok := l.pending[picture]; ok {
		return &expectedError{was}
	}
	return nil
}

// expectedError is the error of a picture that is expected to fail.
type expectedError struct{ was LeftOut }

func (e *expectedError) Error() string { return e.was.Reason }

// Unusable returns the pictures on the list, and then those that will be left out when they are
// drawn.
func (l *LeftOutList) Unusable() []LeftOut {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := slices.Clone(l.all)
	for _, name := range l.expected {
		if p, ok := l.pending[name]; ok {
			all = append(all, p)
		}
	}
	return all
}

// Knows reports whether a picture is on the list, or will be when it is drawn.
func (l *LeftOutList) Knows(picture string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, expected := l.pending[picture]
	return expected || l.names[picture]
}

// Len returns the number of pictures on the list.
func (l *LeftOutList) Len() int { return len(l.All()) }

// Restore adds pictures that an earlier part of the run left out. It checks no limit.
func (l *LeftOutList) Restore(all []LeftOut) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range all {
		l.add(p)
	}
}

// add reports whether a picture was not on the list.
func (l *LeftOutList) add(p LeftOut) bool {
	if l.names[p.Picture] {
		return false
	}
	if l.names == nil {
		l.names = map[string]bool{}
	}
	l.names[p.Picture] = true
	l.all = append(l.all, p)
	delete(l.pending, p.Picture)
	return true
}

// warned is the number of pictures that are named in warnings; more are named in debug
// messages, which a run's log has.
const warned = 20

// Add adds a picture and the error for which it is left out. It returns an error if the
// picture was on the list already, or if too many pictures are on it now.
func (l *LeftOutList) Add(row Record, picture string, cause error) error {
	cause = adapters.WithoutRemedy(cause)
	entry := leftOutFor(row, picture, cause)
	l.mu.Lock()
	added := l.add(entry)
	n := len(l.all)
	l.mu.Unlock()
	if !added {
		return fmt.Errorf("%s: picture %s is left out, but was read again: %w", l.Data, picture, cause)
	}
	if l.Log != nil {
		level := slog.LevelWarn
		if n > warned {
			level = slog.LevelDebug
		}
		l.Log.Log(context.Background(), level, "picture left out", "data", l.Data, "picture", picture, "reason", cause, "left out so far", n)
	}
	if l.Changed != nil {
		if err := l.Changed(entry); err != nil {
			return err
		}
	}
	return l.Check()
}

// leftOutFor returns the entry of a picture or a record and the error for which it is left
// out.
func leftOutFor(row Record, picture string, cause error) LeftOut {
	if was := (*expectedError)(nil); errors.As(cause, &was) {
		return was.was
	}
	out := LeftOut{Picture: picture, Reason: cause.Error(), Record: row}
	var bad *record.BadRecord
	if errors.As(cause, &bad) {
		out.Why, out.File, out.Key = cmp.Or(bad.Why, record.Damaged), bad.File, bad.Key
		if bad.Offset >= 0 {
			out.Offset = &bad.Offset
		}
	}
	return out
}

// Counts returns how many pictures and records are left out for each kind of reason.
func (l *LeftOutList) Counts() map[record.Why]int {
	counts := map[record.Why]int{}
	for _, p := range l.All() {
		counts[cmp.Or(p.Why, record.BadPicture)]++
	}
	return counts
}

// Check returns an error if more pictures are on the list than may be.
func (l *LeftOutList) Check() error {
	all := l.All()
	limit, err := l.Max.Of(l.Pictures)
	if err != nil || l.Pictures == 0 || len(all) <= limit {
		return err
	}
	const shown = 3
	reasons := make([]string, min(shown, len(all)))
	for i := range reasons {
		reasons[i] = all[i].Reason
	}
	return adapters.Errorf(adapters.Corrupt, "%s: %d of %d pictures cannot be used, and data.max_bad allows %d; the first: %s",
		l.Data, len(all), l.Pictures, limit, strings.Join(reasons, "; ")).
		WithRemedy("repair the files, or raise data.max_bad (a count, or a percentage such as \"5%%\")")
}
