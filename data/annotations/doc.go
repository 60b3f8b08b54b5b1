// Package annotations reads the annotation files of data sets: JSON in LAVIS's layout,
// as a list of entries or as JSON lines (one entry a line).
//
//	[{"image": "1.jpg", "caption": "a dog", "image_id": 1}, …]
//	[{"image": "1.jpg", "question": "how many dogs?", "answer": "1"}, …]
//
// A [Reader] reads one entry at a time, so memory does not grow with the file. It checks
// what encoding/json repairs without a word: bytes that are not UTF-8, halves of surrogate
// pairs, keys in another case, keys that are given twice. Each error names the file, the
// entry (counted from 0), its line (counted from 1), the key, what was found and what was
// wanted. If a file has another encoding, format or layout that is in use, the error names
// that one.
//
// Package annotations knows files and texts alone: no picture, no record and no model.
// Package data makes records of the entries.
package annotations
