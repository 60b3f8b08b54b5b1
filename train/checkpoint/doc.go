// Package checkpoint keeps the checkpoints of a run: folders of files that appear whole
// or not at all.
//
// [Write] fills a folder under a temporary name, writes a manifest with the sha256 of
// every file, syncs all files, renames the folder to "step-000123" and removes the oldest
// checkpoints. If the process is killed, or the disk is full, the earlier checkpoints
// stay as they were. [Latest] verifies the newest folder against its manifest and falls
// back to an older one if a file is missing or changed.
//
// The package knows steps and files. It does not know what the files hold.
package checkpoint
