"""Findings about data files: what, where, how often, and what to do."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

LEVELS = ERROR, WARNING, NOTE = "error", "warning", "note"
"""Rows are lost or refused; scores suffer or mislead; good to know."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        level: one of ``LEVELS``.
        check: short name of what was checked, for programs; does not change.
        message: what was found, a sentence.
        advice: what to do, a sentence.
        task: name of the task, or None.
        file: path below the checked folder, or None if it concerns no single file.
        line: first line concerned, from 1, or None if it concerns the file as a whole.
        count: how often it was found; 0 if it concerns the file as a whole.
    """

    level: str
    check: str
    message: str
    advice: str
    task: str | None = None
    file: str | None = None
    line: int | None = None
    count: int = 0

    def text(self) -> str:
        """Returns the finding as one line."""
        where = self.file or self.task or ""
        if self.line is not None:
            where += f", line {self.line:,}" + (f" ({self.count:,} in all)" if self.count > 1 else "")
        return f"{self.level}: {where}{': ' if where else ''}{self.message} {self.advice}".rstrip()

    def to_json(self) -> dict[str, Any]:
        """Returns the attributes as a JSON object."""
        return asdict(self)


@dataclass
class Spots:
    """How often something occurs in a file, and the first line with it."""

    count: int = 0
    line: int | None = None

    def add(self, line: int, count: int = 1) -> None:
        """Counts an occurrence."""
        self.count += count
        self.line = self.line or line


def count_by_level(findings: Sequence[Finding]) -> dict[str, int]:
    """Returns level -> number of findings."""
    return {level: sum(finding.level == level for finding in findings) for level in LEVELS}


def summary_line(source: str, findings: Sequence[Finding]) -> str:
    """Returns how many findings of each level there are."""
    counts = count_by_level(findings)
    parts = [f"{count} {level}{'' if count == 1 else 's'}" for level, count in counts.items()]
    return f"{source}: {', '.join(parts)}"
