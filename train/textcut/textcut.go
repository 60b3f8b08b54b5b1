// Package textcut cuts texts to a number of tokens.
//
// It knows token counts and characters. It must not know tokenizers, records or batches.
package textcut

import (
	"context"

	"github.com/modular-bridging/bridge/adapters"
)

// ahead is how many characters beyond a cut are tried for a longer prefix that fits: a
// whole word may take fewer tokens than its beginning.
const ahead = 16

// probes is the number of prefixes that one call counts.
const probes = 16

// Longest returns the longest prefix of text, in whole characters (Unicode code points),
// that has at most limit tokens, or text itself if it fits. A prefix's tokens are those
// of the prefix as a text of its own, without special tokens. One more character would not
// fit, nor would any number up to 16. A longer prefix, which has fewer tokens than a shorter
// one for an odd reason, is not searched for. A limit below 1 gives the empty text.
func Longest(ctx context.Context, counter adapters.TokenCounter, text string, limit int) (string, error) {
	c := &cutter{ctx: ctx, counter: counter, text: text, limit: limit}
	for i := range text {
		if i > 0 {
			c.ends = append(c.ends, i)
		}
	}
	if text == "" || limit < 1 {
		return "", nil
	}
	c.ends = append(c.ends, len(text))
	fits, over, err := c.bracket()
	for err == nil && over-fits > 1 {
		fits, over, err = c.narrow(fits, over)
	}
	for last := -1; err == nil && fits != last; {
		last = fits
		fits, err = c.extend(fits)
	}
	if err != nil {
		return "", err
	}
	return c.prefix(fits), nil
}

// cutter cuts one text.
type cutter struct {
	ctx     context.Context
	counter adapters.TokenCounter
	text    string
	limit   int
	ends    []int // byte after each character
}

// prefix returns the first n characters.
func (c *cutter) prefix(n int) string {
	if n == 0 {
		return ""
	}
	return c.text[:c.ends[n-1]]
}

// fit reports which of the prefixes with the given numbers of characters fit.
func (c *cutter) fit(lengths []int) ([]bool, error) {
	texts := make([]string, len(lengths))
	for i, n := range lengths {
		texts[i] = c.prefix(n)
	}
	counts, err := c.counter.CountTokens(c.ctx, texts)
	if err != nil {
		return nil, err
	}
	if len(counts) != len(texts) {
		return nil, adapters.Errorf(adapters.Internal, "%d token counts for %d texts", len(counts), len(texts))
	}
	fits := make([]bool, len(lengths))
	for i, n := range counts {
		fits[i] = int(n) <= c.limit
	}
	return fits, nil
}

// bracket returns a number of characters that fits and, if it is not the whole text, a
// larger one that does not. It tries limit, twice as many, and so on.
func (c *cutter) bracket() (fits, over int, err error) {
	var lengths []int
	for n := c.limit; n < len(c.ends); n *= 2 {
		lengths = append(lengths, n)
	}
	return c.last(0, append(lengths, len(c.ends)), len(c.ends))
}

// narrow returns a smaller bracket.
func (c *cutter) narrow(fits, over int) (int, int, error) {
	var lengths []int
	step := max(1, (over-fits)/probes)
	for n := fits + step; n < over; n += step {
		lengths = append(lengths, n)
	}
	return c.last(fits, lengths, over)
}

// last returns the largest of the lengths that fits, or fits, and the length after it, or
// over. The lengths ascend.
func (c *cutter) last(fits int, lengths []int, over int) (int, int, error) {
	ok, err := c.fit(lengths)
	if err != nil {
		return 0, 0, err
	}
	for i := len(lengths) - 1; i >= 0; i-- {
		if ok[i] {
			return lengths[i], over, nil
		}
		over = lengths[i]
	}
	return fits, over, nil
}

// extend returns the largest number of characters that fits among n and the next ones.
func (c *cutter) extend(n int) (int, error) {
	var lengths []int
	for m := n + 1; m <= min(n+ahead, len(c.ends)); m++ {
		lengths = append(lengths, m)
	}
	if len(lengths) == 0 {
		return n, nil
	}
	n, _, err := c.last(n, lengths, 0)
	return n, err
}
