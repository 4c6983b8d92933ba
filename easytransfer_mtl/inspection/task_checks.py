"""Checks between the files of one task: texts and ids of one that stand in another, punctuation that differs."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from easytransfer_mtl.data.contest_files import DEV_PART, TOTAL
from easytransfer_mtl.data.official_counts import is_contest_task
from easytransfer_mtl.data.shared_texts import shared_sentence
from easytransfer_mtl.errors import listed
from easytransfer_mtl.inspection.file_checks import FileCheck
from easytransfer_mtl.inspection.file_scan import FileScan
from easytransfer_mtl.inspection.findings import NOTE, WARNING, Finding
from easytransfer_mtl.inspection.label_scan import NumberScan

TOO_DIFFERENT = 0.2
"""Difference in the shares of full-width punctuation of two files that is reported."""
TOO_KIND = 0.02
"""A dev file shares so much more with the train file than a board's file that its score forecasts the board's too well."""
FEW_SHARED = 0.01
"""Share of the dev rows with texts of the train file up to which their score hardly changes."""
SEVERAL = 3


class TaskCheck:
    """Makes the findings about the files of one task together."""

    def __init__(self, scans: Sequence[FileScan], folder: Path) -> None:
        """Takes the task's files that could be read, and the folder that their paths are given below."""
        kinds = {scan.file.kind: scan for scan in scans if scan.tally.good_rows}
        self.train = kinds.get("train") or kinds.get(TOTAL)
        self.dev = kinds.get("dev") or kinds.get(DEV_PART)
        self._tests = {kind: scan for kind, scan in kinds.items() if not scan.file.labelled}
        self._folder = folder

    def findings(self) -> Iterator[Finding]:
        """Yields what was found."""
        if self.train is None:
            return
        yield from self._train_ids(self.train)
        yield from self._widths(self.train)
        yield from self._shared(self.train)
        if self.train.file.task.second_sequence:
            yield from self._shared_firsts(self.train)
        yield from self._new_numbers(self.train)

    def _train_ids(self, train: FileScan) -> Iterator[Finding]:
        numbers = train.id_numbers
        is_whole = len(np.unique(numbers)) == np.ptp(numbers) + 1
        if is_whole or not is_contest_task(train.file.task) or (numbers < 0).any():
            return
        also = ""
        if self.dev is not None and not np.isin(self.dev.id_numbers, numbers).any():
            numbers = np.concatenate([numbers, self.dev.id_numbers[self.dev.id_numbers >= 0]])
            also = f" and in {self._name(self.dev)}"
        yield from FileCheck(train, self._folder).missing_ids(WARNING, numbers, also)

    def _widths(self, train: FileScan) -> Iterator[Finding]:
        share = train.wide_share
        for scan in [*([self.dev] if self.dev else []), *self._tests.values()]:
            other = scan.wide_share
            if share is None or other is None or abs(share - other) <= TOO_DIFFERENT:
                continue
            spots = scan.wide if other > share else scan.narrow
            message = (
                f"punctuation is full-width (，！？) in {other:.0%} of the rows that have any, but in {share:.0%} of those "
                f"of {self._name(train)}: to the model they are different characters."
            )
            advice = "Even it out with --text_normalization=nfkc at convert."
            check = FileCheck(scan, self._folder)
            yield check.finding(WARNING, "width", message, advice, spots.line, spots.count)

    def _shared(self, train: FileScan) -> Iterator[Finding]:
        boards = {kind: np.isin(scan.texts, train.texts) for kind, scan in self._tests.items()}
        dev = np.isin(self.dev.texts, train.texts) if self.dev else np.zeros(0, bool)
        if self.dev and dev.any():
            parts = [shared_sentence(train.file.task, int(dev.sum()), len(dev))]
            parts += [f"of {_called(kind)} {_of(int(found.sum()), len(found))}" for kind, found in boards.items()]
            message = "; ".join(parts)
            kind_to = [_called(kind) for kind, found in boards.items() if dev.mean() - found.mean() > TOO_KIND]
            message += f". So dev is too kind a forecast of {listed(kind_to, ' and ')}" if kind_to else ""
            advice = "Trust it less, or score on rows whose texts are new: the split command keeps equal texts together."
            level = WARNING if dev.mean() > FEW_SHARED else NOTE
            yield self._at(self.dev, level, "shared_texts", f"{message}.", advice, dev)
            return
        for kind, found in boards.items():
            if found.any():
                message = f"the texts of {_of(int(found.sum()), len(found))} rows stand in the train file too."
                yield self._at(self._tests[kind], NOTE, "shared_texts", message, "Nothing is wrong with it.", found)

    def _shared_firsts(self, train: FileScan) -> Iterator[Finding]:
        """Yields a finding if dev rows have first texts (premises) that train rows have, which makes them easier."""
        if self.dev is None:
            return
        shared = np.isin(self.dev.first_texts, train.first_texts)
        if shared.sum() < SEVERAL:
            return
        parts = [
            f"of {_called(kind)} {_of(int(np.isin(scan.first_texts, train.first_texts).sum()), len(scan.texts))}"
            for kind, scan in self._tests.items()
        ]
        message = f"the first text of {_of(int(shared.sum()), len(shared))} dev rows stands in the train file too"
        message += f"; {', '.join(parts)}" if parts else ""
        yield self._at(self.dev, NOTE, "shared_first_texts", f"{message}.", "The split command keeps them together.", shared)

    def _new_numbers(self, train: FileScan) -> Iterator[Finding]:
        if self.dev is None or not isinstance(train.labels, NumberScan) or not isinstance(self.dev.labels, NumberScan):
            return
        known, numbers = train.labels.values, self.dev.labels.values
        outside = (numbers < known.min()) | (numbers > known.max())
        if outside.any():
            message = (
                f"{_of(int(outside.sum()), len(outside))} dev rows have numbers outside {known.min():g} to {known.max():g}"
            )
            advice = "A model has seen none like them; split the rows anew if they are of one kind."
            yield self._at(self.dev, WARNING, "new_numbers", f"{message}, those of {self._name(train)}.", advice, outside)

    def _at(self, scan: FileScan, level: str, check: str, message: str, advice: str, found: np.ndarray) -> Finding:
        line = int(scan.lines[found.argmax()])
        return FileCheck(scan, self._folder).finding(level, check, message, advice, line, int(found.sum()))

    def _name(self, scan: FileScan) -> str:
        return str(scan.file.path.relative_to(self._folder))


def _called(kind: str) -> str:
    return "the test file" if kind == "test" else f"board {kind}"


def _of(part: int, rows: int) -> str:
    return f"{part:,} of {rows:,} ({part / rows:.1%})" if part else "none"
