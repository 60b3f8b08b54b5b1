package torchfile

import (
	"encoding/binary"
	"fmt"
	"math/big"

	"github.com/nlpodyssey/gopickle/types"
)

// magic is the first value in a file of torch before 1.6, a pickled number.
const magic = "119547037146038801333356"

// readLegacy reads a sequence of pickles (magic number, protocol, system, the object, the keys of
// its storages), and then each storage: its length and its elements.
func readLegacy(data []byte) (any, error) {
	none := func(s storageRef) (*storage, error) {
		return nil, fmt.Errorf("storage %s occurs before the object", s.key)
	}
	first, rest, err := unpickle(data, none)
	if err != nil {
		return nil, err
	}
	if n, ok := first.(*big.Int); !ok || n.String() != magic {
		return nil, fmt.Errorf("it is not a zip file and does not begin with torch's magic number")
	}
	for range 2 { // protocol and system
		if _, rest, err = unpickle(rest, none); err != nil {
			return nil, err
		}
	}
	named := map[string]*storage{}
	elements := map[string]int{}
	object, rest, err := unpickle(rest, func(s storageRef) (*storage, error) {
		named[s.key], elements[s.key] = &storage{dtype: s.dtype}, s.elements
		return named[s.key], nil
	})
	if err != nil {
		return nil, err
	}
	list, rest, err := unpickle(rest, none)
	if err != nil {
		return nil, err
	}
	keys, ok := list.(*types.List)
	if !ok {
		return nil, fmt.Errorf("its list of storages is a %T", list)
	}
	for _, key := range *keys {
		name, _ := key.(string)
		s := named[name]
		if s == nil || len(rest) < 8 {
			return nil, fmt.Errorf("storage %v is listed but not used, or truncated", key)
		}
		n := binary.LittleEndian.Uint64(rest)
		rest = rest[8:]
		size := uint64(elements[name]) * s.dtype.Size()
		if n != uint64(elements[name]) || n > uint64(len(rest)) || size > uint64(len(rest)) {
			return nil, fmt.Errorf("storage %s has %d elements in %d bytes, want %d elements", name, n, len(rest), elements[name])
		}
		s.data, rest = rest[:size], rest[size:]
	}
	return object, nil
}
