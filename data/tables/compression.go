package tables

import (
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/modular-bridging/bridge/adapters"
)

// leaves returns the columns that are read.
func (c *columns) leaves() []*leaf {
	all := []*leaf{c.key, c.id, c.group, c.status, c.question, c.answers, c.caption, c.texts, c.from, c.value, c.user, c.reply}
	if c.picture != nil {
		all = append(all, c.picture.bytes, c.picture.path)
	}
	return all
}

// checkCompression refuses a file with a column that is read and is compressed by LZ4. parquet-go
// v0.32.0 discards what it decompressed if its buffer was too small, and gives the old content of
// the buffer: pages of other columns, or zeros (parquet-go#608).
func (c *columns) checkCompression(f *parquet.File, path string) error {
	for _, l := range c.leaves() {
		if l != nil && l.compressedByLZ4(f) {
			name := strings.Join(f.Metadata().RowGroups[0].Columns[l.column].MetaData.PathInSchema, ".")
			return adapters.Errorf(adapters.Unsupported, "%s: column %q is compressed by LZ4, which cannot be read correctly", path, name).
				WithRemedy(`write the file with another compression, such as pyarrow's compression="zstd"`)
		}
	}
	return nil
}

// compressedByLZ4 reports whether a column is compressed by LZ4 in a row group.
func (l *leaf) compressedByLZ4(f *parquet.File) bool {
	for _, g := range f.Metadata().RowGroups {
		if codec := g.Columns[l.column].MetaData.Codec; codec == format.Lz4Raw || codec == format.Lz4 {
			return true
		}
	}
	return false
}
