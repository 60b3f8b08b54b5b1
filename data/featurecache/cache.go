package featurecache

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/gofrs/flock"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/writable"
)

// Pictures is the part of a data set that the cache needs.
type Pictures interface {
	Len() int
	Digest() string
	Image(i int) (*adapters.Tensor, error) // uint8[H, W, 3]
}

// Decoder is implemented by pictures whose pixels depend on more than the digest of their
// files: on the orientation, and on the version of bridge that decodes them.
type Decoder interface {
	Decoding() string // part of the cache's key; empty adds nothing
}

// Options configure a cache.
type Options struct {
	// DType is the type of the rows on disk: BFloat16, which the zero value means, or
	// Float32.
	DType adapters.DType
	// Model is a key of everything that changes the features and that the encoder's spec does
	// not say: its other files and, of a plugin, its code. registry.FeatureKey makes it.
	// Features are shared only between encoders with the same key. An empty key means that
	// the spec says everything.
	Model string
	// Batch is the number of pictures in one request to the encoder; 0 means 64.
	Batch int
	// Progress, if non-nil, is called with how many of the requested rows are computed.
	Progress func(done, total int)
	Log      *slog.Logger // nil discards
}

// variable is the environment variable that moves the cache.
const variable = "BRIDGE_CACHE"

// Cache gives the features of a data set. Its methods may be called from several
// goroutines.
type Cache struct {
	encoder  adapters.VisionEncoder
	pictures Pictures
	options  Options
	layout   layout
	lock     *flock.Flock

	mu   sync.Mutex // guards the rest
	file *os.File   // nil if the header could not be written
	full bool       // a row could not be written
	sums []byte     // uint32 per row: its checksum, or 0 if the row is not on disk
}

// revision is part of every key. Raise it with each change of bridge that changes features:
// of how pictures are decoded and prepared, or of what a built-in family computes.
const revision = 2

// layout describes a file: its key and where its rows are.
type layout struct {
	Revision int                `json:"revision"`
	Encoder  string             `json:"encoder"` // digest of the weights
	Model    string             `json:"model"`   // [Options.Model]
	Family   string             `json:"family"`
	Image    adapters.ImageSpec `json:"image"`
	Patch    int                `json:"patch"`
	Data     string             `json:"data"` // digest
	Layer    int                `json:"layer"`
	Compute  adapters.DType     `json:"compute"`
	Rows     int                `json:"rows"`
	Shape    []int              `json:"shape"` // [N, D]
	DType    adapters.DType     `json:"dtype"`
	// Decoding is that of [Decoder].
	Decoding string `json:"decoding,omitempty"`
}

// headerSize is the size of a page, which holds the layout as JSON, padded with zeros.
// The checksums follow, then the rows.
const headerSize = 4096

const sumSize = 4

func (l layout) rowBytes() int64 { return int64(adapters.Elements(l.Shape) * l.DType.Size()) }

func (l layout) offset(row int) int64 {
	return headerSize + sumSize*int64(l.Rows) + int64(row)*l.rowBytes()
}

func (l layout) name() string {
	data, _ := json.Marshal(l) // plain fields: cannot fail
	return fileName(data)
}

// olderName returns the name that older versions gave the file. Their key was the fields below.
func (l layout) olderName() string {
	data, _ := json.Marshal(struct { // plain fields: cannot fail
		Encoder string         `json:"encoder"`
		Data    string         `json:"data"`
		Layer   int            `json:"layer"`
		Compute adapters.DType `json:"compute"`
		Rows    int            `json:"rows"`
		Shape   []int          `json:"shape"`
		DType   adapters.DType `json:"dtype"`
	}{l.Encoder, l.Data, l.Layer, l.Compute, l.Rows, l.Shape, l.DType})
	return fileName(data)
}

func fileName(key []byte) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:12]) + ".features"
}

// Bytes returns the size of the file once all rows are in it.
func Bytes(spec adapters.VisionSpec, rows int, dtype adapters.DType) int64 {
	return layoutOf(spec, "", "", rows, dtype).offset(rows)
}

func layoutOf(spec adapters.VisionSpec, model, data string, rows int, dtype adapters.DType) layout {
	if dtype == adapters.InvalidDType {
		dtype = adapters.BFloat16
	}
	return layout{
		Revision: revision, Encoder: spec.Digest, Model: model, Family: spec.Family, Image: spec.Image, Patch: spec.Patch,
		Data: data, Layer: spec.Layer, Compute: spec.DType,
		Rows: rows, Shape: []int{spec.Tokens, spec.Width}, DType: dtype,
	}
}

// Open opens or creates the cache file of an encoder and a data set in dir. If dir cannot be
// written, because it is read-only or the disk is full, Open logs a warning and the cache works
// without a file: the features are the same, and cost more time.
func Open(dir string, encoder adapters.VisionEncoder, pictures Pictures, o Options) (*Cache, error) {
	if o.Batch == 0 {
		o.Batch = 64
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	spec := encoder.Spec()
	if spec.Digest == "" {
		return nil, adapters.Errorf(adapters.Invalid, "feature cache: the encoder %s reports no digest of its weights, so its features cannot be told from those of others", spec.ID)
	}
	c := &Cache{encoder: encoder, pictures: pictures, options: o}
	c.layout = layoutOf(spec, o.Model, pictures.Digest(), pictures.Len(), o.DType)
	if d, ok := pictures.(Decoder); ok {
		c.layout.Decoding = d.Decoding()
	}
	c.sums = make([]byte, sumSize*c.layout.Rows)
	path := filepath.Join(dir, c.layout.name())
	c.explainOlder(dir, path)
	err := c.open(path)
	if writable.Refused(err) {
		o.Log.Warn("the feature cache cannot be written; every picture is encoded each time", "error", writable.Explain(err, dir, variable))
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("feature cache %s: %w", path, err)
	}
	return c, nil
}

// explainOlder logs why the features that an older version computed are not used.
func (c *Cache) explainOlder(dir, path string) {
	older := filepath.Join(dir, c.layout.olderName())
	info, err := os.Stat(older)
	if _, missing := os.Stat(path); err != nil || missing == nil {
		return
	}
	c.options.Log.Info("features are computed again: an older version of bridge did not record the encoder's configuration and code with them",
		"encoder", c.encoder.Spec().ID, "unused", older, "bytes", info.Size(), "remedy", "delete the unused file if you do not go back to that version")
}

func (c *Cache) open(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	c.lock = flock.New(path + ".lock")
	if err := c.lock.Lock(); err != nil {
		return err
	}
	defer c.lock.Unlock()
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	if err := c.readHeader(file); err != nil {
		return errors.Join(err, file.Close())
	}
	c.file = file
	return nil
}

// readHeader reads the layout and the checksums of an existing file, or writes those of a
// new one. It empties a file whose header is incomplete.
func (c *Cache) readHeader(file *os.File) error {
	want, err := json.Marshal(c.layout)
	if err != nil {
		return err
	}
	want = append(want, make([]byte, headerSize-len(want))...)
	head := make([]byte, headerSize+len(c.sums))
	_, err = file.ReadAt(head, 0)
	if err == nil && bytes.Equal(head[:headerSize], want) {
		copy(c.sums, head[headerSize:])
		return c.dropCutOff(file)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err = file.WriteAt(append(want, c.sums...), 0)
	return err
}

// dropCutOff clears the checksums of rows that lie beyond the end of the file.
func (c *Cache) dropCutOff(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	lost := 0
	for row := range c.layout.Rows {
		if c.has(row) && c.layout.offset(row+1) > info.Size() {
			clear(c.sum(row))
			lost++
		}
	}
	if lost == 0 {
		return nil
	}
	c.warnDamage(file, lost, "the file is cut off")
	_, err = file.WriteAt(c.sums, headerSize)
	return err
}

func (c *Cache) warnDamage(file *os.File, rows int, reason any) {
	c.options.Log.Warn("rows of the feature cache are damaged and computed again", "rows", rows, "reason", reason, "file", file.Name())
}

// checksum returns a row's CRC-32C, or 1 if that is 0.
func checksum(row []byte) uint32 {
	return max(1, crc32.Checksum(row, crc32.MakeTable(crc32.Castagnoli)))
}

func (c *Cache) sum(row int) []byte { return c.sums[sumSize*row : sumSize*(row+1)] }

// has reports whether a row is on disk.
func (c *Cache) has(row int) bool { return binary.LittleEndian.Uint32(c.sum(row)) != 0 }

// read fills data with a row that is on disk. If the row is damaged, read clears its
// checksum and returns an error.
func (c *Cache) read(row int, data []byte) error {
	_, err := c.file.ReadAt(data, c.layout.offset(row))
	if got, want := checksum(data), binary.LittleEndian.Uint32(c.sum(row)); err == nil && got != want {
		err = fmt.Errorf("the checksum is %08x, want %08x", got, want)
	}
	if err != nil {
		clear(c.sum(row))
	}
	return err
}

// Close closes the file.
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
// lacks are computed and added to it. Its error for pictures that cannot be used is a
// [data.PictureErrors].
func (c *Cache) Features(ctx context.Context, indices []int) (*adapters.Tensor, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := adapters.NewTensor(c.layout.DType, append([]int{len(indices)}, c.layout.Shape...)...)
	missing := map[int][]int{} // row → places in out
	var order []int
	var reason error // why the last damaged row is so
	damaged := 0
	for place, row := range indices {
		if row < 0 || row >= c.layout.Rows {
			return nil, c.beyond(row)
		}
		if c.file != nil && c.has(row) {
			err := c.read(row, out.Row(place).Data)
			if err == nil {
				continue
			}
			damaged, reason = damaged+1, err
		}
		if len(missing[row]) == 0 {
			order = append(order, row)
		}
		missing[row] = append(missing[row], place)
	}
	if damaged > 0 {
		c.warnDamage(c.file, damaged, reason)
	}
	return out, c.compute(ctx, order, func(row int, data []byte) {
		for _, place := range missing[row] {
			copy(out.Row(place).Data, data)
		}
	})
}

// beyond returns the error for a row that the file has no place for.
func (c *Cache) beyond(row int) error {
	return adapters.Errorf(adapters.Invalid, "features of picture %d, and the feature cache has %d, one for each row", row, c.layout.Rows).
		WithRemedy("set run.feature_cache = false if records have several pictures")
}

// Prefetch computes the rows that the file lacks. It does nothing if the disk has no
// room for them. Its error for pictures that cannot be used is a [data.PictureErrors].
func (c *Cache) Prefetch(ctx context.Context, rows []int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file == nil || c.full {
		return nil
	}
	var missing []int
	for _, row := range rows {
		if row < 0 || row >= c.layout.Rows {
			return c.beyond(row)
		}
		if !c.has(row) {
			missing = append(missing, row)
		}
	}
	return c.compute(ctx, missing, func(int, []byte) {})
}

// compute encodes rows batch by batch, stores them and calls use with each.
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
		if c.file != nil && !c.full {
			if err := c.store(part, features); err != nil {
				c.options.Log.Warn("the feature cache cannot be written any more; missing rows are computed each time",
					"error", writable.Explain(err, filepath.Dir(c.file.Name()), variable))
				c.full = true
			}
		}
		if c.options.Progress != nil {
			c.options.Progress(lo+len(part), len(rows))
		}
	}
	return nil
}

func (c *Cache) encode(ctx context.Context, rows []int) (*adapters.Tensor, error) {
	return encode(ctx, c.pictures.Image, rows, func(ctx context.Context, images *adapters.Tensor) (*adapters.Tensor, error) {
		request := &adapters.EncodeRequest{Images: images}
		if err := request.Check(c.encoder.Spec()); err != nil {
			return nil, err
		}
		resp, err := c.encoder.Encode(ctx, request)
		if err != nil {
			return nil, err
		}
		if err := resp.Check(c.encoder.Spec(), request); err != nil {
			return nil, err
		}
		return resp.Features.Convert(c.layout.DType)
	})
}

// store writes rows, then their checksums.
func (c *Cache) store(rows []int, features *adapters.Tensor) error {
	if err := c.lock.Lock(); err != nil {
		return err
	}
	defer c.lock.Unlock()
	for i, row := range rows {
		if _, err := c.file.WriteAt(features.Row(i).Data, c.layout.offset(row)); err != nil {
			return err
		}
	}
	for i, row := range rows {
		sum := binary.LittleEndian.AppendUint32(nil, checksum(features.Row(i).Data))
		if _, err := c.file.WriteAt(sum, headerSize+sumSize*int64(row)); err != nil {
			return err
		}
		copy(c.sum(row), sum)
	}
	return nil
}
