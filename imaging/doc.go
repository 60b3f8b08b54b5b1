// Package imaging reads image files and brings them to an encoder's size, as
// the reference implementations do with Pillow.
//
// The contract: [Resize] gives Pillow 12's pixels, bit for bit (its nearest,
// bilinear and bicubic filters, antialiased when shrinking); [ToRGB] does what
// Pillow's convert("RGB") does, so alpha is dropped, not composited. Pixels are
// uint8[H, W, 3]; a returned slice belongs to the caller, an argument is never
// written to. The Exif orientation of a file is ignored, as LAVIS ignores it.
package imaging
