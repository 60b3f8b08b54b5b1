package survey

import (
	"context"
	"runtime"
	"slices"
	"sync"

	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/record"
)

// Options say how a source is surveyed.
type Options struct {
	Pictures data.Reader // says the orientation of pictures
	// Journal is a file that keeps what was found, so that an interrupted survey continues. It
	// is removed at the end. Empty keeps nothing.
	Journal string
	// Fresh empties the journal first.
	Fresh bool
	// Progress, if non-nil, is called after each part of the rows.
	Progress func(done, total int)
	// Continued, if non-nil, is called if the survey continues after some rows.
	Continued func(done int)
}

// chunk is the number of rows between two writes of the journal.
const chunk = 256

// Of surveys a source: it reads every record and decodes every picture, on all cores. If ctx
// is cancelled, what was found until then is in the journal.
func Of(ctx context.Context, r record.Reader, o Options) (*Summary, error) {
	s := newSummary(r)
	j, err := openJournal(o.Journal, o.Fresh, identify(r, o.Pictures), s.add)
	if err != nil {
		return nil, err
	}
	if s.Rows > 0 && o.Continued != nil {
		o.Continued(s.Rows)
	}
	for lo := s.Rows; lo < r.Len(); lo += chunk {
		rows, err := readRows(ctx, r, lo, min(lo+chunk, r.Len()), o.Pictures)
		if err == nil {
			err = j.write(rows)
		}
		if err != nil {
			j.close()
			return nil, err
		}
		for _, row := range rows {
			s.add(row)
		}
		if o.Progress != nil {
			o.Progress(s.Rows, r.Len())
		}
	}
	return s.finish(), j.remove()
}

// readRows reads the rows from lo to hi, several at once.
func readRows(ctx context.Context, r record.Reader, lo, hi int, pictures data.Reader) ([]Row, error) {
	rows, errs := make([]Row, hi-lo), make([]error, hi-lo)
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(max(2, runtime.GOMAXPROCS(0)), hi-lo) {
		workers.Go(func() {
			for i := range next {
				rows[i], _, errs[i] = read(r, lo+i, pictures)
			}
		})
	}
	for i := range rows {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	workers.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return nil, errs[i]
	}
	return rows, nil
}
