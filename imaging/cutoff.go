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
	head = head[:n]
	for _, f := range formats() {
		if !f.matches(head) {
			continue
		}
		switch f.name {
		case "JPEG":
			return !contains(lastBytes(file, size), "\xff\xd9")
		case "PNG":
			return !contains(lastBytes(file, size), "IEND\xaeB`\x82")
		case "GIF":
			return !bytes.HasSuffix(bytes.TrimRight(lastBytes(file, size), "\x00"), []byte(";"))
		case "WebP":
			return size < 8+int64(binary.LittleEndian.Uint32(head[4:]))
		}
	}
	return false
}

func lastBytes(file io.ReaderAt, size int64) []byte {
	end := make([]byte, min(size, tail))
	n, _ := file.ReadAt(end, size-int64(len(end)))
	return end[:n]
}

func contains(data []byte, mark string) bool { return bytes.Contains(data, []byte(mark)) }
