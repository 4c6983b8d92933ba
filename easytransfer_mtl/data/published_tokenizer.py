"""Published tokenizers: an encoder's ``tokenizer.json``, as the ``tokenizers`` library runs it.

The file is untrusted: it is read as JSON, and the library, which runs no code from it, makes the ids. What the program must
know of it - which ids frame a text, which one hides a token, pads a row or stands for unknown text - is asked by role, since
the names differ: [CLS] and [SEP] here are <s> and </s> there.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import tokenizers

from easytransfer_mtl.data.tokenization import LINES, PUBLISHED, Template, Vocabulary, normalized_text
from easytransfer_mtl.errors import UserError, clipped, shown
from easytransfer_mtl.files import read_json

MOST_BYTES = 64 << 20
"""Largest tokenizer.json that is read; XLM-R's, with 250,000 tokens, has 17 MB."""
MASK_NAMES, PADDING_NAMES = ("[MASK]", "<mask>"), ("[PAD]", "<pad>")
"""Added tokens for roles that a tokenizer.json does not name."""
WITHOUT_EFFECT = ("truncation", "padding", "decoder")
"""Parts of the file on which the ids of a row do not depend: this program sets the first two, and decodes nothing."""
REMOVABLE = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
"""Parts without which a tokenizer.json is one too."""
PROBES = ("a 1", "天 气", "\U0010fffd\u0dff", "")
"""Texts that are encoded at the start, one with characters that no vocabulary has."""
_AGAIN = "Take the file from the model's page again, or use an encoder with a vocab.txt."
SURROGATE = re.compile("[\ud800-\udfff]")


class PublishedVocabulary:
    """The tokens of a tokenizer.json, their ids, and the tokenizer itself.

    Attributes:
        content: the file's bytes, which a run's folder and its export copy.
        source: the file, for errors.
        sha256: hash of the file's canonical form: JSON with sorted keys, without what has no effect on the ids.
        frame_ids: ids that the template puts around texts.
        mask_id: id of the token that stands for a hidden one, or None.
        unknown_id: id of text that has no token, or None if every text has tokens.
        padding_id: id that fills rows up; 0 if the file names none. Masks are made from lengths, never from this id.
        ids: token -> id, of added tokens too.
        has_types: whether the template gives the two texts of a pair different token types.
        settings: what transformers' fast tokenizer must be told beside the file to give the same ids: the tokens by role
            (``cls_token``), and ``add_prefix_space``, which it would otherwise set to False.
    """

    tokenizer, rule, is_read_alike = PUBLISHED, LINES, True

    def __init__(self, content: bytes, value: Any, source: str) -> None:
        """Takes the file's bytes, the JSON value in them, and the file's name.

        Raises:
            UserError: the library refuses the file, or it is no tokenizer whose rows this program can use.
        """
        self.content, self.source = content, source
        self._truncating: dict[int, tokenizers.Tokenizer] = {}
        if not isinstance(value, dict) or not isinstance(value.get("model"), dict):
            raise UserError(f"{source} is no tokenizer.json: it must be a JSON object with a model. {_AGAIN}")
        if value["model"].get("dropout"):
            raise UserError(
                f"{source}: the model has a dropout of {shown(value['model']['dropout'])}, so a text's ids would be random. "
                "Set it to null."
            )
        with _refused(source, "is refused by the tokenizers library", lambda: _refused_part(value)):
            self._plain = self._loaded()
            self.ids = self._plain.get_vocab(with_added_tokens=True)
        with _refused(source, "cannot encode every text"):
            rows = [self._plain.encode(text) for text in PROBES] + [self._plain.encode(text, text) for text in PROBES]
        self.direction = str((value.get("truncation") or {}).get("direction", "Right")).lower()
        self.sha256 = _canonical_sha256(value, self.direction)
        self.frame_ids = tuple(dict.fromkeys(index for row in rows for index in _special(row)))
        self._check_template(rows)
        added = {str(self._plain.id_to_token(index)): index for index in self._plain.get_added_tokens_decoder()}
        padding, model = value.get("padding") or {}, value["model"]
        self.mask_id = next((added[name] for name in MASK_NAMES if name in added), None)
        padding_id = padding.get("pad_id", next((added[name] for name in PADDING_NAMES if name in added), 0))
        self.padding_id = padding_id if padding_id in self.ids.values() else 0
        self.unknown_id = model.get("unk_id", self.ids.get(model.get("unk_token")))
        self.has_types = len(set(self._plain.encode("a", "a").type_ids)) > 1
        self.settings: dict[str, Any] = dict(self._role_names(_special(rows[0])))
        if (value.get("pre_tokenizer") or {}).get("add_prefix_space"):
            self.settings["add_prefix_space"] = True

    def __len__(self) -> int:
        """Returns the number of ids up to the last one that a row can have."""
        return max([*self.ids.values(), *self.frame_ids]) + 1

    @property
    def library_tokenizer(self) -> tokenizers.Tokenizer:
        """The tokenizer without truncation and padding, which must not be changed."""
        return self._plain

    @property
    def special_tokens_of_a_pair(self) -> int:
        """Number of tokens that the template puts around two texts."""
        return self._plain.num_special_tokens_to_add(True)

    @property
    def template(self) -> Template:
        """The special tokens before, between and behind the texts of a pair.

        Raises:
            UserError: the tokenizer has no token for any of ``PROBES``, so that nothing shows where the texts are.
        """
        for text in PROBES:
            pair = self._plain.encode(text, text)
            if {0, 1} <= set(pair.sequence_ids):
                return _template(pair)
        raise UserError(f"{self.source} has no token for Chinese text, Latin letters or digits. {_AGAIN}")

    @property
    def special_ids(self) -> set[int | None]:
        """Ids that stand for no text: those of the template and of the roles, and what the file calls special."""
        special = {index for index, token in self._plain.get_added_tokens_decoder().items() if token.special}
        return special | {*self.frame_ids, self.padding_id, self.mask_id, self.unknown_id}

    def truncating(self, length: int) -> tokenizers.Tokenizer:
        """Returns the tokenizer that truncates rows to ``length`` tokens, longest text first; kept for the next call.

        Each length has its own, since the library keeps the length in the tokenizer: threads may use several at once.
        """
        if length not in self._truncating:
            found = self._loaded()
            found.enable_truncation(length, stride=0, strategy="longest_first", direction=self.direction)
            self._truncating[length] = found
        return self._truncating[length]

    def encode_whole(self, rows: Sequence[tuple[str, ...]]) -> list[tokenizers.Encoding]:
        """Encodes rows of one or two texts with the template and without truncation, on all cores.

        Raises:
            UserError: the tokenizer fails on one of them.
        """
        with _refused(self.source, "cannot encode every text"):
            return self._plain.encode_batch([row if len(row) > 1 else row[0] for row in rows])

    def _loaded(self) -> tokenizers.Tokenizer:
        found = tokenizers.Tokenizer.from_buffer(self.content)
        found.no_truncation()
        found.no_padding()
        return found

    def _check_template(self, rows: list[tokenizers.Encoding]) -> None:
        """Raises UserError if rows do not begin with a special token, or have other token types than BERT's."""
        if not all(row.ids and row.special_tokens_mask[0] for row in rows):
            raise UserError(
                f"{self.source} lacks a template (post_processor) that puts a special token before a text, as [CLS] or <s>, "
                f"whose state stands for the text. {_AGAIN}"
            )
        if not all(row.special_tokens_mask[-1] and _has_separator(row) for row in rows):
            raise UserError(
                f"{self.source}: the template (post_processor) puts no special token behind every text, as [SEP] or </s>, "
                f"so that the encoder cannot see where one ends. {_AGAIN}"
            )
        if any(sorted(row.type_ids) != list(row.type_ids) or set(row.type_ids) - {0, 1} for row in rows):
            raise UserError(
                f"{self.source}: the template's token types are {_listed_types(rows)}; they must be 0, and 1 from the "
                "second text on if the encoder tells the texts apart by them."
            )
        unknown = [index for index in self.frame_ids if self._plain.id_to_token(index) is None]
        if unknown:
            raise UserError(f"{self.source}: the template (post_processor) has the ids {unknown}, which are no token's.")

    def _role_names(self, frame: list[int]) -> dict[str, str]:
        ids = {
            "cls_token": frame[0],
            "sep_token": frame[-1],
            "mask_token": self.mask_id,
            "unk_token": self.unknown_id,
            "pad_token": self.padding_id if self._plain.id_to_token(self.padding_id) in PADDING_NAMES else None,
        }
        return {role: str(self._plain.id_to_token(index)) for role, index in ids.items() if index is not None}


AnyVocabulary = Vocabulary | PublishedVocabulary
"""What an encoder's token ids stand for; both kinds have ``tokenizer``, ``sha256``, a length, and ids by role."""


class PublishedTokenizer:
    """A published tokenizer with this program's text normalization before its own."""

    def __init__(self, vocabulary: PublishedVocabulary, text_normalization: str = "none") -> None:
        """Takes a vocabulary and one of ``TEXT_NORMALIZATIONS``, which is applied before the file's own normalizer."""
        self.vocabulary = vocabulary
        self.text_normalization = text_normalization

    def encode(self, texts: tuple[str, ...], length: int) -> tokenizers.Encoding:
        """Encodes one or two texts with the template, truncated to ``length`` tokens.

        Half of a character pair (a lone surrogate, which no file can hold) becomes U+FFFD.

        Raises:
            UserError: the tokenizer fails on the texts.
        """
        given = [self.normalized(text) for text in texts]
        with _refused(self.vocabulary.source, f"cannot encode {shown(texts)}"):
            return self.vocabulary.truncating(length).encode(*given)

    def encode_text(self, text: str) -> tokenizers.Encoding:
        """Encodes a text without the template and without truncation; text and errors as in ``encode``.

        The offsets are places in ``normalized(text)``.
        """
        with _refused(self.vocabulary.source, f"cannot encode {shown(text)}"):
            return self.vocabulary.library_tokenizer.encode(self.normalized(text), add_special_tokens=False)

    def normalized(self, text: str) -> str:
        """Returns the text that the library is given: with the text normalization, and U+FFFD for lone surrogates."""
        return SURROGATE.sub("\ufffd", normalized_text(text, self.text_normalization))

    def encode_units(self, units: Sequence[str], length: int) -> tokenizers.Encoding:
        """Encodes words (or characters) one by one, with the template, cut to ``length`` tokens; errors as in ``encode``."""
        given = [self.normalized(unit) for unit in units]
        with _refused(self.vocabulary.source, f"cannot encode {shown(units)}"):
            return self.vocabulary.truncating(length).encode(given, is_pretokenized=True)


def load_published(path: str | os.PathLike[str]) -> PublishedVocabulary:
    """Reads a tokenizer.json.

    Raises:
        UserError: the file is missing, has more than ``MOST_BYTES`` bytes, is no JSON; or as in ``PublishedVocabulary``.
    """
    value = read_json(path, "tokenizer", MOST_BYTES)
    return PublishedVocabulary(Path(path).read_bytes(), value, f"tokenizer {path}")


def published_ids(path: str | os.PathLike[str]) -> dict[str, int]:
    """Returns token -> id of a tokenizer.json that no one asked for; empty if the file cannot be read."""
    with suppress(UserError, TypeError, ValueError, KeyError, IndexError):
        value = read_json(path, "tokenizer", MOST_BYTES)
        tokens = value["model"]["vocab"]
        ids = dict(tokens) if isinstance(tokens, dict) else {token: index for index, (token, _) in enumerate(tokens)}
        ids |= {token["content"]: token["id"] for token in value.get("added_tokens") or ()}
        return ids if all(type(index) is int for index in ids.values()) else {}
    return {}


def _listed_types(rows: list[tokenizers.Encoding]) -> str:
    """Returns the token types of rows as text, without repeats."""
    return ", ".join(dict.fromkeys(str(list(row.type_ids)) for row in rows))


def _special(row: tokenizers.Encoding) -> list[int]:
    return [index for index, mark in zip(row.ids, row.special_tokens_mask, strict=True) if mark]


def _template(pair: tokenizers.Encoding) -> Template:
    """Returns the special tokens before, between and behind the texts of an encoded pair."""
    first, second = (pair.sequence_ids.index(text) for text in (0, 1))
    behind_first, behind_second = (len(pair.ids) - pair.sequence_ids[::-1].index(text) for text in (0, 1))
    return Template(tuple(pair.ids[:first]), tuple(pair.ids[behind_first:second]), tuple(pair.ids[behind_second:]))


def _has_separator(row: tokenizers.Encoding) -> bool:
    """Returns whether the token before a second text, if there is one, is special."""
    return 1 not in row.sequence_ids or row.sequence_ids[row.sequence_ids.index(1) - 1] is None


def _refused_part(value: dict[str, Any]) -> str:
    """Returns a sentence about the part without which the library takes a tokenizer.json; empty if there is none."""
    for name in REMOVABLE:
        part = value.get(name)
        if isinstance(part, dict):
            with suppress(Exception):
                tokenizers.Tokenizer.from_str(json.dumps({**value, name: None}))
                return (
                    f" What it refuses is the {name} (type {shown(part.get('type'))}): only the library's own parts are "
                    "run, no code of a model's."
                )
    return ""


def _canonical_sha256(value: dict[str, Any], direction: str) -> str:
    kept = {key: part for key, part in value.items() if key not in WITHOUT_EFFECT} | {"direction": direction}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()


@contextmanager
def _refused(source: str, what: str, more: Callable[[], str] = lambda: "") -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # a panic of the library's Rust code is no Exception
        raise UserError(f"{source} {what} ({clipped(str(error))}).{more()} {_AGAIN}") from None
