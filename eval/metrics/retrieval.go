package metrics

import (
	"cmp"
	"fmt"
	"slices"
)

// Recall is how often a right candidate is among the best, in percent of the queries.
type Recall struct {
	At1  float64 `json:"r1"`
	At5  float64 `json:"r5"`
	At10 float64 `json:"r10"`
}

// Mean returns the mean of the three, which LAVIS prints as txt_r_mean or img_r_mean.
func (r Recall) Mean() float64 { return (r.At1 + r.At5 + r.At10) / 3 }

// Ranks returns the rank of each query's best own candidate, from 0. scores[q][c] is the score of
// candidate c for query q; own[q] lists the candidates that are right for q, at least one.
// Another own candidate never stands before the best one. Every other candidate with an equal
// score does: ties count against the model, whatever the order of candidates. A score that is
// not a number counts as the worst for an own candidate and as the best for others.
//
// For pictures with several captions this is LAVIS's rank (tasks/retrieval.py): the best of a
// picture's own captions among all captions, and the rank of a caption's one picture. Ranks
// panics if the numbers of queries differ or a query has no own candidate.
func Ranks(scores [][]float32, own [][]int) []int {
	if len(scores) != len(own) {
		panic(fmt.Sprintf("metrics: scores of %d queries and own candidates of %d, want equal numbers", len(scores), len(own)))
	}
	ranks := make([]int, len(scores))
	for q, row := range scores {
		best := bestOwn(row, own[q])
		for c, score := range row {
			if !(score < best) && !slices.Contains(own[q], c) {
				ranks[q]++
			}
		}
	}
	return ranks
}

// bestOwn returns the highest score of a query's own candidates; what is no number is the lowest.
func bestOwn(row []float32, own []int) float32 {
	if len(own) == 0 {
		panic("metrics: a query has no own candidate, want at least 1")
	}
	best := row[own[0]]
	for _, c := range own[1:] {
		if best != best || row[c] > best {
			best = row[c]
		}
	}
	return best
}

// RecallOf returns the recall of queries with ranks, from 0; zero if there are none.
func RecallOf(ranks []int) Recall {
	within := func(k int) float64 {
		n := 0
		for _, rank := range ranks {
			if rank < k {
				n++
			}
		}
		return 100 * float64(n) / float64(max(1, len(ranks)))
	}
	return Recall{within(1), within(5), within(10)}
}

// RerankedCandidates is LAVIS's k: how many candidates of a query ITM ranks again (k_test).
const RerankedCandidates = 128

// leftOut is the score of candidates that ITM does not rank (LAVIS).
const leftOut = -100

// Best returns the k candidates with the highest scores, the best one first, at most all of
// them. Among equals, own candidates come last, and others in their order.
func Best(scores []float32, own []int, k int) []int {
	k = min(max(k, 0), len(scores))
	before := func(a, b int) int {
		if by := cmp.Compare(scores[b], scores[a]); by != 0 {
			return by
		}
		if by := boolCompare(slices.Contains(own, a), slices.Contains(own, b)); by != 0 {
			return by
		}
		return cmp.Compare(a, b)
	}
	best := make([]int, 0, k)
	for c := range scores {
		if len(best) == k {
			if k == 0 || before(best[k-1], c) < 0 {
				continue
			}
			best = best[:k-1]
		}
		at, _ := slices.BinarySearchFunc(best, c, before)
		best = slices.Insert(best, at, c)
	}
	return best
}

// boolCompare orders false before true.
func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// Reranked returns the scores of a query's candidates after ITM: of the chosen ones ([Best]) the
// sum of ITM's logit and of the ITC cosine, and -100 of all others (LAVIS,
// Blip2Qformer.compute_sim_matrix). itm has a logit for each chosen candidate.
func Reranked(itc []float32, chosen []int, itm []float32) []float32 {
	if len(chosen) != len(itm) {
		panic(fmt.Sprintf("metrics: %d candidates and %d logits, want equal numbers", len(chosen), len(itm)))
	}
	out := slices.Repeat([]float32{leftOut}, len(itc))
	for i, c := range chosen {
		out[c] = itm[i] + itc[c]
	}
	return out
}

// Transposed returns the scores of candidates for queries as those of queries for candidates.
func Transposed(scores [][]float32) [][]float32 {
	if len(scores) == 0 {
		return nil
	}
	out := make([][]float32, len(scores[0]))
	for c := range out {
		out[c] = make([]float32, len(scores))
		for q := range scores {
			out[c][q] = scores[q][c]
		}
	}
	return out
}

// Winoground is how often a model tells the two captions and the two pictures of an example
// apart, in percent. Chance is 25, 25 and 16.67.
type Winoground struct {
	Text  float64 `json:"text"`  // each picture has the higher score with its own caption
	Image float64 `json:"image"` // each caption has the higher score with its own picture
	Group float64 `json:"group"` // both
}

// WinogroundOf scores examples: scores[n][c][i] of caption c with picture i, where c and i with
// equal numbers belong together. Equal scores count against the model.
func WinogroundOf(scores [][2][2]float64) Winoground {
	var text, image, group int
	for _, s := range scores {
		t := s[0][0] > s[1][0] && s[1][1] > s[0][1]
		i := s[0][0] > s[0][1] && s[1][1] > s[1][0]
		text, image, group = text+count(t), image+count(i), group+count(t && i)
	}
	percent := func(n int) float64 { return 100 * float64(n) / float64(max(1, len(scores))) }
	return Winoground{percent(text), percent(image), percent(group)}
}

// count returns 1 for true.
func count(b bool) int {
	if b {
		return 1
	}
	return 0
}
