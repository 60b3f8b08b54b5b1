// Package interleaved reads documents of texts and pictures: MMC4 (JSON lines, whose pictures are
// in a folder, or in the document as OpenFlamingo packs them) and OBELICS (JSON lines).
//
// Documents as they are published have the addresses of their pictures alone. They are refused:
// img2dataset downloads the pictures.
package interleaved
