package annotations

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/modular-bridging/bridge/internal/didyoumean"
)

// members are the keys of an object that was read, and what is wrong with their values.
type members struct {
	names   []string // the first maxNames
	count   int
	read    []string // those that bridge reads
	folded  string   // one that differs in case alone from a key that bridge reads
	key     string   // the one that is read now
	plain   bool     // all values are objects
	wrong   error    // the first error about a value
	damaged bool     // wrong is about the bytes of a text
}

// maxNames is how many keys of an entry are kept for messages.
const maxNames = 64

func (m *members) has(names ...string) bool {
	return !slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(m.names, n) })
}

// read reads the entry at hand. If last is true, the rest of the file cannot be read.
func (r *Reader) read(e *Entry) (last bool, err error) {
	s := &r.scan
	s.soft = nil
	if b, f := s.peek(); f == nil && b != '{' {
		v, f := s.value(true)
		if f == nil {
			return false, r.at(e, "found %s, want an object", v.describe()).WithRemedy("write entries such as %s", r.content.example())
		}
		return true, r.atFault(e, "", f)
	}
	m := members{plain: true}
	if f := s.object(func(name string) *fault { return r.member(e, &m, name) }); f != nil {
		return true, r.atFault(e, m.key, f)
	}
	if m.folded != "" {
		r.folded++
		r.like = cmp.Or(r.like, m.folded)
	}
	missing := r.missing(e, &m)
	if missing != nil && e.Index == 0 && !m.damaged {
		if other := r.otherLayout(&m); other != nil {
			return true, other
		}
	}
	if m.wrong != nil {
		return false, m.wrong
	}
	return false, missing
}

// member reads the value of a key.
func (r *Reader) member(e *Entry, m *members, name string) *fault {
	s := &r.scan
	m.key = name
	if m.count++; len(m.names) < maxNames {
		m.names = append(m.names, shorten(name))
	}
	k, ok := keyNamed(name)
	if !ok {
		if slices.ContainsFunc(keys, func(k key) bool { return strings.EqualFold(k.name, name) }) {
			m.folded = name
		}
		v, f := s.value(false)
		m.plain = m.plain && v.kind == isObject
		r.keep(e, m, f)
		return f
	}
	m.plain = false
	if slices.Contains(m.read, name) && m.wrong == nil {
		m.wrong = r.at(e, "%q is given twice, want it once", name).WithRemedy("keep one of the two values")
	}
	m.read = append(m.read, name)
	found, f := k.read(s, e)
	if f == nil && found != "" && m.wrong == nil {
		m.wrong = r.at(e, "%q is %s, want %s", name, found, k.want).WithRemedy("%s", r.remedyFor(name, found))
	}
	r.keep(e, m, f)
	return f
}

// keep makes an error of the first fault of a text, unless f ends the reading anyway.
func (r *Reader) keep(e *Entry, m *members, f *fault) {
	if soft := r.scan.soft; soft != nil && m.wrong == nil && f == nil {
		m.wrong, m.damaged = r.atFault(e, m.key, soft), true
	}
}

// missing returns an error if an entry lacks a key, whatever its values are.
func (r *Reader) missing(e *Entry, m *members) error {
	lacks := func(name, want string) error {
		remedy := "keys are matched exactly; write entries such as " + r.exampleOf(name)
		if near := m.near(name); near != "" {
			remedy = "keys are matched exactly; rename " + strconv.Quote(near) + " to " + strconv.Quote(name)
		}
		return r.at(e, "%q is missing, want %s; the entry's keys are %s", name, want, m.list()).WithRemedy("%s", remedy)
	}
	text := "caption"
	if r.content == Questions {
		text = "question"
	}
	switch {
	case !slices.Contains(m.read, "image"):
		return lacks("image", keys[0].want)
	case !slices.Contains(m.read, "caption") && !slices.Contains(m.read, "question"):
		k, _ := keyNamed(text)
		return lacks(text, k.want)
	case slices.Contains(m.read, "question") && !slices.Contains(m.read, "answer"):
		k, _ := keyNamed("answer")
		return lacks("answer", k.want)
	case slices.Contains(m.read, "answer") && !slices.Contains(m.read, "question"):
		k, _ := keyNamed("question")
		return lacks("question", k.want)
	}
	return nil
}

// near returns a key that bridge does not read and that is nearly name, or "".
func (m *members) near(name string) string {
	others := slices.DeleteFunc(slices.Clone(m.names), func(n string) bool { return slices.Contains(keyNames(), n) })
	return didyoumean.Name(name, others)
}

// list returns the keys for messages.
func (m *members) list() string {
	const most = 8
	if m.count == 0 {
		return "none"
	}
	var quoted []string
	for _, n := range m.names[:min(most, len(m.names))] {
		quoted = append(quoted, strconv.Quote(n))
	}
	text := strings.Join(quoted, ", ")
	if m.count > most {
		text += ", …"
	}
	return text
}
