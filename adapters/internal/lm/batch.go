package lm

import "slices"

// shape is the shape of a batch, for which a graph is compiled.
type shape struct {
	batch   int // B
	length  int // T, positions of the input
	targets int // K, 0 in generation
	prompts int // M, 0 if no example has a soft prompt
	rows    int // Q
}

// batch is a chunk of sequences, padded on the right to the bucketed shape.
type batch struct {
	shape
	size            int     // examples, without the rows of padding
	used            []int   // the request's soft prompts that the chunk reads, in order
	ids             []int32 // [B, T] token ids; 0 at soft prompts and padding
	promptRows      []int32 // [B, T] rows of the used prompts; −1 at tokens and padding
	lengths         []int32 // [B] positions that are not padding
	decoder         []int32 // [B, K] the decoder's input in an encoder-decoder model
	targetPositions []int32 // [B, K] flat positions (b·T + t) that predict the targets
	target          []int32 // [B, K]
	weight          []float32
}

// pack makes a batch of sequences whose soft prompts have the given number of rows.
func pack(sequences []Sequence, rows int, start int32) *batch {
	b := &batch{size: len(sequences)}
	b.batch, b.rows = batchBucket(len(sequences)), rows
	for _, s := range sequences {
		b.length = max(b.length, len(s.Input))
		b.targets = max(b.targets, len(s.Target))
		for _, in := range s.Input {
			if in < 0 {
				b.used = append(b.used, int(^in)/rows)
			}
		}
	}
	slices.Sort(b.used)
	b.used = slices.Compact(b.used)
	b.length = lengthBucket(b.length)
	if b.targets > 0 {
		b.targets = lengthBucket(b.targets)
	}
	if len(b.used) > 0 {
		b.prompts = batchBucket(len(b.used))
	} else {
		b.rows = 0
	}
	b.ids = make([]int32, b.batch*b.length)
	b.promptRows = make([]int32, b.batch*b.length)
	b.lengths = make([]int32, b.batch)
	b.decoder = make([]int32, b.batch*b.targets)
	b.targetPositions = make([]int32, b.batch*b.targets)
	b.target = make([]int32, b.batch*b.targets)
	b.weight = make([]float32, b.batch*b.targets)
	b.fill(sequences, start)
	return b
}

func (b *batch) fill(sequences []Sequence, start int32) {
	local := make(map[int]int, len(b.used))
	for i, prompt := range b.used {
		local[prompt] = i
	}
	for i := range b.promptRows {
		b.promptRows[i] = -1
	}
	for i := range b.lengths {
		b.lengths[i] = 1 // a row of padding must attend to something
	}
	for i, s := range sequences {
		b.lengths[i] = int32(len(s.Input))
		for k := range b.targets { // padding reads the example's own row, so that NaNs stay there
			b.targetPositions[i*b.targets+k] = int32(i * b.length)
		}
		for t, in := range s.Input {
			if in >= 0 {
				b.ids[i*b.length+t] = in
				continue
			}
			row := int(^in)
			b.promptRows[i*b.length+t] = int32(local[row/b.rows]*b.rows + row%b.rows)
		}
		previous := start
		for k, id := range s.Target {
			at := i*b.targets + k
			b.decoder[at], previous = previous, id
			b.targetPositions[at] = int32(i*b.length + s.First + k)
			b.target[at] = id
			b.weight[at] = 1
		}
	}
}
