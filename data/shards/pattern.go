package shards

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

// maxExpanded is the most files that a pattern may stand for.
const maxExpanded = 1_000_000

// Expand returns the files that a source names: "::" joins patterns, and braces are expanded as
// webdataset does it: {000..118} keeps the width, {a,b} is a list, and both may be nested. It
// refuses commands (pipe:), addresses and compressed shards. An existing file whose name has
// braces is that file.
func Expand(source string) ([]string, error) {
	if _, err := os.Stat(source); err == nil {
		return []string{source}, refuse(source)
	}
	var all []string
	for pattern := range strings.SplitSeq(source, "::") {
		if pattern == "" {
			return nil, adapters.Errorf(adapters.Invalid, "%q has an empty part beside \"::\", want a path on each side", source)
		}
		if err := refuse(pattern); err != nil {
			return nil, err
		}
		files, err := expandBraces(pattern)
		if err != nil {
			return nil, adapters.Errorf(adapters.Invalid, "%q: %w", pattern, err)
		}
		if all = append(all, files...); len(all) > maxExpanded {
			return nil, tooMany(source)
		}
	}
	for _, file := range all {
		if err := refuse(file); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func tooMany(pattern string) error {
	return adapters.Errorf(adapters.Invalid, "%q stands for more than %d files", pattern, maxExpanded)
}

// refuse returns an error if a path is a command, an address or a compressed shard.
func refuse(path string) error {
	lower := strings.ToLower(path)
	switch {
	case strings.HasPrefix(lower, "pipe:"):
		return adapters.Errorf(adapters.Unsupported, "%q is a command, and bridge runs no commands that a list of data names", path).
			WithRemedy("run the command yourself, write its output to a .tar file, and name the file")
	case strings.HasPrefix(lower, "file:"):
		return adapters.Errorf(adapters.Unsupported, "%q is an address, want a path", path).
			WithRemedy("write %s", strings.TrimPrefix(path[len("file:"):], "//"))
	case strings.Contains(path, "://"):
		return adapters.Errorf(adapters.Unsupported, "%q is an address, and bridge reads shards from the disk alone", path).
			WithRemedy("download the shards, and name the files")
	case strings.Contains(path, "${"):
		return adapters.Errorf(adapters.Unsupported, "%q has a variable, which webdataset would read from the environment", path).
			WithRemedy("write the path itself, so that every machine reads the same")
	}
	for _, ext := range []string{".tar.gz", ".tgz", ".tar.zst", ".tar.bz2", ".tar.xz", ".tar.lz4"} {
		if strings.HasSuffix(lower, ext) {
			return compressed(path, strings.TrimPrefix(filepath.Ext(lower), "."))
		}
	}
	return nil
}

// compressed refuses a compressed shard.
func compressed(path, how string) error {
	tool := map[string]string{"gz": "gunzip", "tgz": "gunzip", "zst": "unzstd", "bz2": "bunzip2", "xz": "unxz", "lz4": "unlz4"}[how]
	return adapters.Errorf(adapters.Unsupported, "%q is compressed, so its samples cannot be read at random", path).
		WithRemedy("uncompress it (%s); pictures are compressed already, so little is lost", tool)
}

// expandBraces returns the texts that a pattern stands for.
func expandBraces(pattern string) ([]string, error) {
	open, end, err := firstBraces(pattern)
	if err != nil {
		return nil, err
	}
	if open < 0 {
		return []string{pattern}, nil
	}
	heads, err := alternatives(pattern[open+1 : end])
	if err != nil {
		return nil, err
	}
	tails, err := expandBraces(pattern[end+1:])
	if err != nil {
		return nil, err
	}
	if len(heads)*len(tails) > maxExpanded {
		return nil, tooMany(pattern)
	}
	all := make([]string, 0, len(heads)*len(tails))
	for _, h := range heads {
		for _, t := range tails {
			all = append(all, pattern[:open]+h+t)
		}
	}
	return all, nil
}

// firstBraces returns the offsets of the first brace and of the one that closes it; -1 if there
// is none.
func firstBraces(pattern string) (open, end int, err error) {
	open = strings.IndexByte(pattern, '{')
	if before := strings.IndexByte(pattern, '}'); before >= 0 && (open < 0 || before < open) {
		return 0, 0, fmt.Errorf("the brace } at byte %d closes nothing", before)
	}
	if open < 0 {
		return -1, -1, nil
	}
	depth := 0
	for i := open; i < len(pattern); i++ {
		switch pattern[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return open, i, nil
			}
		}
	}
	return 0, 0, fmt.Errorf("the brace { at byte %d is not closed", open)
}

// alternatives returns the texts that the inside of braces stands for: a list, or a range. Other
// text keeps its braces.
func alternatives(inside string) ([]string, error) {
	items := splitList(inside)
	if len(items) == 1 {
		if all, err := sequence(inside); all != nil || err != nil {
			return all, err
		}
		inner, err := expandBraces(inside)
		for i := range inner {
			inner[i] = "{" + inner[i] + "}"
		}
		return inner, err
	}
	var all []string
	for _, item := range items {
		texts, err := expandBraces(item)
		if err != nil {
			return nil, err
		}
		all = append(all, texts...)
	}
	return all, nil
}

// splitList splits a list at the commas outside of braces.
func splitList(list string) []string {
	var items []string
	depth, from := 0, 0
	for i := range len(list) {
		switch list[i] {
		case '{':
			depth++
		case '}':
			depth--
		case ',':
			if depth == 0 {
				items = append(items, list[from:i])
				from = i + 1
			}
		}
	}
	return append(items, list[from:])
}

// sequence returns the items of a range such as 000..118, 118..0, 0..10..2 or a..c; nil if the
// text is none.
func sequence(text string) ([]string, error) {
	ends := strings.Split(text, "..")
	if len(ends) != 2 && len(ends) != 3 {
		return nil, nil
	}
	step := 1
	if len(ends) == 3 {
		var err error
		if step, err = strconv.Atoi(ends[2]); err != nil {
			return nil, nil
		}
		step = max(1, max(step, -step))
	}
	from, errFrom := strconv.Atoi(ends[0])
	to, errTo := strconv.Atoi(ends[1])
	if errFrom == nil && errTo == nil {
		return numbers(from, to, step, padding(ends[0], ends[1]))
	}
	if isLetter(ends[0]) && isLetter(ends[1]) {
		var all []string
		for _, n := range counted(int(ends[0][0]), int(ends[1][0]), step) {
			all = append(all, string(rune(n)))
		}
		return all, nil
	}
	return nil, nil
}

func isLetter(text string) bool {
	return len(text) == 1 && (text[0] >= 'a' && text[0] <= 'z' || text[0] >= 'A' && text[0] <= 'Z')
}

// padding returns the width of the numbers of a range: that of the longer end if one of them
// begins with a zero.
func padding(ends ...string) int {
	width, zero := 0, false
	for _, end := range ends {
		digits := strings.TrimPrefix(end, "-")
		zero = zero || len(digits) > 1 && digits[0] == '0'
		width = max(width, len(end))
	}
	if !zero {
		return 0
	}
	return width
}

func numbers(from, to, step, width int) ([]string, error) {
	if span := max(from-to, to-from); span < 0 || span/step >= maxExpanded {
		return nil, tooMany(fmt.Sprintf("{%d..%d}", from, to))
	}
	var all []string
	for _, n := range counted(from, to, step) {
		all = append(all, fmt.Sprintf("%0*d", width, n))
	}
	return all, nil
}

// counted returns the numbers of a range, which may go down.
func counted(from, to, step int) []int {
	var all []int
	if from <= to {
		for n := from; n <= to; n += step {
			all = append(all, n)
		}
		return all
	}
	for n := from; n >= to; n -= step {
		all = append(all, n)
	}
	return all
}
