package annotations

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode"

	"github.com/modular-bridging/bridge/adapters"
)

// headSize is how many bytes of a file tell its format.
const headSize = 4096

// checkFormat returns an error unless the file begins as JSON in UTF-8 does. It skips a byte
// order mark.
func (r *Reader) checkFormat() error {
	head, err := r.scan.in.Peek(headSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return adapters.Errorf(adapters.Invalid, "%s cannot be read: %w", r.name, err)
	}
	if name := encodingOf(head); name != "" {
		return adapters.Errorf(adapters.Invalid, "%s is written in %s, want UTF-8", r.name, name).
			WithRemedy("save it as UTF-8, for example with iconv -f %s -t UTF-8", name)
	}
	if mark := []byte("\ufeff"); bytes.HasPrefix(head, mark) {
		for range mark {
			if _, err := r.scan.next(); err != nil {
				return r.between(err, "")
			}
		}
		head = head[len(mark):]
	}
	body := bytes.TrimLeft(head, " \t\r\n")
	switch {
	case len(body) == 0 && len(head) < headSize-3:
		return r.invalid("is empty")
	case len(body) > 0 && (body[0] == '[' || body[0] == '{'):
		return nil
	}
	if name := formatOf(head); name != "" {
		return r.invalid("is %s, want JSON", name)
	}
	if len(body) == 0 {
		return nil // more white space than the head holds
	}
	return r.invalid("begins with %q, want JSON", shorten(strings.ToValidUTF8(firstLine(body), "\ufffd")))
}

// encodingOf returns the name of an encoding that is not UTF-8, by its byte order mark or by
// the zero bytes beside an ASCII character; or "".
func encodingOf(head []byte) string {
	marks := []struct{ mark, name string }{ // UTF-32's little-endian mark begins with UTF-16's
		{"\xff\xfe\x00\x00", "UTF-32LE"}, {"\x00\x00\xfe\xff", "UTF-32BE"},
		{"\xff\xfe", "UTF-16LE"}, {"\xfe\xff", "UTF-16BE"},
	}
	for _, m := range marks {
		if bytes.HasPrefix(head, []byte(m.mark)) {
			return m.name
		}
	}
	if len(head) < 4 {
		return ""
	}
	zeros := ""
	for _, b := range head[:4] {
		zeros += map[bool]string{true: "0", false: "x"}[b == 0]
	}
	return map[string]string{"x000": "UTF-32LE", "000x": "UTF-32BE", "x0x0": "UTF-16LE", "0x0x": "UTF-16BE"}[zeros]
}

// formats are what other files that hold data sets begin with.
var formats = []struct{ begin, name string }{
	{"PAR1", "a Parquet file"},
	{"ARROW1", "an Arrow file"},
	{"\x1f\x8b", "compressed with gzip"},
	{"PK\x03\x04", "a ZIP archive"},
	{"\x28\xb5\x2f\xfd", "compressed with zstd"},
	{"BZh", "compressed with bzip2"},
	{"\xfd7zXZ\x00", "compressed with xz"},
	{"\x89HDF\r\n", "an HDF5 file"},
	{"SQLite format 3\x00", "an SQLite database"},
	{"\x93NUMPY", "a NumPy array"},
	{"\x80\x02", "a Python pickle"}, {"\x80\x03", "a Python pickle"}, {"\x80\x04", "a Python pickle"}, {"\x80\x05", "a Python pickle"},
	{"\x89PNG", "a picture (PNG)"}, {"\xff\xd8\xff", "a picture (JPEG)"},
	{"version https://git-lfs.github.com/", "a pointer of Git LFS, not the file (git lfs pull fetches it)"},
	{"<", "HTML or XML (a download may have failed)"},
	{"---", "YAML"}, {"- ", "YAML"},
}

// formatOf returns the format of a file that is not JSON, or "".
func formatOf(head []byte) string {
	for _, f := range formats {
		if bytes.HasPrefix(head, []byte(f.begin)) {
			return f.name
		}
	}
	const tar, at = "ustar", 257
	if len(head) >= at+len(tar) && string(head[at:at+len(tar)]) == tar {
		return "a tar archive"
	}
	return table(firstLine(head))
}

// table returns "CSV" or "TSV" if a line is the header or a row of a table: printable, with
// commas or tabs.
func table(line string) string {
	printable := !strings.ContainsFunc(line, func(r rune) bool { return r != '\t' && !unicode.IsPrint(r) })
	switch {
	case !printable:
		return ""
	case strings.Contains(line, "\t"):
		return "a table (TSV)"
	case strings.Contains(line, ","):
		return "a table (CSV)"
	}
	return ""
}

func firstLine(head []byte) string {
	line, _, _ := strings.Cut(string(head), "\n")
	return strings.TrimRight(line, "\r")
}
