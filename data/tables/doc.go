// Package tables reads parquet files at random: those of Hugging Face's data sets, and the output
// "parquet" of img2dataset.
//
// A column is taken by its type and name. A struct with a binary child "bytes" is a picture, as
// Hugging Face writes it, whether or not the file has Hugging Face's metadata; so is a binary column.
// [Open] says which columns hold texts. Other columns are not read.
package tables
