"""The syntax of ``--features``, which describes a task's feature.

``PART+PART+...`` concatenates the parts' values. A part is a ``POOLING`` of the last layer's states, or of a source that
stands before it: ``layer4.mean`` (one layer; 0 is the embeddings), ``first2.mean`` and ``last4.mean`` (the mean of several
layers), ``mix.mean`` (a learned weighted sum of all layers). ``ngrams:BUCKETS:WIDTH`` reads token ids, not the encoder.
``file.py:Class`` is a user-defined ``FeaturePart``.
"""

import difflib
import re
from dataclasses import dataclass
from typing import Any

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.encoded import LAYERS
from easytransfer_mtl.models.features.feature import FeaturePart
from easytransfer_mtl.own_code import is_own, own_class
from easytransfer_mtl.tasks import Task

POOLED, SEQUENCE, PAIR, NGRAMS = "pooled", "sequence", "pair", "ngrams"
ATTENTION, ATTENTION_SHARED = "attention", "attention_shared"
POOLINGS = (POOLED, "cls", "mean", "max", ATTENTION, ATTENTION_SHARED, PAIR, SEQUENCE, NGRAMS)
WITHOUT_SOURCE = (POOLED, NGRAMS)
OF_SEGMENTS = (PAIR, NGRAMS)
"""Poolings that tell the two texts of a pair apart, by segment ids."""
NUMBERED = ("layer", "first", "last")
MIX = "mix"
NGRAM_SIZES = (65_536, 64)
"""Default rows and width of the n-gram table."""
MAX_TABLE = 2**26
"""Maximum number of values in the n-gram table: 0.27 GB, of which training keeps four copies."""
GRAMMAR = (
    f"a part is {', '.join(POOLINGS)}, a class of your own (file.py:Class), or one of them after layerN., firstN., lastN. "
    f"or {MIX}., as last4.mean"
)


@dataclass(frozen=True)
class Part:
    """One part of a feature.

    Attributes:
        pooling: one of ``POOLINGS``, or the name of a user-defined class.
        source: ``layer``, ``first``, ``last`` or ``mix``; empty for the last layer.
        number: the layer for ``layer``, the number of layers for ``first`` and ``last``.
        sizes: rows and width of the n-gram table; empty for other parts.
    """

    pooling: str
    source: str = ""
    number: int = 0
    sizes: tuple[int, ...] = ()

    @property
    def own(self) -> Any:
        """The user-defined ``FeaturePart`` class that the part names, or None.

        Raises:
            UserError: the class cannot be imported.
        """
        return own_class(self.pooling, FeaturePart, "features") if is_own(self.pooling) else None

    @property
    def label(self) -> str:
        """The part's name in the names of its variables."""
        return self.pooling.rsplit(":", 1)[-1] if is_own(self.pooling) else self.text.replace(":", "_")

    @property
    def text(self) -> str:
        """The part in the syntax of ``--features``."""
        return ":".join([self.source_text + self.pooling, *map(str, self.sizes)])

    @property
    def source_text(self) -> str:
        """The text before the pooling, such as ``last4.``; empty without a source."""
        number = str(self.number) if self.source in NUMBERED else ""
        return f"{self.source}{number}." if self.source else ""

    @property
    def is_own(self) -> bool:
        """Whether it has task-specific variables."""
        return self.pooling in (ATTENTION, NGRAMS) or self.source == MIX or is_own(self.pooling)

    @property
    def reads_encoder(self) -> bool:
        """Whether it reads the encoder's output, not the token ids."""
        return self.pooling != NGRAMS

    @property
    def reads_pooled(self) -> bool:
        """Whether it reads the pooler's output."""
        return self.pooling == POOLED or (self.own is not None and POOLED in self.own.reads)

    @property
    def reads_segments(self) -> bool:
        """Whether it tells the two texts of a pair apart."""
        return self.pooling in OF_SEGMENTS

    @property
    def is_sequence(self) -> bool:
        """Whether its value is a state per token instead of one vector."""
        return self.pooling == SEQUENCE or (self.own is not None and self.own.is_sequence)

    def layers(self, num_layers: int) -> tuple[int, ...]:
        """Returns the layers it reads of an encoder with ``num_layers`` layers, 0 being the embeddings."""
        if self.own is not None and LAYERS in self.own.reads:
            return tuple(range(num_layers + 1))
        return {
            "": (num_layers,),
            "layer": (self.number,),
            "first": tuple(range(1, self.number + 1)),
            "last": tuple(range(num_layers - self.number + 1, num_layers + 1)),
            MIX: tuple(range(num_layers + 1)),
        }[self.source]


@dataclass(frozen=True)
class FeatureSpec:
    """A task's feature: concatenated parts, either all one vector per row or all sequences."""

    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The feature in the normalized syntax that is stored."""
        return "+".join(part.text for part in self.parts)

    @property
    def is_sequence(self) -> bool:
        """Whether its value is a state per token instead of one vector."""
        return self.parts[0].is_sequence

    @property
    def is_own(self) -> bool:
        """Whether it has task-specific variables."""
        return any(part.is_own for part in self.parts)

    @property
    def reads_pooled(self) -> bool:
        """Whether any part reads the pooler's output."""
        return any(part.reads_pooled for part in self.parts)

    @property
    def reads_tokens(self) -> bool:
        """Whether any part reads the encoder's states, not only the pooled output."""
        return any(part.reads_encoder and not _is_pooled(part) for part in self.parts)

    def highest_layer(self, num_layers: int) -> int:
        """Returns the highest layer that any part reads."""
        return max(max(part.layers(num_layers)) for part in self.parts if part.reads_encoder)


def _is_pooled(part: Part) -> bool:
    return part.pooling == POOLED or (part.own is not None and part.own.reads <= {POOLED})


def parse_features(text: str, place: str) -> FeatureSpec:
    """Parses one task's feature.

    Args:
        text: for instance ``cls+last4.mean``.
        place: the setting and the task, for errors.

    Raises:
        UserError: a part is unknown (the message names the nearest known one), is repeated or does not fit the others, or
            no part reads the encoder.
    """
    parts = tuple(
        _parse_part(part.strip(), f"{place}={text}: part {number} {part.strip()!r}")
        for number, part in enumerate(text.split("+"), 1)
    )
    for number, part in enumerate(parts, 1):
        if part in parts[: number - 1]:
            raise UserError(f"{place}={text}: part {number} {part.text!r} is there twice; leave one out.")
        either_own = is_own(part.pooling) or is_own(parts[0].pooling)  # parsing must not import it
        if not either_own and part.is_sequence != parts[0].is_sequence:
            raise UserError(
                f"{place}={text}: part {number} {part.text!r} does not go with {parts[0].text!r}: one is a state per token, "
                "the other one vector per row. Use sequences only, or none."
            )
    if not any(part.reads_encoder for part in parts):
        raise UserError(f"{place}={text}: nothing of it reads the encoder, which would learn nothing; write pooled+{text}.")
    return FeatureSpec(parts)


def _parse_part(text: str, place: str) -> Part:
    if is_own(text):
        return Part(text)
    text = text.lower()
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
    """Parses the text after a part's name: ``:BUCKETS:WIDTH`` for n-grams, both optional; empty for all other parts."""
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
    """Checks a feature against its task and, if ``num_layers`` is not None, against the encoder.

    Raises:
        UserError: the encoder lacks a layer that a part reads, or ``pair`` is given for a task without a second text.
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
