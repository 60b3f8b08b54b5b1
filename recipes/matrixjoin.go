package recipes

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/BurntSushi/toml"

	"github.com/modular-bridging/bridge/adapters"
)

// Encode returns the matrix as a file that loads to the same value.
func (m *Matrix) Encode() ([]byte, error) {
	var buf bytes.Buffer
	encoder := toml.NewEncoder(&buf)
	encoder.Indent = ""
	if err := encoder.Encode(m); err != nil {
		return nil, fmt.Errorf("encode matrix %s: %w", m.Name, err)
	}
	return buf.Bytes(), nil
}

// Join adds the models, seeds and options of another matrix whose runs are compared with those of
// m. Both must say the same about the runs that they share; the ladder stays m's.
func (m *Matrix) Join(o *Matrix) error {
	differs := func(key string, mine, other any) error {
		return adapters.Errorf(adapters.Invalid, "%s of %s is %v, and of other results of it %v: their runs cannot be compared",
			key, m.Name, mine, other).WithRemedy("use the same settings, or give an option with other settings another name")
	}
	for _, s := range []struct {
		key         string
		mine, other any
	}{
		{"recipe", m.Recipe, o.Recipe}, {"from", m.From, o.From}, {"set", m.Set, o.Set},
		{"ladder.baseline", m.Ladder.Baseline, o.Ladder.Baseline},
	} {
		if !same(s.mine, s.other) {
			return differs(s.key, s.mine, s.other)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Options)) {
		other := o.Options[name]
		mine, found := m.Options[name]
		if !found {
			m.Options[name] = other
			continue
		}
		if a, b := mine.trains(), other.trains(); !reflect.DeepEqual(a, b) {
			return differs("options."+name, fmt.Sprintf("%+v", a), fmt.Sprintf("%+v", b))
		}
	}
	m.Encoders, m.LLMs, m.Seeds = union(m.Encoders, o.Encoders), union(m.LLMs, o.LLMs), union(m.Seeds, o.Seeds)
	return nil
}

// same reports whether two values are equal. Empty lists are equal to none.
func same(a, b any) bool { return fmt.Sprintf("%q", a) == fmt.Sprintf("%q", b) }

// training holds the settings of an option for a run's training.
type training struct {
	Cold, Unswapped, KeepWarmup bool
	From, Set                   string
}

func (o MatrixOption) trains() training {
	return training{o.Cold, o.Unswapped, o.KeepWarmup, o.From, fmt.Sprintf("%q", o.Set)}
}

// union returns a, and then the values of b that a lacks.
func union[T comparable](a, b []T) []T {
	all := slices.Clone(a)
	for _, v := range b {
		if !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	return all
}
