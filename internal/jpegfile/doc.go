// Package jpegfile owns a JPEG decoder that takes every file that libjpeg-turbo takes by
// default, except lossless coding: arithmetic coding, four components with any mark,
// any whole ratio of sampling, and files whose data is damaged or missing in the middle.
// Where data is missing, it goes on as libjpeg-turbo does. Its inverse cosine transform is
// libjpeg-turbo's "slow integer" one, bit for bit, as its vector code for x86-64 computes it.
//
// It must not know what pixels are for: it returns planes of samples, and package imaging
// turns them into colours. It is as fast as package image/jpeg.
//
// Sources: ITU-T T.81; jdmarker.c, jdhuff.c, jdphuff.c, jdarith.c, jdcoefct.c and jidctint.c of
// libjpeg-turbo for what T.81 leaves open.
package jpegfile
