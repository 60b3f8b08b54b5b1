// Package imaging owns the way from an image file to an encoder's pixels: it decodes files,
// converts them to RGB and resizes them, as the reference implementations do with Pillow. It
// must not know any encoder: adapters.ImageSpec says what to do.
//
// [Resize] returns Pillow 12's pixels, bit for bit (its nearest, bilinear and bicubic filters,
// antialiased when shrinking). [ToRGB] does what Pillow's convert("RGB") does: it drops alpha
// without compositing. [Process] prepares an image for an encoder. Pixels are uint8[H, W, 3].
// A returned slice belongs to the caller; an argument is never written to. The Exif
// orientation of a file is followed or ignored, see [Orientation].
//
// [Decode] returns Pillow 13's pixels bit for bit. docs/images.md lists what it reads, and
// docs/fidelity.md what differs.
package imaging
