// Package builtin owns the list of adapter families that the bridge binary carries. Except
// tests, no other package names a family: all others take a list of [adapters.Family] and
// must not know which families there are.
package builtin

import (
	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/dinov2"
	"github.com/modular-bridging/bridge/adapters/eva"
	"github.com/modular-bridging/bridge/adapters/gemma2"
	"github.com/modular-bridging/bridge/adapters/gpt2"
	"github.com/modular-bridging/bridge/adapters/llama"
	"github.com/modular-bridging/bridge/adapters/opt"
	"github.com/modular-bridging/bridge/adapters/qwen"
	"github.com/modular-bridging/bridge/adapters/siglip"
	"github.com/modular-bridging/bridge/adapters/t5"
	"github.com/modular-bridging/bridge/adapters/vit"
)

// Families returns the vision families, then the language families. A new family is a
// line here.
func Families() []adapters.Family {
	return []adapters.Family{
		vit.Family(), eva.Family(), siglip.Family(), dinov2.Family(),
		opt.Family(), t5.Family(), llama.Family(), qwen.Family(), gpt2.Family(), gemma2.Family(),
	}
}
