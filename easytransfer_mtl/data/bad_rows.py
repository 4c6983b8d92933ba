"""What is wrong with a file's rows, told by cause: one sentence a cause, in memory that does not grow with the file."""

from dataclasses import dataclass, field
from pathlib import Path

from easytransfer_mtl.errors import UserError

RANGES_SHOWN, VALUES_SHOWN = 5, 5
SEVERAL = 3
LONGEST_BAD_LINE = 1 << 16
"""Bytes; what is longer and no row is many rows, whose line ends are lost."""


@dataclass(frozen=True)
class Problem:
    """Why a line is no row.

    Attributes:
        cause: what rows are told together by.
        reason: the whole of it for this line, without hints.
        value: what differs between rows of one cause, if that is worth showing.
        hints: what may have happened, the best guess first; of many rows only what fits all is told.
        shared_hints: the same, but by chance also true of a single row; told if it fits several rows and no other hint does.
    """

    cause: str
    reason: str
    value: str = ""
    hints: tuple[str, ...] = ()
    shared_hints: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The reason and the best guess."""
        return _with_hint(self.reason, self.hints)


def _with_hint(reason: str, hints: tuple[str, ...]) -> str:
    return f"{reason}; {hints[0]}" if hints else reason


@dataclass
class _Cause:
    """The rows of one cause: how many, the first of them, and where the first few ranges of them are."""

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
        elif len(self.ranges) <= RANGES_SHOWN:  # one more than is shown, so that a later row is never taken for the next
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


class BadRows:
    """The bad rows of one file, which are counted and not kept."""

    def __init__(self) -> None:
        self._count = 0
        self._causes: dict[str, _Cause] = {}

    def __len__(self) -> int:
        return self._count

    def add(self, path: Path, line: int, size: int, problem: Problem) -> None:
        """Counts a bad row.

        Args:
            path: the file.
            line: the row's line, from 1; lines come in order.
            size: the line's bytes.
            problem: what is wrong with it.

        Raises:
            UserError: the line is so long that it must be many rows.
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
        """Returns a sentence for each cause, in the order of their first rows."""
        return [cause.sentence() for cause in self._causes.values()]
