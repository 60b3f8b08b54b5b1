package lm

// lengthBucket rounds a length up so that few graphs are compiled: in steps of
// 8 up to 64, then in steps of an eighth to a quarter of the length.
func lengthBucket(n int) int {
	step := 8
	for n > 8*step {
		step *= 2
	}
	return max(step, (n+step-1)/step*step)
}

// batchBucket rounds a number of rows up to 1, 2, 4, 8, 16, 24, 32, 48, 64, ….
func batchBucket(n int) int {
	size := 1
	for size < n {
		size *= 2
	}
	if threeQuarters := size / 4 * 3; size > 16 && n <= threeQuarters {
		return threeQuarters
	}
	return size
}
