package shards

import (
	"errors"
	"fmt"
	"io"
)

// run is a sample: the run of adjacent members with one key.
type run struct {
	key        string
	begin, end int64 // of the bytes that hold its headers and data
	members    []member
	fault      error // the reason, if it cannot be used
}

// sampler groups the members of a shard into samples.
type sampler struct {
	walk    *walker
	pending *member // the first of the next sample
	ended   error   // io.EOF after the last member
}

// next returns the next sample, or io.EOF after the last. A damaged place is a sample with a
// fault, and the last.
func (s *sampler) next() (run, error) {
	first, err := s.take()
	if err != nil {
		return s.damaged(err)
	}
	found := run{key: first.key, begin: first.header, end: s.walk.next}
	found.add(first)
	for {
		m, err := s.take()
		var broken *damage
		switch {
		case errors.As(err, &broken) && broken.at != nil && s.belongs(found.key, broken.at):
			found.end, found.fault = s.walk.end, broken
			s.ended = io.EOF
			return found, nil
		case err != nil:
			s.ended = err
			return found, nil
		case m.key != found.key:
			s.pending = &m
			return found, nil
		}
		found.add(m)
		found.end = s.walk.next
	}
}

// belongs reports whether a member has a key.
func (s *sampler) belongs(key string, m *member) bool {
	of, _, ok := splitName(m.name)
	return ok && of == key
}

// take returns the next member.
func (s *sampler) take() (member, error) {
	if m := s.pending; m != nil {
		s.pending = nil
		return *m, nil
	}
	if s.ended != nil {
		return member{}, s.ended
	}
	return s.walk.member()
}

// damaged returns a damaged place as a sample.
func (s *sampler) damaged(err error) (run, error) {
	s.ended = io.EOF
	var broken *damage
	if !errors.As(err, &broken) {
		return run{}, err
	}
	found := run{begin: broken.offset, end: s.walk.end, fault: broken}
	if broken.at != nil {
		found.key, _, _ = splitName(broken.at.name)
	}
	return found, nil
}

// add adds a member. A second one with the same extension is a fault.
func (s *run) add(m member) {
	for _, other := range s.members {
		if other.ext == m.ext && s.fault == nil {
			s.fault = fmt.Errorf("two members next to each other are named %q and %q, and webdataset allows an extension once in a sample", other.name, m.name)
		}
	}
	if (m.ext == "__key__" || m.ext == "__url__") && s.fault == nil {
		s.fault = fmt.Errorf("%q has an extension that webdataset keeps for itself", m.name)
	}
	if m.sparse && s.fault == nil {
		s.fault = fmt.Errorf("%q is a sparse member, which cannot be read: pack the shard again, without tar's option --sparse", m.name)
	}
	s.members = append(s.members, m)
}
