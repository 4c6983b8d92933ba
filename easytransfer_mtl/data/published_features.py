"""Rows of a published tokenizer, and the choice of the builder that fits a vocabulary."""

from collections.abc import Iterable, Sequence

from easytransfer_mtl.data.features import FeatureBuilder, Features, RowEncoder, UnitFeatures, check_length, check_texts
from easytransfer_mtl.data.published_tokenizer import AnyVocabulary, PublishedTokenizer, PublishedVocabulary
from easytransfer_mtl.data.tokenization import Tokenizer
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.tasks import CHARACTER, TAGS, WORD_UNIT, Task

PROBES = {CHARACTER: (("天", "气"), "天气"), WORD_UNIT: (("一", "a"), "一 a")}
"""Unit -> units, and the text of them, whose ids must be the same."""


class PublishedFeatureBuilder:
    """Encodes rows up to a maximum length with the tokenizer's own template, truncation and token types.

    The ids are those of transformers' fast tokenizer with ``truncation="longest_first"`` and ``max_length``: the template's
    tokens count, and of a pair the longer text is cut first. Where both are cut and the room is odd, the longer text keeps
    one token more, the second if both are equally long; EasyTransfer's truncation, which ``FeatureBuilder`` uses, gives it
    to the first. A pair always has the template of two texts, even if the second one is empty.
    """

    def __init__(self, tokenizer: PublishedTokenizer, sequence_length: int) -> None:
        """Takes the tokenizer and the padded length in tokens.

        Raises:
            UserError: the length leaves no room for two texts.
        """
        check_length(sequence_length, tokenizer.vocabulary.special_tokens_of_a_pair)
        tokenizer.vocabulary.truncating(sequence_length)  # loads it now, so that no row waits for it
        self._has_types = tokenizer.vocabulary.has_types
        self.tokenizer = tokenizer
        self.sequence_length = sequence_length

    def encode(self, texts: tuple[str, ...]) -> Features:
        """Encodes one text or a pair of texts.

        Raises:
            UserError: ``texts`` is a string, or the tokenizer fails on it.
        """
        check_texts(texts)
        row = self.tokenizer.encode(texts, self.sequence_length)
        return Features(row.ids, row.type_ids.count(0) if self._has_types else _start_of_second(row.sequence_ids))

    def encode_units(self, units: Sequence[str]) -> UnitFeatures:
        """Encodes a text's characters or words, each by itself, with the template and the truncation of ``encode``.

        Raises:
            UserError: the tokenizer fails on them.
        """
        row = self.tokenizer.encode_units(units, self.sequence_length)
        starts = [-1] * len(units)
        for place, unit in reversed(list(enumerate(row.word_ids))):
            if unit is not None:
                starts[unit] = place
        kept = max((unit for unit in row.word_ids if unit is not None), default=-1)
        features = Features(row.ids, row.type_ids.count(0) if self._has_types else len(row.ids))
        return UnitFeatures(features, starts, len(units) - 1 - kept if len(row.ids) == self.sequence_length else 0)


def _start_of_second(sequence_ids: list[int | None]) -> int:
    """Returns the place of the second text's first token, which the template's own tokens between the texts come before."""
    return sequence_ids.index(1) if 1 in sequence_ids else len(sequence_ids)


def feature_builder(vocabulary: AnyVocabulary, text_normalization: str, sequence_length: int) -> RowEncoder:
    """Returns the builder of a vocabulary's rows; errors as in its class."""
    if isinstance(vocabulary, PublishedVocabulary):
        return PublishedFeatureBuilder(PublishedTokenizer(vocabulary, text_normalization), sequence_length)
    return FeatureBuilder(Tokenizer(vocabulary, text_normalization), sequence_length)


def check_units(builder: RowEncoder, tasks: Iterable[Task]) -> None:
    """Checks that a tokenizer gives the characters or words of tagged texts the ids that they have within the text.

    Raises:
        UserError: it does not, as one that marks a word's beginning does with characters.
    """
    for task in tasks:
        if task.type != TAGS:
            continue
        units, text = PROBES[task.unit]
        apart, whole = builder.encode_units(units).features.input_ids, builder.encode((text,)).input_ids
        if apart != whole:
            raise UserError(
                f"{task.name} is of the type {TAGS}, so each {task.unit} is tokenized by itself, and this encoder's "
                f"tokenizer gives {' and '.join(units)} other ids alone than within {text!r} ({apart} and {whole}). Use an "
                "encoder with a vocab.txt (--tokenizer=easytransfer), or leave the task out."
            )
