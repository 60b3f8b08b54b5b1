// Package hub fetches repositories of the Hugging Face hub into the cache that
// Hugging Face's own tools use, so that both find what the other fetched.
//
// A [Client] lists a repository at a revision, asks for each file's size and
// checksum, and fetches what the cache lacks: in parallel, going on where an
// earlier attempt broke off, checked before it appears under its name. Opening
// a model never comes here: only `bridge models pull` uses the network.
//
// The cache (huggingface_hub, "Understand caching"):
//
//	models--OWNER--NAME/refs/main               the commit that main is at
//	models--OWNER--NAME/blobs/CHECKSUM          a file's content
//	models--OWNER--NAME/snapshots/COMMIT/PATH   link to its blob
//	.locks/models--OWNER--NAME/CHECKSUM.lock    locked while a process fetches the blob
package hub
