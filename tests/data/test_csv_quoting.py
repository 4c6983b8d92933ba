"""How a CSV reader sees a file, compared with Python's own."""

import csv
from pathlib import Path

import pytest

from easytransfer_mtl.data.csv_quoting import read_quoting


def quoting(folder: Path, *lines: str) -> tuple[int, int, int, int, int]:
    path = folder / "file.csv"
    path.write_text("".join(f"{line}\r\n" for line in lines), encoding="utf-8", newline="")
    found = read_quoting(path)
    with open(path, encoding="utf-8", newline="") as stream:
        assert found.records == sum(1 for _ in csv.reader(stream, delimiter="\t")) == len(lines) - found.merged
    return found.records, found.merged, found.written, found.swallowing, found.plain


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("0\ta\tx", "1\tb\tx"), (2, 0, 0, 0, 0)),
        (
            ('0\the "said" so\tx', '1\t"b"\tx'),
            (2, 0, 0, 0, 2),
        ),  # no writer leaves quotes inside bare, nor adds needless ones
        (('0\t"a\tx', '1\tb "c"\tx'), (1, 1, 0, 0, 1)),
        (('0\t"a\tx', '1\tb"\tx'), (1, 1, 1, 1, 0)),
        (('0\t"he ""said"" so"\tx', "1\tb\tx"), (2, 0, 1, 0, 0)),
        (('"0"\t"a"\t"x"', '"1"\t"b"\t"x"'), (2, 0, 2, 0, 0)),  # a writer that quotes everything
    ],
)
def test_records_and_who_wrote_them(tmp_path: Path, lines: tuple[str, ...], expected: tuple[int, ...]) -> None:
    assert quoting(tmp_path, *lines) == expected


def test_a_quote_that_is_never_closed(tmp_path: Path) -> None:
    (tmp_path / "file.csv").write_text("0\ta\tx\n" + '1\t"b\tx\n' + "2\tc\tx\n" * 50_000, encoding="utf-8")
    found = read_quoting(tmp_path / "file.csv")
    assert (found.endless, found.records, found.is_rewritten) == (2, 1, False)
