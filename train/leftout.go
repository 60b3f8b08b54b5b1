package train

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
)

// Usable returns those of some rows whose pictures are not left out, and will not be when
// they are drawn.
func (s Set) Usable(rows []int) []int {
	if s.LeftOut == nil {
		return rows
	}
	unusable := s.LeftOut.Unusable()
	if len(unusable) == 0 {
		return rows
	}
	names := map[string]bool{}
	for _, p := range unusable {
		names[p.Picture] = true
	}
	bad := rowsOf(s.Data, names)
	var usable []int
	for _, row := range rows {
		if !bad[row] {
			usable = append(usable, row)
		}
	}
	return usable
}

// rowsOf returns the rows of a data set whose records have one of the names.
func rowsOf(d data.Dataset, names map[string]bool) map[int]bool {
	rows := map[int]bool{}
	if lazy, ok := d.(data.Lazy); ok {
		for name := range names {
			if row, ok := lazy.RowOf(name); ok {
				rows[row] = true
			}
		}
		return rows
	}
	for row := range d.Len() {
		if names[idOf(d, row)] {
			rows[row] = true
		}
	}
	return rows
}

// idOf returns the ID of a row, also of one whose record is bad.
func idOf(d data.Dataset, row int) string {
	if lazy, ok := d.(data.Lazy); ok {
		return lazy.IDOf(row)
	}
	record, _ := d.Record(row) // fails in a lazy data set only
	return record.ID
}

// record returns the record of a row. It leaves a bad record out and reports false; err says
// then whether too many are left out.
func (s Set) record(row int) (r data.Record, ok bool, err error) {
	r, err = s.Data.Record(row)
	var bad *data.PictureError
	if s.LeftOut == nil || !errors.As(err, &bad) {
		return r, err == nil, err
	}
	return r, false, s.leaveOut(bad)
}

// leaveOut adds a record or a picture to the list. It returns an error if too many are on it.
func (s Set) leaveOut(p *data.PictureError) error {
	row := p.Row % s.Data.Len() // of any of its pictures
	record := data.Record{ID: idOf(s.Data, row)}
	if _, lazy := s.Data.(data.Lazy); !lazy {
		record, _ = s.Data.Record(row) // does not fail
	}
	return s.LeftOut.Add(record, cmp.Or(p.Picture, record.ID), p.Err)
}

// Retry calls work until no picture of the set fails in it: it leaves out the pictures of a
// [data.PictureErrors] and calls work again, which must not use them any more. It returns
// the other errors of work, or an error if too many pictures are left out.
func (s Set) Retry(work func() error) error {
	for {
		err := work()
		var bad data.PictureErrors
		if s.LeftOut == nil || !errors.As(err, &bad) {
			return err
		}
		var failed error
		for _, p := range bad {
			failed = cmp.Or(failed, s.leaveOut(p))
		}
		if failed != nil {
			return failed
		}
	}
}

// expected returns a [data.PictureErrors] if pictures of rows are expected to fail.
func (s Set) expected(rows []int) error {
	var bad data.PictureErrors
	seen := map[string]bool{}
	for _, row := range rows {
		name := idOf(s.Data, row)
		if err := s.LeftOut.Expects(name); err != nil && !seen[name] {
			seen[name] = true
			bad = append(bad, &data.PictureError{Picture: name, Row: row, Err: err})
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return bad
}

// Read returns features [len(rows), N, Denc] of the rows that choose returns. It leaves out
// pictures that fail, and then calls choose again. An error of choose ends it, unless it is a
// [data.PictureErrors].
func (s Set) Read(ctx context.Context, choose func() ([]int, error)) (rows []int, features *adapters.Tensor, err error) {
	err = s.Retry(func() (err error) {
		if rows, err = choose(); err == nil && len(rows) > 0 {
			features, err = s.Features.Features(ctx, rows)
		}
		return err
	})
	return rows, features, err
}

// leftOutRows returns the rows of the training set that are left out. The map grows when more are.
func (s *Session) leftOutRows() map[int]bool {
	if s.Train.LeftOut == nil {
		return nil
	}
	all := s.Train.LeftOut.All()
	if len(all) > s.knownLeftOut {
		names := map[string]bool{}
		for _, p := range all[s.knownLeftOut:] {
			names[p.Picture] = true
		}
		if s.leftOut == nil {
			s.leftOut = map[int]bool{}
		}
		maps.Copy(s.leftOut, rowsOf(s.Train.Data, names))
		s.knownLeftOut = len(all)
	}
	return s.leftOut
}

// checkUsable returns an error if the pictures that are left do not fill a batch.
func (s *Session) checkUsable(phase Phase) error {
	all := s.rowsDrawn(phase)
	usable := all
	for row := range s.leftOutRows() {
		if row < all {
			usable--
		}
	}
	if usable >= phase.Batch || usable == all {
		return nil
	}
	return adapters.Errorf(adapters.Corrupt, "a batch of %d from %d pictures (%s)%s", phase.Batch, usable, s.Train.Data.Name(),
		s.Train.without()).WithRemedy("repair the pictures and start a new run, or lower optimizer.batch")
}

// without says how many pictures of the set are left out, those that have no row included. It
// is empty if there are none.
func (s Set) without() string {
	if s.LeftOut == nil || s.LeftOut.Len() == 0 {
		return ""
	}
	return fmt.Sprintf(": pictures left out: %d", s.LeftOut.Len())
}

// keepLists gives each set a list of pictures that are left out, if it has none, and
// returns an error if a list is too long.
func (s *Session) keepLists() error {
	sets := []*Set{&s.Train, &s.Eval}
	for i := range s.Also {
		sets = append(sets, &s.Also[i])
	}
	for _, set := range sets {
		if set.LeftOut == nil {
			set.LeftOut = &data.LeftOutList{Data: set.Data.Name(), Pictures: set.Data.Len(), Log: s.Log}
		}
		if err := set.LeftOut.Check(); err != nil {
			return err
		}
	}
	return nil
}

// leftOut holds the pictures that a run leaves out, in a checkpoint.
type leftOut struct {
	Train []data.LeftOut `json:"train,omitempty"`
	Eval  []data.LeftOut `json:"eval,omitempty"`
}

// warnOfForgotten warns if the list of a run that continues does not have what its checkpoint leaves
// out: the file of the list is gone.
func (s *Session) warnOfForgotten(saved []data.LeftOut) {
	forgotten := 0
	for _, p := range saved {
		if !s.Train.LeftOut.Knows(p.Picture) {
			forgotten++
		}
	}
	if forgotten > 0 {
		s.Log.Warn("the run's list of what is left out lacks pictures that the checkpoint has, so the file was changed or removed; "+
			"those that were left out after the checkpoint are found again only if they still fail. "+
			"Bring left-out.json (and left-out.jsonl) back from a copy of the run, and resume again, so that it sees the same pictures",
			"data", s.Train.Data.Name(), "number", forgotten)
	}
}
