"""The project's own tests: .venv/bin/python -m unittest"""

import pathlib
import unittest

import bridge_plugin as bridge
import numpy as np

from model import Model

CHECKPOINT = pathlib.Path(__file__).parent / "checkpoint"  # YOURS: one that loads quickly


class ModelTest(unittest.TestCase):
    def setUp(self):
        self.model, self.context = Model(), bridge.Context()
        self.spec = self.model.load(bridge.LoadRequest(checkpoint=str(CHECKPOINT)))

    def test_gradient(self):
        """The gradient agrees with the change of the loss when a prompt changes a little."""
        rng = np.random.default_rng(0)
        prompts = rng.standard_normal((1, 4, self.spec.width), np.float32)
        direction = rng.standard_normal(prompts.shape, np.float32)
        examples = [bridge.Example((bridge.Segment(prompt=0), bridge.Segment("a dog on")), " a red background")]

        def loss(at, gradient=False):
            return self.model.loss(bridge.LossRequest(at, examples, gradient), self.context)

        step = np.float32(1e-2)
        change = (loss(prompts + step * direction).loss[0] - loss(prompts - step * direction).loss[0]) / (2 * step)
        self.assertAlmostEqual(change, float((loss(prompts, True).gradient * direction).sum()), delta=2e-2)

    def test_trainable(self):
        """Gradient descent on a soft prompt makes the model generate an unlikely text."""
        wanted = "two apples left of a blue dog"
        examples = [bridge.Example((bridge.Segment(prompt=0),), wanted)]
        prompts = np.zeros((1, 8, self.spec.width), np.float32)
        for _ in range(100):
            prompts -= 0.1 * self.model.loss(bridge.LossRequest(prompts, examples, True), self.context).gradient
        answer = self.model.generate(bridge.GenerateRequest(prompts, examples), self.context, lambda example, text: None)
        self.assertEqual(answer.texts[0], wanted)


if __name__ == "__main__":
    unittest.main()
