package formats

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/annotations"
	"github.com/modular-bridging/bridge/data/folders"
	"github.com/modular-bridging/bridge/data/interleaved"
	"github.com/modular-bridging/bridge/data/internal/document"
	"github.com/modular-bridging/bridge/data/internal/jsonrows"
	"github.com/modular-bridging/bridge/data/internal/jsonvalue"
	"github.com/modular-bridging/bridge/data/lavis"
	"github.com/modular-bridging/bridge/data/llava"
	"github.com/modular-bridging/bridge/data/official"
	"github.com/modular-bridging/bridge/data/shards"
	"github.com/modular-bridging/bridge/data/tables"
)

// Detect tells the format of a file or folder by its content. Only tables are told by their
// extension (.csv, .tsv), as LAVIS tells them. A path may end in #SPLIT, as Karpathy's splits have
// it. The error names what the file is, or its keys.
func Detect(path string) (string, error) {
	if _, err := os.Stat(path); err != nil {
		path, _ = official.SplitPath(path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", adapters.Errorf(adapters.NotFound, "source: %w", err).
			WithRemedy("a relative path begins at the working folder")
	}
	if info.IsDir() {
		return detectFolder(path)
	}
	head, err := readHead(path)
	switch {
	case err != nil:
		return "", err
	case len(head) == 0:
		return "", adapters.Errorf(adapters.Corrupt, "%s is empty (0 bytes)", path)
	case strings.HasPrefix(string(head), "PAR1"):
		return tables.Format, nil
	case shards.IsTar(head):
		return shards.Format, nil
	case strings.HasPrefix(annotations.Sniff(head), "written in"):
		return "", notJSON(path, head)
	case lavis.IsTable(path):
		return lavis.TableFormat, nil
	case flickrLine.Match(head):
		return official.Flickr30k, nil
	}
	if b := firstByte(head); b != '[' && b != '{' && !jsonrows.NamesLines(path) {
		return "", notJSON(path, head)
	}
	return detectJSON(path)
}

// flickrLine matches the begin of Flickr30k's captions.
var flickrLine = regexp.MustCompile(`^[^\t\n]+#[0-9]+\t`)

// readHead returns the first bytes of a file.
func readHead(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "source: %w", err)
	}
	defer f.Close()
	const size = 4096
	head := make([]byte, size)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, adapters.Errorf(adapters.Corrupt, "%s cannot be read: %w", path, err)
	}
	return head[:n], nil
}

// firstByte returns the first byte that is no white space, behind a byte order mark; 0 if there is
// none.
func firstByte(head []byte) byte {
	text := strings.TrimLeft(strings.TrimPrefix(string(head), "\ufeff"), " \t\r\n")
	if text == "" {
		return 0
	}
	return text[0]
}

// notJSON refuses a file that has none of the formats.
func notJSON(path string, head []byte) error {
	name := annotations.Sniff(head)
	if name == "" {
		return adapters.Errorf(adapters.Unsupported, "%s: the format cannot be told: it begins with %q", path, jsonvalue.Shorten(strings.ToValidUTF8(string(head[:min(40, len(head))]), "\ufffd"))).
			WithRemedy("the formats are %s", strings.Join(Names(), ", "))
	}
	err := adapters.Errorf(adapters.Unsupported, "%s is %s, which is none of the formats that are read", path, name)
	switch {
	case strings.HasPrefix(name, "written in"):
		return err.WithRemedy("save it as UTF-8")
	case strings.HasPrefix(name, "compressed"), strings.Contains(name, "ZIP"):
		return err.WithRemedy("unpack it, and name the files in it")
	case strings.Contains(name, "table"):
		return err.WithRemedy("name it .csv or .tsv, with a header")
	case strings.Contains(name, "Arrow"):
		return err.WithRemedy("write it as parquet: datasets.Dataset.to_parquet")
	}
	return err.WithRemedy("the formats are %s", strings.Join(Names(), ", "))
}

// detectFolder tells img2dataset's output "files" from folders of other files.
func detectFolder(path string) (string, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return "", adapters.Errorf(adapters.NotFound, "source: %w", err).WithRemedy("make the folder readable")
	}
	for _, ext := range []string{".tar", ".parquet", ".jsonl", ".json"} {
		i := slices.IndexFunc(entries, func(e os.DirEntry) bool {
			return !e.IsDir() && strings.HasSuffix(e.Name(), ext) && !strings.HasSuffix(e.Name(), "_stats.json")
		})
		if i >= 0 && (ext == ".tar" || !hasFolders(entries)) && !hasPicture(entries) {
			return "", adapters.Errorf(adapters.Invalid, "%s is a folder with %s files, want the files", path, ext).
				WithRemedy("name them, such as %s; braces name several: {00000..00099}", filepath.Join(path, entries[i].Name()))
		}
	}
	return folders.Format, nil
}

func hasFolders(entries []os.DirEntry) bool {
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.IsDir() })
}

func hasPicture(entries []os.DirEntry) bool {
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		switch strings.ToLower(filepath.Ext(e.Name())) {
		case ".jpg", ".jpeg", ".png", ".webp":
			return true
		}
		return false
	})
}

// detectJSON tells a JSON file by the keys of its first sound row, or of the object that it is.
func detectJSON(path string) (string, error) {
	h, err := jsonrows.Peek(path, func(row []byte) bool {
		_, err := jsonvalue.ParseObject(row)
		return err == nil
	})
	if err != nil {
		return "", err
	}
	if h.Members != nil {
		return detectObject(path, h.Members)
	}
	if h.List && h.First == nil {
		return "", adapters.Errorf(adapters.Invalid, "%s is an empty list, want at least one row", path)
	}
	o, err := jsonvalue.ParseObject(h.First)
	if err != nil {
		return "", adapters.Errorf(adapters.Invalid, "%s: the first row %w", path, err).
			WithRemedy("name the format if only the first rows are wrong: format = one of %s", strings.Join(Names(), ", "))
	}
	if format := formatOfRow(o); format != "" {
		return format, nil
	}
	return "", unknownKeys(path, "the first row", keys(o))
}

// formatOfRow tells a format by the keys of a row; "" if it is none.
func formatOfRow(o jsonvalue.Object) string {
	has := func(names ...string) bool {
		return !slices.ContainsFunc(names, func(n string) bool { _, ok := o[n]; return !ok })
	}
	image, _ := o["image"].(string)
	switch {
	case has("conversations"):
		return llava.Format
	case document.IsMMC4(o):
		return interleaved.MMC4
	case document.IsObelics(o):
		return interleaved.Obelics
	case has("imageId", "question"):
		return official.GQA
	case has("direct_answers"), has("choices", "question", "image_id"):
		return official.AOKVQA
	case has("regions"), has("qas"):
		return official.VisualGenome
	case has("image", "question", "answers"), has("question") && strings.HasPrefix(image, "VizWiz_"):
		return official.VizWiz
	case has("image", "caption"), has("image", "question"):
		return lavis.Format
	}
	return ""
}

// detectObject tells a format by the members of the object that a file is.
func detectObject(path string, members []jsonrows.HeadMember) (string, error) {
	lists, names := map[string]jsonvalue.Object{}, []string{}
	for _, m := range members {
		names = append(names, m.Name)
		if m.List {
			lists[m.Name], _ = jsonvalue.ParseObject(m.First)
		}
	}
	has := func(name string) bool { _, ok := lists[name]; return ok }
	switch {
	case has("images") && lists["images"]["sentences"] != nil:
		return official.Karpathy, nil
	case has("images") && !has("texts"):
		return official.COCO, nil
	case has("questions"), has("annotations") && lists["annotations"]["question_id"] != nil:
		return official.VQAv2, nil
	case has("data") && lists["data"]["caption_str"] != nil:
		return official.TextCaps, nil
	case has("data") && lists["data"]["question"] != nil:
		return official.TextVQA, nil
	case has("conversations"):
		return llava.Format, nil // one line
	}
	if o, err := jsonvalue.ParseObject(members[0].First); err == nil {
		if format := formatOfRow(o); format == official.GQA || format == lavis.Format {
			return format, nil
		}
	}
	whole := jsonvalue.Object{}
	for _, m := range members {
		whole[m.Name], _ = jsonvalue.Parse(m.First)
		if m.List {
			whole[m.Name] = []any{}
		}
	}
	if format := formatOfRow(whole); format != "" && format != official.VisualGenome {
		return format, nil // one line
	}
	return "", unknownKeys(path, "the file", names)
}

func keys(o jsonvalue.Object) []string {
	var names []string
	for name := range o {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// unknownKeys refuses JSON with keys of no format.
func unknownKeys(path, where string, names []string) error {
	const most = 12
	var quoted []string
	for _, n := range names[:min(most, len(names))] {
		quoted = append(quoted, fmt.Sprintf("%q", jsonvalue.Shorten(n)))
	}
	err := adapters.Errorf(adapters.Unsupported, "%s: the format cannot be told: %s has the keys %s", path, where, strings.Join(quoted, ", "))
	if slices.Contains(names, "url") && !slices.Contains(names, "image") {
		return err.WithRemedy("it has the pictures' addresses: download them with img2dataset, and give the shards that it writes")
	}
	return err.WithRemedy("name it (format = one of %s), or rename the keys to LAVIS's: image, and caption or question and answer", strings.Join(Names(), ", "))
}
