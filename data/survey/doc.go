// Package survey reads whole sources: it counts their records, texts, pictures and duplicates,
// and finds every record that cannot be used. It also shows records as other programs read
// them. It must not know any recipe or model.
//
// A [Survey] works through a source of millions of pictures in rows and keeps a journal, so
// that it can be interrupted and continued. Every picture is decoded: the only way to know that
// it can be, and what its pixels are.
package survey
