// Package preprocess owns the image processor files of checkpoint folders: it reads how
// pictures are prepared for an encoder from preprocessor_config.json, or from the part of
// processor_config.json that newer folders have instead. It must not touch pixels: package
// imaging resizes, and the encoder's graph normalises.
//
// [Read] knows transformers' image processors that resize every picture to one size: CLIP's,
// BLIP's, SigLIP's, BiT's (which DINOv2 uses) and ViT's, with their old names and their Fast
// and Pil variants. A missing key has the default of its class. All results are plain values.
//
// The source is transformers 5.23, image_processing_backends.py, and the class attributes of
// models/*/image_processing_*.py.
package preprocess
