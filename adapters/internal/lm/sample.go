package lm

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
)

// choice is a distribution over tokens.
type choice struct {
	ids     []int32   // ascending: what differs in the last bits hardly changes a draw
	weights []float64 // not normalised
}

// draw takes a token with the probability of its weight.
func (c choice) draw(random *rand.Rand) int32 {
	sum := 0.0
	for _, w := range c.weights {
		sum += w
	}
	at := random.Float64() * sum
	last := len(c.ids) - 1
	for i, w := range c.weights[:last] {
		if at -= w; at < 0 {
			return c.ids[i]
		}
	}
	return c.ids[last]
}

// warp makes a distribution of logits float32[V], of which one is finite:
// temperature, top-k, top-p, in transformers' order (TemperatureLogitsWarper and
// its neighbours, generation/logits_process.py).
func (s *search) warp(logits []float32) choice {
	if t := float32(s.Temperature); t != 1 {
		for i := range logits {
			logits[i] /= t
		}
	}
	least := float32(math.Inf(-1))
	if s.TopK > 0 && s.TopK < len(logits) {
		r := ranking[struct{}]{n: s.TopK}
		for _, x := range logits {
			r.offer(x, struct{}{})
		}
		least = r.scores[len(r.scores)-1] // all that equal it are kept
	}
	top := slices.Max(logits)
	var c choice
	for i, x := range logits {
		if x >= least && !math.IsInf(float64(x), -1) {
			c.ids = append(c.ids, int32(i))
			c.weights = append(c.weights, math.Exp(float64(x-top)))
		}
	}
	if s.TopP < 1 {
		c = c.nucleus(s.TopP)
	}
	return c
}

// nucleus drops the least likely tokens that have a probability of at most 1 − p
// together; one stays.
func (c choice) nucleus(p float64) choice {
	total := 0.0
	for _, w := range c.weights {
		total += w
	}
	rest := (1 - p) * total
	// What lies below the mean of that share goes in any case; so there is little
	// to sort.
	order, dropped := []int(nil), 0.0
	for i, w := range c.weights {
		if w < rest/float64(len(c.weights)) {
			dropped += w
		} else {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(c.weights[i], c.weights[j]) })
	first := 0
	for first < len(order)-1 {
		if dropped += c.weights[order[first]]; dropped > rest {
			break
		}
		first++
	}
	order = order[first:]
	slices.Sort(order)
	var kept choice
	for _, i := range order {
		kept.ids, kept.weights = append(kept.ids, c.ids[i]), append(kept.weights, c.weights[i])
	}
	return kept
}

// randomStreams numbers the random streams of a request's sequences. One depends
// on the sequence's text, on the signs of some values of its soft prompts (which
// rounding hardly changes, so that a picture in another batch keeps its stream),
// and on how many equal sequences precede it: never on the rest of the request.
func randomStreams(sequences []Sequence, prompts *adapters.Tensor) ([]uint64, error) {
	of := promptMarks{}
	times := map[string]uint64{}
	out := make([]uint64, len(sequences))
	for i, s := range sequences {
		var rough, whole []byte
		for _, in := range s.Input {
			rough = binary.LittleEndian.AppendUint32(rough, uint32(max(in, -1)))
			whole = binary.LittleEndian.AppendUint32(whole, uint32(max(in, -1)))
			if in >= 0 {
				continue
			}
			mark, err := of.mark(prompts, int(^in)/prompts.Shape[1])
			if err != nil {
				return nil, err
			}
			rough = binary.LittleEndian.AppendUint64(rough, mark.signs)
			whole = append(whole, mark.digest[:]...)
		}
		h := fnv.New64a()
		h.Write(binary.LittleEndian.AppendUint64(rough, times[string(whole)]))
		times[string(whole)]++
		out[i] = h.Sum64()
	}
	return out, nil
}

// promptMark tells soft prompts apart: exactly, and but for rounding.
type promptMark struct {
	digest [sha256.Size]byte
	signs  uint64 // of 64 values, evenly spread
}

// promptMarks are the marks of a request's soft prompts that have been asked for.
type promptMarks map[int]promptMark

func (m promptMarks) mark(prompts *adapters.Tensor, i int) (promptMark, error) {
	if mark, ok := m[i]; ok {
		return mark, nil
	}
	row := prompts.Row(i)
	values, err := row.ToFloat32()
	if err != nil {
		return promptMark{}, err
	}
	mark := promptMark{digest: sha256.Sum256(row.Data)}
	for bit := range 64 {
		if values[bit*len(values)/64] > 0 {
			mark.signs |= 1 << bit
		}
	}
	m[i] = mark
	return mark, nil
}
