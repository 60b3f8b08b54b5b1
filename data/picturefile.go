package data

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/imaging"
	"github.com/modular-bridging/bridge/internal/printable"
)

// pictureCheck is the result of checking a picture file when a data set is opened.
type pictureCheck struct {
	info     fs.FileInfo
	digest   string // of its bytes: see digestPicture
	revision string // that of [imaging.Revision]
	err      error
}

// checkPicture reads a picture's header, checks that the end of the file is there (a download
// that was cut off lacks it), and computes the digest of its bytes.
//
// It refuses a named pipe, because opening it may wait for ever and it can be read only once.
func checkPicture(path string) (c pictureCheck) {
	if info, err := os.Stat(path); err == nil && info.Mode()&fs.ModeNamedPipe != 0 {
		c.err = notAFile(path, "a named pipe")
		return c
	}
	f, err := openPicture(path)
	if err != nil {
		c.err = err
		return c
	}
	defer f.Close()
	if _, err := imaging.DecodeConfig(f); err != nil {
		c.err = pictureError(path, err)
		return c
	}
	if c.info, err = f.Stat(); err == nil {
		c.digest, err = digestPicture(f, c.info.Size())
	}
	switch {
	case err != nil:
		c.err = adapters.Errorf(adapters.Corrupt, "picture %s: %w", printable.Name(path), err)
	case imaging.CutOff(f, c.info.Size()):
		c.err = adapters.Errorf(adapters.Corrupt, "picture %s is cut off: its end is missing", printable.Name(path))
	default:
		c.revision = imaging.Revision(f)
	}
	return c
}

// A file of up to wholeBytes is hashed wholly. Of a larger one its size and sampledBlocks
// blocks of equal length are, the first at its start and the last at its end.
const (
	wholeBytes    = 256 << 10
	sampledBlocks = 4
)

// PictureDigest returns the digest of an encoded picture that [Entry.Bytes] holds.
func PictureDigest(encoded []byte) string {
	digest, err := digestPicture(bytes.NewReader(encoded), int64(len(encoded)))
	if err != nil {
		panic("data: bytes in memory cannot be read: " + err.Error())
	}
	return digest
}

// digestPicture returns 16 hexadecimal digits of the SHA-256 of a file's size and bytes. It
// reads at most wholeBytes.
func digestPicture(f io.ReaderAt, size int64) (string, error) {
	sum := sha256.New()
	fmt.Fprintln(sum, size)
	if size <= wholeBytes {
		_, err := io.Copy(sum, io.NewSectionReader(f, 0, size))
		return shortDigest(sum.Sum(nil)), err
	}
	const block = wholeBytes / sampledBlocks
	for i := range int64(sampledBlocks) {
		at := (size - block) * i / (sampledBlocks - 1)
		if _, err := io.Copy(sum, io.NewSectionReader(f, at, block)); err != nil {
			return "", err
		}
	}
	return shortDigest(sum.Sum(nil)), nil
}

func shortDigest(sum []byte) string { return hex.EncodeToString(sum[:8]) }

// sizeKey returns the part of a digest that differs between sizes of one data set.
func sizeKey(s adapters.ImageSpec) string {
	key := fmt.Sprintf("/%dx%d-%s-%s", s.Width, s.Height, s.Resample, s.Mode)
	if s.ShortestEdge != 0 {
		key += fmt.Sprintf("-%d", s.ShortestEdge)
	}
	return key
}
