package t5

import "github.com/modular-bridging/bridge/internal/weights"

// The names of the tensors that have a row for each token.
const (
	shared       = "shared"
	encoderTable = "encoder.embed_tokens"
	decoderTable = "decoder.embed_tokens"
	head         = "lm_head"
)

// tables names, for each use, the tensor that has a row for each token: shared, or the
// tensor of the use itself if the file holds another one there.
type tables struct {
	encoder, decoder, head string
	tied                   []string // names in the file that repeat the shared tensor
}

// findTables ties tensors as transformers does (tie_weights in modeling_utils.py): a tensor
// that the file lacks, or that equals the shared one, is the shared one. A tensor that
// differs counts, whatever config.json says. If the file lacks the shared tensor, the first
// of the others is the shared one.
func findTables(folder *weights.Folder) tables {
	source := shared + ".weight"
	if name, _, ok := folder.Find(sharedSpec()); ok {
		source = name
	}
	var t tables
	for use, name := range map[*string]string{&t.encoder: encoderTable, &t.decoder: decoderTable, &t.head: head} {
		*use = shared
		file := name + ".weight"
		_, there := folder.Tensor(file)
		switch {
		case !there || file == source:
		case folder.Same(source, file):
			t.tied = append(t.tied, file)
		default:
			*use = name
		}
	}
	return t
}

// sharedSpec describes the shared tensor, without its shape.
func sharedSpec() weights.TensorSpec {
	return weights.TensorSpec{Name: shared + ".weight", Aliases: []string{encoderTable + ".weight", decoderTable + ".weight", head + ".weight"}}
}

// specs describes the tensors that are read, [V, D] each.
func (t tables) specs(vocabulary, width int) []weights.TensorSpec {
	var list []weights.TensorSpec
	if t.encoder == shared || t.decoder == shared || t.head == shared {
		spec := sharedSpec()
		spec.Shape = []int{vocabulary, width}
		list = append(list, spec)
	}
	for _, name := range []string{t.encoder, t.decoder, t.head} {
		if name != shared {
			list = append(list, weights.TensorSpec{Name: name + ".weight", Shape: []int{vocabulary, width}, Linear: name == head})
		}
	}
	return list
}

// unused lists the tensors that repeat others, and the shared one if every use has its own.
func (t tables) unused() weights.UnusedList {
	var list weights.UnusedList
	for _, name := range t.tied {
		list = append(list, weights.Unused{Name: name, Reason: "it equals shared.weight, to which it is tied; bridge reads one that differs"})
	}
	if t.encoder != shared && t.decoder != shared && t.head != shared {
		list = append(list, weights.Unused{Name: shared + ".weight", Reason: "encoder, decoder and head have tensors of their own"})
	}
	return list
}
