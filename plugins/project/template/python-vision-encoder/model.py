"""A frozen vision encoder.

YOURS: replace the model in this file. The one here is small, so you can read it all. It
cuts a picture into patches, and each patch's pixels go through one random layer:

    feature = max(0, weights · pixels)

That shows a bridge the colours and some of the shapes. Your model may compute anything, if
its methods keep their contract.
"""

import hashlib
import json
import pathlib

import bridge_plugin as bridge
import numpy as np

NAME = "mybackbone"
MEAN, STD = 0.5, 0.25  # of pixels, between 0 and 1


class Model(bridge.VisionEncoder):
    def load(self, request):
        """Reads a checkpoint folder.

        YOURS: read your weights and report progress. Loading has no time limit. An error
        says what is wrong, what is expected, and what the user can do.
        """
        file = pathlib.Path(request.checkpoint) / "config.json"
        try:
            text = file.read_bytes()
            config = json.loads(text)
        except OSError as err:
            raise bridge.Error(bridge.Kind.NOT_FOUND, str(err), "set path to a checkpoint folder, such as the project's own") from err
        except ValueError as err:
            raise bridge.Error(bridge.Kind.CORRUPT, f"{file}: {err}") from err
        if config.get("model_type") != NAME:
            raise bridge.Error(bridge.Kind.UNSUPPORTED, f"{file} has model_type {config.get('model_type')!r}, want {NAME!r}")
        if request.dtype not in (bridge.DType.INVALID, bridge.DType.FLOAT32):
            raise bridge.Error(bridge.Kind.UNSUPPORTED, f"{NAME} computes in float32, {request.dtype} was requested",
                               "leave dtype out of the recipe")
        if request.feature_layer not in (None, -1):
            raise bridge.Error(bridge.Kind.UNSUPPORTED, f"{NAME} has one layer, -1; {request.feature_layer} was requested",
                               "leave feature_layer out of the recipe")
        size, self.patch, width = config["image_size"], config["patch"], config["width"]
        pixels = 3 * self.patch**2
        rng = np.random.default_rng(config["seed"])
        self.weights = rng.standard_normal((pixels, width), np.float32) / np.float32(pixels**0.5)
        request.progress("weights", width, width)
        return bridge.VisionSpec(
            id=request.id or NAME, family=NAME, width=width, parameters=self.weights.size, memory_bytes=self.weights.nbytes,
            digest="sha256:" + hashlib.sha256(text).hexdigest(), source="random, from a seed", backend="numpy",
            tokens=(size // self.patch) ** 2, patch=self.patch,
            image=bridge.ImageSpec(size, size, mean=(MEAN,) * 3, std=(STD,) * 3))

    def encode(self, request, context):
        """Turns pictures uint8[B, H, W, 3] into features float32[B, N, D].

        YOURS: a picture must have the same features in every batch, so the pictures are
        computed one by one here. Check context between pieces of work, so that a call that
        was given up ends soon.
        """
        batch, height, width, _ = request.images.shape
        rows, columns, p = height // self.patch, width // self.patch, self.patch
        features = context.empty((batch, rows * columns, self.weights.shape[1]))  # in shared memory if there is room
        for picture, out in zip(request.images, features):
            context.check()
            pixels = (picture.astype(np.float32) / 255 - MEAN) / STD
            patches = pixels.reshape(rows, p, columns, p, 3).swapaxes(1, 2).reshape(rows * columns, p * p * 3)
            np.maximum(patches @ self.weights, 0, out=out)
        return features
