package bytesize

import "testing"

func TestParse(t *testing.T) {
	for text, want := range map[string]int64{
		"8GB": 8e9, "8 GB": 8e9, "1.5GiB": 3 << 29, "512MiB": 512 << 20, "100kB": 1e5, "100KB": 1e5, "1B": 1, "2TB": 2e12, "1KiB": 1024, "1TiB": 1 << 40,
	} {
		if got, err := Parse(text); err != nil || got != want {
			t.Errorf("%q is %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "8", "GB", "-1GB", "0GB", "0.1B", "NaNGB", "InfGB", "1e30TB", "8gb", "8GBB", "8 G", "x8GB"} {
		if got, err := Parse(text); err == nil {
			t.Errorf("%q is %d, want an error", text, got)
		}
	}
}

func TestFormat(t *testing.T) {
	for bytes, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1 kB", 1500: "1.5 kB", 999_499: "999 kB", 999_500: "1 MB", 8_400_000_000: "8.4 GB", 123_456_789: "123 MB", 1 << 62: "4611686 TB",
	} {
		if got := Format(bytes); got != want {
			t.Errorf("%d bytes are %q, want %q", bytes, got, want)
		}
	}
}
