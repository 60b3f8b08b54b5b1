// Package hub owns downloads from the Hugging Face hub: it fetches repositories into the cache
// that Hugging Face's own tools use, so that each finds what the other fetched. It must not
// know what a model is, except which files are weights. Opening a model never uses the
// network: only `bridge models pull` does.
//
// A [Client] lists a repository at a revision, requests each file's size and checksum, and
// fetches what the cache lacks: in parallel, resuming interrupted downloads. A file appears
// under its name only after its checksum was verified.
//
// The cache (huggingface_hub, "Understand caching"):
//
//	models--OWNER--NAME/refs/main               the commit of main
//	models--OWNER--NAME/blobs/CHECKSUM          a file's content
//	models--OWNER--NAME/snapshots/COMMIT/PATH   link to its blob
//	.locks/models--OWNER--NAME/CHECKSUM.lock    locked while a process fetches the blob
package hub
