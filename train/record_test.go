package train_test

import "github.com/modular-bridging/bridge/data"

// recordOf returns a record of a data set whose records can all be read.
func recordOf(d data.Dataset, i int) data.Record {
	r, err := d.Record(i)
	if err != nil {
		panic(err)
	}
	return r
}
