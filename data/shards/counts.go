package shards

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/tables"
)

// checkCounts compares the samples of each shard with the files that img2dataset writes beside
// it: NAME_stats.json or, without that, NAME.parquet. It returns a sentence for each kind of
// difference.
func checkCounts(files []string, shards []shard) (warnings []string, err error) {
	var unfinished, differ int
	var firstUnfinished, firstDiffers string
	counted := false
	for i, file := range files {
		want, found, err := successes(strings.TrimSuffix(file, ".tar"))
		switch {
		case err != nil:
			return nil, err
		case !found:
			if unfinished++; unfinished == 1 {
				firstUnfinished = file
			}
			continue
		}
		counted = true
		if want != shards[i].Samples {
			if differ++; differ == 1 {
				firstDiffers = fmt.Sprintf("%s has %d samples, want %d", file, shards[i].Samples, want)
			}
		}
	}
	if counted && unfinished > 0 {
		warnings = append(warnings, fmt.Sprintf("shards without img2dataset's _stats.json, which it writes when a shard is finished: %d, the first %s", unfinished, firstUnfinished))
	}
	if differ > 0 {
		warnings = append(warnings, fmt.Sprintf("shards whose number of samples is not the one that img2dataset noted: %d, the first: %s", differ, firstDiffers))
	}
	return warnings, nil
}

// successes returns how many pictures img2dataset noted for the shard NAME.
func successes(name string) (n int, found bool, err error) {
	data, err := os.ReadFile(name + "_stats.json")
	if errors.Is(err, os.ErrNotExist) {
		return tables.Successes(name + ".parquet")
	}
	if err != nil {
		return 0, false, adapters.Errorf(adapters.Invalid, "the counts of a shard cannot be read: %w", err)
	}
	var stats struct {
		Successes *int `json:"successes"`
	}
	if err := json.Unmarshal(data, &stats); err != nil || stats.Successes == nil {
		return 0, false, nil // not img2dataset's
	}
	return *stats.Successes, true, nil
}
