package lm

import (
	"slices"
	"strings"
)

// TensorName returns a function for adapters.Family.TensorName. It adds the prefix that
// transformers' class with a head gives to the tensors of the base model: some checkpoints
// are released without it. It drops constants, which older files hold and the class does
// not, by the suffixes of their names.
func TensorName(prefix string, constants ...string) func(name string) string {
	return func(name string) string {
		switch {
		case slices.ContainsFunc(constants, func(suffix string) bool { return strings.HasSuffix(name, suffix) }):
			return ""
		case strings.HasPrefix(name, prefix), name == "lm_head.weight":
			return name
		}
		return prefix + name
	}
}
