package golden

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/printable"
)

// Result is the outcome of a case.
type Result struct {
	Case   string  `json:"case"`
	Op     string  `json:"op"`
	MaxAbs float64 `json:"max_abs"` // largest |got − want| over all tensors
	Where  string  `json:"where"`   // of that: "features[0, 3, 7]"; empty if nothing differs
	OK     bool    `json:"ok"`
	Detail string  `json:"detail,omitempty"` // why it is not OK
}

// compare checks every output that the case wants.
func compare(c *Case, got Outputs, tolerance Tolerance) Result {
	r := Result{Case: c.Name, Op: c.Op, OK: true}
	for _, field := range slices.Sorted(maps.Keys(c.Want.Tensors)) {
		r.compareTensor(field, got.Tensors[field], c.Want.Tensors[field], tolerance)
	}
	if c.Want.Texts != nil {
		r.compareTexts(got.Texts, c.Want.Texts)
	}
	return r
}

func (r *Result) fail(format string, args ...any) {
	r.OK = false
	if r.Detail != "" {
		r.Detail += "; "
	}
	r.Detail += fmt.Sprintf(format, args...)
}

func (r *Result) compareTensor(field string, got, want *adapters.Tensor, tolerance Tolerance) {
	if got == nil || !slices.Equal(got.Shape, want.Shape) {
		r.fail("%s is %s, want %s", field, got.Describe(), want.Describe())
		return
	}
	g, err := numbers(got)
	if err != nil {
		r.fail("%s: %v", field, err)
		return
	}
	w, err := numbers(want)
	if err != nil {
		r.fail("expected %s: %v", field, err)
		return
	}
	misses, first := 0, 0
	for i := range w {
		diff := math.Abs(g[i] - w[i])
		if math.IsNaN(diff) {
			diff = math.Inf(1)
		}
		if diff > r.MaxAbs {
			r.MaxAbs, r.Where = diff, field+index(i, want.Shape)
		}
		if !(diff <= tolerance.Abs+tolerance.Rel*math.Abs(w[i])) {
			if misses == 0 {
				first = i
			}
			misses++
		}
	}
	if misses > 0 {
		r.fail("%d of %d elements of %s are off, first %s: got %g, want %g",
			misses, len(w), field, index(first, want.Shape), float32(g[first]), float32(w[first]))
	}
}

func (r *Result) compareTexts(got, want []string) {
	if len(got) != len(want) {
		r.fail("%d texts, want %d", len(got), len(want))
		return
	}
	for i := range want {
		if got[i] != want[i] {
			r.fail("text %d is %q, want %q", i, got[i], want[i])
		}
	}
}

// numbers returns the elements of a tensor of any type.
func numbers(t *adapters.Tensor) ([]float64, error) {
	out := make([]float64, adapters.Elements(t.Shape))
	switch t.DType {
	case adapters.Uint8:
		for i, v := range t.Data {
			out[i] = float64(v)
		}
	case adapters.Int32:
		for i, v := range t.Int32s() {
			out[i] = float64(v)
		}
	default:
		values, err := t.ToFloat32()
		if err != nil {
			return nil, err
		}
		for i, v := range values {
			out[i] = float64(v)
		}
	}
	return out, nil
}

// index turns a flat index into "[0, 3, 7]".
func index(flat int, shape []int) string {
	at := make([]int, len(shape))
	for i := len(shape) - 1; i >= 0; i-- {
		at[i], flat = flat%shape[i], flat/shape[i]
	}
	return adapters.ShapeString(at)
}

// WriteTable writes results for people: one line a case, and why where one
// misses.
func WriteTable(w io.Writer, results []Result) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CASE\tOP\tLARGEST ERROR\tWHERE\tVERDICT")
	for _, r := range results {
		verdict, where := "ok", r.Where
		if !r.OK {
			verdict = "MISS: " + strings.ReplaceAll(r.Detail, "\n", " ")
		}
		if where == "" {
			where = "-"
		}
		printable.Fprintf(table, "%s\t%s\t%.2g\t%s\t%s\n", r.Case, r.Op, r.MaxAbs, where, verdict)
	}
	return table.Flush()
}
