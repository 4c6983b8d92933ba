"""The language of ``--features``: what a task reads, as text.

``PART+PART+...``, their values side by side. A part is ``POOLING`` of the last layer's states, or with a source before it:
``layer4.mean`` (one layer; 0 is the embeddings), ``first2.mean`` and ``last4.mean`` (the mean of layers), ``mix.mean`` (a
learned mix of all layers). ``ngrams`` reads the tokens past the encoder: ``ngrams:BUCKETS:WIDTH``.
"""

import difflib
import re
from dataclasses import dataclass

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.tasks import Task

POOLED, SEQUENCE, PAIR, NGRAMS = "pooled", "sequence", "pair", "ngrams"
ATTENTION, ATTENTION_SHARED = "attention", "attention_shared"
POOLINGS = (POOLED, "cls", "mean", "max", ATTENTION, ATTENTION_SHARED, PAIR, SEQUENCE, NGRAMS)
WITHOUT_SOURCE = (POOLED, NGRAMS)
NUMBERED = ("layer", "first", "last")
MIX = "mix"
NGRAM_SIZES = (65_536, 64)
"""Rows and width of the n-grams' table unless told otherwise."""
MAX_TABLE = 2**26
"""Numbers that it may have, 0.27 GB, of which training keeps four."""
GRAMMAR = f"a part is {', '.join(POOLINGS)}, or one of them after layerN., firstN., lastN. or {MIX}., as last4.mean"


@dataclass(frozen=True)
class Part:
    """One part of what a task reads.

    Attributes:
        pooling: one of ``POOLINGS``.
        source: ``layer``, ``first``, ``last`` or ``mix``; empty for the last layer.
        number: the layer, or how many.
        sizes: rows and width of the table of n-grams; empty for other parts.
    """

    pooling: str
    source: str = ""
    number: int = 0
    sizes: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        """The part as it is written."""
        return ":".join([self.source_text + self.pooling, *map(str, self.sizes)])

    @property
    def source_text(self) -> str:
        """What is written before the pooling."""
        number = str(self.number) if self.source in NUMBERED else ""
        return f"{self.source}{number}." if self.source else ""

    @property
    def is_own(self) -> bool:
        """Whether it has variables of its task."""
        return self.pooling in (ATTENTION, NGRAMS) or self.source == MIX

    @property
    def reads_encoder(self) -> bool:
        """Whether it reads the encoder's output, not the tokens themselves."""
        return self.pooling != NGRAMS

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

    @property
    def reads_tokens(self) -> bool:
        """Whether states are read that the pooler does not make of the first token alone."""
        return any(part.reads_encoder and part.pooling != POOLED for part in self.parts)

    def highest_layer(self, num_layers: int) -> int:
        """Returns the highest layer that is read."""
        return max(max(part.layers(num_layers)) for part in self.parts if part.reads_encoder)


def parse_features(text: str, place: str) -> FeatureSpec:
    """Parses what one task reads.

    Args:
        text: for instance ``cls+last4.mean``.
        place: the setting and the task, for errors.

    Raises:
        UserError: a part is unknown (the nearest known one is named), stands twice or does not go with the others, or
            none of them reads the encoder.
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
    if not any(part.reads_encoder for part in parts):
        raise UserError(f"{place}={text}: nothing of it reads the encoder, which would learn nothing; write pooled+{text}.")
    return FeatureSpec(parts)


def _parse_part(text: str, place: str) -> Part:
    match = re.fullmatch(rf"(?:({'|'.join(NUMBERED)})([0-9]{{1,4}})\.|({MIX})\.)?([a-z_]+)((?::[^:]*)*)", text)
    if match is None or match.group(4) not in POOLINGS:
        raise UserError(f"{place} is unknown{_nearest(text)}; {GRAMMAR}.")
    pooling, sizes = match.group(4), _parse_sizes(match.group(4), match.group(5), place)
    part = Part(pooling, match.group(1) or match.group(3) or "", int(match.group(2) or 0), sizes)
    if part.source and pooling == POOLED:
        raise UserError(f"{place}: the pooler reads the last layer only. Write {part.source_text}cls, or pooled alone.")
    if part.source and pooling == NGRAMS:
        raise UserError(f"{place}: n-grams are of tokens, not of a layer's states. Write ngrams alone.")
    if part.source in ("first", "last") and part.number < 1:
        raise UserError(f"{place}: the number of layers must be at least 1.")
    return part


def _parse_sizes(pooling: str, text: str, place: str) -> tuple[int, ...]:
    """Parses what stands after a part's name, ``:BUCKETS:WIDTH`` or less of it for n-grams, nothing for all others."""
    given = text.split(":")[1:]
    if pooling != NGRAMS:
        if given:
            raise UserError(f"{place}: {pooling} is written without numbers; only ngrams:BUCKETS:WIDTH has them.")
        return ()
    if len(given) > len(NGRAM_SIZES) or not all(re.fullmatch("[1-9][0-9]{0,8}", number) for number in given):
        raise UserError(f"{place}: write ngrams:BUCKETS:WIDTH, whole numbers of at least 1, for instance ngrams:65536:64.")
    sizes = (*map(int, given), *NGRAM_SIZES[len(given) :])
    if sizes[0] * sizes[1] > MAX_TABLE:
        raise UserError(f"{place}: a table of {sizes[0]:,} times {sizes[1]:,} numbers; at most {MAX_TABLE:,} are allowed.")
    return sizes


def _nearest(text: str) -> str:
    number = (re.findall(r"\d+", text) or ["1"])[0]
    sources = ("", *(f"{source}{number}." for source in NUMBERED), f"{MIX}.")
    known = [source + pooling for source in sources for pooling in POOLINGS if not (source and pooling in WITHOUT_SOURCE)]
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
