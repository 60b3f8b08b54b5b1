// Package featurecache keeps a frozen encoder's features of a data set on disk, so that
// each picture is encoded once for all steps and all runs.
//
// One file holds the features of one encoder for one data set. Its name is made of everything
// that changes them: the encoder's weights, configuration, preparation of pictures, layer and
// type, the code of a plugin, the pictures, and a number that changes with bridge's own code.
// So features of another encoder or of other pictures are never used by mistake. Which backend
// computed them is not part of the name: backends agree except for rounding. Each row has a checksum that is written after the row: a process that is
// killed while it fills the file loses at most the rows of one batch, and a row that a
// power failure or a bad disk damaged is computed again. Two processes can use one file:
// they take turns to write. If the disk is full, the cache works without the rows that
// have no room.
//
// [Cache.Features] computes the rows that the file lacks. [Cache.Prefetch] computes rows
// ahead. The tensors that Features returns belong to the caller.
//
// A caller that needs features, from a cache or computed each time, takes [Features].
//
// The package knows encoders by their contract and data sets by [Pictures]. It knows
// nothing of training.
package featurecache
