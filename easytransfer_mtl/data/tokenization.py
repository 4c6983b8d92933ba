"""EasyTransfer's BERT tokenizer: lower-casing, per-character Chinese, WordPiece (its ``preprocessors/tokenization.py``).

Chinese characters and white space separate words before anything else looks at the text, so a text is a sequence of
independent chunks: single Chinese characters and runs of anything else. Each distinct chunk is worked out once and
remembered, which makes the exact rules as fast as a table look-up.
"""

import hashlib
import logging
import os
import re
import unicodedata
from pathlib import Path

from easytransfer_mtl.errors import UserError

CJK = (
    "\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U0002a6df\U0002a700-\U0002b73f\U0002b740-\U0002b81f\U0002b820-\U0002ceaf"
    "\uf900-\ufaff\U0002f800-\U0002fa1f"
)
CHINESE_WORD = re.compile(f"[{CJK}]{{2,}}")
MOST_WORDS = 0.05
"""Share of Chinese words among the tokens above which a vocabulary is one of words."""
SPACE = " \t\n\r\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
CHUNK = re.compile(f"[{CJK}]|[^{CJK}{SPACE}]+")
MAX_WORD_CHARACTERS = 200
MAX_REMEMBERED_CHUNKS = 500_000
TEXT_NORMALIZATIONS = ("none", "nfkc")
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
MASK_TOKEN = "[MASK]"
"""What takes a token's place in pre-training and token dropout; a vocabulary may be without it."""


class Vocabulary:
    """The tokens of a vocab.txt and their ids.

    Attributes:
        ids: token -> id.
        sha256: hash over the tokens in id order; equal for LF and CRLF copies of one file.
    """

    def __init__(self, tokens: list[str], source: str = "vocabulary") -> None:
        """Takes the tokens in id order.

        Raises:
            UserError: one of [PAD], [UNK], [CLS], [SEP] is missing.
        """
        self.ids = {token: index for index, token in enumerate(tokens)}
        missing = [token for token in SPECIAL_TOKENS if token not in self.ids]
        if missing:
            raise UserError(f"{source}: the tokens {missing} are missing; it is not a BERT vocab.txt.")
        self.sha256 = hashlib.sha256("\n".join(tokens).encode("utf-8")).hexdigest()

    def __len__(self) -> int:
        return len(self.ids)


def read_vocabulary_tokens(path: str | os.PathLike[str]) -> list[str]:
    """Reads a vocab.txt by EasyTransfer's rules.

    A token is the first piece of a line between white space, a blank line is the token ``" "``, a token seen before is
    passed over and ids stay without gaps.

    Raises:
        UserError: the file is missing or not UTF-8.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8")
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"vocabulary {path} does not exist; it is the vocab.txt that belongs to the encoder.") from None
    except UnicodeDecodeError as error:
        raise UserError(f"vocabulary {path} is not UTF-8 (byte {error.start}).") from None
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    tokens = ((line.split() or [" "])[0] for line in lines)
    return list(dict.fromkeys(tokens))


def load_vocabulary(path: str | os.PathLike[str]) -> Vocabulary:
    """Reads a vocab.txt into a ``Vocabulary``; errors as ``read_vocabulary_tokens`` and ``Vocabulary``."""
    return Vocabulary(read_vocabulary_tokens(path), f"vocabulary {path}")


def warn_of_words(vocabulary: Vocabulary, path: str | os.PathLike[str]) -> None:
    """Warns if many tokens are Chinese words, which a tokenizer that splits Chinese text into characters never finds."""
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


class Tokenizer:
    """Text to WordPiece ids, equal to EasyTransfer's ``FullTokenizer`` with ``do_lower_case=True``.

    Literal special tokens in a text ("[SEP]") are ordinary characters, as there.
    """

    def __init__(self, vocabulary: Vocabulary, text_normalization: str = "none") -> None:
        """Takes a vocabulary and a normalization of ``TEXT_NORMALIZATIONS``.

        ``nfkc`` folds full-width punctuation, letters and digits into the half-width ones before everything else.
        """
        self.vocabulary = vocabulary
        self.text_normalization = text_normalization
        self._unknown = vocabulary.ids["[UNK]"]
        self._tokens = list(vocabulary.ids)
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
        """Returns ``text`` as it is before it is cut into chunks."""
        return unicodedata.normalize("NFKC", text) if self.text_normalization == "nfkc" else text

    def chunk_ids(self, chunk: str) -> tuple[int, ...]:
        """Returns the token ids of one match of ``CHUNK`` in a normalized text; a text's ids are its chunks' joined."""
        ids = self._remembered.get(chunk)
        return self._remember(chunk) if ids is None else ids

    def tokenize(self, text: str) -> list[str]:
        """Returns the tokens of ``text``, without special tokens."""
        return [self._tokens[index] for index in self.ids(text)]

    def _remember(self, chunk: str) -> tuple[int, ...]:
        if len(self._remembered) >= MAX_REMEMBERED_CHUNKS:
            self._remembered.clear()
        ids = tuple(index for word in basic_words(chunk) for index in self._word_pieces(word))
        self._remembered[chunk] = ids
        return ids

    def _word_pieces(self, word: str) -> list[int]:
        """Greedy longest match first; a word with any part unmatched is one [UNK]."""
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
    """Splits a chunk without white space into words: clean, lower, strip accents, split at punctuation."""
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
