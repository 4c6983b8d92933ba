"""What vocabulary pruning asks of a tokenizer, whatever its file is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

from easytransfer_mtl.data.published_tokenizer import AnyVocabulary
from easytransfer_mtl.data.tokenization import CJK_CHARACTER
from easytransfer_mtl.pruning.texts import Text

NewIds = Mapping[int, int]
"""Id of a kept token in the full vocabulary -> its id in the pruned one; the order stays."""
AnySplitter = TypeVar("AnySplitter", bound="Splitter")


@dataclass(frozen=True)
class Loss:
    """What texts lose with a pruned vocabulary, in tokens without those of the template.

    Attributes:
        texts: number of texts.
        before: their tokens with the full vocabulary.
        after: their tokens with the pruned one.
        removed: tokens of ``before`` that were removed, so that their text is split otherwise.
        lost: tokens of ``before`` whose text is unknown now and was not.
        unknown: tokens of ``before`` that were unknown already.
    """

    texts: int = 0
    before: int = 0
    after: int = 0
    removed: int = 0
    lost: int = 0
    unknown: int = 0

    def __add__(self, other: "Loss") -> "Loss":
        return Loss(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(Loss)))


class Splitter(ABC):
    """A tokenizer that can be pruned."""

    file_name: str
    vocabulary: AnyVocabulary

    @property
    @abstractmethod
    def ids(self) -> Mapping[str, int]:
        """Token -> id."""

    @abstractmethod
    def always_kept(self) -> set[int]:
        """Returns the ids of special tokens, of single characters, and of what unknown text depends on."""

    @abstractmethod
    def used(self, rows: Sequence[Text]) -> set[int]:
        """Returns the ids that rows need to be split as they are now."""

    @abstractmethod
    def completed(self, kept: set[int]) -> set[int]:
        """Returns kept ids together with those that they are made of."""

    @abstractmethod
    def pruned(self: AnySplitter, new_ids: NewIds) -> AnySplitter:
        """Returns the tokenizer of the kept tokens.

        Raises:
            UserError: it cannot be made.
        """

    @abstractmethod
    def first_difference(self: AnySplitter, pruned: AnySplitter, new_ids: NewIds, rows: Sequence[Text]) -> Text | None:
        """Returns the first row that the pruned tokenizer does not split into the same tokens, or None."""

    @abstractmethod
    def loss(self: AnySplitter, pruned: AnySplitter, new_ids: NewIds, rows: Sequence[Text]) -> Loss:
        """Counts what the texts of rows lose."""

    @abstractmethod
    def write(self, folder: Path) -> None:
        """Writes the tokenizer's file."""


def is_single_character(token: str, prefix: str = "", suffix: str = "") -> bool:
    """Returns whether a token stands for one character.

    Args:
        token: the token.
        prefix: mark of later pieces of a word.
        suffix: mark of a word's last piece.
    """
    bare = token.removeprefix(prefix) if len(token) > len(prefix) else token
    bare = bare.removesuffix(suffix) if len(bare) > len(suffix) else bare
    return len(token) == 1 or len(bare) == 1


def is_chinese_piece(token: str, prefix: str) -> bool:
    """Returns whether a token is a later piece that no text has where each Chinese character is a word: ``##天``."""
    return len(token) == len(prefix) + 1 and token.startswith(prefix) and CJK_CHARACTER.fullmatch(token[-1]) is not None


def pieces_before_unknown(word: str, pieces: Mapping[str, int], prefix: str) -> list[int]:
    """Returns the ids that WordPiece takes, longest match first, before it finds none and calls the word unknown.

    Empty for a word that is not unknown. Without these pieces, other ones could match the word.
    """
    path: list[int] = []
    start = 0
    while start < len(word):
        marked = prefix if start else ""
        ends = range(len(word), start, -1)
        end = next((end for end in ends if marked + word[start:end] in pieces), None)
        if end is None:
            return path
        path.append(pieces[marked + word[start:end]])
        start = end
    return []
