package eval

import (
	"context"
	"errors"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
)

// RetrievalTextTokens is the length of the longest caption that LAVIS reads in retrieval, in
// tokens, [CLS] and [SEP] included. In training it is [bridge.MaxTextTokens].
const RetrievalTextTokens = 35

// Gallery is a set of pictures with their captions. A picture may have any number of captions,
// at least one; a caption belongs to one picture.
type Gallery struct {
	Pictures int
	Captions []string
	Picture  []int // of each caption
	// Features returns the features [n, Npos, Denc] of the pictures from lo to hi, less one. It may
	// be called several times for the same pictures.
	Features func(ctx context.Context, lo, hi int) (*adapters.Tensor, error)
}

// RetrievalOptions are the settings of [Retrieve].
type RetrievalOptions struct {
	// Rerank is how many of each query's candidates ITM ranks again (LAVIS:
	// [metrics.RerankedCandidates]); 0 for none, at most all of them.
	Rerank int
	// TextTokens is the length at which captions are cut; 0 means [bridge.MaxTextTokens].
	TextTokens int
	// Pieces keeps the parts of a measurement that are finished, so that a measurement that was
	// interrupted continues with the next one; nil keeps none.
	Pieces Pieces
	// Progress, if not nil, is called after each piece with the number of pieces done and of all.
	Progress func(done, total int)
}

// Pieces keeps the finished parts of a measurement, by name. The names are those of files.
// A store belongs to one measurement: the same gallery, bridge and options.
type Pieces interface {
	// Load returns a part that Save kept; nil if there is none.
	Load(name string) ([]byte, error)
	// Save keeps a part. A part must not be kept by halves.
	Save(name string, data []byte) error
}

// Retrieved is the result of [Retrieve].
type Retrieved struct {
	// TextITC and ImageITC are by ITC alone: the captions found for each picture, and the
	// picture found for each caption.
	TextITC, ImageITC Found
	// Text and Image are those after ITM; equal to the others without it.
	Text, Image Found
	// Reranked is how many candidates ITM ranked again, of pictures and of captions at most.
	Reranked int
}

// Found is what was found for each query.
type Found struct {
	// Ranks has the rank of the best own candidate of each query, from 0 ([metrics.Ranks]):
	// [metrics.RecallOf] makes R@1, R@5 and R@10 of it.
	Ranks []int
	// Best has the candidate with the highest score of each query; of equals, one that is not
	// its own, if there is one.
	Best []int
}

// Retrieve finds the captions of pictures and the pictures of captions as LAVIS does
// (tasks/retrieval.py, compute_sim_matrix): by the cosine of ITC, and then the best candidates
// again by ITM's logit for "yes" plus that cosine, -100 for all others. All captions of all
// pictures are candidates of a picture. Memory is that of the embeddings (Q·P float32 a picture,
// P a caption) and, with ITM, of about 12 bytes for each pair that it ranks: for 5,000 pictures
// and 25,000 captions of BLIP-2, 0.3 GB.
func Retrieve(ctx context.Context, b *bridge.Bridge, g Gallery, o RetrievalOptions) (*Retrieved, error) {
	return nil, errors.New("not built yet")
}
