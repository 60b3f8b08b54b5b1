package stricttoml

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/BurntSushi/toml"
)

// linesPerKey is the number of lines to search per key, on average. It is enough for tables and values
// with many lines. Without a limit, a file with keys that cannot be found, because they are
// written with escapes, would take minutes.
const linesPerKey = 64

// places finds the line of every key. The TOML library returns lines only in its own errors, but
// it lists the keys in the order of the file: each key is at or after the line of the previous
// one. A key that is not found has no place.
func places(name, text string, keys []toml.Key) map[string]place {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = withoutComment(lines[i])
	}
	found := make(map[string]place, len(keys))
	line, column := 0, 0
	left := len(lines) + linesPerKey*len(keys)
	for _, key := range keys {
		dotted := strings.Join(key, ".")
		if _, ok := found[dotted]; ok {
			continue
		}
		last := regexp.MustCompile(`(?:^|[\s{,.\["'])` + regexp.QuoteMeta(key[len(key)-1]) + `["']?\s*[=.\]]`)
		for i := line; i < len(lines) && left > 0; i++ {
			left--
			from := 0
			if i == line {
				from = min(column, len(lines[i]))
			}
			if at := last.FindStringIndex(lines[i][from:]); at != nil {
				line, column = i, from+at[1]-1
				found[dotted] = place{text: fmt.Sprintf("%s:%d", name, i+1)}
				break
			}
		}
	}
	return found
}

// withoutComment cuts off a line at the first # outside a string.
func withoutComment(line string) string {
	var quote rune
	for i, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote = r
		case quote == 0 && r == '#':
			return line[:i]
		}
	}
	return line
}
