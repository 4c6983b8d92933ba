"""Writes the sample data: three invented contest tasks, and the vocabulary and config of a tiny BERT for them.

    python data/make_sample.py [--output_dir data] [--seed N]

The texts come from the word lists and patterns of ``sample_words.json``; the same seed gives the same bytes.
"""

import argparse
import random
import re
import string
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from easytransfer_mtl.files import read_json, write_json, write_text  # noqa: E402
from easytransfer_mtl.seeding import DEFAULT_SEED, stream_seed  # noqa: E402
from easytransfer_mtl.tasks import CONTEST_TASKS, Task  # noqa: E402

Row = list[str]
Words = dict[str, Any]
"""The content of ``sample_words.json`` or a part of it."""

SPLITS = ("train", "dev", "test")
COPIED_ROWS = {"train": 3, "dev": 2, "test": 1}
"""Rows of a split that repeat a text of the train part, as the contest's files do."""
CRLF_FILES = ("TNEWS_train", "TNEWS_test", "OCEMOTION_train", "OCEMOTION_dev", "OCNLI_test")
"""Files whose lines end in CRLF; the others have LF."""
FIRST_IDS = {("OCNLI", "test"): 1500}
"""Ids start at 0 everywhere else."""
FULL_WIDTH_SHARE = {"TNEWS": 0.5, "OCEMOTION": 0.8, "OCNLI": 0.0}
"""Share of the test rows with full-width punctuation; train and dev have none."""
FULL_WIDTH = {ord(mark): ord(mark) + 0xFEE0 for mark in ",?!:;()~"}
SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CJK_PUNCTUATION = list("、。《》「」『』【】〈〉·—‘’“”…！（），：；？～￥")
CONFIG = {
    "model_type": "bert",
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 512,
    "max_position_embeddings": 160,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
}


class Dice:
    """Random choices that are the same on every Python version (only ``random()`` is promised to be)."""

    def __init__(self, seed: int, *names: str) -> None:
        self._random = random.Random(stream_seed(seed, "sample", *names))

    def chance(self, share: float) -> bool:
        """Returns True with probability ``share``."""
        return self._random.random() < share

    def pick(self, items: list[Any]) -> Any:
        """Returns one of ``items``."""
        return items[int(self._random.random() * len(items))]

    def shuffled(self, items: list[Any]) -> list[Any]:
        """Returns ``items`` in random order."""
        return [item for _, _, item in sorted((self._random.random(), i, item) for i, item in enumerate(items))]


def fill(pattern: str, slots: Words, bound: dict[str, str], dice: Dice) -> str:
    """Replaces each ``{slot}`` of ``pattern`` by a word; a slot in ``bound`` keeps its word."""

    def word(match: re.Match[str]) -> str:
        name = match[1]
        if name not in bound:
            bound[name] = dice.pick(slots[name])
        return bound[name]

    return re.sub(r"\{(\w+)\}", word, pattern)


def quotas(total: int, weights: dict[str, int]) -> dict[str, int]:
    """Divides ``total`` rows among the labels in proportion to ``weights``; the first labels take what is left over."""
    counts = {label: total * weight // sum(weights.values()) for label, weight in weights.items()}
    for label in list(weights)[: total - sum(counts.values())]:
        counts[label] += 1
    return counts


def single_rows(words: Words, total: int, seen: set[str], dice: Dice) -> list[Row]:
    """Invents ``total`` rows ``[text, label]`` whose texts are not in ``seen``, and adds the texts to it."""
    rows: list[Row] = []
    for label, count in quotas(total, {label: own["weight"] for label, own in words["labels"].items()}).items():
        slots = {**words["shared"], **words["labels"][label]}
        wanted = len(rows) + count
        while len(rows) < wanted:
            text = fill(dice.pick(slots["patterns"]), slots, {}, dice)
            if text not in seen:
                seen.add(text)
                rows.append([text, label])
    return rows


def pair_rows(words: Words, total: int, seen: set[str], dice: Dice) -> list[Row]:
    """Invents ``total`` rows ``[premise, hypothesis, label]``, up to one of each label for a premise not in ``seen``."""
    left = quotas(total, words["weights"])
    families = [family for family in words["families"] for _ in range(family["share"])]
    rows: list[Row] = []
    while len(rows) < total:
        family = dice.pick(families)
        bound = dict(dice.pick(family["scene"]))
        premise = fill(dice.pick(family["premises"]), family, bound, dice)
        if premise in seen:
            continue
        seen.add(premise)
        for label in left:
            if left[label] > 0:
                left[label] -= 1
                rows.append([premise, fill(dice.pick(family[label]), family, dict(bound), dice), label])
    return rows


def make_split(task: Task, split: str, words: Words, train: list[Row], seen: set[str], seed: int) -> list[Row]:
    """Returns the rows of one file without ids: invented ones, the awkward ones of the word file, and copies of train."""
    dice = Dice(seed, task.name, split)
    make: Callable[..., list[Row]] = pair_rows if task.second_sequence else single_rows
    awkward = words["awkward"][task.name][split]
    rows = make(words[task.name], words["rows"][task.name][split] - len(awkward) - COPIED_ROWS[split], seen, dice)
    rows = dice.shuffled(rows)
    rows += dice.shuffled(train or rows)[: COPIED_ROWS[split]]
    if split == "test":
        rows = [row[:-1] for row in rows]
    rows = dice.shuffled(rows + awkward)
    if split == "test":
        share = FULL_WIDTH_SHARE[task.name]
        rows = [[text.translate(FULL_WIDTH) for text in row] if dice.chance(share) else row for row in rows]
    return rows


def write_split(path: Path, rows: list[Row], first_id: int) -> None:
    """Writes rows as the contest does: id first, tabs between, no header, no quoting."""
    line_end = "\r\n" if path.stem in CRLF_FILES else "\n"
    lines = ["\t".join([str(first_id + i), *row]) + line_end for i, row in enumerate(rows)]
    write_text(path, "".join(lines))


def make_vocab(texts: list[str], left_out: str) -> list[str]:
    """Returns the tokens: special, ASCII, CJK punctuation, then the Chinese characters of ``texts`` by code point."""
    characters = list(string.digits + string.ascii_lowercase)
    chinese = sorted(set(re.findall(r"[\u4e00-\u9fff]", "".join(texts))) - set(left_out))
    return [*SPECIAL_TOKENS, *string.punctuation, *characters, *(f"##{c}" for c in characters), *CJK_PUNCTUATION, *chinese]


def strings_in(value: Any) -> list[str]:
    """Returns every string inside a JSON value, dictionary keys aside."""
    if isinstance(value, str):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for item in items for text in strings_in(item)]


def make_sample(output_dir: Path, seed: int = DEFAULT_SEED) -> None:
    """Writes ``sample/*.csv`` and ``tiny_bert_zh/{vocab.txt,config.json}`` below ``output_dir``."""
    words = read_json(HERE / "sample_words.json", "word file")
    texts = strings_in({task.name: words[task.name] for task in CONTEST_TASKS})
    for task in CONTEST_TASKS:
        seen = {row[0] for rows in words["awkward"][task.name].values() for row in rows}
        train: list[Row] = []
        for split in SPLITS:
            rows = make_split(task, split, words, train, seen, seed)
            train = train or rows
            texts += [] if split == "test" else strings_in(rows)
            write_split(output_dir / "sample" / f"{task.name}_{split}.csv", rows, FIRST_IDS.get((task.name, split), 0))
    vocab = make_vocab(texts, words["not_in_vocab"])
    write_text(output_dir / "tiny_bert_zh" / "vocab.txt", "\n".join(vocab) + "\n")
    write_json(output_dir / "tiny_bert_zh" / "config.json", {**CONFIG, "vocab_size": len(vocab)})


def main() -> None:
    """Reads the command line and writes the sample."""
    parser = argparse.ArgumentParser(description="Write the invented sample data and the tiny BERT's vocabulary.")
    parser.add_argument("--output_dir", type=Path, default=HERE, help="folder to write to (default: beside this file)")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="seed of the texts (default: %(default)s)")
    arguments = parser.parse_args()
    make_sample(arguments.output_dir, arguments.seed)


if __name__ == "__main__":
    main()
