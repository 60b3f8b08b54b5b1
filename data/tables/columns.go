package tables

import (
	"fmt"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"

	"github.com/modular-bridging/bridge/adapters"
)

// leaf is a column of plain values in a file, or of lists of them.
type leaf struct {
	column  int // in the row groups
	listed  bool
	present int // the definition level from which an item of a list is there
}

// picture is a column of pictures: structs of bytes and path, bytes alone, or names of files. One of
// the two may be nil.
type picture struct {
	name        string
	bytes, path *leaf
}

// listed reports whether a row has a list of pictures.
func (p *picture) listed() bool {
	if p.bytes != nil {
		return p.bytes.listed
	}
	return p.path.listed
}

// columns are the columns of a file that are read. Those that it does not have are nil.
type columns struct {
	picture  *picture
	key      *leaf // webdataset's and img2dataset's
	id       *leaf // of conversations
	group    *leaf // image_id
	status   *leaf // img2dataset's
	question *leaf
	answers  *leaf
	caption  *leaf
	texts    *leaf // of interleaved documents
	from     *leaf // of conversations: the speaker of each turn
	value    *leaf // and the text
	user     *leaf // of conversations as The Cauldron has them: a question for each turn
	reply    *leaf // and its answer
	unused   []string
	names    []string // of all columns, in quotes
}

// captionNames are the names of columns of captions. The first that a file has counts.
var captionNames = []string{"caption", "captions", "text", "txt", "TEXT", "sentences", "raw"}

// findColumns chooses the columns of a file.
func findColumns(f *parquet.File, path string) (*columns, error) {
	root := f.Root()
	c := &columns{
		key: text(root.Column("key"), nil), id: plain(root.Column("id"), nil), group: plain(root.Column("image_id"), nil), status: text(root.Column("status"), nil),
		question: text(root.Column("question"), nil), answers: answers(root), texts: text(root.Column("texts"), nil),
	}
	if c.key == nil {
		c.key = text(root.Column("__key__"), nil)
	}
	for _, name := range captionNames {
		if l := text(root.Column(name), nil); l != nil && c.caption == nil {
			c.caption = l
		} else if l != nil {
			c.unused = append(c.unused, name)
		}
	}
	for _, col := range root.Columns() {
		c.names = append(c.names, fmt.Sprintf("%q", col.Name()))
	}
	c.from, c.value = fields(root.Column("conversations"), "from", "value")
	c.user, c.reply = fields(root.Column("texts"), "user", "assistant")
	var err error
	if c.picture, err = pictureOf(root, path); err != nil {
		return nil, err
	}
	if c.picture == nil {
		c.picture = named(root)
	}
	if c.status != nil && c.picture == nil {
		return nil, adapters.Errorf(adapters.Unsupported, "%s has img2dataset's notes on a shard, and no pictures", path).
			WithRemedy("name the shard, %s", strings.TrimSuffix(path, ".parquet")+".tar")
	}
	if c.picture == nil && c.from == nil && c.user == nil {
		return nil, c.refuse(root, path)
	}
	return c, nil
}

// warnings names the texts of a file that are not read.
func (c *columns) warnings(path string) []string {
	var all []string
	if len(c.unused) > 0 {
		all = append(all, fmt.Sprintf("%s: other columns of texts are not read: %s", path, strings.Join(c.unused, ", ")))
	}
	if c.caption == nil && c.question == nil && c.texts == nil && c.from == nil && c.user == nil {
		all = append(all, fmt.Sprintf("%s: no column of texts is read, only the pictures of %q; its columns are %s. A column of captions is a text or a list of texts, and is named %s",
			path, c.picture.name, strings.Join(c.names, ", "), strings.Join(captionNames, ", ")))
	}
	if c.question != nil && c.caption != nil {
		all = append(all, fmt.Sprintf("%s has columns of questions and of captions: the caption of a row with a question is not read", path))
	}
	return all
}

// addresses is the remedy of a file that has no pictures.
const addresses = "column %q has the pictures' addresses: download them with img2dataset, and give the shards that it writes"

// refuse returns the error of a file without pictures and conversations.
func (c *columns) refuse(root *parquet.Column, path string) error {
	err := adapters.Errorf(adapters.Unsupported, "%s has no column of pictures; its columns are %s", path, strings.Join(c.names, ", "))
	for _, name := range []string{"url", "URL", "image_url"} {
		if root.Column(name) != nil {
			return err.WithRemedy(addresses, name)
		}
	}
	return err.WithRemedy("write a column of Hugging Face's Image feature: a struct of bytes and path")
}

// pictureOf returns the column of pictures: "image" or "images" if there are several.
func pictureOf(root *parquet.Column, path string) (*picture, error) {
	var found []*picture
	for _, col := range root.Columns() {
		if p := asPicture(col); p != nil {
			if p.name == "image" || p.name == "images" {
				return p, nil
			}
			found = append(found, p)
		}
	}
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return found[0], nil
	}
	return nil, adapters.Errorf(adapters.Invalid, "%s has the columns of pictures %q and %q, and none is named image", path, found[0].name, found[1].name).
		WithRemedy("rename one of them to image")
}

// named returns the column image or images if it names files; nil if there is none.
func named(root *parquet.Column) *picture {
	for _, name := range []string{"image", "images"} {
		if l := text(root.Column(name), nil); l != nil {
			return &picture{name: name, path: l}
		}
	}
	return nil
}

// asPicture returns a column as one of pictures; nil if it is none.
func asPicture(col *parquet.Column) *picture {
	item, group := itemOf(col)
	if item.Leaf() {
		if item.Type().Kind() != parquet.ByteArray || isText(item) {
			return nil
		}
		return &picture{name: col.Name(), bytes: plain(item, group)}
	}
	data := item.Column("bytes")
	if data == nil || !data.Leaf() || data.Type().Kind() != parquet.ByteArray {
		return nil
	}
	return &picture{name: col.Name(), bytes: plain(data, group), path: text(item.Column("path"), group)}
}

// answers returns the column of answers: texts, lists of texts, or VQA's lists of structs with an
// answer each.
func answers(root *parquet.Column) *leaf {
	for _, name := range []string{"answers", "answer"} {
		col := root.Column(name)
		if col == nil {
			continue
		}
		if l := text(col, nil); l != nil {
			return l
		}
		if item, group := itemOf(col); !item.Leaf() {
			if l := text(item.Column("answer"), group); l != nil {
				return l
			}
		}
	}
	return nil
}

// fields returns two texts of the structs in a list; nil if a column is something else.
func fields(col *parquet.Column, a, b string) (*leaf, *leaf) {
	if col == nil {
		return nil, nil
	}
	item, group := itemOf(col)
	if item.Leaf() || group == nil {
		return nil, nil
	}
	first, second := text(item.Column(a), group), text(item.Column(b), group)
	if first == nil || second == nil {
		return nil, nil
	}
	return first, second
}

// itemOf returns the items of a column of lists, however the writer names the levels, and the
// level that repeats. A column that is no list is its own item, and the level is nil.
func itemOf(col *parquet.Column) (item, group *parquet.Column) {
	if col.Repeated() {
		return col, col
	}
	if col.Leaf() {
		return col, nil
	}
	all := col.Columns()
	if len(all) != 1 || !all[0].Repeated() {
		return col, nil
	}
	group = all[0]
	if group.Leaf() {
		return group, group
	}
	if inner := group.Columns(); len(inner) == 1 && slices.Contains([]string{"element", "item", "array_element"}, inner[0].Name()) {
		return inner[0], group
	}
	return group, group
}

// text returns a column of texts, or of lists of them; nil if it is something else. group is the
// level that repeats above the column, if there is one.
func text(col, group *parquet.Column) *leaf {
	if col == nil {
		return nil
	}
	if item, _ := itemOf(col); !item.Leaf() || item.Type().Kind() != parquet.ByteArray || !isText(item) {
		return nil
	}
	return plain(col, group)
}

// isText reports whether a column of bytes holds texts.
func isText(col *parquet.Column) bool {
	t := col.Type().ConvertedType()
	return t != nil && (*t == deprecated.UTF8 || *t == deprecated.Json || *t == deprecated.Enum)
}

// plain returns a column of values, or of lists of them; nil if it is nested deeper.
func plain(col, group *parquet.Column) *leaf {
	if col == nil {
		return nil
	}
	item, repeated := itemOf(col)
	if repeated == nil {
		repeated = group
	}
	if !item.Leaf() || item.MaxRepetitionLevel() > 1 {
		return nil
	}
	l := &leaf{column: item.Index(), listed: item.MaxRepetitionLevel() == 1}
	if repeated != nil {
		l.present = repeated.MaxDefinitionLevel()
	}
	return l
}
