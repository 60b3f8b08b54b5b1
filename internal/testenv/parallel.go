package testenv

import (
	"flag"
	"runtime"
	"strconv"
)

// Parallel lets n tests run at once that call t.Parallel, on machines with fewer processors,
// too, unless -parallel is given. It is for packages whose tests wait for other processes most
// of the time. Call it in TestMain.
func Parallel(n int) {
	const name = "test.parallel"
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	if !given && n > runtime.GOMAXPROCS(0) {
		_ = flag.Set(name, strconv.Itoa(n)) // a number is valid
	}
}
