"""Collects the findings of a check, with a limit for each kind, and reports them all at once."""

from dataclasses import dataclass

MAX_OF_A_KIND = 5


@dataclass(frozen=True)
class CheckReport:
    """The result of checking a submission.

    Attributes:
        source: the archive or folder that was checked.
        errors: problems that would cost the score.
        warnings: problems that deserve a look.
    """

    source: str
    errors: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no error; warnings are allowed."""
        return not self.errors


class Findings:
    """Collects errors and warnings; for each kind in each place it keeps the first ``MAX_OF_A_KIND`` and counts the rest."""

    def __init__(self) -> None:
        self._errors: dict[tuple[str, str], list[str]] = {}
        self._warnings: dict[tuple[str, str], list[str]] = {}
        self._counts: dict[tuple[str, str], int] = {}

    def error(self, where: str, kind: str, message: str) -> None:
        """Adds an error of the given kind, found in the file ``where``."""
        self._add(self._errors, (where, kind), message)

    def warning(self, where: str, kind: str, message: str) -> None:
        """Adds a warning of the given kind, found in the file ``where``."""
        self._add(self._warnings, (where, kind), message)

    def report(self, source: str) -> CheckReport:
        """Returns all findings, in the order of their kinds' first ones, as the report on ``source``."""
        return CheckReport(source, self._messages(self._errors), self._messages(self._warnings))

    def _add(self, messages: dict[tuple[str, str], list[str]], key: tuple[str, str], message: str) -> None:
        kept = messages.setdefault(key, [])
        self._counts[key] = self._counts.get(key, 0) + 1
        if len(kept) < MAX_OF_A_KIND:
            kept.append(f"{key[0]}: {message}")

    def _messages(self, messages: dict[tuple[str, str], list[str]]) -> tuple[str, ...]:
        result: list[str] = []
        for key, kept in messages.items():
            result += kept
            if self._counts[key] > len(kept):
                result.append(f"{key[0]}: and {self._counts[key] - len(kept)} more ({key[1]}).")
        return tuple(result)


def report_text(report: CheckReport) -> str:
    """Returns the verdict, then one line for each error and warning."""
    verdict = "ready to submit" if report.ok else "not ready to submit"
    lines = [f"{report.source}: {verdict} (errors: {len(report.errors)}, warnings: {len(report.warnings)})"]
    lines += [f"error: {message}" for message in report.errors]
    lines += [f"warning: {message}" for message in report.warnings]
    return "\n".join(lines) + "\n"
