// Package cache keeps a frozen encoder's features of a data set on disk, so that
// each picture is encoded once for all steps, runs and arms of a comparison.
//
// One file holds the rows of one encoder on one data set: it is named after
// both digests, so other weights or other pictures never meet its rows. A row is
// marked as present only after it was written; a run that is killed while it
// fills the file loses the batch that it was at. Two processes may use one file:
// they take turns in filling it. Where the disk is full training goes on without
// the cache.
//
// Tensors that [Cache.Features] returns belong to the caller.
package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/gofrs/flock"

	"github.com/modular-bridging/bridge/adapters"
)

// Pictures are what is encoded: the part of a data set that the cache needs.
type Pictures interface {
	Len() int
	Digest() string
	Image(i int) ([]uint8, error)
}

// Options steer a cache.
type Options struct {
	// DType of the rows on disk: BFloat16 (the zero value means it) or Float32.
	DType adapters.DType
	// Batch is the pictures of one request to the encoder; 0 means 64.
	Batch int
	// Progress, where not nil, is told how many of the rows asked for are there.
	Progress func(done, total int)
	Log      *slog.Logger // nil discards
}

// Cache serves features. Its methods may be called from several goroutines.
type Cache struct {
	encoder  adapters.VisionEncoder
	pictures Pictures
	options  Options
	layout   layout
	lock     *flock.Flock

	mu      sync.Mutex // guards the rest
	file    *os.File   // nil once the disk refused a row
	present []byte     // one per row: 1 where it is on disk
}

// layout says where a file keeps what.
type layout struct {
	Encoder string         `json:"encoder"` // digest
	Data    string         `json:"data"`    // digest
	Layer   int            `json:"layer"`
	Rows    int            `json:"rows"`
	Shape   []int          `json:"shape"` // [N, D]
	DType   adapters.DType `json:"dtype"`
}

// headerSize is a page: the layout as JSON, padded with spaces.
const headerSize = 4096

func (l layout) rowBytes() int64 { return int64(adapters.Elements(l.Shape) * l.DType.Size()) }

func (l layout) offset(row int) int64 {
	return headerSize + int64(l.Rows) + int64(row)*l.rowBytes()
}

func (l layout) name() string {
	data, _ := json.Marshal(l) // plain fields: cannot fail
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:12]) + ".features"
}

// Bytes estimates the file's size.
func Bytes(spec adapters.VisionSpec, rows int, dtype adapters.DType) int64 {
	return layoutOf(spec, "", rows, dtype).offset(rows)
}

func layoutOf(spec adapters.VisionSpec, data string, rows int, dtype adapters.DType) layout {
	if dtype == adapters.InvalidDType {
		dtype = adapters.BFloat16
	}
	return layout{Encoder: spec.Digest, Data: data, Layer: spec.Layer, Rows: rows, Shape: []int{spec.Tokens, spec.Width}, DType: dtype}
}

// Open opens or creates the cache file of an encoder and a data set in dir.
func Open(dir string, encoder adapters.VisionEncoder, pictures Pictures, o Options) (*Cache, error) {
	if o.Batch == 0 {
		o.Batch = 64
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Cache{encoder: encoder, pictures: pictures, options: o}
	c.layout = layoutOf(encoder.Spec(), pictures.Digest(), pictures.Len(), o.DType)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("feature cache: %w", err)
	}
	path := filepath.Join(dir, c.layout.name())
	c.lock = flock.New(path + ".lock")
	if err := c.lock.Lock(); err != nil {
		return nil, fmt.Errorf("feature cache: %w", err)
	}
	defer c.lock.Unlock()
	var err error
	if c.file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644); err != nil {
		return nil, fmt.Errorf("feature cache: %w", err)
	}
	if err := c.readHeader(); err != nil {
		c.file.Close()
		return nil, fmt.Errorf("feature cache %s: %w", path, err)
	}
	return c, nil
}

// readHeader reads the layout and the marks of an old file, or writes those of
// a new one. A file whose head another program wrote is begun again.
func (c *Cache) readHeader() error {
	want, err := json.Marshal(c.layout)
	if err != nil {
		return err
	}
	want = append(want, make([]byte, headerSize-len(want))...)
	c.present = make([]byte, c.layout.Rows)
	got := make([]byte, headerSize)
	if _, err := c.file.ReadAt(got, 0); err == nil && string(got) == string(want) {
		if _, err := c.file.ReadAt(c.present, headerSize); err == nil {
			return nil
		}
		clear(c.present)
	} else if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := c.file.Truncate(0); err != nil {
		return err
	}
	if _, err := c.file.WriteAt(want, 0); err != nil {
		return full(err)
	}
	if _, err := c.file.WriteAt(c.present, headerSize); err != nil {
		return full(err)
	}
	return nil
}

// full adds the remedy to an error of a disk that takes no more.
func full(err error) error {
	return adapters.Errorf(adapters.Exhausted, "write: %w", err).
		WithRemedy("free disk space, or point BRIDGE_CACHE at a larger disk")
}

// Close closes the file; what it holds serves the next run.
func (c *Cache) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file == nil {
		return nil
	}
	err := c.file.Close()
	c.file = nil
	return err
}

// Features returns [len(indices), N, D] in the cache's type. Rows that the file
// lacks are computed and added to it.
func (c *Cache) Features(ctx context.Context, indices []int) (*adapters.Tensor, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := adapters.NewTensor(c.layout.DType, append([]int{len(indices)}, c.layout.Shape...)...)
	missing := map[int][]int{} // row → places in out
	var order []int
	for place, row := range indices {
		if row < 0 || row >= c.layout.Rows {
			return nil, adapters.Errorf(adapters.Invalid, "features of picture %d, the data set has %d", row, c.layout.Rows)
		}
		if c.present[row] == 1 && c.file != nil {
			if _, err := c.file.ReadAt(out.Row(place).Data, c.layout.offset(row)); err != nil {
				return nil, adapters.Errorf(adapters.Corrupt, "feature cache: row %d: %w", row, err).
					WithRemedy("delete %s", c.file.Name())
			}
			continue
		}
		if len(missing[row]) == 0 {
			order = append(order, row)
		}
		missing[row] = append(missing[row], place)
	}
	return out, c.compute(ctx, order, func(row int, data []byte) {
		for _, place := range missing[row] {
			copy(out.Row(place).Data, data)
		}
	})
}

// Fill computes all rows of the first n pictures that the file lacks.
func (c *Cache) Fill(ctx context.Context, n int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var rows []int
	for row := range min(n, c.layout.Rows) {
		if c.present[row] == 0 {
			rows = append(rows, row)
		}
	}
	return c.compute(ctx, rows, func(int, []byte) {})
}

// compute encodes rows, batch by batch, stores them and hands each to use.
func (c *Cache) compute(ctx context.Context, rows []int, use func(row int, data []byte)) error {
	for lo := 0; lo < len(rows); lo += c.options.Batch {
		part := rows[lo:min(lo+c.options.Batch, len(rows))]
		features, err := c.encode(ctx, part)
		if err != nil {
			return err
		}
		for i, row := range part {
			use(row, features.Row(i).Data)
		}
		if c.file != nil {
			if err := c.store(part, features); err != nil {
				c.options.Log.Warn("the feature cache takes no more rows; training goes on without it", "error", err)
				c.file.Close()
				c.file = nil
			}
		}
		if c.options.Progress != nil {
			c.options.Progress(lo+len(part), len(rows))
		}
	}
	return nil
}

func (c *Cache) encode(ctx context.Context, rows []int) (*adapters.Tensor, error) {
	spec := c.encoder.Spec().Image
	images := adapters.NewTensor(adapters.Uint8, len(rows), spec.Height, spec.Width, 3)
	for i, row := range rows {
		pixels, err := c.pictures.Image(row)
		if err != nil {
			return nil, err
		}
		if copy(images.Row(i).Data, pixels) != len(pixels) || len(pixels) != spec.Height*spec.Width*3 {
			return nil, adapters.Errorf(adapters.Invalid, "picture %d has %d bytes, want %d×%d×3", row, len(pixels), spec.Height, spec.Width)
		}
	}
	resp, err := c.encoder.Encode(ctx, &adapters.EncodeRequest{Images: images})
	if err != nil {
		return nil, err
	}
	return resp.Features.Convert(c.layout.DType)
}

// store writes rows, then marks them.
func (c *Cache) store(rows []int, features *adapters.Tensor) error {
	if err := c.lock.Lock(); err != nil {
		return err
	}
	defer c.lock.Unlock()
	for i, row := range rows {
		if _, err := c.file.WriteAt(features.Row(i).Data, c.layout.offset(row)); err != nil {
			return full(err)
		}
	}
	for _, row := range rows {
		if _, err := c.file.WriteAt([]byte{1}, headerSize+int64(row)); err != nil {
			return full(err)
		}
		c.present[row] = 1
	}
	return nil
}
