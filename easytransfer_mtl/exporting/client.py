"""Predicts with the exported model beside this file: python client.py TASK TEXT [SECOND_TEXT], or rows by standard input.

A row a line, the texts of a pair separated by a tab; a JSON object a line comes out. Needs numpy, tokenizers, and tensorflow
(onnxruntime for model.onnx).
"""

import io
import json
import re
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

HERE = Path(__file__).resolve().parent
INPUTS = ("input_ids", "input_mask", "segment_ids")


def encode(tokenizer: Tokenizer, how: dict, texts: list[str]) -> tuple[list[int], list[int]]:
    """Returns the token ids and segment ids of one text or a pair; ``how`` is the task's entry of inputs in tasks.json."""
    if how["text_normalization"] == "nfkc":
        texts = [unicodedata.normalize("NFKC", text) for text in texts]
    if how["tokenizer"] == "published":
        tokenizer.enable_truncation(how["sequence_length"], strategy="longest_first", direction=how["direction"])
        row = tokenizer.encode(*texts)
        second = row.sequence_ids.index(1) if 1 in row.sequence_ids else len(row)
        return row.ids, row.type_ids if any(row.type_ids) else [int(place >= second) for place in range(len(row))]
    parts = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    while sum(map(len, parts)) > how["sequence_length"] - 1 - len(parts):
        max(reversed(parts), key=len).pop()  # of the longer text, of equal ones the second
    start, end = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    first, rest = [start, *parts[0], end], [*parts[1], end] if parts[1:] and parts[1] else []
    return first + rest, [0] * len(first) + [1] * len(rest)


def units_of(task: dict, text: str) -> list[tuple[int, int]]:
    """Returns start and end of what has a tag in a text: its characters, or its words."""
    if task.get("unit", "character") == "character":
        return [(place, place + 1) for place in range(len(text))]
    return [match.span() for match in re.finditer(r"\S+", text)]


def encode_units(tokenizer: Tokenizer, how: dict, units: list[str]) -> tuple[list[int], list[int], list[int]]:
    """Returns token ids and segment ids of units tokenized one by one, and each one's first token, -1 if it has none."""
    if how["text_normalization"] == "nfkc":
        units = [unicodedata.normalize("NFKC", unit) for unit in units]
    if how["tokenizer"] == "published":
        tokenizer.enable_truncation(how["sequence_length"], strategy="longest_first", direction=how["direction"])
        row = tokenizer.encode(units, is_pretokenized=True)
        ids, numbers = row.ids, row.word_ids
    else:
        parts = [tokenizer.encode(unit, add_special_tokens=False).ids for unit in units]
        ids, numbers = sum(parts, []), [number for number, part in enumerate(parts) for _ in part]
        end = how["sequence_length"] - 2
        ids = [tokenizer.token_to_id("[CLS]"), *ids[:end], tokenizer.token_to_id("[SEP]")]
        numbers = [None, *numbers[:end], None]
    return ids, [0] * len(ids), [numbers.index(number) if number in numbers else -1 for number in range(len(units))]


def load(task: str) -> Callable[[dict[str, np.ndarray]], np.ndarray]:
    """Returns a function of the input arrays, int32 [B, S], to the task's probabilities, float32 [B, C] or [B, S, C]."""
    if (HERE / "model.onnx").is_file():
        import onnxruntime

        session = onnxruntime.InferenceSession(str(HERE / "model.onnx"), providers=["CPUExecutionProvider"])
        return lambda arrays: session.run([f"{task}_probabilities"], arrays)[0]
    import tensorflow as tf

    signature = tf.saved_model.load(str(HERE)).signatures[task]
    return lambda arrays: signature(**{name: tf.constant(arrays[name]) for name in INPUTS})["probabilities"].numpy()


def batch(encoded: list[tuple[list[int], list[int]]]) -> dict[str, np.ndarray]:
    """Returns rows of token ids and segment ids as the model's inputs, filled up with zeros to the longest row."""
    arrays = {name: np.zeros((len(encoded), max(len(ids) for ids, _ in encoded)), np.int32) for name in INPUTS}
    for number, (ids, segments) in enumerate(encoded):
        for name, values in zip(INPUTS, (ids, [1] * len(ids), segments), strict=True):
            arrays[name][number, : len(ids)] = values
    return arrays


def scope_of(name: str) -> str:
    """Returns the task's name in the names of outputs: that of 情感 is u60c5_u611f."""
    return re.sub(r"[^\x00-\x7f]+", lambda part: "_".join(f"u{ord(char):x}" for char in part[0]), name).lower()


def answer(task: dict, values: np.ndarray) -> dict:
    """Returns what a task's row of output says: a label, several labels, or a number."""
    kind, labels = task.get("type", "classify"), task["label_enumerate_values"]
    if kind == "score":
        return {"number": float(values[0])}
    found = {"label": labels[values.argmax()]}
    if kind == "multi_label":
        several = [label for label, value in zip(labels, values, strict=True) if value >= task.get("threshold", 0.5)]
        found = {"label": ",".join(several), "labels": several}
    return {**found, "probabilities": dict(zip(labels, map(float, values), strict=True))}


def tagged(task: dict, text: str, starts: list[int], values: np.ndarray) -> dict:
    """Returns a text's tags and the entities that they name; ``starts`` are of its units, ``values`` of its tokens."""
    labels, entities, before = task["label_enumerate_values"], [], "O"
    tags = [labels[values[start].argmax()] if start >= 0 else "" for start in starts]
    for place, (start, end) in enumerate(units_of(task, text)):
        if not tags[place]:  # without a token: it goes on with the entity that goes on behind it
            after = next(filter(None, tags[place:]), "O")
            tags[place] = after if after.startswith("I-") and after[2:] == before[2:] else "O"
        kind = tags[place][2:]
        if kind and (tags[place].startswith("B-") or before[2:] != kind):
            entities.append({"label": kind, "start": start})
        if kind:
            entities[-1] |= {"end": end, "text": text[int(entities[-1]["start"]) : end]}
        before = tags[place]
    return {"tags": tags, "entities": entities}


def main(name: str = "", *texts: str) -> None:
    """Prints what the model says of one row, or of the rows of the standard input."""
    about = json.loads((HERE / "tasks.json").read_text(encoding="utf-8"))
    task = next((task for task in about["tasks"] if task["name"].lower() == name.lower()), None)
    if task is None:
        sys.exit(f"usage: client.py {'|'.join(task['name'] for task in about['tasks'])} [TEXT [SECOND_TEXT]]")
    lines = () if texts else io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", newline="\n")
    rows = [list(texts)] if texts else [line.rstrip("\r\n").split("\t") for line in lines]
    count = 2 if task["second_sequence"] else 1
    if wrong := [number for number, row in enumerate(rows, 1) if len(row) != count]:
        sys.exit(f"row {wrong[0]}: {name} reads {count} text(s) a row, separated by a tab")
    tokenizer, run = Tokenizer.from_file(str(HERE / "tokenizer.json")), load(scope_of(name))
    how, starts = about["inputs"][task["name"]], []
    if task.get("type") == "tags":
        parts = [[text[start:end] for start, end in units_of(task, text)] for (text,) in rows]
        found = [encode_units(tokenizer, how, units) for units in parts]
        encoded, starts = [row[:2] for row in found], [row[2] for row in found]
    else:
        encoded = [encode(tokenizer, how, row) for row in rows]
    for place in range(0, len(rows), 64):
        for number, values in enumerate(run(batch(encoded[place : place + 64])), place):
            print(json.dumps(tagged(task, rows[number][0], starts[number], values) if starts else answer(task, values)))


if __name__ == "__main__":
    main(*sys.argv[1:])
