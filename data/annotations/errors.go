package annotations

import (
	"strconv"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

// invalid returns an error about the whole file, with an example of what is wanted.
func (r *Reader) invalid(format string, args ...any) *adapters.Error {
	return adapters.Errorf(adapters.Invalid, "%s "+format, append([]any{r.name}, args...)...).
		WithRemedy("write a JSON list of entries or one entry a line, such as %s", r.content.example())
}

// prefix returns the name of the file before what is wrong in it. An entry that is read alone has
// none, because the caller names its file.
func (r *Reader) prefix() string {
	if r.name == "" {
		return ""
	}
	return r.name + ": "
}

// at returns an error about an entry.
func (r *Reader) at(e *Entry, format string, args ...any) *adapters.Error {
	return adapters.Errorf(adapters.Invalid, "%sentry %d (line %d): "+format, append([]any{r.prefix(), e.Index, e.Line}, args...)...)
}

// atFault returns an error about a place in an entry. key is the one that was read there.
func (r *Reader) atFault(e *Entry, key string, f *fault) error {
	where := ""
	if key != "" {
		where = strconv.Quote(shorten(key)) + ": "
	}
	err := adapters.Errorf(adapters.Invalid, "%sentry %d (line %d, byte %d): %s%s", r.prefix(), e.Index, f.line, f.offset, where, f.what)
	if f.remedy != "" {
		err = err.WithRemedy("%s", f.remedy)
	}
	return err
}

// between returns an error about a place between entries.
func (r *Reader) between(f *fault, remedy string) error {
	where := "before the first entry"
	if r.entries > 0 {
		where = "after entry " + strconv.Itoa(r.entries-1)
	}
	if f.what == errEnd {
		f.what = "the file ends here, before the list does"
	}
	if f.remedy != "" {
		remedy = f.remedy
	}
	err := adapters.Errorf(adapters.Invalid, "%s: %s (line %d, byte %d): %s", r.name, where, f.line, f.offset, f.what)
	if remedy != "" {
		err = err.WithRemedy("%s", remedy)
	}
	return err
}

// remedyFor returns the remedy of a value of a wrong kind.
func (r *Reader) remedyFor(key, found string) string {
	switch {
	case strings.HasSuffix(found, "NaN"):
		return "pandas writes NaN for a missing value: drop such rows before you write the file"
	case strings.HasSuffix(found, "null"):
		return "take out the entry, or write the value"
	case strings.HasPrefix(found, "the number "):
		return "put it in quotes: " + strconv.Quote(strings.TrimPrefix(found, "the number "))
	case key == "image" && strings.HasPrefix(found, "a list"):
		return "write an entry for each picture"
	}
	return "write entries such as " + r.exampleOf(key)
}

// exampleOf returns an entry that has a key.
func (r *Reader) exampleOf(key string) string {
	switch key {
	case "caption", "image_id":
		return Captions.example()
	case "question", "answer", "kind":
		return Questions.example()
	}
	return r.content.example()
}
