package imaging

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/hex"
	"io"
	"regexp"
	"strings"
)

// orientationTag is Exif's tag of the eight orientations.
const orientationTag = 0x0112

var xmpOrientation = regexp.MustCompile(`tiff:Orientation(?:="|>)([0-9])`)

// orientationOf returns the orientation that Exif data gives, or that XMP gives if there
// is none in the Exif data. 1 means that the picture is upright.
func orientationOf(exif, xmp []byte) int {
	if o, ok := exifOrientation(exif); ok {
		return o
	}
	if found := xmpOrientation.FindSubmatch(xmp); found != nil {
		return int(found[1][0] - '0')
	}
	return 1
}

// exifOrientation looks the orientation up in the first directory of a TIFF structure.
func exifOrientation(data []byte) (orientation int, ok bool) {
	for bytes.HasPrefix(data, []byte("Exif\x00\x00")) {
		data = data[6:]
	}
	var order binary.ByteOrder
	switch {
	case len(data) < 8:
		return 0, false
	case bytes.HasPrefix(data, []byte("II*\x00")):
		order = binary.LittleEndian
	case bytes.HasPrefix(data, []byte("MM\x00*")):
		order = binary.BigEndian
	default:
		return 0, false
	}
	at := uint64(order.Uint32(data[4:]))
	if at+2 > uint64(len(data)) {
		return 0, false
	}
	entries := data[at+2:]
	for range order.Uint16(data[at:]) {
		if len(entries) < 12 {
			break
		}
		entry := entries[:12]
		entries = entries[12:]
		if order.Uint16(entry) == orientationTag {
			return exifNumber(order, data, entry)
		}
	}
	return 0, false
}

// exifNumber returns the first number of a directory's entry.
func exifNumber(order binary.ByteOrder, data, entry []byte) (value int, ok bool) {
	size := map[uint16]uint64{1: 1, 6: 1, 3: 2, 8: 2, 4: 4, 9: 4}[order.Uint16(entry[2:])] // by its type
	count := uint64(order.Uint32(entry[4:]))
	if size == 0 || count == 0 {
		return 0, false
	}
	number := entry[8:]
	if size*count > 4 { // the numbers are elsewhere
		at := uint64(order.Uint32(number))
		if at+size > uint64(len(data)) {
			return 0, false
		}
		number = data[at:]
	}
	switch size {
	case 1:
		return int(number[0]), true
	case 2:
		return int(order.Uint16(number)), true
	}
	return int(order.Uint32(number)), true
}

// turned returns the picture that is upright if this one is stored with an orientation.
func (m *RGB) turned(orientation int) *RGB {
	if orientation < 2 || orientation > 8 {
		return m
	}
	w, h := m.Width, m.Height
	out := newRGB(w, h)
	if orientation >= 5 { // columns become rows
		out.Width, out.Height = h, w
	}
	for y := range out.Height {
		for x := range out.Width {
			fromX, fromY := x, y
			if orientation >= 5 {
				fromX, fromY = y, x
			}
			switch orientation {
			case 2, 8:
				fromX = w - 1 - fromX
			case 3, 7:
				fromX, fromY = w-1-fromX, h-1-fromY
			case 4, 6:
				fromY = h - 1 - fromY
			}
			copy(out.Pix[3*(y*out.Width+x):][:3], m.Pix[3*(fromY*w+fromX):])
		}
	}
	return out
}

// jpegMetadata joins the Exif segments before the first scan, and returns the last XMP
// segment.
func jpegMetadata(data []byte) (exif, xmp []byte) {
	for data = data[min(2, len(data)):]; len(data) >= 4; {
		if data[0] != 0xff { // junk
			data = data[1:]
			continue
		}
		marker := data[1]
		if marker == 0xff || marker == 0 || marker == 0x01 || marker >= 0xd0 && marker <= 0xd9 {
			data = data[1:]
			continue
		}
		size := int(binary.BigEndian.Uint16(data[2:]))
		if marker == 0xda || size < 2 || size > len(data)-2 {
			break
		}
		segment := data[4 : 2+size]
		data = data[2+size:]
		if marker != 0xe1 {
			continue
		}
		if part, ok := bytes.CutPrefix(segment, []byte("Exif\x00\x00")); ok {
			exif = append(exif, part...)
		} else if part, ok := bytes.CutPrefix(segment, []byte("http://ns.adobe.com/xap/1.0/\x00")); ok {
			xmp = part
		}
	}
	return exif, xmp
}

func webpMetadata(data []byte) (exif, xmp []byte) {
	for id, chunk := range riffChunks(data[min(12, len(data)):]) {
		switch id {
		case "EXIF":
			exif = chunk
		case "XMP ":
			xmp = chunk
		}
	}
	return exif, xmp
}

// pngMetadata reads the chunk eXIf, or else the text that ImageMagick writes in its place.
func pngMetadata(data []byte) (exif, xmp []byte) {
	var profile []byte
	for data = data[min(8, len(data)):]; len(data) >= 12; {
		size := uint64(binary.BigEndian.Uint32(data))
		if size > uint64(len(data)-12) {
			break
		}
		id, chunk := string(data[4:8]), data[8:8+size]
		data = data[12+size:]
		if id == "eXIf" {
			exif = chunk
			continue
		}
		switch key, text := pngText(id, chunk); key {
		case "XML:com.adobe.xmp":
			xmp = text
		case "Raw profile type exif":
			profile = text
		}
	}
	if exif == nil {
		exif = rawProfile(profile)
	}
	return exif, xmp
}

// pngText returns the keyword and the text of a chunk, or nothing if it holds no text.
func pngText(id string, chunk []byte) (key string, text []byte) {
	name, rest, _ := bytes.Cut(chunk, []byte{0})
	switch {
	case id == "tEXt":
		return string(name), rest
	case id == "zTXt" && len(rest) > 1:
		return string(name), inflate(rest[1:])
	case id == "iTXt" && len(rest) > 2:
		compressed := rest[0] != 0
		_, rest, _ = bytes.Cut(rest[2:], []byte{0}) // behind the language
		_, rest, _ = bytes.Cut(rest, []byte{0})     // behind the translated keyword
		if compressed {
			rest = inflate(rest)
		}
		return string(name), rest
	}
	return "", nil
}

// maxText bounds a text that is inflated, as Pillow bounds it.
const maxText = 1 << 20

// inflate returns nil if the text is damaged.
func inflate(data []byte) []byte {
	r, err := zlib.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxText))
	if err != nil {
		return nil
	}
	return text
}

// rawProfile decodes a profile that is written as hexadecimal digits, behind three lines.
func rawProfile(text []byte) []byte {
	lines := strings.SplitN(string(text), "\n", 4)
	if len(lines) < 4 {
		return nil
	}
	profile, err := hex.DecodeString(strings.ReplaceAll(lines[3], "\n", ""))
	if err != nil {
		return nil
	}
	return profile
}
