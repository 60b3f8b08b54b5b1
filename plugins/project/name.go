package project

import (
	"regexp"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/manifest"
)

var plainName = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$`)

// checkName returns an error for names that a plugin cannot or should not have.
func checkName(name string, reserved []string) error {
	if rest, ok := strings.CutPrefix(name, manifest.Prefix); ok && rest != "" {
		return adapters.Errorf(adapters.Invalid, "the name is %q, want it without %q, which is added to the executable's name", name, manifest.Prefix).
			WithRemedy("call it %s", rest)
	}
	if !plainName.MatchString(name) {
		return adapters.Errorf(adapters.Invalid,
			"the name is %q, want lower case letters, digits and -, a letter first, at most 40", name).
			WithRemedy("call it %s", plainOr(name, "mybackbone"))
	}
	if slices.Contains(reserved, name) {
		return adapters.Errorf(adapters.Invalid, "the name is %q, which is the name of a built-in family", name).
			WithRemedy("call it my-%s", name)
	}
	if slices.Contains([]string{"bridge", "adapter", "adapters", "plugin", "plugins"}, name) {
		return adapters.Errorf(adapters.Invalid, "the name is %q, which says nothing about the model", name).
			WithRemedy("call it after the model that it serves")
	}
	return nil
}

// plainOr returns a valid name that resembles the given one, or otherwise.
func plainOr(name, otherwise string) string {
	plain := strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(name), "-"), "-0123456789")
	if plainName.MatchString(plain) {
		return plain
	}
	return otherwise
}
