package recipes

import (
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/internal/didyoumean"
	"github.com/modular-bridging/bridge/kit"
)

// Names of what the kit has, in recipes.
const (
	kitPrefix    = "kit:"
	kitTokenizer = "kit:qformer"
)

func kitBridges() []string { return []string{"kit:stage1", "kit:stage2"} }

func kitSets() []string {
	var ids []string
	for _, split := range kit.Splits() {
		ids = append(ids, kitPrefix+string(split))
	}
	return ids
}

// checkKit checks a data set of the kit and returns the number of pictures that the recipe
// takes from it.
func (r *Recipe) checkKit(key string, s Source) int {
	if !slices.Contains(kitSets(), s.ID) {
		r.doc.Errorf(key, "is %q, want one of %s, or a table of annotations and images%s",
			s.ID, strings.Join(kitSets(), ", "), didyoumean.Hint(s.ID, kitSets()))
		return 0
	}
	all := kit.Split(strings.TrimPrefix(s.ID, kitPrefix)).Len()
	r.want(key+".pictures", s.Pictures >= 0 && s.Pictures <= all,
		"is %d, want between 1 and the %d of %s, or 0 for all", s.Pictures, all, s.ID)
	if s.Pictures > 0 {
		return min(s.Pictures, all)
	}
	return all
}
