"""The project's own tests: .venv/bin/python -m unittest"""

import pathlib
import unittest

import bridge_plugin as bridge
import numpy as np

from model import Model

CHECKPOINT = pathlib.Path(__file__).parent / "checkpoint"  # YOURS: one that loads quickly


class ModelTest(unittest.TestCase):
    def setUp(self):
        self.model = Model()
        self.spec = self.model.load(bridge.LoadRequest(checkpoint=str(CHECKPOINT)))

    def encode(self, images):
        return self.model.encode(bridge.EncodeRequest(images), bridge.Context())

    def test_colors(self):
        """A picture of one colour has the same features in every patch. Another colour has
        other features."""
        black, gray = self.encode(np.stack([np.full((64, 64, 3), value, np.uint8) for value in (0, 200)]))
        self.assertEqual(black.shape, (self.spec.tokens, self.spec.width))
        np.testing.assert_allclose(black[0], black[-1], rtol=1e-4, atol=1e-4)
        self.assertFalse(np.allclose(black[0], gray[0]))

    def test_alone_as_in_a_batch(self):
        images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
        np.testing.assert_array_equal(self.encode(images)[1], self.encode(images[1:2])[0])


if __name__ == "__main__":
    unittest.main()
