package pictures

import (
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/printable"
)

// DecodeDataURL returns the bytes of a data URL (RFC 2397). The media type must be that of a
// picture; the bytes decide which kind of picture it is. most bounds their number.
func DecodeDataURL(text string, most int) ([]byte, error) {
	scheme, rest, ok := strings.Cut(text, ":")
	if !ok || !strings.EqualFold(scheme, "data") {
		return nil, adapters.Errorf(adapters.Invalid, "the picture is no data URL")
	}
	header, payload, ok := strings.Cut(rest, ",")
	if !ok {
		return nil, adapters.Errorf(adapters.Invalid, "the data URL has no comma before its data").
			WithRemedy("write data:image/png;base64, and the picture in base64")
	}
	mediaType, parameters, _ := strings.Cut(header, ";")
	if kind, _, _ := strings.Cut(mediaType, "/"); !strings.EqualFold(strings.TrimSpace(kind), "image") && !strings.EqualFold(mediaType, "application/octet-stream") {
		return nil, adapters.Errorf(adapters.Invalid, "the data URL is of type %q, want a picture such as image/png", printable.Clip(mediaType, 60))
	}
	encoded := false
	for p := range strings.SplitSeq(parameters, ";") {
		encoded = encoded || strings.EqualFold(strings.TrimSpace(p), "base64")
	}
	if len(payload) > 3*most+4 { // the longest encoding, %XX a byte
		return nil, tooLarge(most)
	}
	var bytes []byte
	var err error
	if encoded {
		bytes, err = decodeBase64(payload)
	} else {
		bytes, err = decodePercent(payload)
	}
	switch {
	case err != nil:
		return nil, err
	case len(bytes) == 0:
		return nil, adapters.Errorf(adapters.Invalid, "the data URL holds no data")
	case len(bytes) > most:
		return nil, tooLarge(most)
	}
	return bytes, nil
}

func tooLarge(most int) error {
	return adapters.Errorf(adapters.Exhausted, "the picture's file is larger than %d bytes", most).WithRemedy("send a smaller picture")
}

// decodeBase64 decodes the standard and the URL alphabet, with or without padding. White space
// and percent-encoded characters may stand in a URL.
func decodeBase64(text string) ([]byte, error) {
	if strings.Contains(text, "%") {
		plain, err := url.PathUnescape(text)
		if err != nil {
			return nil, adapters.Errorf(adapters.Invalid, "the data URL has a broken %%-sequence")
		}
		text = plain
	}
	if strings.ContainsAny(text, " \t\r\n") {
		text = strings.NewReplacer(" ", "", "\t", "", "\r", "", "\n", "").Replace(text)
	}
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(text, "-_") {
		encoding = base64.RawURLEncoding
	}
	bytes, err := encoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return nil, adapters.Errorf(adapters.Invalid, "the data URL is not valid base64: %v", err)
	}
	return bytes, nil
}

func decodePercent(text string) ([]byte, error) {
	plain, err := url.PathUnescape(text)
	if err != nil {
		return nil, adapters.Errorf(adapters.Invalid, "the data URL has a broken %%-sequence")
	}
	return []byte(plain), nil
}
