// Package bytesize parses and formats amounts of memory: "8GB", "1.5 GiB".
package bytesize

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// unit is a suffix and its number of bytes.
type unit struct {
	suffix string
	bytes  float64
}

// units returns the units. A suffix comes before the suffixes that it ends with.
func units() []unit {
	return []unit{
		{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
		{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
	}
}

// Parse parses a positive number with a unit. kB, MB, GB and TB are powers of 1000 bytes; KiB,
// MiB, GiB and TiB are powers of 1024.
func Parse(text string) (int64, error) {
	for _, u := range units() {
		number, ok := strings.CutSuffix(text, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if bytes := n * u.bytes; err == nil && bytes >= 1 && bytes < math.MaxInt64 {
			return int64(bytes), nil
		}
		break
	}
	return 0, fmt.Errorf("is %q, want a positive number with a unit, such as 8GB or 512MiB", text)
}

// Format returns an amount with two or three digits: "8.4 GB".
func Format(bytes int64) string {
	value, names := float64(bytes), []string{"B", "kB", "MB", "GB", "TB"}
	i := 0
	for ; value >= 999.5 && i < len(names)-1; i++ {
		value /= 1000
	}
	if i == 0 || value >= 99.95 {
		return fmt.Sprintf("%.0f %s", value, names[i])
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", value), ".0") + " " + names[i]
}
