"""Tests the layout of examples with a simple tokenizer."""

from __future__ import annotations

import unittest

from bridge_plugin import Error, Example, Kind, Segment
from bridge_plugin.layout import IGNORED, Layout, seeds

BOS, END, START = 1, 2, 3


class Pairs:
    """A token is two characters, or the last one: "abc" is "ab" and "c"."""

    def encode(self, text):
        spans = [(i, min(i + 2, len(text))) for i in range(0, len(text), 2)]
        return [100 + sum(map(ord, text[a:b])) for a, b in spans], [b for _, b in spans]

    def decode(self, ids):
        return " ".join(map(str, ids)) + " "

    def token(self, id):
        return "</s>"


def ids(text):
    return Pairs().encode(text)[0]


def example(*segments, target=""):
    return Example(tuple(Segment(prompt=s) if isinstance(s, int) else Segment(s) for s in segments), target)


class DecoderOnly(unittest.TestCase):
    def check(self, segments, target, line, scored, bos=BOS):
        layout = Layout(Pairs(), [END], bos=bos)
        s, = layout.scored([example(*segments, target=target)], rows=2)
        self.assertEqual(s.target, [*scored, END])
        self.assertEqual([*s.input, END][s.first + 1:], s.target)
        self.assertEqual([*s.input, END], line + [END])

    def test_rows_of_the_contract(self):
        p0, p1 = [-1, -2], [-3, -4]
        self.check([0, "ab"], "cd", p0 + [BOS] + ids("ab") + ids("cd"), ids("cd"))
        self.check([0], "ab", p0 + [BOS] + ids("ab"), [BOS] + ids("ab"))
        self.check(["ab", 1, "cd"], "", [BOS] + ids("ab") + p1 + ids("cd"), [])
        self.check([0, ""], "ab", p0 + [BOS] + ids("ab"), ids("ab"))  # an empty text is a text
        self.check([0], "ab", p0 + ids("ab"), ids("ab"), bos=None)

    def test_a_token_that_touches_the_target_is_a_target(self):
        self.check([0, "abc"], "de", [-1, -2, BOS] + ids("abcde"), ids("abcde")[1:])
        self.check(["a", "b", "c"], "d", [BOS] + ids("abcd"), ids("cd"))

    def test_inputs_for_generation(self):
        layout = Layout(Pairs(), [END], bos=BOS)
        self.assertEqual([s.input for s in layout.open([example(0), example(0, "ab", target="xx")], rows=1)], [[-1, BOS], [-1, BOS, *ids("ab")]])

    def test_nothing_before_the_target_is_refused(self):
        with self.assertRaises(Error) as caught:
            Layout(Pairs(), [END]).scored([example("ab", target="c"), example("", target="ab")], rows=1)
        self.assertEqual((caught.exception.kind, caught.exception.field), (Kind.INVALID, "examples[1].segments"))

    def test_examples_beyond_the_limits_are_refused(self):
        layout = Layout(Pairs(), [END], bos=BOS, context=5, vocabulary=400)
        layout.scored([example(0, "ab", target="cd")], rows=2)
        layout.open([example(0, "abcd")], rows=2)
        for text, examples in (("the text takes 6 tokens", [example("ab"), example(0, "abcdef")]), ("(id 588), and the model has 400", [example("ôô")])):
            with self.assertRaises(Error) as caught:
                layout.scored(examples, rows=2)
            self.assertEqual(caught.exception.kind, Kind.INVALID)
            self.assertIn(text, str(caught.exception))


class EncoderDecoder(unittest.TestCase):
    def test_segments_and_target(self):
        layout = Layout(Pairs(), [END, 9], start=START)
        one, two = layout.scored([example("abc", 1, "d", target="ef"), example(0)], rows=1)
        self.assertEqual((one.input, one.target), ([*ids("abc"), -2, *ids("d"), END], [*ids("ef"), END]))
        self.assertEqual((two.input, two.target), ([-1, END], [END]))
        batch = layout.batch([one, two])
        self.assertEqual(batch.decoder.tolist(), [[START, *ids("ef")], [START, 0]])
        self.assertEqual(batch.targets.tolist(), [[*ids("ef"), END], [END, IGNORED]])
        self.assertEqual(batch.rows.tolist(), [[-1, -1, 1, -1, -1], [0, -1, -1, -1, -1]])
        self.assertEqual(batch.mask.sum(axis=1).tolist(), [5, 2])
        self.assertEqual(batch.tokens, [2, 1])


class Batches(unittest.TestCase):
    def test_groups_have_one_length_and_are_complete(self):
        layout = Layout(Pairs(), [END], bos=BOS)
        sequences = layout.open([example("a" * n) for n in (1, 9, 2, 3, 4, 1)], rows=0)
        found = []
        for chosen, batch in layout.groups(sequences, size=2):
            self.assertTrue(batch.mask.all())
            self.assertLessEqual(len(chosen), 2)
            found += chosen
        self.assertEqual(sorted(found), [0, 1, 2, 3, 4, 5])
        self.assertEqual(sorted(i for chosen, _ in layout.batches(sequences, 4) for i in chosen), [0, 1, 2, 3, 4, 5])

    def test_answers_end_before_the_end(self):
        layout = Layout(Pairs(), [END], start=START)
        self.assertEqual(layout.answer([START, 7, 8, END, 9]), ("7 8", 3))
        self.assertEqual(layout.answer([7, 8]), ("7 8", 2))

    def test_seeds_follow_the_example_not_its_place(self):
        a, b = example("a"), example("b")
        one, two = seeds([a, b, a], 5), seeds([a, a], 5)
        self.assertEqual((one[0], one[2]), (two[0], two[1]))
        self.assertEqual(len({*one, seeds([a], 6)[0]}), 4)


if __name__ == "__main__":
    unittest.main()
