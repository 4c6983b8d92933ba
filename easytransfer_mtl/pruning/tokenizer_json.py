"""Prunes a tokenizer.json."""

import json
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import tokenizers

from easytransfer_mtl.data.published_tokenizer import PublishedVocabulary
from easytransfer_mtl.data.tokenization import MAX_REMEMBERED_CHUNKS
from easytransfer_mtl.encoders.vocabularies import TOKENIZER_FILE
from easytransfer_mtl.errors import UserError, shown
from easytransfer_mtl.files import replacing
from easytransfer_mtl.pruning.model_parts import (
    WORDPIECE,
    model_type_of,
    needed_pieces,
    pieces_of,
    pruned_model,
    with_parts,
)
from easytransfer_mtl.pruning.splitter import Loss, NewIds, Splitter, is_chinese_piece, pieces_before_unknown
from easytransfer_mtl.pruning.texts import Text

Json = dict[str, Any]
ENDINGS = {"BertProcessing": ("sep", "cls"), "RobertaProcessing": ("sep", "cls")}
WITHOUT_IDS = ("ByteLevel",)
"""Types of post_processor that hold no ids."""


class TokenizerJsonSplitter(Splitter):
    """A published tokenizer."""

    file_name = TOKENIZER_FILE

    def __init__(self, vocabulary: PublishedVocabulary) -> None:
        """Takes the vocabulary.

        Raises:
            UserError: its model or post_processor is of a type that cannot be pruned.
        """
        self.vocabulary: PublishedVocabulary = vocabulary
        self._value: Json = json.loads(vocabulary.content.decode("utf-8-sig"))
        self._model: Json = self._value["model"]
        try:
            self._kind = model_type_of(self._model)
            _check_processor(self._value.get("post_processor"))
        except UserError as error:
            raise UserError(
                f"{vocabulary.source}: {error}. With a vocab.txt beside it, --tokenizer=easytransfer prunes that alone."
            ) from None
        self._seen: set[str] = set()

    @property
    def ids(self) -> Mapping[str, int]:
        """Token -> id, of added tokens too."""
        return self.vocabulary.ids

    def always_kept(self) -> set[int]:
        """Returns the ids of added tokens and of the template's, of roles, of characters and of bytes."""
        vocabulary = self.vocabulary
        roles = {vocabulary.mask_id, vocabulary.padding_id, vocabulary.unknown_id} - {None}
        added = set(vocabulary.library_tokenizer.get_added_tokens_decoder())
        single = needed_pieces(self._model, "ByteLevel" in _types_in(self._value, "normalizer", "pre_tokenizer"))
        return (single - self._unreachable()) | added | roles | set(vocabulary.frame_ids)

    def _unreachable(self) -> set[int]:
        """Returns later pieces of one Chinese character, if BERT's normalizer makes each a word of its own."""
        parts = [(self._value.get(key) or {}).get("type") for key in ("normalizer", "pre_tokenizer")]
        if self._kind != WORDPIECE or parts != ["BertNormalizer", "BertPreTokenizer"]:
            return set()
        normalizer = self.vocabulary.library_tokenizer.normalizer
        pieces = [(index, token) for index, token in pieces_of(self._model) if is_chinese_piece(token, self._prefix)]
        return {index for index, token in pieces if f" {token[-1]} " in normalizer.normalize_str(f"a{token[-1]}a")}

    @property
    def _prefix(self) -> str:
        return str(self._model.get("continuing_subword_prefix", "##"))

    def used(self, rows: Sequence[Text]) -> set[int]:
        """Returns the ids of rows, and with WordPiece those before the unknown part of a word."""
        found = self.vocabulary.encode_whole(rows)
        ids = set(chain.from_iterable(row.ids for row in found))
        unknown = self.vocabulary.unknown_id
        if self._kind == WORDPIECE and unknown in ids:
            texts = (text for row, encoded in zip(rows, found, strict=True) if unknown in encoded.ids for text in row)
            ids.update(chain.from_iterable(map(self._before_unknown, texts)))
        return ids

    def _before_unknown(self, text: str) -> list[int]:
        tokenizer, longest = self.vocabulary.library_tokenizer, self._model.get("max_input_chars_per_word", 100)
        if tokenizer.normalizer:
            text = tokenizer.normalizer.normalize_str(text)
        parts = tokenizer.pre_tokenizer.pre_tokenize_str(text) if tokenizer.pre_tokenizer else [(text, (0, len(text)))]
        words = {word for word, _ in parts if len(word) <= longest} - self._seen
        if len(self._seen) >= MAX_REMEMBERED_CHUNKS:
            self._seen.clear()
        self._seen |= words
        pieces = self._model["vocab"]
        return [index for word in words for index in pieces_before_unknown(word, pieces, self._prefix)]

    def completed(self, kept: set[int]) -> set[int]:
        """Returns kept ids together with those that BPE makes them of."""
        return with_parts(self._model, kept)

    def pruned(self, new_ids: NewIds) -> "TokenizerJsonSplitter":
        """Returns the tokenizer of the kept tokens.

        Raises:
            UserError: the library gives them other ids than their order.
        """
        value = {**self._value, "model": pruned_model(self._model, new_ids)}
        added = self._value.get("added_tokens") or []
        value["added_tokens"] = [{**token, "id": new_ids[self.ids[token["content"]]]} for token in added]
        value["post_processor"] = _renumbered(self._value.get("post_processor"), new_ids)
        if padding := self._value.get("padding"):
            padding_id = padding.get("pad_id", 0)
            value["padding"] = {**padding, "pad_id": new_ids.get(padding_id, new_ids[self.vocabulary.padding_id])}
        content = json.dumps(value, ensure_ascii=False).encode("utf-8")
        found = TokenizerJsonSplitter(PublishedVocabulary(content, value, f"the pruned {self.vocabulary.source}"))
        expected = {token: new_ids[index] for token, index in self.ids.items() if index in new_ids}
        if found.ids != expected:
            token = next(token for token in expected if found.ids.get(token) != expected[token])
            raise UserError(
                f"{self.vocabulary.source} cannot be pruned: the tokenizers library would give {shown(token)} the id "
                f"{found.ids.get(token)} instead of {expected[token]}, since ids in the file have gaps or occur twice."
            )
        return found

    def first_difference(self, pruned: "TokenizerJsonSplitter", new_ids: NewIds, rows: Sequence[Text]) -> Text | None:
        """Returns the first row whose tokens, ids or token types differ, or None."""
        pairs = zip(self.vocabulary.encode_whole(rows), pruned.vocabulary.encode_whole(rows), strict=True)
        for row, (full, new) in zip(rows, pairs, strict=True):
            if [new_ids.get(index) for index in full.ids] != new.ids or full.tokens != new.tokens:
                return row
            if full.type_ids != new.type_ids or full.special_tokens_mask != new.special_tokens_mask:
                return row
        return None

    def loss(self, pruned: "TokenizerJsonSplitter", new_ids: NewIds, rows: Sequence[Text]) -> Loss:
        """Counts what the texts of rows lose; a token is lost if a part of its text lies in an unknown token now."""
        texts: list[Text] = [(text,) for row in rows for text in row]
        total = Loss()
        for full, new in zip(self.vocabulary.encode_whole(texts), pruned.vocabulary.encode_whole(texts), strict=True):
            before, after = _tokens(full), _tokens(new)
            unknown = sum(index == self.vocabulary.unknown_id for index, _ in before)
            removed = sum(index not in new_ids for index, _ in before)
            gone = [span for index, span in after if index == pruned.vocabulary.unknown_id]
            known = [span for index, span in before if index != self.vocabulary.unknown_id] if gone else []
            lost = sum(any(start < last and first < end for first, last in gone) for start, end in known)
            total += Loss(1, len(before), len(after), removed, lost, unknown)
        return total

    def write(self, folder: Path) -> None:
        """Writes tokenizer.json."""
        with replacing(folder / TOKENIZER_FILE) as temporary:
            temporary.write_bytes(self.vocabulary.content)


def _tokens(encoding: tokenizers.Encoding) -> list[tuple[int, tuple[int, int]]]:
    """Returns ids and places of an encoded text's own tokens."""
    marks = zip(encoding.ids, encoding.offsets, encoding.sequence_ids, strict=True)
    return [(index, span) for index, span, sequence in marks if sequence is not None]


def _types_in(value: Json, *keys: str) -> set[str]:
    """Returns the types of the parts of a tokenizer.json, also of those in a Sequence."""
    found: set[str] = set()
    to_do = [value.get(key) for key in keys]
    while to_do:
        part = to_do.pop()
        if isinstance(part, dict):
            found.add(str(part.get("type")))
            to_do += [*(part.get("normalizers") or []), *(part.get("pretokenizers") or [])]
    return found


def _check_processor(processor: Json | None) -> None:
    """Raises UserError if it is not known where a post_processor holds ids."""
    kind = (processor or {}).get("type")
    for part in (processor or {}).get("processors", []) if kind == "Sequence" else []:
        _check_processor(part)
    known = ("TemplateProcessing", "Sequence", *ENDINGS, *WITHOUT_IDS)
    if processor and kind not in known:
        raise UserError(f"the post_processor is {shown(kind)}; {', '.join(known)} can be pruned")


def _renumbered(processor: Json | None, new_ids: NewIds) -> Json | None:
    if processor is None:
        return None
    kind, found = processor["type"], dict(processor)
    if kind == "Sequence":
        found["processors"] = [_renumbered(part, new_ids) for part in processor["processors"]]
    elif kind in ENDINGS:
        found |= {key: [processor[key][0], new_ids[processor[key][1]]] for key in ENDINGS[kind]}
    elif kind == "TemplateProcessing":
        # A template may list tokens that neither form of it uses, whose ids may be no kept token's.
        tokens = processor["special_tokens"].items()
        found["special_tokens"] = {
            name: {**token, "ids": [new_ids[index] for index in token["ids"]]}
            for name, token in tokens
            if all(index in new_ids for index in token["ids"])
        }
    return found
