package train

import (
	"cmp"
	"context"
	"errors"
	"fmt"

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
	var usable []int
	for _, row := range rows {
		if !names[s.Data.Record(row).ID] {
			usable = append(usable, row)
		}
	}
	return usable
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
			record := s.Data.Record(p.Row)
			failed = cmp.Or(failed, s.LeftOut.Add(record, cmp.Or(p.Picture, record.ID), p.Err))
		}
		if failed != nil {
			return failed
		}
	}
}

// expected returns a [data.PictureErrors] if pictures of rows are expected to fail.
func (s Set) expected(rows []int) error {
	var bad data.PictureErrors
	for _, e := range s.LeftOut.Expected() {
		for _, row := range rows {
			if s.Data.Record(row).ID == e.Picture {
				bad = append(bad, &data.PictureError{Picture: e.Picture, Row: row, Err: errors.New(e.Reason)})
				break
			}
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return bad
}

// Read returns features [len(rows), N, Denc] of the rows that choose returns. It leaves out
// pictures that fail, and then calls choose again.
func (s Set) Read(ctx context.Context, choose func() []int) (rows []int, features *adapters.Tensor, err error) {
	err = s.Retry(func() (err error) {
		if rows = choose(); len(rows) > 0 {
			features, err = s.Features.Features(ctx, rows)
		}
		return err
	})
	return rows, features, err
}

// leftOutRows returns the rows of the training set that are left out.
func (s *Session) leftOutRows() map[int]bool {
	if s.Train.LeftOut == nil {
		return nil
	}
	names := s.Train.LeftOut.Names()
	if len(names) == s.knownLeftOut {
		return s.leftOut
	}
	s.knownLeftOut, s.leftOut = len(names), map[int]bool{}
	for row := range s.Train.Data.Len() {
		if names[s.Train.Data.Record(row).ID] {
			s.leftOut[row] = true
		}
	}
	return s.leftOut
}

// checkUsable returns an error if the pictures that are left do not fill a batch.
func (s *Session) checkUsable(phase Phase) error {
	sampler := s.sampler(phase)
	usable := sampler.Len
	for row := range sampler.LeftOut {
		if row < sampler.Len {
			usable--
		}
	}
	if usable >= phase.Batch || usable == sampler.Len {
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
