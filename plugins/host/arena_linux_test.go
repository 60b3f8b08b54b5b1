package host

import (
	"testing"

	"golang.org/x/sys/unix"
)

// The pages of a part that few calls need are freed with it.
func TestLargePartsFreeTheirPages(t *testing.T) {
	t.Parallel()
	host := testArenas(t, 2*retainedBytes)
	for _, c := range []struct {
		room uint64
		kept bool
	}{{retainedBytes, true}, {retainedBytes + 1, false}} {
		lease := host.lease(c.room)
		if _, err := host.files[1].WriteAt([]byte("a part of a large reply"), int64(lease.Offset)); err != nil { // as the plugin
			t.Fatal(err)
		}
		host.free(lease)
		var info unix.Stat_t
		if err := unix.Fstat(int(host.files[1].Fd()), &info); err != nil {
			t.Fatal(err)
		}
		if (info.Blocks > 0) != c.kept {
			t.Errorf("%d blocks are left of a part of %d bytes", info.Blocks, c.room)
		}
	}
}
