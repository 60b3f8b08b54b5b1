// Package batch owns the queue in front of a language model: which waiting requests are computed
// together, and which next. It knows nothing of models and HTTP.
//
// A [Queue] has one worker, which takes as many waiting jobs of one group as fit a batch and
// computes them to the end before it takes more. Tenants, the holders of keys, get equal shares of
// rows as long as each has something to do.
package batch
