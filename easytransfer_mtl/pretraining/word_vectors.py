"""Static word vectors (word2vec, fastText, text format) as initial token embeddings."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from easytransfer_mtl.data.tokenization import Vocabulary
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.seeding import generator

LONGEST_LINE = 1 << 20
LARGEST_WIDTH = 16_384
BAD_LINES_SHOWN = 20
MOST_DIGITS = 12


@dataclass(frozen=True)
class WordVectors:
    """The vectors of tokens.

    Attributes:
        source: their origin, for the log.
        ids: int64 [N], the token ids.
        values: float32 [N, D].
    """

    source: str
    ids: np.ndarray
    values: np.ndarray

    def rows(self, width: int, stddev: float, seed: int) -> np.ndarray:
        """Returns embedding rows of the tokens, float32 [N, width], with mean 0 and the given standard deviation.

        Wider vectors are projected on their first principal components; narrower ones are mapped into the wider space by a
        random rotation, which preserves their inner products.

        Args:
            width: width of the embeddings.
            stddev: standard deviation of the initializer.
            seed: the run's seed.
        """
        values = self.values.astype(np.float64)
        values -= values.mean(axis=0)
        if values.shape[1] > width:
            _, axes = np.linalg.eigh(values.T @ values)
            values = values @ axes[:, ::-1][:, :width]
        elif values.shape[1] < width:
            rotation, _ = np.linalg.qr(generator(seed, "word vectors").standard_normal((width, values.shape[1])))
            values = values @ rotation.T
        return (values * (stddev / values.std())).astype(np.float32)


def read_word_vectors(path: str | os.PathLike[str], vocabulary: Vocabulary) -> WordVectors:
    """Reads the vectors of a vocabulary's tokens; other lines are skipped, and only a token's first line counts.

    Args:
        path: UTF-8 text with a token and its numbers per line, separated by spaces; the first line may be their count and
            width.
        vocabulary: the encoder's vocabulary.

    Raises:
        UserError: the file cannot be read, has no vectors for the vocabulary, or has bad lines, which the message lists.
    """
    tokens = {token.encode("utf-8"): index for token, index in vocabulary.ids.items()}
    found: dict[int, np.ndarray] = {}
    bad: list[str] = []
    width = 0
    for number, fields in _lines(Path(path), tokens):
        if not width:
            width = _width(fields, path)
            if _is_header(fields):
                continue
        index = tokens.get(b" ".join(fields[:-width]))
        if len(fields) <= width:
            bad.append(f"line {number}: {len(fields) - 1} numbers instead of {width}")
        elif index is not None and index not in found:
            values = _numbers(fields[-width:])
            if values is None:
                bad.append(f"line {number}: not every value is a finite number")
            else:
                found[index] = values
    if bad:
        more = [f"  and {len(bad) - BAD_LINES_SHOWN} more"] if len(bad) > BAD_LINES_SHOWN else []
        lines = "\n".join([f"  {line}" for line in bad[:BAD_LINES_SHOWN]] + more)
        raise UserError(f"word_vectors {path} has {len(bad)} bad lines:\n{lines}\nCorrect or remove them.")
    values = np.array(list(found.values()), np.float32)
    if len(found) < 2 or not (values != values[0]).any():
        raise UserError(
            f"word_vectors {path} has {len(found)} vectors of tokens of the vocabulary, which is too few, or they are all "
            "the same. It needs single characters and WordPiece tokens as they stand in vocab.txt."
        )
    return WordVectors(str(path), np.array(list(found), np.int64), values)


def _lines(path: Path, tokens: dict[bytes, int]) -> Iterator[tuple[int, list[bytes]]]:
    """Yields number and fields of the first line and of the lines that begin with a token."""
    try:
        with open(path, "rb") as stream:
            number = 0
            while line := stream.readline(LONGEST_LINE):
                number += 1
                if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                    raise UserError(
                        f"word_vectors {path}: line {number} is longer than {LONGEST_LINE} bytes; is it a text file?"
                    )
                first = line.split(None, 1)[:1]
                if number == 1 or (first and first[0] in tokens):
                    yield number, line.split()
    except OSError as error:
        raise UserError(f"word_vectors {path} cannot be read: {error.strerror}.") from None


def _width(fields: list[bytes], path: str | os.PathLike[str]) -> int:
    """Returns how many numbers each line has, according to the first line."""
    width = int(fields[1]) if _is_header(fields) else len(fields) - 1
    if not 1 <= width <= LARGEST_WIDTH:
        raise UserError(
            f"word_vectors {path}: the first line declares vectors of {width} numbers; expected 1 to {LARGEST_WIDTH}. The "
            "format is text: a token and its numbers a line, separated by spaces."
        )
    return width


def _is_header(fields: list[bytes]) -> bool:
    return len(fields) == 2 and all(field.isdigit() and len(field) < MOST_DIGITS for field in fields)


def _numbers(fields: list[bytes]) -> np.ndarray | None:
    """Returns a line's numbers as float32, an eighth of the memory of Python's; None if one is not finite."""
    try:
        with np.errstate(over="ignore"):
            values = np.array([float(field) for field in fields], np.float32)
    except ValueError:
        return None
    return values if np.isfinite(values).all() else None
