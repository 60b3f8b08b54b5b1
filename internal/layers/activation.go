package layers

import (
	"fmt"
	"math"
	"slices"
	"strings"

	. "github.com/gomlx/gomlx/core/graph"
)

// Activations returns the names that [Activation] supports. They are the names in config.json.
func Activations() []string {
	return []string{"gelu", "gelu_fast", "gelu_new", "gelu_python", "gelu_pytorch_tanh", "quick_gelu", "relu", "relu2", "silu", "swish", "tanh"}
}

// KnownActivation reports whether [Activation] supports a name.
func KnownActivation(name string) bool { return slices.Contains(Activations(), name) }

// Activation applies the activation function with a name in config.json.
func Activation(name string, x *Node) *Node {
	switch name {
	case "gelu", "gelu_python":
		return GELU(x)
	case "gelu_fast", "gelu_new", "gelu_pytorch_tanh":
		return GELUTanh(x)
	case "quick_gelu":
		return QuickGELU(x)
	case "relu":
		return Max(x, ZerosLike(x))
	case "relu2":
		return Square(Max(x, ZerosLike(x)))
	case "silu", "swish":
		return Mul(x, Sigmoid(x))
	case "tanh":
		return Tanh(x)
	}
	panic(fmt.Errorf("activation %q, want one of %s", name, strings.Join(Activations(), ", ")))
}

// GELU applies the exact GELU: x·Φ(x).
func GELU(x *Node) *Node {
	cdf := MulScalar(AddScalar(Erf(MulScalar(x, 1/math.Sqrt2)), 1), 0.5)
	return Mul(x, cdf)
}

// GELUTanh applies the tanh approximation of GELU ("gelu_new"; "gelu_fast" is the same with √(2/π)
// truncated to ten digits).
func GELUTanh(x *Node) *Node {
	inner := MulScalar(Add(x, MulScalar(Mul(x, Square(x)), 0.044715)), math.Sqrt(2/math.Pi))
	return Mul(MulScalar(x, 0.5), AddScalar(Tanh(inner), 1))
}

// QuickGELU applies x·σ(1.702·x), the activation of OpenAI's CLIP.
func QuickGELU(x *Node) *Node { return Mul(x, Sigmoid(MulScalar(x, 1.702))) }
