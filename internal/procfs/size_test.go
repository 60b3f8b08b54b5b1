package procfs

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// lacksProportional skips a test on systems without proportional sizes.
func lacksProportional(t *testing.T) {
	t.Helper()
	if _, err := Proportional(os.Getpid()); err != nil {
		t.Skip(err)
	}
}

func TestPeakStaysWhenMemoryIsGone(t *testing.T) {
	if err := Available(); err != nil {
		t.Skip(err)
	}
	before, err := Peak(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	const bytes = 64 << 20
	touch(make([]byte, int(before)+bytes))
	if after, err := Peak(os.Getpid()); err != nil || after < before+bytes/2 {
		t.Errorf("the peak was %d and is %d (%v)", before, after, err)
	}
	if _, err := Peak(1 << 30); err == nil {
		t.Error("a process that does not run has a peak")
	}
}

// touch writes to each page.
func touch(b []byte) {
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
}

// Pages that a child maps, too, count half in this process, and once in the sum of both.
func TestPagesOfTwoProcessesCountOnce(t *testing.T) {
	lacksProportional(t)
	const bytes = 64 << 20
	file, err := os.Create(t.TempDir() + "/shared")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(bytes); err != nil {
		t.Fatal(err)
	}
	pages, err := unix.Mmap(int(file.Fd()), 0, bytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(pages)
	touch(pages)
	alone, err := Proportional(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0], "-test.run", "^TestMapsAFile$")
	child.Env = append(os.Environ(), "MAPPED="+file.Name())
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer in.Close()
	if _, err := out.Read(make([]byte, 1)); err != nil { // it has touched the pages
		t.Fatal(err)
	}
	mine, err := Proportional(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := Proportional(child.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if lost := alone - mine; lost < bytes/4 || theirs < bytes/2 {
		t.Errorf("with a child that maps %d bytes, this process takes %d less, and the child %d", bytes, lost, theirs)
	}
	resident := sumOf([]int{os.Getpid(), child.Process.Pid}, Resident)
	if sum := mine + theirs; sum > resident-bytes/2 {
		t.Errorf("both take %d, their resident sizes are %d together, of which %d count twice", sum, resident, bytes)
	}
}

// TestMapsAFile is the child of the test above.
func TestMapsAFile(t *testing.T) {
	name := os.Getenv("MAPPED")
	if name == "" {
		t.Skip("no file to map")
	}
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	pages, err := unix.Mmap(int(file.Fd()), 0, int(info.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	touch(pages)
	os.Stdout.Write([]byte("."))
	os.Stdin.Read(make([]byte, 1)) // until the parent ends
}

func TestSharedPeakStaysWhenMemoryIsGone(t *testing.T) {
	lacksProportional(t)
	s := &SharedPeak{pid: os.Getpid(), stop: make(chan struct{}), done: make(chan struct{})}
	now := time.Now()
	s.look(now)
	before := s.peak
	if before == 0 || s.samples != 1 {
		t.Fatalf("the first look gives %d bytes in %d measurements", before, s.samples)
	}
	pages, err := unix.Mmap(-1, 0, int(before), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	touch(pages)
	s.look(now.Add(measureGap))
	if err := unix.Munmap(pages); err != nil {
		t.Fatal(err)
	}
	s.look(now.Add(2 * measureGap))
	if s.peak < before+before/2 || s.samples != 2 {
		t.Errorf("with %d bytes more for a while the peak is %d in %d measurements", before, s.peak, s.samples)
	}
}

func TestSharedPeakOfNoProcess(t *testing.T) {
	if peak, samples, err := WatchShared(1 << 30).Stop(); err == nil || peak != 0 || samples != 0 {
		t.Errorf("a process that does not run takes %d bytes in %d measurements, %v", peak, samples, err)
	}
}
