// Package preprocess reads the image processor files of checkpoint folders. They describe how to
// prepare pictures for an encoder: preprocessor_config.json, or a part of processor_config.json in
// newer folders. The package must not process pixels: package imaging resizes, and the encoder's
// graph normalizes.
//
// [Read] supports transformers' image processors that resize every picture to one size: CLIP's,
// BLIP's, SigLIP's, BiT's (which DINOv2 uses) and ViT's, with their old names and their Fast and
// Pil variants. A missing key has the default of its class. All results are plain values.
//
// The reference is transformers 5.23, image_processing_backends.py, and the class attributes in
// models/*/image_processing_*.py.
package preprocess
