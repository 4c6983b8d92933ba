"""Word vectors: both text formats, bad lines named, and rows that keep what the vectors say."""

from pathlib import Path

import numpy as np
import pytest

from easytransfer_mtl.data.tokenization import Vocabulary
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.pretraining.word_vectors import WordVectors, read_word_vectors

VOCABULARY = Vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "天", "地", "人", "ab"])


def read(tmp_path: Path, text: str | bytes) -> WordVectors:
    path = tmp_path / "vectors.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return read_word_vectors(path, VOCABULARY)


@pytest.mark.parametrize("header", ["", "4 3\n"])
@pytest.mark.parametrize("end", ["\n", " \n", "\r\n"])
def test_tokens_of_the_vocabulary_are_read(header: str, end: str, tmp_path: Path) -> None:
    found = read(tmp_path, header + end.join(["天 1 2 3", "别的 9 9 9", "ab 4 5e-1 -6", "天 7 7 7", "天 地 0 0 0", ""]))
    assert found.ids.tolist() == [5, 8]
    assert found.values.tolist() == [[1, 2, 3], [4, 0.5, -6]] and found.values.dtype == np.float32


def test_bad_lines_are_named_all_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        read(tmp_path, "天 1 2 3\n地 1 2\n人 1 x 3\nab 1 nan 3\n别 1\n地 1 1e39 3\n")
    message = str(error.value)
    assert "4 bad lines" in message
    assert "line 2: 2 numbers instead of 3" in message
    assert "line 3: not every value is a finite number" in message and "line 4: not every" in message
    assert "line 6: not every" in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "0 vectors"),
        ("别 1 2\n", "0 vectors"),
        ("天 1 2\n", "1 vectors"),
        ("天 1 1\n地 1 1\n人 1 1", "3 vectors"),
        ("天\n地 1\n", "vectors of 0 numbers"),
        ("7 99999999\n", "vectors of 99999999 numbers"),
        (b"\x00" * (1 << 21), "line 1 is longer than"),
    ],
    ids=["empty", "others only", "one", "all the same", "no numbers", "too wide", "no text"],
)
def test_a_file_of_no_use_is_an_error(content: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        read(tmp_path, content)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_word_vectors(tmp_path / "none", VOCABULARY)


def vectors(count: int, width: int) -> WordVectors:
    return WordVectors("x", np.arange(count), np.random.default_rng(1).normal(3.0, 2.0, (count, width)))


@pytest.mark.parametrize("width", [4, 6, 10])
def test_rows_have_the_initializers_spread_and_repeat(width: int) -> None:
    rows = vectors(50, 6).rows(width, 0.02, 5)
    assert rows.shape == (50, width) and rows.dtype == np.float32
    assert rows.std() == pytest.approx(0.02, rel=1e-5) and abs(rows.mean(axis=0)).max() < 1e-6
    np.testing.assert_array_equal(rows, vectors(50, 6).rows(width, 0.02, 5))


@pytest.mark.parametrize("width", [6, 10])
def test_a_width_that_has_room_keeps_all_inner_products(width: int) -> None:
    source = vectors(50, 6)
    centred = source.values - source.values.mean(axis=0)
    rows = source.rows(width, 0.02, 5).astype(float)
    products, expected = rows @ rows.T, centred @ centred.T
    np.testing.assert_allclose(products / products[0, 0], expected / expected[0, 0], rtol=1e-3, atol=1e-4)


def test_a_smaller_width_keeps_the_principal_components() -> None:
    random = np.random.default_rng(1)
    values = random.normal(size=(200, 2)) @ random.normal(size=(2, 6)) + 1e-6 * random.normal(size=(200, 6))
    rows = WordVectors("x", np.arange(200), values).rows(2, 1.0, 5).astype(float)
    centred = values - values.mean(axis=0)
    products, expected = rows @ rows.T, centred @ centred.T
    np.testing.assert_allclose(products / products[0, 0], expected / expected[0, 0], rtol=1e-3, atol=1e-3)
