// Package record defines what the readers of formats give: records as sequences of parts. It
// must not know any format, recipe or model.
//
// A [Record] is an ordered list of texts and pictures, some of which are targets. A picture
// with a caption is the shortest case. A [Reader] gives the records of one source at random.
// A record that cannot be used is a [BadRecord] error; the other records are not to blame.
package record
