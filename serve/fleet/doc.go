// Package fleet owns the bridges that a server holds open: which are there, which are loaded, how
// many use each, and when one is closed. Bridges that have a frozen model in common load it once.
//
// A request takes a [Lease] of a bridge for as long as it needs it. A bridge that is replaced or
// evicted is closed when its last lease ends, so no request sees the change.
package fleet
