// Package data owns data sets (pictures with captions, and questions with answers): it opens
// them and chooses the records of batches. It must not know any model, objective or recipe; of
// an encoder it gets only the image size.
//
// A [Dataset] is a fixed list of records. It never changes while it is open, and
// several goroutines may read it at once. [OpenKit] opens the emoji scenes of the kit,
// [OpenFiles] annotation files in LAVIS's layout beside a folder of pictures (package
// data/annotations reads them), and [CheckFiles] checks such files without opening them.
// [OpenSources] makes a data set of readers of formats (package data/record), whose records are
// read when they are drawn. A new format is a reader, with a line in package data/formats.
//
// A picture or a record that cannot be used is a [PictureError]. A run keeps the pictures that it leaves
// out in a [LeftOutList], and what it was trained on in an [Inventory]. A data set that is
// opened with an inventory has the rows of that run, or names the first entry that differs.
//
// A [Sampler] chooses the records of a step's batch. Its choice depends only on its
// fields and the step, so a resumed run needs no saved state. The training objective
// draws a [Sample] from each record: a caption, a question, or the turns of a sequence. A
// [Mixture] chooses among several sources. An [Augmentation] changes pictures at random.
//
// Package data/featurecache keeps the frozen encoder's features of a data set.
package data
