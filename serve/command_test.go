package serve

import (
	"net"
	"testing"
)

func TestPageURLCanBeOpened(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:8000": "http://127.0.0.1:8000",
		"[::1]:8000":     "http://[::1]:8000",
		"192.0.2.7:80":   "http://192.0.2.7:80",
		"0.0.0.0:8000":   "http://127.0.0.1:8000",
		"[::]:8000":      "http://127.0.0.1:8000",
	} {
		a, err := net.ResolveTCPAddr("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if got := pageURL(a); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}
