package tables

import (
	"bufio"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// dictionaries checks the dictionary pages of a file. parquet-go v0.32.0 checks the checksums of
// data pages, and not those of dictionaries.
type dictionaries struct {
	in      io.ReaderAt
	file    *parquet.File
	checked sync.Map // of [2]int{row group, column}: the error, or nil
}

// check returns an error if the dictionary of a column chunk does not have the checksum that its
// header says. A file without checksums is not checked.
func (d *dictionaries) check(group, column int) error {
	key := [2]int{group, column}
	if known, ok := d.checked.Load(key); ok {
		err, _ := known.(error)
		return err
	}
	err := d.read(group, column)
	d.checked.Store(key, err)
	return err
}

func (d *dictionaries) read(group, column int) error {
	chunk := d.file.Metadata().RowGroups[group].Columns[column].MetaData
	at := chunk.DictionaryPageOffset
	if at <= 0 {
		return nil
	}
	in := bufio.NewReader(io.NewSectionReader(d.in, at, d.file.Size()-at))
	var header format.PageHeader
	var protocol thrift.CompactProtocol
	if err := thrift.NewDecoder(protocol.NewReader(in)).Decode(&header); err != nil {
		return fmt.Errorf("the header of a dictionary page at byte %d: %w", at, err)
	}
	if header.CRC == 0 {
		return nil
	}
	sum := crc32.NewIEEE()
	if _, err := io.CopyN(sum, in, int64(header.CompressedPageSize)); err != nil {
		return fmt.Errorf("the dictionary page at byte %d: %w", at, err)
	}
	if sum.Sum32() != uint32(header.CRC) {
		return fmt.Errorf("the dictionary page at byte %d is damaged: its checksum is %08x, want %08x", at, sum.Sum32(), uint32(header.CRC))
	}
	return nil
}
