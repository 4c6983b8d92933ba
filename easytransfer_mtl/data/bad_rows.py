"""Collects a file's bad rows by cause, one sentence per cause, in memory that does not grow with the file."""

from dataclasses import dataclass, field
from pathlib import Path

from easytransfer_mtl.data.wrong_files import decodes
from easytransfer_mtl.errors import UserError, listed, shown
from easytransfer_mtl.tasks import CONTEST_TASKS, LABEL_SEPARATOR, MULTI_LABEL, SCORE, TAG, TAGS, Task

RANGES_SHOWN, VALUES_SHOWN = 5, 5
SEVERAL = 3
LONGEST_BAD_LINE = 1 << 16
"""In bytes; a longer bad line is taken for many rows whose line ends are lost."""


@dataclass(frozen=True)
class Problem:
    """Why a line is not a valid row.

    Attributes:
        cause: key by which bad rows are grouped.
        reason: full explanation for this line, without hints.
        value: the part that differs between rows of one cause; empty if it is not worth showing.
        hints: possible explanations, the most likely first; for many rows only those that fit all of them are shown.
        shared_hints: hints that may fit a single row by chance; shown if they fit ``SEVERAL`` rows or more and no other hint
            does.
    """

    cause: str
    reason: str
    value: str = ""
    hints: tuple[str, ...] = ()
    shared_hints: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The reason, followed by the most likely hint."""
        return _with_hint(self.reason, self.hints)


def _with_hint(reason: str, hints: tuple[str, ...]) -> str:
    return f"{reason}; {hints[0]}" if hints else reason


@dataclass
class _Cause:
    """The bad rows of one cause: their number, the first of them, and the first few line ranges."""

    first: Problem
    hints: tuple[str, ...]
    shared_hints: tuple[str, ...]
    rows: int = 0
    ranges: list[list[int]] = field(default_factory=list)
    values: dict[str, None] = field(default_factory=dict)
    more_values: bool = False

    def add(self, line: int, problem: Problem) -> None:
        self.rows += 1
        self.hints = tuple(hint for hint in self.hints if hint in problem.hints)
        self.shared_hints = tuple(hint for hint in self.shared_hints if hint in problem.shared_hints)
        if self.ranges and self.ranges[-1][1] == line - 1:
            self.ranges[-1][1] = line
        elif len(self.ranges) <= RANGES_SHOWN:  # one more than is shown
            self.ranges.append([line, line])
        if len(self.values) < VALUES_SHOWN:
            self.values[problem.value] = None
        elif problem.value not in self.values:
            self.more_values = True

    def sentence(self) -> str:
        hints = self.hints + (self.shared_hints if self.rows >= SEVERAL else ())
        text = f"{self._lines()}: {_with_hint(self.first.reason, hints)}"
        others = [value for value in self.values if value != self.first.value]
        if not others:
            return text
        return f"{text}; also found: {', '.join(others)}{' and more' if self.more_values else ''}"

    def _lines(self) -> str:
        shown = self.ranges[:RANGES_SHOWN]
        parts = [str(start) if start == end else f"{start}-{end}" for start, end in shown]
        hidden = self.rows - sum(end - start + 1 for start, end in shown)
        if hidden:
            parts.append(f"{hidden:,} more")
        if self.rows == 1:
            return f"line {parts[0]}"
        lines = f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]
        return f"lines {lines} ({self.rows:,} rows), such as line {shown[0][0]}"


@dataclass(frozen=True)
class BadCause:
    """The bad rows of one cause.

    Attributes:
        cause: see ``Problem``.
        rows: number of the rows.
        first_line: line of the first of them, from 1.
        sentence: lines, reason and values.
    """

    cause: str
    rows: int
    first_line: int
    sentence: str


class BadRows:
    """Counts the bad rows of one file without keeping them."""

    def __init__(self) -> None:
        self._count = 0
        self._causes: dict[str, _Cause] = {}

    def __len__(self) -> int:
        return self._count

    def add(self, path: Path, line: int, size: int, problem: Problem) -> None:
        """Counts a bad row.

        Args:
            path: the file.
            line: number of the row's line, from 1; lines must come in ascending order.
            size: length of the line in bytes.
            problem: what is wrong with the row.

        Raises:
            UserError: the line is longer than ``LONGEST_BAD_LINE``, so it must be many rows.
        """
        if size > LONGEST_BAD_LINE:
            raise UserError(
                f"{path}: line {line} has {size:,} bytes and is no row ({problem.sentence}). Line ends are lost there, or "
                "the file is damaged; get it again."
            )
        self._count += 1
        cause = self._causes.setdefault(problem.cause, _Cause(problem, problem.hints, problem.shared_hints))
        cause.add(line, problem)

    def sentences(self) -> list[str]:
        """Returns one sentence per cause, in the order of the causes' first rows."""
        return [cause.sentence for cause in self.causes()]

    def causes(self) -> list[BadCause]:
        """Returns what was found, one item per cause, in the order of the causes' first rows."""
        return [BadCause(name, cause.rows, cause.ranges[0][0], cause.sentence()) for name, cause in self._causes.items()]


ID_NAMES = ("id", "idx", "index")
SEPARATORS = {",": "commas", ";": "semicolons", "|": "bars", "  ": "spaces", "\\t": "backslashes and t"}
BYTES_SHOWN = 4
AROUND_LABELS = " \t\v\f\u3000\xa0\"'"


def encoding_problem(line: bytes, place: int, encoding: str = "utf-8") -> Problem:
    """Returns the problem of a line that is not in an encoding at byte ``place``, counted from 0."""
    found = line[place : place + BYTES_SHOWN]
    hints = ("is it GBK or GB18030?",) if encoding == "utf-8" and decodes(line, "gb18030") else ()
    return Problem(
        "encoding", f"byte {place + 1} of the line is not {encoding.upper()} (found {found!r})", shared_hints=hints
    )


def header_problem(fields: list[str], columns: tuple[str, ...], task: Task, labelled: bool) -> Problem | None:
    """Returns the problem of a file's first line if it looks like a header, else None."""
    names = [value.strip().lower() for value in fields]
    heads_column = names[0] in (*ID_NAMES, task.id_column.lower()) and len(names) > 1
    if not heads_column and names != [column.lower() for column in columns]:
        if not labelled or fields[-1] != task.label_name:
            return None
    what = f"label {shown(fields[-1])}" if labelled else f"id {shown(fields[0])}"
    return Problem("header", f"{what} looks like a header's: pass --header if the first line is one")


def column_problem(fields: list[str], columns: tuple[str, ...], task: Task, labelled: bool) -> Problem:
    """Returns the problem of a line with a wrong number of columns; empty ``fields`` mean an empty line."""
    if not fields:
        return Problem("empty line", f"the line is empty; expected {len(columns)} columns")
    text = fields[0] if len(fields) == 1 else ""
    hints = [f"are they separated by {name}?" for mark, name in SEPARATORS.items() if text.count(mark) >= len(columns) - 1]
    if labelled and len(fields) == len(task.unlabelled_columns):
        hints.append("is it a file without labels?")
    if not labelled and len(fields) == len(task.columns):
        hints.append("is it a file with labels?")
    if len(fields) > len(columns) and set(fields[len(columns) - 1 : -1]) & set(task.label_enumerate_values):
        hints.append("are several rows on one line, as a CSV reader that heeds quotes merges them?")
    if any("\0" in value for value in fields):
        hints.insert(0, "the line has NUL bytes: was the file cut off while it was written?")
    reason = f"found {len(fields)} columns, expected {len(columns)} ({listed(columns)}) separated by tabs"
    return Problem("columns", reason, f"{len(fields)} columns", tuple(hints))


def label_problem(label: str, values: dict[str, str], task: Task) -> Problem:
    """Returns the problem of a row whose label is not one of the task's; ``values`` is column -> value."""
    labels, allowed = task.label_enumerate_values, task.allowed_labels
    if label == "":
        return Problem("no label", f"the label is missing; allowed: {allowed}", shared_hints=_other_columns(values, task))
    if task.type == SCORE:
        return Problem("label", f"{shown(label)} is no label; allowed: {allowed}", shown(label))
    if task.type == TAGS:
        unknown = [tag for tag in label.split() if not (TAG.fullmatch(tag) if task.learns_labels else tag in labels)]
        return Problem("label", f"unknown tag {shown(unknown[0])}; allowed: {allowed}", shown(unknown[0]))
    if task.type == MULTI_LABEL:
        given = label.split(LABEL_SEPARATOR)
        unknown = [part for part in given if part not in labels and not task.learns_labels]
        what = f"unknown label {shown(unknown[0])}" if unknown else f"a label twice in {shown(label)}"
        about = ("labels are compared exactly: upper and lower case, white space and quotes count",) if unknown else ()
        return Problem("label", f"{what}; allowed: {allowed}", shown(label), about)
    near = [known for known in labels if known.lower() == label.strip(AROUND_LABELS).lower()]
    hints = []
    if near:
        hints.append(f"did you mean {shown(near[0])} (labels are compared exactly)?")
        hints.append("labels are compared exactly: upper and lower case, white space and quotes count")
    elif label.isascii() and label.isdigit() and int(label[:9]) < len(labels):
        hints.append("are these label ids (places in the list, from 0)? Write the labels themselves")
    hints += [
        f"{other.name} has such labels: is it the file of another task?"
        for other in CONTEST_TASKS
        if other.label_enumerate_values != labels and label in other.label_enumerate_values
    ]
    reason = f"unknown label {shown(label)}; allowed: {allowed}"
    return Problem("label", reason, shown(label), tuple(hints), _other_columns(values, task))


def _other_columns(values: dict[str, str], task: Task) -> tuple[str, ...]:
    if not task.columns:
        return tuple(
            f"column {shown(name)} holds such labels: is it the label_name?"
            for name, value in values.items()
            if name != task.label_name and value in task.label_enumerate_values
        )
    return tuple(
        f"column {place} ({name}) holds such labels: are the columns in another order?"
        for place, (name, value) in enumerate(values.items(), start=1)
        if name != task.label_name and value and task.is_label(value)
    )
