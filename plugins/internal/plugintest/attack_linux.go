package plugintest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// attack tries to write to the arena that is the host's to write, and to change
// the size or the seals of both. It returns what it could do.
func attack(value string) (done []string) {
	first, second, _ := strings.Cut(value, ",")
	try := func(what string, err error) {
		if err == nil {
			done = append(done, what)
		}
	}
	for name, v := range map[string]string{"in": first, "out": second} {
		number, bytes, _ := strings.Cut(v, ":")
		fd, _ := strconv.Atoi(number)
		size, err := strconv.Atoi(bytes)
		if err != nil || fd < 3 {
			return append(done, "get no arenas")
		}
		try("shrink "+name, unix.Ftruncate(fd, int64(size)/2))
		try("grow "+name, unix.Ftruncate(fd, int64(size)*2))
		try("grow by fallocate "+name, unix.Fallocate(fd, 0, int64(size), 4096))
		try("grow by writing "+name, errOf(unix.Pwrite(fd, []byte{1}, int64(size))))
		for _, s := range []int{unix.F_SEAL_WRITE, unix.F_SEAL_FUTURE_WRITE, unix.F_SEAL_SEAL} {
			try(fmt.Sprintf("seal %s with %#x", name, s), errOf(unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, s)))
		}
		if reopened, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDWR|unix.O_TRUNC, 0); err == nil {
			info := unix.Stat_t{}
			if unix.Fstat(reopened, &info); info.Size != int64(size) {
				done = append(done, "truncate by opening "+name)
			}
			if name == "in" {
				try("write to in opened again", errOf(unix.Pwrite(reopened, []byte{1}, 0)))
				try("map in opened again", errOf(unix.Mmap(reopened, 0, size, unix.PROT_WRITE, unix.MAP_SHARED)))
			}
			unix.Close(reopened)
		}
		if name == "in" {
			attackIn(fd, size, try)
		}
	}
	return done
}

func attackIn(fd, size int, try func(string, error)) {
	try("write to in", errOf(unix.Pwrite(fd, []byte{1}, 0)))
	try("punch a hole into in", unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 4096))
	try("zero in", unix.Fallocate(fd, unix.FALLOC_FL_ZERO_RANGE|unix.FALLOC_FL_KEEP_SIZE, 0, 4096))
	try("map in for writing", errOf(unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)))
	memory, err := unix.Mmap(fd, 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		try("not even map in for reading: "+err.Error(), nil)
		return
	}
	try("make in writable", unix.Mprotect(memory, unix.PROT_READ|unix.PROT_WRITE))
	try("remove pages of in", unix.Madvise(memory, unix.MADV_REMOVE))
	if self, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0); err == nil {
		_, err = self.WriteAt([]byte{1}, int64(uintptr(unsafe.Pointer(unsafe.SliceData(memory)))))
		try("write to in through /proc/self/mem", err)
		self.Close()
	}
}

func errOf[T any](_ T, err error) error { return err }
