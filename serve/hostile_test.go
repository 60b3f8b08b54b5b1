package serve

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// hostile is a request that no client should send. The server must refuse it and go on.
type hostile struct {
	name string
	send string
	want int    // status; 0: the connection is closed without an answer, as net/http does where nothing can be said
	says string // in the answer; empty: anything
	slow bool   // the client goes on to hold the connection, and the server must end it
	// drip is sent again and again while the connection is open.
	drip string
}

// chatPath is the path that most of the list attacks.
const chatPath = "/v1/chat/completions"

// rawPost returns a request as it stands on the wire.
func rawPost(path, body string, headers ...string) string {
	head := "POST " + path + " HTTP/1.1\r\nHost: localhost\r\n"
	if len(headers) == 0 {
		headers = []string{"Content-Type: application/json", fmt.Sprintf("Content-Length: %d", len(body))}
	}
	return head + strings.Join(headers, "\r\n") + "\r\n\r\n" + body
}

func rawGet(target string, headers ...string) string {
	return "GET " + target + " HTTP/1.1\r\n" + strings.Join(append([]string{"Host: localhost"}, headers...), "\r\n") + "\r\n\r\n"
}

// rawChat returns a chat request with this body.
func rawChat(body string) string { return rawPost(chatPath, body) }

// rawField returns a good chat request with one more member.
func rawField(member string) string {
	return rawChat(`{"model":"` + testModel + `","messages":[{"role":"user","content":"what?"}],` + member + `}`)
}

// rawMessages returns a chat request with these messages.
func rawMessages(messages string) string {
	return rawChat(`{"model":"` + testModel + `","messages":` + messages + `}`)
}

// rawPicture returns a chat request with a picture of this URL.
func rawPicture(url string) string {
	text, err := json.Marshal(url)
	if err != nil {
		panic(err) // a string can be encoded
	}
	return rawMessages(`[{"role":"user","content":[{"type":"image_url","image_url":{"url":` + string(text) + `}}]}]`)
}

func rawPictureFile(mediaType string, file []byte) string {
	return rawPicture("data:" + mediaType + ";base64," + base64.StdEncoding.EncodeToString(file))
}

// pngChunks returns a PNG file of a header and of chunks, with correct checksums.
func pngChunks(width, height uint32, depth, color byte, chunks ...string) []byte {
	header := binary.BigEndian.AppendUint32(nil, width)
	header = append(binary.BigEndian.AppendUint32(header, height), depth, color, 0, 0, 0)
	out := []byte("\x89PNG\r\n\x1a\n")
	for _, c := range append([]string{"IHDR" + string(header)}, chunks...) {
		out = binary.BigEndian.AppendUint32(out, uint32(len(c)-4))
		out = append(out, c...)
		out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE([]byte(c)))
	}
	return out
}

// zeros returns n zero bytes, compressed as PNG files are.
func zeros(n int) string {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, errWrite := w.Write(make([]byte, n))
	if err := errors.Join(errWrite, w.Close()); err != nil {
		panic(err) // a buffer takes everything
	}
	return b.String()
}

// hostileList is a list of requests that are added to it.
type hostileList []hostile

func (l *hostileList) add(name string, want int, says, send string) {
	*l = append(*l, hostile{name: name, send: send, want: want, says: says})
}

func (l *hostileList) hold(name string, want int, send, drip string) {
	*l = append(*l, hostile{name: name, send: send, want: want, slow: true, drip: drip})
}

// hostileRequests is the list. The server that it is sent to has the limits of [hostileServer].
func hostileRequests() []hostile {
	var l hostileList
	l.held()
	l.noHTTP()
	l.tooMuch()
	l.noJSON()
	l.numbers()
	l.badPictures()
	l.foreignURLs()
	l.paths()
	return l
}

// isJSON is the header of a body that the server reads.
const isJSON = "Content-Type: application/json"

// held adds connections that are held.
func (l *hostileList) held() {
	l.hold("a connection without a request", 0, "", "")
	l.hold("a request line that does not end", 400, "GET /v1/mod", "")
	l.hold("a header that comes a byte at a time", 0, "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX-A: ", "a")
	l.hold("headers that never end", 0, "GET /v1/models HTTP/1.1\r\nHost: localhost\r\n", "X-A: b\r\n")
	l.hold("a body that does not come", 408, rawPost(chatPath, "", isJSON, "Content-Length: 100"), "")
	l.hold("a body that comes a byte at a time", 408, rawPost(chatPath, "", isJSON, "Content-Length: 4000"), " ")
	l.hold("a chunked body that never ends", 408, rawPost(chatPath, "", isJSON, "Transfer-Encoding: chunked"), "1\r\n \r\n")
	l.hold("a body for a path that takes none", 404, rawPost("/v1/nothing", "", isJSON, "Content-Length: 4000"), "")
	l.hold("a slow body for a path that takes none", 404, rawPost("/v1/nothing", "", isJSON, "Content-Length: 4000"), " ")
	l.hold("a client that waits to be told to continue", 408, rawPost(chatPath, "", isJSON, "Content-Length: 100", "Expect: 100-continue"), "")
}

// noHTTP adds what is no HTTP, and requests in requests.
func (l *hostileList) noHTTP() {
	l.add("bytes of TLS", 400, "", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
	l.add("zero bytes", 400, "", strings.Repeat("\x00", 100)+"\r\n\r\n")
	l.add("another protocol", 400, "", "SSH-2.0-OpenSSH_9.6\r\n\r\n")
	l.add("no version", 400, "", "GET /v1/models\r\n\r\n")
	l.add("an unknown version", 505, "", "GET /v1/models HTTP/9.9\r\nHost: localhost\r\n\r\n")
	l.add("HTTP/2 without an upgrade", 403, "", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	l.add("no host", 400, "", "GET /v1/models HTTP/1.1\r\n\r\n")
	l.add("two hosts", 400, "", "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nHost: evil.example.org\r\n\r\n")
	l.add("a host with a space", 400, "", "GET /v1/models HTTP/1.1\r\nHost: local host\r\n\r\n")
	l.add("a length and chunks", 400, "", rawPost(chatPath, "0\r\n\r\n"+rawGet("/v1/models"), isJSON, "Content-Length: 4", "Transfer-Encoding: chunked"))
	l.add("two lengths", 400, "", rawPost(chatPath, "{}"+rawGet("/v1/models"), isJSON, "Content-Length: 2", "Content-Length: 40"))
	l.add("a list of lengths", 400, "", rawPost(chatPath, "{}", isJSON, "Content-Length: 2, 2"))
	l.add("a length with a sign", 400, "", rawPost(chatPath, "{}", isJSON, "Content-Length: +2"))
	l.add("a negative length", 400, "", rawPost(chatPath, "{}", isJSON, "Content-Length: -2"))
	l.add("a length in base 16", 400, "", rawPost(chatPath, "{}", isJSON, "Content-Length: 0x2"))
	l.add("a length beyond 64 bits", 400, "", rawPost(chatPath, "{}", isJSON, "Content-Length: 99999999999999999999"))
	l.add("a length of 8 EiB", 413, "", rawPost(chatPath, "{}", isJSON, "Content-Length: 9223372036854775807"))
	l.add("an unknown transfer encoding", 501, "", rawPost(chatPath, "{}", isJSON, "Transfer-Encoding: gzip"))
	l.add("chunks twice", 501, "", rawPost(chatPath, "0\r\n\r\n", isJSON, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"))
	l.add("chunked, after another character", 400, "", rawPost(chatPath, "0\r\n\r\n", isJSON, "Transfer-Encoding: \x0bchunked"))
	l.add("a chunk without a size", 400, "", rawPost(chatPath, "zz\r\n{}\r\n0\r\n\r\n", isJSON, "Transfer-Encoding: chunked"))
	l.add("a chunk beyond 64 bits", 400, "", rawPost(chatPath, "fffffffffffffffff\r\n{}\r\n0\r\n\r\n", isJSON, "Transfer-Encoding: chunked"))
	l.add("a header with a space before its colon", 400, "", rawGet("/v1/models", "X-A : b"))
	l.add("a header with a zero byte", 400, "", rawGet("/v1/models", "X-A: b\x00c"))
	l.add("a header without a name", 400, "", rawGet("/v1/models", ": b"))
	l.add("a header without a colon", 400, "", rawGet("/v1/models", "nothing"))
	l.add("a second request after a refused one", 415, "", rawPost(chatPath, "a=b", "Content-Type: text/plain", "Content-Length: 3", "Connection: close")+rawGet("/v1/models"))
	l.add("an unexpected expectation", 417, "", rawPost(chatPath, "{}", isJSON, "Content-Length: 2", "Expect: 200-maybe"))
}

// tooMuch adds requests with too much of something.
func (l *hostileList) tooMuch() {
	l.add("one header of 64 KiB", 431, "", rawGet("/v1/models", "X-A: "+strings.Repeat("a", 64<<10)))
	l.add("20,000 headers", 431, "", rawGet("/v1/models", strings.Repeat("X-A: b\r\n", 20000)+"X-B: c"))
	l.add("a target of 64 KiB", 431, "", rawGet("/v1/"+strings.Repeat("a", 64<<10)))
	l.add("a target of 8 KiB", 404, "unknown_url", rawGet("/v1/"+strings.Repeat("a", 8<<10)))
	l.add("a body beyond the limit", 413, "", rawPost(chatPath, "{}", isJSON, "Content-Length: 3000000"))
	l.add("chunks beyond the limit", 413, "", rawPost(chatPath, "300000\r\n"+strings.Repeat(" ", 0x300000)+"\r\n0\r\n\r\n", isJSON, "Transfer-Encoding: chunked"))
	l.add("a compressed body", 415, "", rawPost(chatPath, "\x1f\x8b", isJSON, "Content-Encoding: gzip", "Content-Length: 2"))
	l.add("1,000 messages", 400, "at most 64", rawMessages("["+strings.Repeat(`{"role":"user","content":"x"},`, 999)+`{"role":"user","content":"x"}]`))
	l.add("100,000 parts", 400, "", rawMessages(`[{"role":"user","content":[`+strings.Repeat(`{},`, 100000)+`{}]}]`))
	l.add("a text of 1 MiB", 400, "", rawMessages(`[{"role":"user","content":"`+strings.Repeat("a ", 1<<19)+`"}]`))
	l.add("a role of 1 MiB", 400, "", rawMessages(`[{"role":"`+strings.Repeat("a", 1<<20)+`","content":"x"}]`))
	l.add("a model of 1 MiB", 404, "", rawChat(`{"model":"`+strings.Repeat("a", 1<<20)+`","messages":[{"role":"user","content":"x"}]}`))
	l.add("a field of 1 MiB", 400, "", rawField(`"`+strings.Repeat("a", 1<<20)+`":1`))
	l.add("a key of 20 KiB", 400, "", rawPost(chatPath, "{}", isJSON, "Authorization: Bearer "+strings.Repeat("k", 20<<10), "Content-Length: 2"))
}

// noJSON adds bodies that are no JSON, or JSON that means nothing.
func (l *hostileList) noJSON() {
	l.add("no body", 400, "empty", rawChat(""))
	l.add("white space", 400, "empty", rawChat(" \n\t "))
	l.add("half an object", 400, "JSON", rawChat(`{"model":`))
	l.add("something after the object", 400, "JSON", rawField(`"n":1}{"n":2`))
	l.add("not UTF-8", 400, "UTF-8", rawMessages("[{\"role\":\"user\",\"content\":\"\xff\xfe\"}]"))
	l.add("overlong UTF-8", 400, "UTF-8", rawMessages("[{\"role\":\"user\",\"content\":\"\xc0\xaf\"}]"))
	l.add("half a surrogate pair", 400, "", rawMessages(`[{"role":"user","content":"\ud800"}]`))
	l.add("a byte order mark", 400, "", rawChat("\xef\xbb\xbf{}"))
	l.add("UTF-16", 400, "", rawChat("{\x00}\x00"))
	l.add("NaN", 400, "JSON", rawField(`"temperature":NaN`))
	l.add("Infinity", 400, "JSON", rawField(`"temperature":-Infinity`))
	l.add("a member twice", 400, "", rawField(`"n":1,"n":2`))
	l.add("a comment", 400, "JSON", rawChat(`{/* */}`))
	l.add("lists in lists, 100,000 deep", 400, "", rawField(`"metadata":`+strings.Repeat("[", 100000)))
	l.add("objects in objects, 100,000 deep", 400, "", rawMessages(strings.Repeat(`{"a":`, 100000)))
	l.add("a list", 400, "", rawChat(`[]`))
	l.add("null", 400, "", rawChat(`null`))
	l.add("a number", 400, "", rawChat(`1`))
	l.add("messages as a text", 400, "messages", rawMessages(`"hello"`))
	l.add("messages as an object", 400, "messages", rawMessages(`{"0":{"role":"user"}}`))
	l.add("a message that is null", 400, "messages[0]", rawMessages(`[null]`))
	l.add("content as a number", 400, "content", rawMessages(`[{"role":"user","content":7}]`))
	l.add("a part as a text", 400, "content", rawMessages(`[{"role":"user","content":["x"]}]`))
	l.add("a picture's URL as a list", 400, "url", rawMessages(`[{"role":"user","content":[{"type":"image_url","image_url":{"url":["x"]}}]}]`))
	l.add("a zero byte as a model", 404, "", rawChat(`{"model":"\u0000","messages":[{"role":"user","content":"x"}]}`))
	l.add("a path as a model", 404, "", rawChat(`{"model":"../../etc/passwd","messages":[{"role":"user","content":"x"}]}`))
	l.add("prototype pollution", 400, "", rawField(`"__proto__":{"n":8}`))
	l.add("another case of a field", 400, "", rawField(`"Max_Tokens":5`))
}

// numbers adds numbers that nothing can have.
func (l *hostileList) numbers() {
	l.add("1e400", 400, "temperature", rawField(`"temperature":1e400`))
	l.add("a temperature of 1e308", 400, "temperature", rawField(`"temperature":1e308`))
	l.add("-1 tokens", 400, "max_tokens", rawField(`"max_tokens":-1`))
	l.add("2^63 tokens", 400, "max_tokens", rawField(`"max_tokens":9223372036854775808`))
	l.add("1e9 tokens", 400, "max_tokens", rawField(`"max_tokens":1000000000`))
	l.add("a number of 100,000 digits", 400, "n", rawField(`"n":1`+strings.Repeat("0", 100000)))
	l.add("a fraction of an answer", 400, "n", rawField(`"n":0.5`))
	l.add("no answers", 400, "n", rawField(`"n":0`))
	l.add("a million answers", 400, "n", rawField(`"n":1000000`))
	l.add("a million beams", 400, "num_beams", rawField(`"num_beams":1000000`))
	l.add("top_k beyond 32 bits", 400, "top_k", rawField(`"top_k":4294967296`))
	l.add("top_logprobs of 1e6", 400, "top_logprobs", rawField(`"logprobs":true,"top_logprobs":1000000`))
	l.add("a length penalty of 1e300", 400, "length_penalty", rawField(`"num_beams":2,"length_penalty":1e300`))
	l.add("a repetition penalty of 0", 400, "repetition_penalty", rawField(`"repetition_penalty":0`))
	l.add("a thousand stop texts", 400, "stop", rawField(`"stop":[`+strings.Repeat(`"a",`, 999)+`"b"]`))
	l.add("a stop text of 1 MiB", 400, "stop", rawField(`"stop":"`+strings.Repeat("a", 1<<20)+`"`))
}

// badPictures adds pictures that are none, or that are bombs.
func (l *hostileList) badPictures() {
	const magic = "\x89PNG\r\n\x1a\n"
	l.add("a PNG of 2^31 by 2^31 pixels", 400, "", rawPictureFile("image/png", pngChunks(1<<31, 1<<31, 8, 2)))
	l.add("a PNG of 60,000 by 60,000 pixels", 413, "pixels", rawPictureFile("image/png", pngChunks(60000, 60000, 8, 2, "IDAT"+zeros(1<<20), "IEND")))
	l.add("a PNG of no pixels", 400, "", rawPictureFile("image/png", pngChunks(0, 0, 8, 2, "IEND")))
	l.add("a PNG with more data than pixels", 400, "", rawPictureFile("image/png", pngChunks(1, 1, 8, 2, "IDAT"+zeros(64<<20), "IEND")))
	l.add("a PNG without pixels", 400, "", rawPictureFile("image/png", pngChunks(2000, 2000, 8, 2, "IEND")))
	l.add("a PNG with a chunk of 4 GiB", 400, "", rawPictureFile("image/png", append([]byte(magic), "\xff\xff\xff\xffIHDR"...)))
	l.add("a PNG of its first bytes alone", 400, "", rawPictureFile("image/png", []byte(magic)))
	l.add("a GIF of no pixels", 400, "", rawPictureFile("image/gif", []byte("GIF89a\x00\x00\x00\x00\x00\x00\x00;")))
	l.add("a GIF of 65,535 by 65,535 pixels", 413, "pixels", rawPictureFile("image/gif", []byte("GIF89a\xff\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\xff\xff\xff\xff\x00\x02\x00;")))
	l.add("a BMP without height", 400, "", rawPictureFile("image/bmp", bmpHeader(1, 0)))
	l.add("a BMP of 2^31 pixels a row", 400, "", rawPictureFile("image/bmp", bmpHeader(1<<31, 1)))
	l.add("a JPEG of its first bytes alone", 400, "", rawPictureFile("image/jpeg", []byte("\xff\xd8\xff\xe0")))
	l.add("a JPEG of 65,535 by 65,535 pixels, cut off", 400, "cut off", rawPictureFile("image/jpeg", []byte("\xff\xd8\xff\xc0\x00\x0b\x08\xff\xff\xff\xff\x01\x01\x11\x00")))
	l.add("a WebP that is cut off", 400, "", rawPictureFile("image/webp", []byte("RIFF\xff\xff\xff\xffWEBPVP8 \xff\xff\xff\xff")))
	l.add("a TIFF that points to itself", 400, "", rawPictureFile("image/tiff", []byte("II*\x00\x08\x00\x00\x00\x00\x00\x08\x00\x00\x00")))
	l.add("an SVG", 400, "", rawPictureFile("image/svg+xml", []byte(`<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>`)))
	l.add("a web page", 400, "", rawPicture("data:text/html,<script>alert(1)</script>"))
	l.add("base64 with other characters", 400, "base64", rawPicture("data:image/png;base64,????"))
	l.add("base64 of one character", 400, "base64", rawPicture("data:image/png;base64,A"))
	l.add("base64 with padding inside", 400, "base64", rawPicture("data:image/png;base64,aGVs=bG8="))
	l.add("a data URL without a comma", 400, "comma", rawPicture("data:image/png;base64"))
	l.add("a data URL without data", 400, "no data", rawPicture("data:image/png;base64,"))
	l.add("a broken percent sequence", 400, "%", rawPicture("data:image/png,%zz"))
	l.add("an empty URL", 400, "url", rawPicture(""))
}

// foreignURLs adds URLs that the server would have to ask for. Their hosts are not listed, except
// localhost and 127.0.0.1, which are listed by mistake.
func (l *hostileList) foreignURLs() {
	for _, url := range []string{
		"http://localhost/", "http://127.0.0.1/", "http://127.0.0.1:22/", "http://LOCALHOST/a.png", "http://127.1/", "http://0/", "http://2130706433/",
		"http://0x7f000001/", "http://0177.0.0.1/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://[fe80::1%25eth0]/", "http://169.254.169.254/latest/meta-data/",
		"http://metadata.google.internal/", "http://10.0.0.1/", "http://[fd00::1]/", "http://localhost@evil.example.org/", "http://evil.example.org#@localhost/",
		"http://user:pass@localhost/", "http://localhost.evil.example.org/", "http://localhost%00.evil.example.org/", "http://①②⑦.⓪.⓪.①/", "http://localhost\t/",
		"https://localhost:6443/", "HTTP://127.0.0.1/", "http:127.0.0.1", "http:///etc/passwd", "http://", "//localhost/", "gopher://localhost:6379/_INFO", "dict://localhost:11211/",
		"ftp://localhost/", "ldap://localhost/", "file:///etc/passwd", "FILE:/etc/passwd", "file://localhost/etc/passwd", "javascript:alert(1)", "jar:http://localhost!/",
		"/etc/passwd", "../../etc/passwd", "C:\\windows\\win.ini", "\\\\host\\share\\a.png", "kit:../../../etc/passwd", "kit:held-out/../../x", "kit:held-out/-1",
		"kit:held-out/99999999999999999999", "kit:/etc/passwd", "kit:", " http://localhost/", "http://localhost/\r\nX-A: b", "http://\xe2\x80\x8blocalhost/",
	} {
		l.add("picture "+url, 400, "url", rawPicture(url))
	}
}

// paths adds paths, methods and headers.
func (l *hostileList) paths() {
	for _, target := range []string{
		"/../../etc/passwd", "//evil.example.org/..", "/./v1/models", "/talk/../../../etc/passwd", "/talk/%2e%2e/%2e%2e/etc/passwd", "/talk/..%2f..%2fetc/passwd", "/talk/..%5c..%5cetc", "/talk/%00", "/talk/.git/config",
		"/v1/models/..%2f..%2fetc%2fpasswd", "/v1/models/%00", "/.env", "/v1//models", "/debug/pprof/", "/v1/models;a=b", "/server-status",
	} {
		l.add("GET "+target, 404, "", rawGet(target))
	}
	l.add("a target without a slash", 400, "", rawGet("etc/passwd"))
	l.add("a target with a bad escape", 400, "", rawGet("/v1/%zz"))
	l.add("a whole URL as target", 403, "", rawGet("http://evil.example.org/v1/models"))
	l.add("a proxy's CONNECT", 403, "", "CONNECT evil.example.org:443 HTTP/1.1\r\nHost: evil.example.org:443\r\n\r\n")
	for _, method := range []string{"BREW", "TRACE", "PUT", "DELETE", "get"} {
		l.add("method "+method, 405, "", method+" "+chatPath+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}
	l.add("a method of 10 KiB", 405, "", strings.Repeat("A", 10<<10)+" "+chatPath+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
	l.add("a method with a slash", 400, "", "GE/T "+chatPath+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
	for name, kind := range map[string]string{
		"a form": "application/x-www-form-urlencoded", "a text": "text/plain", "XML": "application/xml", "a type of 10 KiB": strings.Repeat("a", 10<<10), "a type that is broken": "application/json;;=",
		"nearly JSON": "application/json2", "no type": "",
	} {
		l.add("body as "+name, 415, "", rawPost(chatPath, "{}", "Content-Type: "+kind, "Content-Length: 2"))
	}
	l.add("another host", 403, "", "GET /v1/models HTTP/1.1\r\nHost: evil.example.org\r\n\r\n")
	l.add("a foreign page", 403, "", rawGet("/v1/models", "Origin: https://evil.example.org"))
	l.add("a page without an origin", 403, "", rawGet("/v1/models", "Origin: null"))
	l.add("an origin with the host inside", 403, "", rawGet("/v1/models", "Origin: https://localhost.evil.example.org"))
	l.add("a foreign page's preflight", 403, "", "OPTIONS "+chatPath+" HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example.org\r\nAccess-Control-Request-Method: POST\r\n\r\n")
	l.add("grounding without a picture", 400, "", rawPost("/v1/grounding", `{"model":"`+testModel+`","messages":[{"role":"user","content":"x"}],"answer":"y"}`))
	l.add("grounding without an answer", 400, "answer", rawPost("/v1/grounding", `{"model":"`+testModel+`","messages":[{"role":"user","content":"x"}]}`))
}

// bmpHeader returns the header of a BMP file with 24 bits a pixel.
func bmpHeader(width, height uint32) []byte {
	out := []byte("BM")
	for _, v := range []uint32{54, 0, 54, 40, width, height, 1 | 24<<16, 0, 0, 0, 0, 0, 0} {
		out = binary.LittleEndian.AppendUint32(out, v)
	}
	return out
}

// hostileServer returns the address of a server with low limits, on a connection as `bridge serve`
// has it.
func hostileServer(t *testing.T) string {
	t.Helper()
	shared, _ := sharedServer(t)
	c := testConfig()
	c.Hosts = []string{"localhost", "127.0.0.1"}
	c.Limits.Header, c.Limits.Body, c.Limits.Idle, c.Limits.Write = 400*time.Millisecond, 400*time.Millisecond, 400*time.Millisecond, 400*time.Millisecond
	c.Limits.BodyBytes, c.Limits.BodiesBytes = 2<<20, 64<<20
	s := New(Options{Workspace: shared.workspace, Config: c})
	s.fleet, s.engine = shared.fleet, shared.engine
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := s.httpServer()
	ended := make(chan error, 1)
	go func() { ended <- h.Serve(l) }()
	t.Cleanup(func() {
		_ = h.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// attack sends a request and returns everything that the server answers until it ends the connection.
func attack(t *testing.T, address string, h hostile) []byte {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const patience = 30 * time.Second // the server's limits are far below
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	var sender sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	sender.Go(func() {
		_, err := io.WriteString(conn, h.send) // it fails where the server does not read all
		for err == nil && h.drip != "" && ctx.Err() == nil {
			time.Sleep(20 * time.Millisecond)
			_, err = io.WriteString(conn, h.drip)
		}
		if tcp, ok := conn.(*net.TCPConn); ok && !h.slow {
			_ = tcp.CloseWrite()
		}
	})
	answer, err := io.ReadAll(conn)
	stop()
	if err != nil {
		t.Logf("%s: %v after %d bytes", h.name, err, len(answer))
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s: the connection is still open after %v; so far: %.300q", h.name, patience, answer)
	}
	_ = conn.Close()
	sender.Wait()
	return answer
}

// check compares an answer with what is wanted.
func (h hostile) check(t *testing.T, answer []byte) {
	t.Helper()
	answer = bytes.TrimPrefix(answer, []byte("HTTP/1.1 100 Continue\r\n\r\n"))
	if len(answer) == 0 && h.drip != "" {
		return // the client sent when the connection was closed already, and its system dropped the answer
	}
	if h.want == 0 {
		if len(answer) > 0 {
			t.Errorf("%s: want a closed connection, got %.300q", h.name, answer)
		}
		return
	}
	in := bufio.NewReader(bytes.NewReader(answer))
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Errorf("%s: want status %d, got %.300q: %v", h.name, h.want, answer, err)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode != h.want || err != nil || !strings.Contains(string(body), h.says) {
		t.Errorf("%s: want status %d with %q, got %d %.300q %v", h.name, h.want, h.says, resp.StatusCode, body, err)
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		errorOf(t, reply{resp.StatusCode, resp.Header, body})
	} else if resp.Header.Get("X-Request-Id") != "" && !strings.HasPrefix(h.name, "GET /talk/") { // the files of the page
		t.Errorf("%s: the refusal is of type %q, want an error object: %.300q", h.name, resp.Header.Get("Content-Type"), body)
	}
	if len(answer) > 8<<10 {
		t.Errorf("%s: the refusal has %d bytes", h.name, len(answer))
	}
	for _, secret := range []string{"root:", "goroutine", os.TempDir() + "/"} {
		if bytes.Contains(answer, []byte(secret)) {
			t.Errorf("%s: the answer has %q: %.300q", h.name, secret, answer)
		}
	}
	if rest, _ := io.ReadAll(in); len(rest) > 0 {
		t.Errorf("%s: a second answer to one request: %.300q", h.name, rest)
	}
}

// Each request of the list ends in a refusal or a closed connection, and costs other clients nothing.
func TestHostileRequests(t *testing.T) {
	address := hostileServer(t)
	all := hostileRequests()
	if len(all) < 60 {
		t.Errorf("the list has %d requests, want at least 60", len(all))
	}
	url := "http://" + address
	want := completed(t, url, ask("", "kit:held-out/17")).Choices[0].Message.Content
	var slow sync.WaitGroup
	for _, h := range all {
		if h.slow { // they hold their connections while the others are sent
			slow.Go(func() { h.check(t, attack(t, address, h)) })
		}
	}
	for _, h := range all {
		if !h.slow {
			h.check(t, attack(t, address, h))
		}
	}
	if got := completed(t, url, ask("", "kit:held-out/17")).Choices[0].Message.Content; got != want {
		t.Errorf("after the list the server answers %q, before it %q", got, want)
	}
	slow.Wait()
	if r := send(t, http.MethodGet, url+"/readyz", nil, nil); r.status != http.StatusOK {
		t.Errorf("after the list: %d %s", r.status, r.body)
	}
}
