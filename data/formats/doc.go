// Package formats opens a source of records whatever its format is: it tells the format by content,
// unless it is given, and calls the reader of the format.
package formats
