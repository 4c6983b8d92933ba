"""A description of data files as text for a terminal."""

from collections.abc import Sequence

from easytransfer_mtl.evaluation.tables import aligned
from easytransfer_mtl.inspection.description import MOST_CUT, SEQUENCE_LENGTHS, Lengths, TaskDescription
from easytransfer_mtl.inspection.label_text import label_tables

WORDS_SHOWN = 8


def description_text(described: Sequence[TaskDescription]) -> str:
    """Returns tables of labels and lengths, and the words of each label."""
    return "\n".join(_task_text(item) for item in described)


def _task_text(item: TaskDescription) -> str:
    parts = [
        aligned([[item.task.name, "rows", "bad rows"], *([f.file, f"{f.rows:,}", f"{f.bad_rows:,}"] for f in item.files)])
    ]
    parts += label_tables(item)
    table = [["characters", "mean", "median", "95%", "99%", "longest"]]
    for file in item.files:
        for column, lengths in file.characters.items():
            table.append([file.file + (f", {column}" if len(file.characters) > 1 else ""), *numbers(lengths)])
    parts.append(aligned(table))
    if any(file.tokens for file in item.files):
        parts.append(_tokens(item))
    if item.words_from:
        words = [[label, " ".join(word.word for word in found[:WORDS_SHOWN])] for label, found in item.words.items()]
        width = max(len(label) for label, _ in words)
        lines = [f"{label:<{width}}  {text}".rstrip() for label, text in words]
        parts.append("".join(f"{line}\n" for line in [f"characteristic of a {item.words_of}, in {item.words_from}", *lines]))
    return "\n".join(parts)


def numbers(lengths: Lengths) -> list[str]:
    """Returns the cells of a table's row."""
    values = (lengths.median, lengths.percentile_95, lengths.percentile_99)
    return [f"{lengths.mean:.1f}", *(f"{value:.0f}" for value in values), f"{lengths.longest:,}"]


def _tokens(item: TaskDescription) -> str:
    table = [
        ["tokens", "mean", "median", "95%", "99%", "longest", "[UNK]", *(f"cut at {size}" for size in SEQUENCE_LENGTHS)]
    ]
    for file in item.files:
        if file.tokens:
            cut = [f"{rows / file.rows:.1%}" for rows in file.tokens.cut.values()]
            table.append([file.file, *numbers(file.tokens.lengths), f"{file.tokens.unknown_share:.1%}", *cut])
    return aligned(table) + (f"{sentence}\n" if (sentence := suggestion(item)) else "")


def suggestion(item: TaskDescription) -> str:
    """Returns a sentence on the sequence length for a task, or nothing without tokens of a train file."""
    if not any(file.tokens for file in item.files if file.kind in ("train", "total")):
        return ""
    if item.suggested_length is None:
        return f"{SEQUENCE_LENGTHS[-1]} tokens cut more than {MOST_CUT:.0%} of the train rows."
    return f"{item.suggested_length} is the shortest of these lengths that cuts at most {MOST_CUT:.0%} of the train rows."
