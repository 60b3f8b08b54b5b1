package tables

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/modular-bridging/bridge/adapters"
)

func TestColumnsCompressedByLZ4AreRefused(t *testing.T) {
	type row struct {
		Image   []byte `parquet:"image"`
		Caption string `parquet:"caption,lz4"`
		Unread  string `parquet:"unread,lz4"`
	}
	path := filepath.Join(t.TempDir(), "a.parquet")
	if err := parquet.WriteFile(path, []row{{Image: []byte("x"), Caption: "a dog"}}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{path, "testdata/legacy-lz4.parquet"} {
		if _, err := Open([]string{path}, ""); adapters.KindOf(err) != adapters.Unsupported || !strings.Contains(err.Error(), `"caption" is compressed by LZ4`) {
			t.Errorf("%s: error %v, want one that names the column and LZ4", path, err)
		}
	}
	type other struct {
		Image  []byte `parquet:"image,zstd"`
		Unread string `parquet:"unread,lz4"`
	}
	if err := parquet.WriteFile(path, []other{{Image: []byte("x")}}); err != nil {
		t.Fatal(err)
	}
	r, err := Open([]string{path}, "")
	if err != nil {
		t.Fatalf("a column that is not read: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}
