package recipes

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/internal/stricttoml"
)

// Difference is a key that has another value in another recipe.
type Difference struct {
	Key string // dotted: "optimizer.steps"
	// Old and New are the two values as TOML writes them. Empty: that recipe does not have
	// the key.
	Old, New string
}

// Differences returns the keys that two recipes have different values for, in the order of
// their names. It leaves out keys that change nothing of what a run computes: the table
// [run] except run.compute, data.max_bad, the transport of tensors, and limits of processes, except the number
// of threads, which may decide in which order sums are taken.
func Differences(old, new *Recipe) []Difference {
	was, is := map[string]any{}, map[string]any{}
	flatten(was, "", stricttoml.Values(old))
	flatten(is, "", stricttoml.Values(new))
	if old.Data.Train.ID != "" && old.Data.Eval.ID != "" { // the kit's pictures have no orientation
		was[OrientationKey] = is[OrientationKey]
	}
	all := maps.Clone(was)
	maps.Copy(all, is)
	var differences []Difference
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if !reflect.DeepEqual(was[key], is[key]) && !keepsResults(key) {
			differences = append(differences, Difference{Key: key, Old: valueText(was, key), New: valueText(is, key)})
		}
	}
	return differences
}

// flatten adds the values of a table to all, by their dotted keys.
func flatten(all map[string]any, prefix string, table map[string]any) {
	for key, value := range table {
		if inner, ok := value.(map[string]any); ok {
			flatten(all, prefix+key+".", inner)
			continue
		}
		all[prefix+key] = value
	}
}

func valueText(values map[string]any, key string) string {
	value, ok := values[key]
	if !ok {
		return ""
	}
	return stricttoml.Format(value)
}

// keepsResults reports whether a key says how a run is kept or where a frozen model runs,
// and nothing about what it computes.
func keepsResults(key string) bool {
	table, name, _ := strings.Cut(key, ".")
	may := name == "transport" || name != "threads" && slices.Contains(limitKeys(), name)
	return table == "run" && name != "compute" || key == "data.max_bad" || (table == "vision" || table == "language") && may
}
