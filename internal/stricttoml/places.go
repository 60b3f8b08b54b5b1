package stricttoml

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/BurntSushi/toml"
)

// effort is the number of lines that are searched per key, on average: enough for tables
// and values of many lines. Without the limit, a file whose keys cannot be found because
// they are written with escapes would take minutes.
const effort = 64

// places finds the line of every key. The TOML library shows lines only in its own errors,
// but it lists the keys in the order of the file: each stands at or after the one before.
// Keys that are not found have no place.
func places(name, text string, keys []toml.Key) map[string]place {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = withoutComment(lines[i])
	}
	found := make(map[string]place, len(keys))
	line, column := 0, 0
	left := len(lines) + effort*len(keys)
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

// withoutComment cuts a line at the first # outside a string.
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
