"""EasyTransfer's BERT tokenizer: lower-casing, per-character Chinese, WordPiece (its ``preprocessors/tokenization.py``).

Chinese characters and white space separate words before any other rule applies, so a text is a sequence of independent
chunks: single Chinese characters and runs of other characters. The ids of each distinct chunk are computed once and cached,
which makes the exact rules as fast as a table look-up.
"""

import hashlib
import io
import logging
import os
import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from easytransfer_mtl.errors import UserError, shown
from easytransfer_mtl.files import placeholder

CJK = (
    "\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U0002a6df\U0002a700-\U0002b73f\U0002b740-\U0002b81f\U0002b820-\U0002ceaf"
    "\uf900-\ufaff\U0002f800-\U0002fa1f"
)
CJK_CHARACTER = re.compile(f"[{CJK}]")
CHINESE_WORD = re.compile(f"[{CJK}]{{2,}}")
MOST_WORDS = 0.05
"""A vocabulary with a larger share of Chinese words among its tokens is taken for a word-based one."""
SPACE = " \t\n\r\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
CHUNK = re.compile(f"[{CJK}]|[^{CJK}{SPACE}]+")
MAX_WORD_CHARACTERS = 200
MAX_REMEMBERED_CHUNKS = 500_000
TEXT_NORMALIZATIONS = ("none", "nfkc")
VOCABULARY_RULES = LINES, EASYTRANSFER = "lines", "easytransfer"
RULE_NAMES = {LINES: "line numbers", EASYTRANSFER: "EasyTransfer's rule"}
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
TOKENIZERS = WORDPIECE, PUBLISHED = "easytransfer", "published"
"""Who makes the ids: EasyTransfer's WordPiece over a vocab.txt, or the encoder's tokenizer.json."""
MASK_TOKEN = "[MASK]"
"""Replaces tokens in pre-training and token dropout; a vocabulary may lack it."""
MOST_BYTES = 16 << 20
"""Largest vocab.txt that is read; the largest published ones have 5 MB."""


class Template(NamedTuple):
    """Ids of the special tokens of a row: ``before`` a ``after``, or ``before`` a ``between`` b ``after``."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]


class Vocabulary:
    """The tokens of a vocab.txt and their ids.

    Attributes:
        tokens: token of each id. A token that occurs twice has the id of its last occurrence, as in transformers.
        ids: token -> id.
        rule: one of ``VOCABULARY_RULES``: how the ids follow from the file that the tokens were first read from.
        sha256: hash of the ids of all tokens that can occur in a text; equal for files, and rules, that give the same ids.
        frame_ids: ids of [CLS] and [SEP].
        mask_id: id of [MASK], or None.
        unknown_id: id of [UNK].
        padding_id: 0, with which EasyTransfer filled rows up.
        has_types: True: the two texts of a pair have different token types.
    """

    tokenizer, padding_id, has_types = WORDPIECE, 0, True

    def __init__(self, tokens: Sequence[str], source: str = "vocabulary", rule: str = LINES) -> None:
        """Takes the tokens in id order.

        Raises:
            UserError: one of [PAD], [UNK], [CLS], [SEP] is missing.
        """
        self.tokens, self.rule = tuple(tokens), rule
        self.ids = {token: index for index, token in enumerate(tokens)}
        missing = [token for token in SPECIAL_TOKENS if token not in self.ids]
        if missing:
            spaced = next((token for token in tokens if token.split()[:1] and token.split()[0] in missing), None)
            hint = f" A line is {shown(spaced)}; it must be the token and nothing else." if spaced else ""
            raise UserError(f"{source}: the tokens {missing} are missing; it is not a BERT vocab.txt.{hint}")
        self.frame_ids = (self.ids["[CLS]"], self.ids["[SEP]"])
        self.mask_id, self.unknown_id = self.ids.get(MASK_TOKEN), self.ids["[UNK]"]
        self._found = found_ids(tokens)
        self.sha256 = hashlib.sha256("\n".join(self._identity()).encode("utf-8")).hexdigest()

    def __len__(self) -> int:
        """Returns the number of ids up to the last one that a token of a text can have."""
        return max(self._found.values()) + 1

    @property
    def template(self) -> Template:
        """[CLS] before the texts, [SEP] between and behind them."""
        cls, sep = self.frame_ids
        return Template((cls,), (sep,), (sep,))

    @property
    def special_ids(self) -> set[int | None]:
        """Ids that stand for no text: those of [PAD], [UNK], [CLS], [SEP] and [MASK]."""
        return {self.ids.get(token) for token in (*SPECIAL_TOKENS, MASK_TOKEN)}

    @property
    def is_read_alike(self) -> bool:
        """Whether a file with these tokens as lines gives the same ids by every rule."""
        return found_ids(easytransfer_tokens(self.tokens)) == self._found

    def _identity(self) -> list[str]:
        """Returns what is hashed: where the rules agree, EasyTransfer's tokens, as in earlier versions."""
        if self.is_read_alike:
            return easytransfer_tokens(self.tokens)
        return [token if self._found.get(token) == index else "" for index, token in enumerate(self.tokens[: len(self)])]


def found_ids(tokens: Sequence[str]) -> dict[str, int]:
    """Returns the ids of the tokens that can occur in a text.

    Such tokens hold no white space, which separates words, and are more than the mark ``##`` of later word pieces, which is
    what EasyTransfer made of bert-base-chinese's ``##\\u2028``.
    """
    return {token: index for index, token in enumerate(tokens) if token.split() == [token] and token != "##"}


def easytransfer_tokens(lines: Sequence[str]) -> list[str]:
    """Returns a vocabulary's tokens by EasyTransfer's rule.

    A token is the first part of a line between white space, and a blank line is the token ``" "``. Repeated tokens are
    skipped, and ids have no gaps.
    """
    return list(dict.fromkeys((line.split() or [" "])[0] for line in lines))


def read_vocabulary_tokens(path: str | os.PathLike[str], rule: str = LINES) -> list[str]:
    """Reads the tokens of a vocab.txt in id order; ignores a byte order mark at the start.

    Args:
        path: the file.
        rule: ``lines``, as in transformers (``load_vocab`` of its BertTokenizer): every line is a token, including its white
            space; or ``easytransfer``, see ``easytransfer_tokens``.

    Raises:
        UserError: the file is missing, too large or not UTF-8.
    """
    try:
        with open(path, "rb") as stream:
            data = stream.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise UserError(f"vocabulary {path} is too large: at most {MOST_BYTES:,} bytes are read.")
        if found := placeholder(data):
            raise UserError(f"vocabulary {path} is {found[0]}, not a vocab.txt; {found[1]}.")
        text = data.decode("utf-8-sig")
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"vocabulary {path} does not exist; it is the vocab.txt that belongs to the encoder.") from None
    except OSError as error:
        raise UserError(f"vocabulary {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise UserError(f"vocabulary {path} is not UTF-8 (byte {error.start}).") from None
    if rule == EASYTRANSFER:
        return easytransfer_tokens(text.removesuffix("\n").split("\n") if text else [])
    return [line.removesuffix("\n") for line in io.StringIO(text, newline=None)]


def load_vocabulary(path: str | os.PathLike[str], rule: str = LINES) -> Vocabulary:
    """Reads a vocab.txt into a ``Vocabulary``; arguments and errors as in ``read_vocabulary_tokens`` and ``Vocabulary``."""
    return Vocabulary(read_vocabulary_tokens(path, rule), f"vocabulary {path}", rule)


def warn_of_words(vocabulary: Vocabulary, path: str | os.PathLike[str]) -> None:
    """Warns if many tokens are Chinese words, which a tokenizer that splits Chinese text into characters never produces."""
    words = sum(CHINESE_WORD.fullmatch(token) is not None for token in vocabulary.ids)
    if words > MOST_WORDS * len(vocabulary):
        logging.warning(
            "vocabulary %s: %d of its %d tokens are Chinese words. Texts are split into characters, as in BERT, so none "
            "of these is ever used. Models that split into words first (RoFormer's other than roformer_chinese_char_*, "
            "WoBERT) lose much by it; take one of characters.",
            path,
            words,
            len(vocabulary),
        )


def normalized_text(text: str, how: str) -> str:
    """Returns a text with one of ``TEXT_NORMALIZATIONS`` applied."""
    return unicodedata.normalize("NFKC", text) if how == "nfkc" else text


class Tokenizer:
    """Converts text to WordPiece ids, equal to EasyTransfer's ``FullTokenizer`` with ``do_lower_case=True``.

    Literal special tokens in a text ("[SEP]") are ordinary characters, as in EasyTransfer.
    """

    def __init__(self, vocabulary: Vocabulary, text_normalization: str = "none") -> None:
        """Takes a vocabulary and one of ``TEXT_NORMALIZATIONS``.

        ``nfkc`` converts full-width punctuation, letters and digits to half-width ones before all other rules.
        """
        self.vocabulary = vocabulary
        self.text_normalization = text_normalization
        self._unknown = vocabulary.unknown_id
        self._remembered: dict[str, tuple[int, ...]] = {}

    def ids(self, text: str) -> list[int]:
        """Returns the token ids of ``text``, without special tokens."""
        text = self.normalized(text)
        remembered = self._remembered
        result: list[int] = []
        for chunk in CHUNK.findall(text):
            ids = remembered.get(chunk)
            if ids is None:
                ids = self._remember(chunk)
            result += ids
        return result

    def normalized(self, text: str) -> str:
        """Returns ``text`` with the text normalization applied."""
        return normalized_text(text, self.text_normalization)

    def chunk_ids(self, chunk: str) -> tuple[int, ...]:
        """Returns the token ids of one match of ``CHUNK`` in a normalized text; a text's ids are those of its chunks."""
        ids = self._remembered.get(chunk)
        return self._remember(chunk) if ids is None else ids

    def tokenize(self, text: str) -> list[str]:
        """Returns the tokens of ``text``, without special tokens."""
        return [self.vocabulary.tokens[index] for index in self.ids(text)]

    def _remember(self, chunk: str) -> tuple[int, ...]:
        if len(self._remembered) >= MAX_REMEMBERED_CHUNKS:
            self._remembered.clear()
        ids = tuple(index for word in basic_words(chunk) for index in self._word_pieces(word))
        self._remembered[chunk] = ids
        return ids

    def _word_pieces(self, word: str) -> list[int]:
        """Splits greedily, longest match first; a word with an unmatched part becomes one [UNK]."""
        if len(word) > MAX_WORD_CHARACTERS:
            return [self._unknown]
        table = self.vocabulary.ids
        pieces: list[int] = []
        start = 0
        while start < len(word):
            for end in range(len(word), start, -1):
                piece = table.get(("##" if start else "") + word[start:end])
                if piece is not None:
                    break
            else:
                return [self._unknown]
            pieces.append(piece)
            start = end
        return pieces


def basic_words(chunk: str) -> list[str]:
    """Splits a chunk without white space into words: clean, lower-case, strip accents, split at punctuation."""
    cleaned = "".join(char for char in chunk if not _is_dropped(char)).lower()
    plain = "".join(char for char in unicodedata.normalize("NFD", cleaned) if unicodedata.category(char) != "Mn")
    spaced = "".join(f" {char} " if _is_punctuation(char) else char for char in plain)
    return spaced.split()


def _is_dropped(char: str) -> bool:
    return char in "\x00\ufffd" or unicodedata.category(char) in ("Cc", "Cf")


def _is_punctuation(char: str) -> bool:
    code = ord(char)
    ascii_symbol = 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126
    return ascii_symbol or unicodedata.category(char).startswith("P")
