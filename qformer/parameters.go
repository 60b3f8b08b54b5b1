package qformer

import (
	"fmt"
	"slices"
)

// Stage is a training stage, which determines the weights.
type Stage int

const (
	// Stage1 is representation learning: queries and text, with the heads of
	// the three objectives.
	Stage1 Stage = 1
	// Stage2 is generative learning: queries only, with the projection into
	// the language model.
	Stage2 Stage = 2
)

// Part groups weights, so that a stage can freeze or renew them.
type Part int

const (
	// PartQueries holds the query tokens and all that queries pass through.
	PartQueries Part = iota
	// PartEncoder holds the weights that depend on the vision encoder: the norm on its
	// features and the keys and values of cross-attention. A new encoder needs new ones.
	PartEncoder
	// PartText holds the embeddings and the text's feed-forward blocks.
	PartText
	// PartHeads holds the contrastive projections, their temperature and the
	// matching head.
	PartHeads
	// PartDecoder is the language modeling head; its matrix is the token embedding.
	PartDecoder
	// PartLanguage is the linear projection to the language model's width. In a projection that
	// speaks in words, it is the layers that score the words, which do not depend on the
	// language model.
	PartLanguage
	// PartWords holds the soft prompts of the words. A new language model needs new ones.
	PartWords
	// PartResidual is the linear projection beside words. A new language model needs a new one.
	PartResidual
)

// OfLanguage reports whether a part lies between the Q-Former and the language model.
func (p Part) OfLanguage() bool { return p >= PartLanguage }

// fill is the kind of a weight's initial values.
type fill int

const (
	normal fill = iota
	zeros
	ones
	temperature
)

// Param is one weight.
type Param struct {
	Name  string // as Hugging Face's checkpoints call it; the decoder's as LAVIS does
	Shape []int
	Part  Part
	fill  fill
}

// Size returns the number of elements.
func (p Param) Size() int {
	n := 1
	for _, d := range p.Shape {
		n *= d
	}
	return n
}

// Count returns the number of elements of all params.
func Count(params []Param) int {
	n := 0
	for _, p := range params {
		n += p.Size()
	}
	return n
}

// Names of the weights outside the layers.
const (
	nameQueryTokens     = "query_tokens"
	nameVisionNorm      = "vision_model.post_layernorm"
	nameLayerNorm       = "qformer.layernorm"
	nameTokenEmbeddings = "embeddings.word_embeddings"
	namePositions       = "embeddings.position_embeddings"
	nameVisionProj      = "vision_projection"
	nameTextProj        = "text_projection"
	nameMatchHead       = "itm_head"
	nameTemperature     = "temp"
	nameDecoder         = "cls.predictions"
	nameLanguage        = "language_projection"
	nameWordHidden      = "word_projection.dense"
	nameWordScores      = "word_projection.scores"
	nameWordEmbeddings  = "word_projection.embeddings"
)

// wordHiddenFactor is the width inside the projection into words, in widths of the Q-Former.
const wordHiddenFactor = 2

// nameLayer returns the prefix of a layer's weights.
func nameLayer(i int) string { return fmt.Sprintf("qformer.encoder.layer.%d", i) }

// Parameters lists the trainable weights of a stage, in the order of the
// forward pass. The token embedding is listed once, although the decoder shares it.
func (c Config) Parameters(stage Stage) []Param {
	l := &list{}
	l.norm(PartEncoder, nameVisionNorm, c.EncoderWidth)
	l.add(PartQueries, nameQueryTokens, normal, 1, c.Queries, c.HiddenSize)
	if stage == Stage1 {
		l.add(PartText, nameTokenEmbeddings+".weight", normal, c.Vocabulary, c.HiddenSize)
		l.add(PartText, namePositions+".weight", normal, c.MaxPositions, c.HiddenSize)
	}
	l.norm(PartQueries, nameLayerNorm, c.HiddenSize)
	for i := range c.Layers {
		l.layer(c, i, stage == Stage1)
	}
	if stage == Stage2 {
		l.projection(c)
		return l.params
	}
	l.linear(PartHeads, nameVisionProj, c.ProjectionDim, c.HiddenSize)
	l.linear(PartHeads, nameTextProj, c.ProjectionDim, c.HiddenSize)
	l.linear(PartHeads, nameMatchHead, 2, c.HiddenSize)
	l.add(PartHeads, nameTemperature, temperature)
	l.linear(PartDecoder, nameDecoder+".transform.dense", c.HiddenSize, c.HiddenSize)
	l.norm(PartDecoder, nameDecoder+".transform.LayerNorm", c.HiddenSize)
	l.add(PartDecoder, nameDecoder+".bias", zeros, c.Vocabulary)
	return l.params
}

// projection adds the weights between the Q-Former and the language model.
func (l *list) projection(c Config) {
	if c.Words == 0 {
		l.linear(PartLanguage, nameLanguage, c.LanguageWidth, c.HiddenSize)
		return
	}
	l.linear(PartLanguage, nameWordHidden, wordHiddenFactor*c.HiddenSize, c.HiddenSize)
	l.linear(PartLanguage, nameWordScores, c.Words, wordHiddenFactor*c.HiddenSize)
	l.add(PartWords, nameWordEmbeddings+".weight", normal, c.Words, c.LanguageWidth)
	if c.Residual {
		l.add(PartResidual, nameLanguage+".weight", zeros, c.LanguageWidth, c.HiddenSize)
		l.add(PartResidual, nameLanguage+".bias", zeros, c.LanguageWidth)
	}
}

// list gathers parameters.
type list struct{ params []Param }

func (l *list) add(part Part, name string, f fill, shape ...int) {
	l.params = append(l.params, Param{Name: name, Shape: slices.Clone(shape), Part: part, fill: f})
}

func (l *list) linear(part Part, name string, out, in int) {
	l.add(part, name+".weight", normal, out, in)
	l.add(part, name+".bias", zeros, out)
}

func (l *list) norm(part Part, name string, width int) {
	l.add(part, name+".weight", ones, width)
	l.add(part, name+".bias", zeros, width)
}

func (l *list) attention(name string, width, source int, sourcePart Part) {
	l.linear(PartQueries, name+".attention.query", width, width)
	l.linear(sourcePart, name+".attention.key", width, source)
	l.linear(sourcePart, name+".attention.value", width, source)
	l.linear(PartQueries, name+".output.dense", width, width)
	l.norm(PartQueries, name+".output.LayerNorm", width)
}

func (l *list) feedForward(part Part, layer, suffix string, c Config) {
	l.linear(part, layer+".intermediate"+suffix+".dense", c.Intermediate, c.HiddenSize)
	l.linear(part, layer+".output"+suffix+".dense", c.HiddenSize, c.Intermediate)
	l.norm(part, layer+".output"+suffix+".LayerNorm", c.HiddenSize)
}

func (l *list) layer(c Config, i int, text bool) {
	name := nameLayer(i)
	l.attention(name+".attention", c.HiddenSize, c.HiddenSize, PartQueries)
	if c.hasCross(i) {
		l.attention(name+".crossattention", c.HiddenSize, c.EncoderWidth, PartEncoder)
	}
	if text {
		l.feedForward(PartText, name, "", c)
	}
	l.feedForward(PartQueries, name, querySuffix, c)
}

// querySuffix distinguishes the queries' feed-forward block from the text's.
const querySuffix = "_query"
