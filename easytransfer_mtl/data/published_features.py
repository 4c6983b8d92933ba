"""Rows of a published tokenizer, and the choice of the builder that fits a vocabulary."""

from easytransfer_mtl.data.features import FeatureBuilder, Features, RowEncoder, check_texts
from easytransfer_mtl.data.published_tokenizer import AnyVocabulary, PublishedTokenizer, PublishedVocabulary
from easytransfer_mtl.data.tokenization import Tokenizer
from easytransfer_mtl.errors import UserError


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
        least = tokenizer.vocabulary.special_tokens_of_a_pair + 2
        if sequence_length < least:
            raise UserError(
                f"sequence_length is {sequence_length}; with {tokenizer.vocabulary.source} it must be at least {least}."
            )
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


def _start_of_second(sequence_ids: list[int | None]) -> int:
    """Returns the place of the second text's first token, which the template's own tokens between the texts come before."""
    return sequence_ids.index(1) if 1 in sequence_ids else len(sequence_ids)


def feature_builder(vocabulary: AnyVocabulary, text_normalization: str, sequence_length: int) -> RowEncoder:
    """Returns the builder of a vocabulary's rows; errors as in its class."""
    if isinstance(vocabulary, PublishedVocabulary):
        return PublishedFeatureBuilder(PublishedTokenizer(vocabulary, text_normalization), sequence_length)
    return FeatureBuilder(Tokenizer(vocabulary, text_normalization), sequence_length)
