// Package official reads the annotation files of public data sets as they are downloaded: COCO's
// captions (nocaps and VizWiz's captions have the same layout), Karpathy's splits, Flickr30k,
// TextCaps, Visual Genome, VQAv2, OK-VQA, A-OKVQA, GQA, VizWiz and TextVQA.
//
// A picture with its captions is a record, and so is a question with its answers. Memory holds the
// places of rows in their files, and the ids by which files are joined.
package official
