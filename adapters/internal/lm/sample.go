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

// distribution is a distribution over tokens.
type distribution struct {
	ids     []int32   // ascending, so that rounding hardly changes a draw
	weights []float64 // not normalised
}

// sample takes a token with the probability of its weight.
func (c distribution) sample(random *rand.Rand) int32 {
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

// warp turns logits float32[V], of which at least one is finite, into a distribution:
// it applies temperature, top-k and top-p, in transformers' order
// (TemperatureLogitsWarper and its neighbours, generation/logits_process.py).
func (s *search) warp(logits []float32) distribution {
	if t := float32(s.Temperature); t != 1 {
		for i := range logits {
			logits[i] /= t
		}
	}
	least := float32(math.Inf(-1))
	if s.TopK > 0 && s.TopK < len(logits) {
		r := topK[struct{}]{n: s.TopK}
		for _, x := range logits {
			r.add(x, struct{}{})
		}
		least = r.scores[len(r.scores)-1] // all equal ones are kept
	}
	top := slices.Max(logits)
	var c distribution
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

// nucleus applies top-p: it drops the least likely tokens whose probabilities sum to at
// most 1 − p. At least one token stays.
func (c distribution) nucleus(p float64) distribution {
	total := 0.0
	for _, w := range c.weights {
		total += w
	}
	rest := (1 - p) * total
	// Tokens below the mean of that share are dropped in any case, so that few are
	// left to sort.
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
	var kept distribution
	for _, i := range order {
		kept.ids, kept.weights = append(kept.ids, c.ids[i]), append(kept.weights, c.weights[i])
	}
	return kept
}

// randomStreams returns the random stream of each sequence of a request. A stream
// depends on the sequence's text, on the signs of some values of its soft prompts (which
// rounding hardly changes, so that a picture keeps its stream in another batch), and on
// its copy. It never depends on the rest of the request. If copies is nil, the copy of a
// sequence is the number of equal ones before it.
func randomStreams(sequences []Sequence, prompts *adapters.Tensor, copies []int) ([]uint64, error) {
	fingerprints := promptFingerprints{}
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
			fingerprint, err := fingerprints.of(prompts, int(^in)/prompts.Shape[1])
			if err != nil {
				return nil, err
			}
			rough = binary.LittleEndian.AppendUint64(rough, fingerprint.signs)
			whole = append(whole, fingerprint.digest[:]...)
		}
		number := times[string(whole)]
		times[string(whole)]++
		if copies != nil {
			number = uint64(copies[i])
		}
		h := fnv.New64a()
		h.Write(binary.LittleEndian.AppendUint64(rough, number))
		out[i] = h.Sum64()
	}
	return out, nil
}

// promptFingerprint identifies a soft prompt: exactly, and up to rounding.
type promptFingerprint struct {
	digest [sha256.Size]byte
	signs  uint64 // of 64 values, evenly spread
}

// promptFingerprints caches the fingerprints of a request's soft prompts.
type promptFingerprints map[int]promptFingerprint

func (m promptFingerprints) of(prompts *adapters.Tensor, i int) (promptFingerprint, error) {
	if fingerprint, ok := m[i]; ok {
		return fingerprint, nil
	}
	row := prompts.Row(i)
	values, err := row.ToFloat32()
	if err != nil {
		return promptFingerprint{}, err
	}
	fingerprint := promptFingerprint{digest: sha256.Sum256(row.Data)}
	for bit := range 64 {
		if values[bit*len(values)/64] > 0 {
			fingerprint.signs |= 1 << bit
		}
	}
	m[i] = fingerprint
	return fingerprint, nil
}
