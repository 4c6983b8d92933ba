"""What is counted in one file."""

from pathlib import Path

from easytransfer_mtl.data.contest_files import ContestFile
from easytransfer_mtl.inspection import file_scan
from easytransfer_mtl.inspection.file_scan import FileScan, scan_file
from easytransfer_mtl.tasks import OCEMOTION, OCNLI, Task


def scan(folder: Path, content: bytes, task: Task = OCEMOTION) -> FileScan:
    (folder / "file.csv").write_bytes(content)
    return scan_file(ContestFile("train", task, folder / "file.csv"))


def test_line_ends_over_the_borders_of_blocks(tmp_path: Path) -> None:
    line = b"0\ta\tlike\r\n"
    content = line * (file_scan.BLOCK // len(line) + 2)
    content = content[: file_scan.BLOCK - 1] + b"\r\n" + b"0\ta\rb\tlike\n"
    assert content[file_scan.BLOCK - 1 : file_scan.BLOCK + 1] == b"\r\n"
    ends = scan(tmp_path, content).line_ends
    assert (ends.crlf, ends.lf) == (content.count(b"\r\n"), 1)
    assert (ends.lone_cr.count, ends.lone_cr.line) == (1, ends.crlf + 1)
    assert ends.name == "mixed"


def test_lines_ids_labels_and_equal_texts(tmp_path: Path) -> None:
    found = scan(tmp_path, "7\tＡ b\tlike\n\nx\ta  B\tanger\n".encode())
    assert found.lines.tolist() == [1, 3] and found.id_numbers.tolist() == [7, file_scan.NO_NUMBER]
    assert found.labels.counts == {"like": 1, "anger": 1} and found.texts[0] == found.texts[1]
    assert (found.rows, len(found.tally.bad_rows)) == (3, 1)


def test_first_texts_of_pairs(tmp_path: Path) -> None:
    found = scan(tmp_path, b"0\ta\tb\t1\n1\ta\tc\t1\n", OCNLI)
    assert found.first_texts[0] == found.first_texts[1] and found.texts[0] != found.texts[1]


def test_only_ids_that_are_missing_are_looked_for_in_texts(tmp_path: Path) -> None:
    inside = "like 1 b anger 2 c"
    assert scan(tmp_path, f"0\t{inside}\tlike\n3\td\tlike\n".encode()).swallowed.count == 2
    assert scan(tmp_path, f"0\t{inside}\tlike\n1\td\tlike\n".encode()).swallowed.count == 0


def test_a_file_that_is_gone_is_a_problem_of_its_own(tmp_path: Path) -> None:
    found = scan_file(ContestFile("train", OCEMOTION, tmp_path / "gone.csv"))
    assert found.problem == (f"{tmp_path / 'gone.csv'}: No such file or directory.", "")
