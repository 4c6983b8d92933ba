"""Prunes a vocab.txt for EasyTransfer's WordPiece.

Longest match first: of a kept text's pieces each is the longest of the full vocabulary that matches, so it is the longest of
any part of it too. Unknown words keep the pieces before the place where none matches, so they stay unknown.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from easytransfer_mtl.data.tokenization import (
    CHUNK,
    LINES,
    MASK_TOKEN,
    MAX_REMEMBERED_CHUNKS,
    MAX_WORD_CHARACTERS,
    SPECIAL_TOKENS,
    Tokenizer,
    Vocabulary,
    basic_words,
    found_ids,
)
from easytransfer_mtl.encoders.vocabularies import VOCABULARY_FILE, vocabulary_text, write_vocabulary
from easytransfer_mtl.files import write_text
from easytransfer_mtl.pruning.splitter import (
    Loss,
    NewIds,
    Splitter,
    is_chinese_piece,
    is_single_character,
    pieces_before_unknown,
)
from easytransfer_mtl.pruning.texts import Text

PREFIX = "##"


class VocabTxtSplitter(Splitter):
    """WordPiece over a vocab.txt."""

    file_name = VOCABULARY_FILE

    def __init__(self, vocabulary: Vocabulary) -> None:
        """Takes the vocabulary."""
        self.vocabulary: Vocabulary = vocabulary
        self._tokenizer = Tokenizer(vocabulary)
        self._seen: set[str] = set()

    @property
    def ids(self) -> Mapping[str, int]:
        """Token -> id."""
        return self.vocabulary.ids

    def always_kept(self) -> set[int]:
        """Returns the ids of special tokens and of characters that a text can have, and the padding id."""
        special = {self.ids[token] for token in (*SPECIAL_TOKENS, MASK_TOKEN) if token in self.ids}
        found = found_ids(self.vocabulary.tokens).items()
        single = {
            index
            for token, index in found
            if is_single_character(token, PREFIX) and not is_chinese_piece(token, PREFIX)
        }  # fmt: skip
        return special | single | {self.vocabulary.padding_id}

    def used(self, rows: Sequence[Text]) -> set[int]:
        """Returns the ids of rows, and those before the unknown part of a word."""
        found: set[int] = set()
        for chunk in _chunks(rows):
            if chunk in self._seen:
                continue
            if len(self._seen) >= MAX_REMEMBERED_CHUNKS:
                self._seen.clear()
            self._seen.add(chunk)
            ids = self._tokenizer.chunk_ids(chunk)
            found.update(ids)
            if self.vocabulary.unknown_id in ids:
                words = (word for word in basic_words(chunk) if len(word) <= MAX_WORD_CHARACTERS)
                found.update(index for word in words for index in pieces_before_unknown(word, self.ids, PREFIX))
        return found

    def completed(self, kept: set[int]) -> set[int]:
        """Returns ``kept``: pieces are made of nothing."""
        return kept

    def pruned(self, new_ids: NewIds) -> "VocabTxtSplitter":
        """Returns the tokenizer of the kept tokens; their ids are the line numbers in its file."""
        tokens = self.vocabulary.tokens
        return VocabTxtSplitter(Vocabulary([tokens[index] for index in sorted(new_ids) if index < len(tokens)], rule=LINES))

    def first_difference(self, pruned: "VocabTxtSplitter", new_ids: NewIds, rows: Sequence[Text]) -> Text | None:
        """Returns the first row that is not split alike, or None."""
        for row in rows:
            for text in row:
                expected = [new_ids.get(index) for index in self._tokenizer.ids(text)]
                if expected != pruned._tokenizer.ids(text):
                    return row
        return None

    def loss(self, pruned: "VocabTxtSplitter", new_ids: NewIds, rows: Sequence[Text]) -> Loss:
        """Counts what the texts of rows lose, word by word."""
        before, after, removed, lost, unknown = 0, 0, 0, 0, 0
        for chunk in _chunks(rows):
            for word in basic_words(chunk):
                full, new = self._tokenizer.chunk_ids(word), pruned._tokenizer.chunk_ids(word)
                before, after = before + len(full), after + len(new)
                removed += sum(index not in new_ids for index in full)
                is_unknown = self.vocabulary.unknown_id in full
                unknown += is_unknown
                lost += 0 if is_unknown or pruned.vocabulary.unknown_id not in new else len(full)
        return Loss(sum(map(len, rows)), before, after, removed, lost, unknown)

    def write(self, folder: Path) -> None:
        """Writes vocab.txt, and the rule beside it if another one would read other ids."""
        if self.vocabulary.is_read_alike:
            write_text(folder / VOCABULARY_FILE, vocabulary_text(self.vocabulary))
        else:
            write_vocabulary(folder, self.vocabulary)


def _chunks(rows: Sequence[Text]) -> Iterator[str]:
    return (chunk for row in rows for text in row for chunk in CHUNK.findall(text))
