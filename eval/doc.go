// Package eval measures a bridge on held-out pictures: loss and grounding,
// exact match of captions and answers, CIDEr-D of captions, retrieval.
//
// Every function takes features, the frozen encoder's output, which the caller
// has computed or cached, and changes nothing.
package eval
