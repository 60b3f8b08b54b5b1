"""Makes the examples from which the kit's language models learn: texts about scenes, never pictures.

An example is a context that describes a scene in words, then one or more turns of a prompt and
its answer. Contexts imitate soft prompts: they are captions, or bags of tags in any order with
repetitions, up to the length of a row of soft prompts.
"""

import random
from dataclasses import dataclass

PROMPT = "a photo of"
KINDS = ["relation", "count", "color", "yesno", "what"]

LONGEST = 16  # the most tags in a context with repetitions
NO_CONTEXT = 0.02


@dataclass(frozen=True)
class Mix:
    """The kinds of turns that a language model gets, as shares and weights."""

    captions: float  # share of captions among the turns
    relation: int
    count: int = 2
    color: int = 1
    # Yes/no needs the most: its answer is one bit, which carries no signal until the model has learnt
    # to match the word in the question with the words in the context.
    yesno: int = 8
    what: int = 2


@dataclass
class Example:
    context: str
    turns: list[tuple[str, str]]  # prompt, answer


def question(text: str, ending: str) -> str:
    return f"Question: {text} {ending}"


class Examples:
    """An endless sequence of examples about the records of tools/kit/scenes."""

    def __init__(self, records: list[dict], ending: str, mix: Mix, seed: int):
        self.records, self.ending, self.mix, self.random = records, ending, mix, random.Random(seed)

    def context(self, record: dict) -> str:
        """Returns a caption, a bag of tags, or seldom nothing."""
        r = self.random
        if r.random() < NO_CONTEXT:
            return ""
        if r.random() < 0.25:
            return record["caption"]
        tags = [r.choice(tag) for tag in record["tags"]]
        if r.random() < 0.8:
            r.shuffle(tags)
        if r.random() < 0.5:
            for _ in range(r.randint(1, LONGEST - len(tags))):
                tags.insert(r.randrange(len(tags) + 1), r.choice(tags))
        return " ".join(tags)

    def turn(self, record: dict) -> tuple[str, str]:
        if self.random.random() < self.mix.captions:
            return PROMPT, record["caption"]
        weights = [getattr(self.mix, q["kind"]) for q in record["questions"]]
        qa = self.random.choices(record["questions"], weights)[0]
        return question(qa["question"], self.ending), qa["answer"]

    def next(self, turns: int, ease: float) -> Example:
        """Returns the next example. ease is the share of easy ones: yes/no questions about names only."""
        r = self.random
        record = r.choice(self.records)
        if r.random() < ease:
            asked = [q for q in record["questions"] if q["kind"] == "yesno"]
            names = [record["scene"][part] for part in ("a_name", "b_name") if part in record["scene"]]
            r.shuffle(names)
            qas = [r.choice(asked) for _ in range(turns)]
            return Example(" ".join(names), [(question(q["question"], self.ending), q["answer"]) for q in qas])
        return Example(self.context(record), [self.turn(record) for _ in range(turns)])


def held_out(records: list[dict], ending: str, bags: bool, seed: int = 5) -> dict[str, list[Example]]:
    """Returns one example of each kind and record, for measuring. Contexts are captions, or bags of tags."""
    r = random.Random(seed)
    cases: dict[str, list[Example]] = {"caption": []}
    for record in records:
        context = record["caption"]
        if bags:
            tags = [r.choice(tag) for tag in record["tags"]]
            r.shuffle(tags)
            context = " ".join(tags)
        cases["caption"].append(Example(context, [(PROMPT, record["caption"])]))
        for qa in record["questions"]:
            example = Example(context, [(question(qa["question"], ending), qa["answer"])])
            cases.setdefault(qa["kind"], []).append(example)
    return cases


def corpus(records: list[dict]) -> list[str]:
    """Returns the texts to train a tokenizer on."""
    lines = []
    for record in records:
        lines += [record["caption"], f"{PROMPT} {record['caption']}", " ".join(tag[-1] for tag in record["tags"])]
        for qa in record["questions"]:
            lines += [f"{question(qa['question'], ending)} {qa['answer']}" for ending in ("Answer:", "Short answer:")]
    return lines
