package testenv

import (
	"flag"
	"runtime"
	"strconv"
)

// Parallel allows n tests that call t.Parallel to run at the same time, also on a machine with
// fewer processors. It does nothing if -parallel is set. It is for packages whose tests mostly wait
// for other processes. Call it in TestMain.
func Parallel(n int) {
	const name = "test.parallel"
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	if !given && n > runtime.GOMAXPROCS(0) {
		_ = flag.Set(name, strconv.Itoa(n)) // a number is valid
	}
}
