"""Prunes the ``model`` of a tokenizer.json, which is Unigram, BPE or WordPiece, so that kept texts are split as before.

- Unigram takes the best path of pieces by the sum of their scores, of equal ones the first it finds. Without pieces that
  the path does not use there are fewer paths and no better one, and the order of the others stays. A character without a
  piece of its own counts as unknown, for the lowest score of all less a constant: so all single characters stay, and one
  piece of the lowest score.
- BPE applies, as long as it can, the first merge of its list that fits. With each kept token stay all merges that make it,
  and their parts with theirs. Those that a kept text applied are among them, so each is still the first one that fits.
- WordPiece takes the longest piece that matches; see ``vocab_txt``.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from easytransfer_mtl.errors import UserError, shown
from easytransfer_mtl.pruning.splitter import NewIds, is_single_character

UNIGRAM, BPE, WORDPIECE = "Unigram", "BPE", "WordPiece"
SUPPORTED = (UNIGRAM, BPE, WORDPIECE)
_BYTE = re.compile("<0x[0-9A-F]{2}>")

Json = dict[str, Any]


def model_type_of(model: Json) -> str:
    """Returns the type of a model; the library lets old files leave it out.

    Raises:
        UserError: the type is none of ``SUPPORTED``.
    """
    guessed = BPE if "merges" in model else UNIGRAM if isinstance(model.get("vocab"), list) else WORDPIECE
    found = model.get("type", guessed)
    if found not in SUPPORTED:
        raise UserError(f"the model is {shown(found)}; {', '.join(SUPPORTED)} can be pruned")
    return str(found)


def pieces_of(model: Json) -> list[tuple[int, str]]:
    """Returns (id, token) of all tokens of a model."""
    if isinstance(model["vocab"], list):
        return [(index, pair[0]) for index, pair in enumerate(model["vocab"])]
    return [(index, token) for token, index in model["vocab"].items()]


def needed_pieces(model: Json, of_bytes: bool) -> set[int]:
    """Returns the ids of single characters and bytes, and with Unigram of a piece with the lowest score.

    Args:
        model: the model.
        of_bytes: whether tokens are written as bytes, as GPT-2's; a character is then up to four letters of a token.
    """
    prefix, suffix = model.get("continuing_subword_prefix") or "", model.get("end_of_word_suffix") or ""
    found = {
        index
        for index, token in pieces_of(model)
        if is_single_character(token, prefix, suffix)
        or _BYTE.fullmatch(token)
        or (of_bytes and _is_character_of_bytes(token))
    }  # fmt: skip
    if model_type_of(model) == UNIGRAM:
        scores = [score for _, score in model["vocab"]]
        found.add(scores.index(min(scores)))
    return found


def with_parts(model: Json, kept: set[int]) -> set[int]:
    """Returns kept ids together with the parts of all BPE merges that make them, and these parts' own."""
    if model_type_of(model) != BPE:
        return kept
    parts: dict[int, set[int]] = {}
    for first, second, made in _merges(model):
        parts.setdefault(made, set()).update((first, second))
    found, to_do = set(kept), list(kept)
    while to_do:
        new = parts.get(to_do.pop(), set()) - found
        found |= new
        to_do += new
    return found


def pruned_model(model: Json, new_ids: NewIds) -> Json:
    """Returns the model of the kept tokens."""
    kind = model_type_of(model)
    if kind == UNIGRAM:
        vocab = [pair for index, pair in enumerate(model["vocab"]) if index in new_ids]
        return {**model, "vocab": vocab, "unk_id": new_ids.get(model.get("unk_id", -1))}
    by_id = sorted((index, token) for token, index in model["vocab"].items() if index in new_ids)
    found = {**model, "vocab": {token: new_ids[index] for index, token in by_id}}
    if kind == BPE:
        merges = zip(model["merges"], _merges(model), strict=True)
        found["merges"] = [merge for merge, ids in merges if all(index in new_ids for index in ids)]
    return found


def _merges(model: Json) -> Iterator[tuple[int, int, int]]:
    """Yields the ids of both parts of each merge, and of what it makes."""
    ids: Mapping[str, int] = model["vocab"]
    prefix = model.get("continuing_subword_prefix") or ""
    for merge in model["merges"]:
        first, second = merge.split(" ") if isinstance(merge, str) else merge
        yield ids[first], ids[second], ids[first + second[len(prefix) :]]


def _letters_of_bytes() -> dict[str, int]:
    """Returns GPT-2's letter -> byte: printable Latin-1 stands for itself, other bytes for the letters from 256 on."""
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in own]
    return {chr(byte): byte for byte in own} | {chr(256 + place): byte for place, byte in enumerate(others)}


_BYTE_OF = _letters_of_bytes()


def _is_character_of_bytes(token: str) -> bool:
    if len(token) > 4 or not all(letter in _BYTE_OF for letter in token):
        return False
    try:
        return len(bytes(_BYTE_OF[letter] for letter in token).decode("utf-8")) == 1
    except UnicodeDecodeError:
        return False
