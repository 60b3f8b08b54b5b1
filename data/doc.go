// Package data owns data sets (pictures with captions, and questions with answers): it opens
// them and chooses the records of batches. It must not know any model, objective or recipe; of
// an encoder it gets only the image size.
//
// A [Dataset] is a fixed list of records. It never changes while it is open, and
// several goroutines may read it at once. [OpenKit] opens the emoji scenes of the kit,
// [OpenFiles] annotation files in LAVIS's layout beside a folder of pictures. A new
// format is another function that returns a Dataset.
//
// A [Sampler] chooses the records of a step's batch. Its choice depends only on its
// fields and the step, so a resumed run needs no saved state. The training objective
// draws a [Sample] from each record: a caption or a question.
//
// Package data/featurecache keeps the frozen encoder's features of a data set.
package data
