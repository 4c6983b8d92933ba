"""The language of ``--features``: what a task reads, as text.

``PART+PART+...``, their values side by side. A part is ``POOLING`` of the last layer's states, or with a source before it:
``layer4.mean`` (one layer; 0 is the embeddings), ``first2.mean`` and ``last4.mean`` (the mean of layers), ``mix.mean`` (a
learned mix of all layers).
"""

import difflib
import re
from dataclasses import dataclass

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.tasks import Task

POOLED, SEQUENCE, PAIR = "pooled", "sequence", "pair"
ATTENTION, ATTENTION_SHARED = "attention", "attention_shared"
POOLINGS = (POOLED, "cls", "mean", "max", ATTENTION, ATTENTION_SHARED, PAIR, SEQUENCE)
NUMBERED = ("layer", "first", "last")
MIX = "mix"
GRAMMAR = f"a part is {', '.join(POOLINGS)}, or one of them after layerN., firstN., lastN. or {MIX}., as last4.mean"


@dataclass(frozen=True)
class Part:
    """One part of what a task reads.

    Attributes:
        pooling: one of ``POOLINGS``.
        source: ``layer``, ``first``, ``last`` or ``mix``; empty for the last layer.
        number: the layer, or how many.
    """

    pooling: str
    source: str = ""
    number: int = 0

    @property
    def text(self) -> str:
        """The part as it is written."""
        return self.source_text + self.pooling

    @property
    def source_text(self) -> str:
        """What is written before the pooling."""
        number = str(self.number) if self.source in NUMBERED else ""
        return f"{self.source}{number}." if self.source else ""

    @property
    def is_own(self) -> bool:
        """Whether it has variables of its task."""
        return self.pooling == ATTENTION or self.source == MIX

    def layers(self, num_layers: int) -> tuple[int, ...]:
        """Returns the layers that it reads, 0 the embeddings, of an encoder of so many."""
        return {
            "": (num_layers,),
            "layer": (self.number,),
            "first": tuple(range(1, self.number + 1)),
            "last": tuple(range(num_layers - self.number + 1, num_layers + 1)),
            MIX: tuple(range(num_layers + 1)),
        }[self.source]


@dataclass(frozen=True)
class FeatureSpec:
    """What a task reads: parts side by side, either all vectors of rows or all sequences."""

    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The same in the one way that it is stored."""
        return "+".join(part.text for part in self.parts)

    @property
    def is_sequence(self) -> bool:
        """Whether it is a state per token instead of one vector."""
        return self.parts[0].pooling == SEQUENCE

    @property
    def is_own(self) -> bool:
        """Whether it has variables of its task."""
        return any(part.is_own for part in self.parts)

    @property
    def reads_pooled(self) -> bool:
        """Whether the pooler is read."""
        return any(part.pooling == POOLED for part in self.parts)

    def highest_layer(self, num_layers: int) -> int:
        """Returns the highest layer that is read."""
        return max(max(part.layers(num_layers)) for part in self.parts)


def parse_features(text: str, place: str) -> FeatureSpec:
    """Parses what one task reads.

    Args:
        text: for instance ``cls+last4.mean``.
        place: the setting and the task, for errors.

    Raises:
        UserError: a part is unknown (the nearest known one is named), stands twice or does not go with the others.
    """
    parts = tuple(
        _parse_part(part.strip(), f"{place}={text}: part {number} {part.strip()!r}")
        for number, part in enumerate(text.lower().split("+"), 1)
    )
    for number, part in enumerate(parts, 1):
        if part in parts[: number - 1]:
            raise UserError(f"{place}={text}: part {number} {part.text!r} is there twice; leave one out.")
        if (part.pooling == SEQUENCE) != (parts[0].pooling == SEQUENCE):
            raise UserError(
                f"{place}={text}: part {number} {part.text!r} does not go with {parts[0].text!r}: one is a state per token, "
                "the other one vector per row. Use sequences only, or none."
            )
    return FeatureSpec(parts)


def _parse_part(text: str, place: str) -> Part:
    match = re.fullmatch(rf"(?:({'|'.join(NUMBERED)})(\d+)\.|({MIX})\.)?([a-z_]+)", text)
    if match is None or match.group(4) not in POOLINGS:
        raise UserError(f"{place} is unknown{_nearest(text)}; {GRAMMAR}.")
    part = Part(match.group(4), match.group(1) or match.group(3) or "", int(match.group(2) or 0))
    if part.pooling == POOLED and part.source:
        raise UserError(f"{place}: the pooler reads the last layer only. Write {part.source_text}cls, or pooled alone.")
    if part.source in ("first", "last") and part.number < 1:
        raise UserError(f"{place}: the number of layers must be at least 1.")
    return part


def _nearest(text: str) -> str:
    number = (re.findall(r"\d+", text) or ["1"])[0]
    sources = ("", *(f"{source}{number}." for source in NUMBERED), f"{MIX}.")
    known = [source + pooling for source in sources for pooling in POOLINGS if not (source and pooling == POOLED)]
    near = difflib.get_close_matches(text, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""


def check_features(spec: FeatureSpec, task: Task, num_layers: int | None, place: str) -> None:
    """Checks what a task is to read against the task and the encoder, if its number of layers is known.

    Raises:
        UserError: the encoder has no such layer, or the task no second text.
    """
    for number, part in enumerate(spec.parts, 1):
        where = f"{place}={spec.text}: part {number} {part.text!r}"
        if num_layers is not None and part.number > num_layers:
            raise UserError(f"{where}: the encoder has {num_layers} layers; use a number up to {num_layers}.")
        if part.pooling == PAIR and task.second_sequence is None:
            raise UserError(
                f"{where} compares two texts; {task.name} has one. Name pair tasks only, for instance ocnli=pair, and "
                "let this one read mean."
            )
