package imaging

import (
	"bytes"
	"encoding/binary"
	"io"
)

// tail is the number of a file's last bytes in which its end mark is searched: some
// programs write more behind it.
const tail = 64 << 10

// CutOff reports whether an image file of the given size lacks its end, as a
// download that was broken off does, without decoding it: JPEG's, PNG's and
// GIF's end marks, WebP's length. Files of other kinds are not judged.
func CutOff(file io.ReaderAt, size int64) bool {
	head := make([]byte, 16)
	n, _ := file.ReadAt(head, 0)
	f, err := formatOf(head[:n])
	return err == nil && f.cutOff != nil && f.cutOff(file, size)
}

// lacks returns a function that reports whether a file lacks its end mark.
func lacks(mark string) func(io.ReaderAt, int64) bool {
	return func(file io.ReaderAt, size int64) bool { return !bytes.Contains(lastBytes(file, size), []byte(mark)) }
}

func cutOffGIF(file io.ReaderAt, size int64) bool {
	return !bytes.HasSuffix(bytes.TrimRight(lastBytes(file, size), "\x00"), []byte(";"))
}

func cutOffWebP(file io.ReaderAt, size int64) bool {
	head := make([]byte, 8)
	_, err := file.ReadAt(head, 0)
	return err != nil || size < 8+int64(binary.LittleEndian.Uint32(head[4:]))
}

func lastBytes(file io.ReaderAt, size int64) []byte {
	end := make([]byte, min(size, tail))
	n, _ := file.ReadAt(end, size-int64(len(end)))
	return end[:n]
}
