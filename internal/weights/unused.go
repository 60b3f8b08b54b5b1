package weights

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
)

// Unused names tensors that a checkpoint may hold although the model does not read them.
type Unused struct {
	// Name is the tensor's name. A part "N" stands for any number, and "*" at the end for
	// any rest.
	Name string
	// Reason says why nothing reads the tensor.
	Reason string
}

// UnusedList is the list of a family's unused tensors, which docs/families repeats.
type UnusedList []Unused

// Has reports whether the list has a tensor.
func (l UnusedList) Has(name string) bool {
	return slices.ContainsFunc(l, func(u Unused) bool { return u.matches(name) })
}

// matches reports whether a tensor has the name.
func (u Unused) matches(name string) bool {
	prefix, open := strings.CutSuffix(u.Name, "*")
	parts := strings.Split(prefix, ".")
	for i, part := range parts {
		if parts[i] = regexp.QuoteMeta(part); part == "N" {
			parts[i] = `\d+`
		}
	}
	pattern := "^" + strings.Join(parts, `\.`)
	if !open {
		pattern += "$"
	}
	return regexp.MustCompile(pattern).MatchString(name)
}

// Same reports whether the folder has two tensors of the same type, shape and values.
func (f *Folder) Same(a, b string) bool {
	x, okX := f.tensors[a]
	y, okY := f.tensors[b]
	return okX && okY && x.Same(y)
}

// Same reports whether two tensors have the same type, shape and values.
func (v View) Same(other View) bool {
	return v.DType == other.DType && slices.Equal(v.Shape, other.Shape) && bytes.Equal(v.Data, other.Data)
}
