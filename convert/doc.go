// Package convert owns whole BLIP-2 checkpoints: it turns runs of bridge and LAVIS's .pth files
// into folders as transformers saves them (Blip2ForConditionalGeneration,
// Blip2ForImageTextRetrieval, Blip2VisionModel). It knows the forms of BLIP-2; it must not know
// a language model's family, which adapters.Family describes.
//
// A [Checkpoint] is such a folder before it is written. Its weights stay mapped where they are
// until [Checkpoint.Write] copies them. The caller must close it:
//
//	c, warnings, err := convert.Assemble(ctx, b, convert.Parts{Families: families, Vision: dir1, Language: dir2})
//	err = c.Write(ctx, "blip2-mine", nil)
//	err = c.Close()
//
// Weights are copied bit by bit in their own type. What transformers cannot express is an error
// of kind Unsupported that explains why.
package convert
