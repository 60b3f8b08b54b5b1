// Package engine answers conversations with the bridges of a fleet. It puts the requests of many
// clients into batches, one queue for each language model, and hands each client its own answers.
//
// A generation is never joined in the middle: a batch is computed to its end before the next one
// starts. A client that leaves frees its rows in the batch if the model can give up single rows;
// otherwise the batch ends early when all its clients have left.
package engine
