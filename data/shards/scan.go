package shards

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"os"

	"github.com/modular-bridging/bridge/adapters"
)

// scanned is the result of the scan of a shard.
type scanned struct {
	shard   shard
	entries []byte
}

// scan reads the headers of a shard.
func scan(ctx context.Context, path, name string) (scanned, error) {
	f, info, err := openShard(path)
	if err != nil {
		return scanned{}, err
	}
	defer f.Close()
	s, err := scanBytes(ctx, f, info.Size())
	s.shard.Name, s.shard.Time = name, info.ModTime().UnixNano()
	if err != nil && ctx.Err() == nil {
		err = adapters.Errorf(adapters.Corrupt, "%s cannot be read: %w", path, err)
	}
	return s, err
}

// scanBytes reads the headers of the shard whose bytes f has.
func scanBytes(ctx context.Context, f io.ReaderAt, size int64) (scanned, error) {
	s := scanned{shard: shard{Size: size}}
	seen := map[uint64]bool{}
	sum := sha256.New()
	samples := sampler{walk: newWalker(f, 0, size)}
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return s, ctx.Err()
		}
		found, err := samples.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return s, err
		}
		s.add(&found, seen)
		for _, m := range found.members {
			_, _ = sum.Write(binary.AppendUvarint(append([]byte(m.name), 0), uint64(m.size))) // never fails
		}
	}
	s.shard.Links, s.shard.Outside = samples.walk.links, samples.walk.outside
	s.shard.Unmarked = samples.walk.whole && samples.walk.next >= size
	s.shard.Behind = behind(f, samples.walk, size)
	s.shard.Names = hex.EncodeToString(sum.Sum(nil)[:16])
	var err error
	s.shard.Bytes, err = sampledDigest(f, size)
	return s, err
}

// add adds a sample.
func (s *scanned) add(r *run, seen map[uint64]bool) {
	s.entries = entryOf(r).append(s.entries)
	s.shard.Samples++
	if r.fault != nil {
		s.shard.Bad++
	}
	if r.key == "" {
		return
	}
	h := sha256.Sum256([]byte(r.key))
	id := binary.LittleEndian.Uint64(h[:])
	if seen[id] {
		if s.shard.Repeated++; s.shard.Repeated == 1 {
			s.shard.Example = r.key
		}
	}
	seen[id] = true
}

// openShard opens a shard. It refuses what cannot be one.
func openShard(path string) (*os.File, os.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		kind := adapters.NotFound
		if errors.Is(err, os.ErrPermission) {
			kind = adapters.Invalid
		}
		return nil, nil, adapters.Errorf(kind, "shard: %w", err).
			WithRemedy("restore it, or name the shards that exist")
	}
	info, err := f.Stat()
	if err == nil {
		err = checkShard(f, info, path)
	}
	if err != nil {
		_ = f.Close() // only read
		return nil, nil, err
	}
	return f, info, nil
}

// checkShard returns an error unless a file begins as a tar archive does.
func checkShard(f *os.File, info os.FileInfo, path string) error {
	if !info.Mode().IsRegular() {
		return adapters.Errorf(adapters.Invalid, "%s is a folder or no regular file, want a tar shard", path).
			WithRemedy("name the shards in it, such as %s/{00000..00099}.tar", path)
	}
	if info.Size() == 0 {
		return adapters.Errorf(adapters.Corrupt, "%s is empty (0 bytes), want a tar shard", path).
			WithRemedy("write or download it again")
	}
	head := make([]byte, block)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return adapters.Errorf(adapters.Corrupt, "%s cannot be read: %w", path, err)
	}
	head = head[:n]
	for begin, how := range map[string]string{"\x1f\x8b": "gz", "\x28\xb5\x2f\xfd": "zst", "BZh": "bz2", "\xfd7zXZ\x00": "xz", "\x04\x22\x4d\x18": "lz4"} {
		if bytes.HasPrefix(head, []byte(begin)) {
			return compressed(path, how)
		}
	}
	if !IsTar(head) {
		return adapters.Errorf(adapters.Corrupt, "%s is no tar archive: its first header has a wrong checksum", path).
			WithRemedy("write or download it again")
	}
	return nil
}

// IsTar reports whether a file begins with the header of a member, or with the end mark.
func IsTar(head []byte) bool {
	if len(head) < block {
		return false
	}
	const at, length = 148, 8
	sum, blank := uint64(length*' '), true
	for i, b := range head[:block] {
		if i < at || i >= at+length {
			sum += uint64(b)
		}
		blank = blank && b == 0
	}
	var want uint64
	for _, b := range bytes.Trim(head[at:at+length], " \x00") {
		if b < '0' || b > '7' {
			return false
		}
		want = want*8 + uint64(b-'0')
	}
	return blank || sum == want
}

// behind returns the offset of bytes other than zero behind the end mark of a shard; 0 if there
// are none. tar and webdataset do not read them.
func behind(f io.ReaderAt, w *walker, size int64) int64 {
	const end, looked = 2 * block, 64 << 10
	if !w.whole || w.next+end >= size {
		return 0
	}
	rest := make([]byte, looked)
	n, _ := f.ReadAt(rest, w.next+end)
	if len(bytes.Trim(rest[:n], "\x00")) == 0 {
		return 0
	}
	return w.next + end
}

// sampledDigest returns a digest of the bytes in four places of a file.
func sampledDigest(f io.ReaderAt, size int64) (string, error) {
	const places, length = 4, 16 << 10
	sum := sha256.New()
	for i := range int64(places) {
		at := max(0, size-length) * i / (places - 1)
		if _, err := io.Copy(sum, io.NewSectionReader(f, at, length)); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:16]), nil
}
