// Package shards reads tar shards as webdataset and img2dataset write them, at random.
//
// A sample is a run of adjacent members with one key. The first dot of a member's base name
// separates the key from the extension. [Open] scans the headers of all members once and keeps
// the offset of each sample in an index file, beside the shards or in a cache folder. Later it
// maps that file into memory. If the size or time of a shard differs, it checks some samples of
// the shard and scans the shard again if they do not fit.
//
// The rules are those of webdataset (webdataset/tariterators.py). They differ from those of Hugging
// Face's datasets in names with dots.
package shards
