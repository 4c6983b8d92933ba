"""Reads one contest file once and keeps what checks need: numbers, not texts."""

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from easytransfer_mtl.config.sections import SEQUENCE_LENGTH
from easytransfer_mtl.data.contest_files import ContestFile
from easytransfer_mtl.data.csv_quoting import QUOTE, Quoting, read_quoting
from easytransfer_mtl.data.encodings import BOM, LONGEST_LINE, UTF_16
from easytransfer_mtl.data.rows import Row
from easytransfer_mtl.data.shared_texts import comparable_texts
from easytransfer_mtl.data.table_form import CONTEST, TableForm
from easytransfer_mtl.data.table_reader import TableTally, stream_rows
from easytransfer_mtl.data.wrong_files import table_problem, text_problem
from easytransfer_mtl.errors import UserError, problem_of
from easytransfer_mtl.files import naming
from easytransfer_mtl.inspection.findings import Spots
from easytransfer_mtl.inspection.label_scan import LabelScan, label_scan
from easytransfer_mtl.tasks import CLASSIFY

BLOCK = 1 << 20
NO_NUMBER = -1
LONGEST_ID = 18
"""Digits of an id that is taken for a number."""
WIDE, NARROW = re.compile("[！（），：；？]"), re.compile(r"[!(),:;?]")
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
REPLACEMENT = "\ufffd"
"""Stands where a program could not decode a character."""


@dataclass
class LineEnds:
    """Numbers of line ends, and the first line with a CR that ends no line for this program."""

    crlf: int = 0
    lf: int = 0
    lone_cr: Spots = field(default_factory=Spots)

    @property
    def name(self) -> str:
        """CRLF, LF, mixed or none."""
        return "mixed" if self.crlf and self.lf else "CRLF" if self.crlf else "LF" if self.lf else "none"


@dataclass
class FileScan:
    """What a contest file holds; the arrays have one value for each of its N good rows.

    Attributes:
        file: the file.
        tally: its counts and bad rows.
        labels: what the rows' labels are.
        problem: why the file cannot be read to its end, and what to do; None if it can.
        size: in bytes.
        has_bom: whether it begins with a byte order mark.
        line_ends: its line ends.
        quoting: how a CSV reader sees it; None without a quote in it.
        lines: int64 [N], line numbers from 1.
        id_hashes: int64 [N].
        id_numbers: int64 [N], ids as numbers, ``NO_NUMBER`` for others.
        label_keys: int64 [N], equal where labels are equal; -1 without labels.
        texts: int64 [N], hashes of comparable texts.
        first_texts: int64 [N], the same of the first text of a pair; the same array as ``texts`` without pairs.
        wide: rows with full-width punctuation.
        narrow: rows with the same punctuation in half width.
        empty, replaced, control: rows with an empty text, a replacement character, a control character.
        swallowed: rows whose text holds the rows whose ids are missing after it.
    """

    file: ContestFile
    tally: TableTally
    labels: LabelScan
    problem: tuple[str, str] | None = None
    size: int = 0
    has_bom: bool = False
    line_ends: LineEnds = field(default_factory=LineEnds)
    quoting: Quoting | None = None
    lines: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    id_hashes: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    id_numbers: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    label_keys: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    texts: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    first_texts: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    wide: Spots = field(default_factory=Spots)
    narrow: Spots = field(default_factory=Spots)
    empty: Spots = field(default_factory=Spots)
    replaced: Spots = field(default_factory=Spots)
    control: Spots = field(default_factory=Spots)
    swallowed: Spots = field(default_factory=Spots)

    @property
    def rows(self) -> int:
        """Good and bad rows."""
        return self.tally.good_rows + len(self.tally.bad_rows)

    @property
    def wide_share(self) -> float | None:
        """Share of full-width punctuation: of the rows that have any, or None if too few have."""
        total = self.wide.count + self.narrow.count
        return self.wide.count / total if total >= FEWEST_PUNCTUATED else None


FEWEST_PUNCTUATED = 10


def scan_file(file: ContestFile, header: bool = False, sequence_length: int = SEQUENCE_LENGTH) -> FileScan:
    """Reads a file; what makes it unreadable becomes the scan's ``problem``."""
    tally = TableTally(file.path, file.task, file.labelled, header)
    scan = FileScan(file, tally, label_scan(file.task, sequence_length))
    try:
        scan.size = file.path.stat().st_size
        if not scan.size:
            scan.problem = ("the file is empty (0 bytes).", "Get the file again.")
        else:
            _read(scan, scan.tally.table_form())
    except UserError as error:  # a line is too long to be one, or the table lacks a column
        where = str(file.path)
        what, _, advice = str(error).removeprefix(f"{where}: ").removeprefix(f"{where}, ").rpartition(". ")
        scan.problem = (f"{what}.", advice)
    except OSError as error:
        scan.problem = (str(problem_of(error)), "")
    return scan


def _read(scan: FileScan, form: TableForm) -> None:
    path, is_contest = scan.file.path, form.format == CONTEST
    if is_contest:
        found, what = text_problem(path, len(scan.tally.columns), form.encoding), "tab separated UTF-8 text"
    else:
        found, what = table_problem(path, form.encoding), "UTF-8 text"
    if found:
        scan.problem = (f"the file is {found[0]}, not {what}.", f"{_capital(found[1])}.")
        return
    has_quotes = form.encoding != UTF_16 and _read_bytes(path, scan, is_contest)
    _read_rows(scan)
    if has_quotes and is_contest:
        scan.quoting = read_quoting(path, form.encoding)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _read_bytes(path: Path, scan: FileScan, is_contest: bool) -> bool:
    """Counts line ends; returns whether the file has a quote. A CR inside a line means something in the contest's format."""
    ends, crs, lfs, before, has_quotes = scan.line_ends, 0, 0, b"", False
    with naming(path), open(path, "rb") as stream:
        while block := stream.read(BLOCK):
            scan.has_bom |= not before and block.startswith(BOM)
            ends.crlf += block.count(b"\r\n") + (before.endswith(b"\r") and block.startswith(b"\n"))
            crs, lfs = crs + block.count(b"\r"), lfs + block.count(b"\n")
            has_quotes = has_quotes or QUOTE in block
            before = block
        ends.lf = lfs - ends.crlf
        if is_contest and crs > ends.crlf:
            stream.seek(0)
            for number, line in enumerate(iter(lambda: stream.readline(LONGEST_LINE), b""), 1):
                if inside := line.removesuffix(b"\n").removesuffix(b"\r").count(b"\r"):
                    ends.lone_cr.add(number, inside)
    return has_quotes


def _read_rows(scan: FileScan) -> None:
    columns: dict[str, array[int]] = {name: array("q") for name in ("lines", "ids", "numbers", "texts", "firsts")}
    tally, task = scan.tally, scan.file.task
    is_pair, has_one_label = task.second_sequence is not None, task.type == CLASSIFY
    swallowed_row = re.compile(rf"(?:{'|'.join(map(re.escape, task.label_enumerate_values))})\s*(\d{{1,{LONGEST_ID}}})\s")
    before: Row | None = None
    last = NO_NUMBER
    for row in stream_rows(tally):
        number = int(row.row_id) if row.row_id.isascii() and row.row_id.isdigit() and len(row.row_id) <= LONGEST_ID else -1
        texts = comparable_texts(row.texts)
        if (
            has_one_label
            and before
            and number > last + 1 > 0
            and any(str(last + 1) in swallowed_row.findall(text) for text in before.texts)
        ):
            scan.swallowed.add(columns["lines"][-1], number - last - 1)
        columns["lines"].append(tally.line)
        columns["ids"].append(hash(row.row_id))
        columns["numbers"].append(number)
        scan.labels.add(row, tally.line)
        columns["texts"].append(hash(texts))
        if is_pair:
            columns["firsts"].append(hash(texts[:1]))
        _look_at(row.texts, tally.line, scan)
        before, last = row, number
    arrays = {name: np.array(values, np.int64) for name, values in columns.items()}
    scan.lines, scan.id_hashes, scan.id_numbers = arrays["lines"], arrays["ids"], arrays["numbers"]
    scan.label_keys, scan.texts = np.array(scan.labels.keys, np.int64), arrays["texts"]
    scan.first_texts = arrays["firsts"] if is_pair else scan.texts


def _look_at(texts: Sequence[str], line: int, scan: FileScan) -> None:
    text = "\t".join(texts)
    if WIDE.search(text):
        scan.wide.add(line)
    elif NARROW.search(text):
        scan.narrow.add(line)
    if "" in texts:
        scan.empty.add(line)
    if REPLACEMENT in text:
        scan.replaced.add(line)
    if CONTROL.search(text):
        scan.control.add(line)
