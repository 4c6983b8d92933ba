"""Tags of a text's characters or words: from probabilities to tags, and from tags to entities."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from easytransfer_mtl.data.tag_units import tag_spans, unit_spans
from easytransfer_mtl.tasks import OUTSIDE, Task


class Entity(TypedDict):
    """What tags name: its kind, its place in the text in characters (``end`` is behind it), and the text there."""

    label: str
    start: int
    end: int
    text: str


def most_probable_tags(task: Task, probabilities: np.ndarray) -> np.ndarray:
    """Returns the ids of the most probable tags, int32 [N, U].

    A unit without probabilities has no token of its own, such as a space, or is behind the cut. It goes on with the entity
    that goes on behind it, and is outside of every one else.

    Args:
        task: a task of the type ``tags``.
        probabilities: [N, U, C]; zeros of units without a token.
    """
    found = probabilities.argmax(axis=2).astype(np.int32)
    missing = np.logical_not(np.any(probabilities > 0, axis=2))
    ids, tags = task.label_ids, task.label_enumerate_values
    has_next = np.logical_or.accumulate(~missing[:, ::-1], axis=1)[:, ::-1]
    found[missing] = ids[OUTSIDE]
    for row, place in zip(*np.nonzero(missing & has_next), strict=True):
        after = tags[found[row, place + np.argmin(missing[row, place:])]]
        before = tags[found[row, place - 1]] if place else OUTSIDE
        goes_on = after.startswith("I-") and before[2:] == after[2:]
        if goes_on:
            found[row, place] = ids[after]
    return found


def tags_of(task: Task, text: str, tag_ids: Sequence[int] | np.ndarray) -> list[str]:
    """Returns a tag for each unit of a text; ``tag_ids`` may be longer, or end before, where the rest is behind the cut."""
    spans = unit_spans(text, task.unit)
    found = [task.label_enumerate_values[int(tag)] for tag in tag_ids[: len(spans)]]
    return found + [OUTSIDE] * (len(spans) - len(found))


def entities_of(task: Task, text: str, tags: Sequence[str]) -> list[Entity]:
    """Returns the entities that tags name, as seqeval counts them, in their order."""
    spans = unit_spans(text, task.unit)
    found: list[Entity] = []
    for label, first, last in tag_spans(tags):
        start, end = spans[first][0], spans[last][1]
        found.append({"label": label, "start": start, "end": end, "text": text[start:end]})
    return found
