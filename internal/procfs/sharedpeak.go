package procfs

import (
	"errors"
	"time"
)

// The times of a [SharedPeak], and the growth that it measures again.
const (
	lookEvery   = 50 * time.Millisecond
	familyEvery = time.Second
	measureGap  = 250 * time.Millisecond // the least between two measurements
	growth      = 1.02
)

// SharedPeak samples the memory of a process and those that it started while they run, and keeps the
// largest sum of their proportional set sizes. A page that several of them map counts once.
//
// Resident sizes are read every 50 ms, which costs little. The proportional sizes cost more, so they are
// read only if the sum of the resident sizes is 2 % above that of the last measurement, and at most four
// times a second. A peak that is shorter can be missed.
type SharedPeak struct {
	stop chan struct{}
	done chan struct{}

	pid      int
	family   []int
	listed   time.Time // when family was
	measured time.Time
	resident int64 // at the largest measurement
	peak     int64
	samples  int
}

// WatchShared begins to sample a process and those that it starts.
func WatchShared(pid int) *SharedPeak {
	s := &SharedPeak{pid: pid, stop: make(chan struct{}), done: make(chan struct{})}
	s.look(time.Now())
	go s.watch()
	return s
}

func (s *SharedPeak) watch() {
	defer close(s.done)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case now := <-tick.C:
			s.look(now)
		}
	}
}

// look measures if the processes have grown.
func (s *SharedPeak) look(now time.Time) {
	if now.Sub(s.listed) >= familyEvery {
		s.family, s.listed = s.family[:0], now
		for _, p := range Family(s.pid) {
			s.family = append(s.family, p.PID)
		}
	}
	resident := sumOf(s.family, Resident)
	if float64(resident) < growth*float64(s.resident) || now.Sub(s.measured) < measureGap {
		return
	}
	s.resident, s.measured = resident, now
	if sum := sumOf(s.family, Proportional); sum > 0 {
		s.peak, s.samples = max(s.peak, sum), s.samples+1
	}
}

// sumOf returns the sum of a size over processes. One that has ended counts nothing.
func sumOf(pids []int, size func(int) (int64, error)) (sum int64) {
	for _, pid := range pids {
		if bytes, err := size(pid); err == nil {
			sum += bytes
		}
	}
	return sum
}

// Stop ends the sampling and returns the peak in bytes and the number of measurements. It returns an error
// if none succeeded: the process had ended, or the system has no proportional sizes.
func (s *SharedPeak) Stop() (peak int64, samples int, err error) {
	close(s.stop)
	<-s.done
	if s.samples == 0 {
		_, err = Proportional(s.pid)
		err = errors.Join(errors.New("no proportional set size could be read"), err)
	}
	return s.peak, s.samples, err
}
