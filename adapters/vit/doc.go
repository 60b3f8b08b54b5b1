// Package vit is the family of CLIP-style vision transformers: model_type
// "clip_vision_model", and the vision side of "clip".
//
// [Family] opens a Hugging Face checkpoint folder as an
// [adapters.VisionEncoder]. Pictures come in as uint8[B, H, W, 3]; the graph
// normalises them, cuts them into patches, puts the class token first, adds the
// position table and runs the blocks up to the wanted hidden state:
// float32[B, N, D] (or bfloat16), N = 1 + (H/patch)·(W/patch), before any
// post_layernorm. The reference is transformers' CLIPVisionTransformer.
//
// The encoder owns its weights until Close; a response belongs to the caller.
package vit
