package eval

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/eval/metrics"
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
	// Features returns the features [n, N, Denc] of pictures; featurecache.Cache has such a
	// method. It is called for each picture at most twice.
	Features func(ctx context.Context, pictures []int) (*adapters.Tensor, error)
}

// RetrievalOptions are the settings of [Retrieve].
type RetrievalOptions struct {
	// Rerank is how many of each query's candidates ITM ranks again (LAVIS:
	// [metrics.RerankedCandidates]); 0 for none, at most all of them.
	Rerank int
	// TextTokens is the length at which captions are cut (LAVIS: [RetrievalTextTokens]); 0 means
	// [bridge.MaxTextTokens].
	TextTokens int
	// Pieces keeps the parts of a measurement that are finished, so that a measurement that was
	// interrupted continues with the next one; nil keeps none.
	Pieces Pieces
	// Progress, if not nil, is called after each piece with the numbers of pieces done and of all.
	Progress func(done, total int)
}

// Pieces keeps the finished parts of a measurement by name. The names fit files. A store belongs
// to one measurement: the same gallery, bridge and options.
type Pieces interface {
	// Load returns a part that Save kept; nil if there is none.
	Load(name string) ([]byte, error)
	// Save keeps a part, whole or not at all.
	Save(name string, data []byte) error
}

// Retrieved is the result of [Retrieve].
type Retrieved struct {
	// TextITC and ImageITC are by ITC alone: the captions found for each picture, and the
	// pictures found for each caption.
	TextITC, ImageITC Found
	// Text and Image are those after ITM; the same as the others if ITM ranked none again.
	Text, Image Found
}

// Found has the results of each query.
type Found struct {
	// Ranks has the rank of each query's best own candidate, from 0 ([metrics.Ranks]):
	// [metrics.RecallOf] makes R@1, R@5 and R@10 of them.
	Ranks []int
	// Best has each query's candidate with the highest score. Of equals, it is one that is not
	// the query's own, if there is one, and otherwise the first.
	Best []int
}

// Retrieve finds the captions of pictures and the pictures of captions as LAVIS does
// (tasks/retrieval.py, compute_sim_matrix): by the cosine of ITC, and then each query's best
// candidates again by ITM's logit for "yes" plus the cosine, before all others. Every caption is
// a candidate of every picture.
//
// Memory is that of the embeddings, Q·P float32 for a picture and P for a caption, and of about
// 20 bytes for each pair that ITM ranks: 0.3 GB for BLIP-2 and COCO's 5,000 pictures and 25,010
// captions, with 128 candidates. A pair that both directions rank is computed once.
func Retrieve(ctx context.Context, b *bridge.Bridge, g Gallery, o RetrievalOptions) (*Retrieved, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	r := &retrieval{bridge: b, gallery: g, options: o}
	r.index()
	r.total = r.pieces()
	if err := r.embed(ctx); err != nil {
		return nil, err
	}
	var out Retrieved
	byPicture, byText, err := r.rankByITC(ctx, &out)
	if err != nil {
		return nil, err
	}
	if o.Rerank <= 0 {
		out.Text, out.Image = out.TextITC, out.ImageITC
		return &out, nil
	}
	logits, err := r.match(ctx, byPicture, byText)
	if err != nil {
		return nil, err
	}
	out.Text = r.rankByITM(byPicture, len(g.Captions), r.ownCaptions, func(picture, caption int) float32 { return logits.of(picture, r.text[caption]) })
	out.Image = r.rankByITM(byText, g.Pictures, r.ownPicture, func(caption, picture int) float32 { return logits.of(picture, r.text[caption]) })
	return &out, nil
}

// check returns an error if a caption's picture does not exist or a picture has no caption.
func (g Gallery) check() error {
	if len(g.Captions) != len(g.Picture) {
		return fmt.Errorf("retrieval: %d captions and the pictures of %d, want equal numbers", len(g.Captions), len(g.Picture))
	}
	captions := make([]int, g.Pictures)
	for i, picture := range g.Picture {
		if picture < 0 || picture >= g.Pictures {
			return fmt.Errorf("retrieval: caption %d is of picture %d, want one of 0 to %d", i, picture, g.Pictures-1)
		}
		captions[picture]++
	}
	if i := slices.Index(captions, 0); i >= 0 || g.Pictures == 0 {
		return fmt.Errorf("retrieval: picture %d of %d has no caption, want at least 1", i, g.Pictures)
	}
	return nil
}

// retrieval is a measurement. Equal captions are one text: they have equal scores.
type retrieval struct {
	bridge  *bridge.Bridge
	gallery Gallery
	options RetrievalOptions

	texts  []string // distinct captions
	text   []int    // of each caption
	own    [][]int  // captions of each picture
	tokens *bridge.Texts

	pictureVectors *adapters.Tensor // float32[pictures, Q, P]
	textVectors    *adapters.Tensor // float32[texts, P]

	done, total int // pieces
}

// Rows of a piece.
const (
	embedRows = 64 // pictures
	textRows  = 1024
	matchRows = 16 // pictures
)

// Rows of a tile of the matrix of similarities.
const (
	tilePictures = 16
	tileTexts    = 4096
)

func (r *retrieval) index() {
	at := map[string]int{}
	r.own = make([][]int, r.gallery.Pictures)
	for i, caption := range r.gallery.Captions {
		if _, ok := at[caption]; !ok {
			at[caption] = len(r.texts)
			r.texts = append(r.texts, caption)
		}
		r.text = append(r.text, at[caption])
		r.own[r.gallery.Picture[i]] = append(r.own[r.gallery.Picture[i]], i)
	}
}

func (r *retrieval) ownCaptions(picture int) []int { return r.own[picture] }
func (r *retrieval) ownPicture(caption int) []int  { return r.gallery.Picture[caption : caption+1] }

// pieces returns the number of all pieces.
func (r *retrieval) pieces() int {
	n := parts(r.gallery.Pictures, embedRows) + parts(len(r.texts), textRows)
	if r.options.Rerank > 0 {
		n += parts(r.gallery.Pictures, matchRows)
	}
	return n
}

func parts(n, rows int) int { return (n + rows - 1) / rows }

// piece returns a part that is kept, if right accepts it, and otherwise computes and keeps it.
func (r *retrieval) piece(ctx context.Context, name string, right func(data []byte) bool, compute func() ([]byte, error)) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var data []byte
	var err error
	if r.options.Pieces != nil {
		if data, err = r.options.Pieces.Load(name); err != nil {
			return nil, err
		}
	}
	if data == nil || !right(data) {
		if data, err = compute(); err != nil {
			return nil, err
		}
		if r.options.Pieces != nil {
			if err := r.options.Pieces.Save(name, data); err != nil {
				return nil, err
			}
		}
	}
	if r.done++; r.options.Progress != nil {
		r.options.Progress(r.done, r.total)
	}
	return data, nil
}

// embed computes the vectors of all pictures and texts.
func (r *retrieval) embed(ctx context.Context) error {
	limit := cmp.Or(r.options.TextTokens, bridge.MaxTextTokens)
	var err error
	if r.tokens, err = r.bridge.Tokenize(r.texts, limit); err != nil {
		return err
	}
	config := r.bridge.Config()
	width := config.ProjectionDim
	r.textVectors, err = r.embedParts(ctx, "texts", textRows, func(lo, hi int) (*adapters.Tensor, error) {
		return r.bridge.EmbedTokens(ctx, r.tokens.Slice(lo, hi))
	}, len(r.texts), width)
	if err != nil {
		return err
	}
	r.pictureVectors, err = r.embedParts(ctx, "pictures", embedRows, func(lo, hi int) (*adapters.Tensor, error) {
		features, err := r.gallery.Features(ctx, span(lo, hi))
		if err != nil {
			return nil, err
		}
		return r.bridge.EmbedImages(ctx, features)
	}, r.gallery.Pictures, config.Queries, width)
	return err
}

// embedParts returns float32[shape...], computed in pieces of rows.
func (r *retrieval) embedParts(ctx context.Context, name string, rows int, compute func(lo, hi int) (*adapters.Tensor, error), shape ...int) (*adapters.Tensor, error) {
	out := adapters.NewTensor(adapters.Float32, shape...)
	for lo := 0; lo < shape[0]; lo += rows {
		hi := min(lo+rows, shape[0])
		want := out.Slice(lo, hi)
		data, err := r.piece(ctx, fmt.Sprintf("%s-%06d", name, lo), func(data []byte) bool { return len(data) == len(want.Data) }, func() ([]byte, error) {
			got, err := compute(lo, hi)
			if err != nil {
				return nil, err
			}
			return got.Data, nil
		})
		if err != nil {
			return nil, err
		}
		copy(want.Data, data)
	}
	return out, nil
}

func span(lo, hi int) []int {
	rows := make([]int, hi-lo)
	for i := range rows {
		rows[i] = lo + i
	}
	return rows
}

// chosen are a query's candidates that ITM ranks again, with their cosines.
type chosen struct {
	candidates []int32
	cosines    []float32
}

// rankByITC fills in the results of ITC and returns the candidates that ITM is to rank, of each
// picture and of each caption. It computes the matrix of similarities twice, because it does not
// keep it: for 5,000 × 25,010 it takes 0.5 GB.
func (r *retrieval) rankByITC(ctx context.Context, out *Retrieved) (byPicture, byText []chosen, err error) {
	n, texts := r.gallery.Pictures, len(r.texts)
	row := make([]float32, len(r.text))
	for lo := 0; lo < n; lo += tilePictures {
		hi := min(lo+tilePictures, n)
		block, err := r.similarities(ctx, lo, hi, 0, texts)
		if err != nil {
			return nil, nil, err
		}
		for i := range hi - lo {
			for caption, text := range r.text {
				row[caption] = block[i*texts+text]
			}
			byPicture = append(byPicture, out.TextITC.add(row, r.own[lo+i], r.options.Rerank))
		}
	}
	byDistinct := make([][]int, texts) // captions of each text
	for caption, text := range r.text {
		byDistinct[text] = append(byDistinct[text], caption)
	}
	byText = make([]chosen, len(r.text))
	out.ImageITC = Found{Ranks: make([]int, len(r.text)), Best: make([]int, len(r.text))}
	column := make([]float32, n)
	for lo := 0; lo < texts; lo += tileTexts {
		hi := min(lo+tileTexts, texts)
		block, err := r.similarities(ctx, 0, n, lo, hi)
		if err != nil {
			return nil, nil, err
		}
		for j := range hi - lo {
			for picture := range column {
				column[picture] = block[picture*(hi-lo)+j]
			}
			for _, caption := range byDistinct[lo+j] {
				var one Found
				byText[caption] = one.add(column, r.ownPicture(caption), r.options.Rerank)
				out.ImageITC.Ranks[caption], out.ImageITC.Best[caption] = one.Ranks[0], one.Best[0]
			}
		}
	}
	return byPicture, byText, nil
}

// add appends the result of a query by its scores, and returns its best k candidates.
func (f *Found) add(scores []float32, own []int, k int) chosen {
	best := metrics.Best(scores, own, max(k, 1))
	f.Ranks = append(f.Ranks, metrics.Ranks([][]float32{scores}, [][]int{own})[0])
	f.Best = append(f.Best, best[0])
	var c chosen
	for _, candidate := range best[:min(k, len(best))] {
		c.candidates = append(c.candidates, int32(candidate))
		c.cosines = append(c.cosines, scores[candidate])
	}
	return c
}

// similarities returns the cosines [pictures, texts] of a part of the matrix. It computes whole
// tiles, so that a pair has the same cosine in every part.
func (r *retrieval) similarities(ctx context.Context, fromPicture, toPicture, fromText, toText int) ([]float32, error) {
	width := toText - fromText
	out := make([]float32, (toPicture-fromPicture)*width)
	for p := fromPicture; p < toPicture; p += tilePictures {
		pictures := tile(r.pictureVectors, p, tilePictures)
		for t := fromText; t < toText; t += tileTexts {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			texts := tile(r.textVectors, t, tileTexts)
			sim, err := r.bridge.SimilarityOf(pictures, texts)
			if err != nil {
				return nil, err
			}
			values, stride := sim.Float32s(), texts.Shape[0]
			for i := range min(tilePictures, toPicture-p) {
				n := min(tileTexts, toText-t)
				copy(out[(p-fromPicture+i)*width+t-fromText:][:n], values[i*stride:i*stride+n])
			}
		}
	}
	return out, nil
}

// tile returns rows of t from lo on: always size rows, zeros after the last one, so that one
// graph computes all tiles. A tensor of fewer rows is one tile.
func tile(t *adapters.Tensor, lo, size int) *adapters.Tensor {
	if t.Shape[0] <= size {
		return t
	}
	if lo+size <= t.Shape[0] {
		return t.Slice(lo, lo+size)
	}
	shape := slices.Clone(t.Shape)
	shape[0] = size
	out := adapters.NewTensor(t.DType, shape...)
	copy(out.Data, t.Slice(lo, t.Shape[0]).Data)
	return out
}

// pairLogits has ITM's logits of the pairs of each picture and texts, ordered by text.
type pairLogits struct {
	texts  [][]int32
	logits [][]float32
}

func (l *pairLogits) of(picture, text int) float32 {
	i, found := slices.BinarySearch(l.texts[picture], int32(text))
	if !found {
		panic(fmt.Sprintf("eval: picture %d and text %d were not matched", picture, text))
	}
	return l.logits[picture][i]
}

// match computes ITM's logits of all chosen pairs.
func (r *retrieval) match(ctx context.Context, byPicture, byText []chosen) (*pairLogits, error) {
	n := r.gallery.Pictures
	l := &pairLogits{texts: make([][]int32, n), logits: make([][]float32, n)}
	for picture, c := range byPicture {
		for _, caption := range c.candidates {
			l.texts[picture] = append(l.texts[picture], int32(r.text[caption]))
		}
	}
	for caption, c := range byText {
		for _, picture := range c.candidates {
			l.texts[picture] = append(l.texts[picture], int32(r.text[caption]))
		}
	}
	for picture := range l.texts {
		slices.Sort(l.texts[picture])
		l.texts[picture] = slices.Compact(l.texts[picture])
	}
	for lo := 0; lo < n; lo += matchRows {
		hi := min(lo+matchRows, n)
		want := textsOf(l.texts[lo:hi])
		data, err := r.piece(ctx, fmt.Sprintf("matches-%06d", lo), func(data []byte) bool {
			return len(data) == 2*len(want) && string(data[:len(want)]) == string(want)
		}, func() ([]byte, error) {
			logits, err := r.matchPictures(ctx, lo, hi, l.texts)
			return append(slices.Clone(want), logits...), err
		})
		if err != nil {
			return nil, err
		}
		logits := data[len(want):]
		for picture := lo; picture < hi; picture++ {
			for range l.texts[picture] {
				l.logits[picture] = append(l.logits[picture], math.Float32frombits(binary.LittleEndian.Uint32(logits)))
				logits = logits[4:]
			}
		}
	}
	return l, nil
}

// textsOf returns the texts of a piece, as bytes: a piece of other pairs is computed again.
func textsOf(texts [][]int32) []byte {
	var data []byte
	for _, row := range texts {
		for _, text := range row {
			data = binary.LittleEndian.AppendUint32(data, uint32(text))
		}
	}
	return data
}

// matchPictures returns the logits of some pictures' pairs, as bytes.
func (r *retrieval) matchPictures(ctx context.Context, lo, hi int, texts [][]int32) ([]byte, error) {
	features, err := r.gallery.Features(ctx, span(lo, hi))
	if err != nil {
		return nil, err
	}
	var data []byte
	for i := range hi - lo {
		rows := make([]int, len(texts[lo+i]))
		for j, text := range texts[lo+i] {
			rows[j] = int(text)
		}
		logits, err := r.bridge.MatchPicture(ctx, features.Slice(i, i+1), r.tokens, rows)
		if err != nil {
			return nil, err
		}
		for _, x := range logits {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
		}
	}
	return data, nil
}

// rankByITM ranks each query's n candidates again: the chosen ones by logit and cosine.
func (r *retrieval) rankByITM(queries []chosen, n int, own func(query int) []int, logit func(query, candidate int) float32) Found {
	var f Found
	cosines := make([]float32, n)
	for query, c := range queries {
		best, logits := make([]int, len(c.candidates)), make([]float32, len(c.candidates))
		for i, candidate := range c.candidates {
			best[i], logits[i] = int(candidate), logit(query, int(candidate))
			cosines[candidate] = c.cosines[i]
		}
		f.add(metrics.Reranked(cosines, best, logits), own(query), 0)
	}
	return f
}
