// Package convert brings whole BLIP-2 checkpoints from one form to another: runs
// of bridge and LAVIS's .pth files to folders as transformers saves them
// (Blip2ForConditionalGeneration, Blip2ForImageTextRetrieval, Blip2VisionModel).
//
// A [Checkpoint] is such a folder before it is written. Its weights stay where
// they lie, mapped, until [Checkpoint.Write] copies them; whoever makes one closes
// it afterwards:
//
//	c, warnings, err := convert.Assemble(ctx, b, convert.Parts{Vision: dir1, Language: dir2})
//	err = c.Write(ctx, "blip2-mine", nil)
//	err = c.Close()
//
// Weights are copied bit by bit in the type that they have. What transformers
// cannot express is an error of kind Unsupported that says why.
package convert
