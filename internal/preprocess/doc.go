// Package preprocess reads how pictures are prepared for an encoder from a
// checkpoint folder: preprocessor_config.json, or the part of
// processor_config.json that newer folders have instead.
//
// [Read] knows the image processors of transformers that resize every picture to
// one size: CLIP's, BLIP's, SigLIP's, BiT's (which DINOv2 uses) and ViT's, under
// their old names, as Fast and as Pil variants. A key that a file lacks has the
// default of its class. The result is for the host (package imaging resizes) and
// for the encoder's graph, which normalises. Everything here is a plain value.
//
// The source is transformers 5.23, image_processing_backends.py, and the class
// attributes of models/*/image_processing_*.py.
package preprocess
