package host

import "testing"

func TestHeldBytes(t *testing.T) {
	t.Parallel()
	status := "Name:\tx\nVmRSS:\t    9000 kB\nRssAnon:\t     112 kB\nRssFile:\t    1496 kB\nRssShmem:\t       8 kB\nVmSwap:\t       4 kB\n"
	if got := memoryBytes(status); got != 124<<10 {
		t.Errorf("held are %d bytes, want %d", got, 124<<10)
	}
}
