"""A dev part from the end of a train file, bytes as they are."""

from pathlib import Path

import pytest

from easytransfer_mtl.data.splitting import split_tail
from easytransfer_mtl.errors import UserError


def source(folder: Path, content: bytes) -> Path:
    path = folder / "TNEWS_train.csv"
    path.write_bytes(content)
    return path


def rows(count: int) -> bytes:
    return b"".join(b"%d\ttext\t115\n" % number for number in range(count))


def test_the_tail_is_dev_and_nothing_is_lost(tmp_path: Path) -> None:
    train, dev = split_tail(source(tmp_path, rows(20)), 0.1, tmp_path / "split")
    assert (train.name, dev.name) == ("TNEWS_train_train_part.csv", "TNEWS_train_dev_part.csv")
    assert dev.read_bytes() == b"18\ttext\t115\n19\ttext\t115\n"
    assert train.read_bytes() + dev.read_bytes() == rows(20)


@pytest.mark.parametrize(
    ("count", "share", "expected"), [(2, 0.9, 1), (2, 0.01, 1), (10, 0.25, 2), (100, 0.333, 33), (3, 0.999, 2)]
)
def test_both_parts_get_at_least_one_row(tmp_path: Path, count: int, share: float, expected: int) -> None:
    train, dev = split_tail(source(tmp_path, rows(count)), share, tmp_path)
    assert dev.read_bytes().count(b"\n") == expected
    assert train.read_bytes().count(b"\n") == count - expected


def test_lines_keep_their_bytes(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf0\ta\rb\t115\r\n1\t\xff\t115\r\n\r\n3\td\t115\r\n"
    train, dev = split_tail(source(tmp_path, content), 0.5, tmp_path)
    assert train.read_bytes() + dev.read_bytes() == content
    assert dev.read_bytes() == b"\r\n3\td\t115\r\n"


def test_a_missing_last_line_end_is_added(tmp_path: Path) -> None:
    train, dev = split_tail(source(tmp_path, b"0\ta\t115\n1\tb\t115"), 0.5, tmp_path)
    assert (train.read_bytes(), dev.read_bytes()) == (b"0\ta\t115\n", b"1\tb\t115\n")


def test_a_header_goes_to_both_parts(tmp_path: Path) -> None:
    train, dev = split_tail(source(tmp_path, b"idx\tsentence1\tlabel\n" + rows(4)), 0.5, tmp_path, header=True)
    assert train.read_bytes() == b"idx\tsentence1\tlabel\n0\ttext\t115\n1\ttext\t115\n"
    assert dev.read_bytes() == b"idx\tsentence1\tlabel\n2\ttext\t115\n3\ttext\t115\n"


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 2.0, float("nan")])
def test_refused_shares(tmp_path: Path, share: float) -> None:
    with pytest.raises(UserError, match="dev_share is"):
        split_tail(source(tmp_path, rows(4)), share, tmp_path / "split")
    assert not (tmp_path / "split").exists()


@pytest.mark.parametrize(("content", "header"), [(b"", False), (rows(1), False), (rows(2), True)])
def test_too_few_rows(tmp_path: Path, content: bytes, header: bool) -> None:
    with pytest.raises(UserError, match="too few to split"):
        split_tail(source(tmp_path, content), 0.5, tmp_path, header)
