"""Checks of one contest file."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from easytransfer_mtl.data.contest_files import AUTO_BOARDS, NAMES, TOTAL
from easytransfer_mtl.data.official_counts import BOARD_ROWS, TRAIN_ROWS, first_id, is_contest_task
from easytransfer_mtl.errors import listed
from easytransfer_mtl.inspection.file_scan import NO_NUMBER, FileScan
from easytransfer_mtl.inspection.findings import ERROR, NOTE, WARNING, Finding, Spots
from easytransfer_mtl.inspection.label_checks import label_findings
from easytransfer_mtl.tasks import SCORE, TAGS

AS_PUBLISHED = (
    "Get the file again from the contest's page; in your own code read it with sep='\\t', header=None, "
    "quoting=csv.QUOTE_NONE."
)
FEW = 0.001
"""Share of rows with lost characters up to which the file is as good as any."""
BOARDS = tuple(kind for kind in AUTO_BOARDS if kind != "test")
"""Kinds of files that the contest published without labels; a file called test may be anyone's."""


class FileCheck:
    """Makes the findings about one file."""

    def __init__(self, scan: FileScan, folder: Path) -> None:
        """Takes the file and the folder that its path is given below."""
        self.scan, self.task, self.kind = scan, scan.file.task, scan.file.kind
        self._name = str(scan.file.path.relative_to(folder))
        self._called = {SCORE: "numbers", TAGS: "entities"}.get(self.task.type, "labels")
        self._is_train = self.kind in ("train", TOTAL)
        self._is_official = is_contest_task(self.task) and (self._is_train or self.kind in BOARDS)

    def finding(self, level: str, check: str, message: str, advice: str, line: int | None = None, count: int = 0) -> Finding:
        """Returns a finding about this file."""
        return Finding(level, check, message, advice, self.task.name, self._name, line, count)

    def findings(self) -> Iterator[Finding]:
        """Yields what was found, the gravest causes first."""
        if self.scan.problem:
            yield self.finding(ERROR, "unreadable", *self.scan.problem)
            return
        yield from self._bad_rows()
        if not self.scan.tally.good_rows:
            yield self.finding(ERROR, "no_rows", "the file has no good row.", "Get the file again.")
            return
        yield from self._merged()
        yield from self._counts()
        yield from self._ids()
        yield from self._bytes()
        yield from self._texts()
        yield from self._repeated()
        if self.scan.file.labelled:
            yield from label_findings(self.scan.labels, self.scan.lines, self._is_train, self.finding)

    def _bad_rows(self) -> Iterator[Finding]:
        for cause in self.scan.tally.bad_rows.causes():
            reason = cause.sentence.partition(": ")[2]
            reason += "" if reason.endswith("?") else "."
            advice = "Or remove the line." if cause.cause == "header" else "Correct the file."
            if cause.cause == "encoding":
                advice = "Get the file again, or convert it from the encoding that it has."
            yield self.finding(
                ERROR,
                cause.cause.replace(" ", "_"),
                reason,
                advice,
                cause.first_line,
                cause.rows,
            )

    def _merged(self) -> Iterator[Finding]:
        found, swallowed = self.scan.quoting, self.scan.swallowed
        if swallowed.count:
            message = (
                "a text holds the rows that should follow it, label, id and all: a CSV reader that heeds quotes merged them "
                "before the file was saved."
            )
            yield self.finding(ERROR, "merged_rows", message, AS_PUBLISHED, swallowed.line, swallowed.count)
        if found is None:
            return
        if found.is_rewritten and found.swallowing:
            message = (
                "a quoted field holds tabs or line ends: the file was saved by a program that quotes (pandas, Excel), after "
                "it had merged rows into one text at their quotes."
            )
            yield self.finding(ERROR, "merged_rows", message, AS_PUBLISHED, found.first_swallowing, found.swallowing)
        elif found.is_rewritten:
            message = (
                "a field stands in quotes, with the quotes inside doubled: the file was saved by a program that quotes "
                "(pandas, Excel), and here these quotes are part of the text."
            )
            yield self.finding(WARNING, "quoted_fields", message, AS_PUBLISHED, found.first_written, found.written)
        elif (found.merged or found.endless) and not self.scan.tally.bad_rows:
            reads = f"reads {found.records:,} records where {found.records + found.merged:,} lines stand"
            if found.endless:
                reads = f"takes the quote on line {found.endless:,} for one that never ends"
            yield self.finding(
                NOTE,
                "quotes",
                f"the file is good, but a CSV reader that heeds quotes {reads}.",
                "This program reads it line by line; in your own code pass quoting=csv.QUOTE_NONE.",
                found.first_merged or found.endless,
                found.merged,
            )

    def _counts(self) -> Iterator[Finding]:
        if not self._is_official:
            return
        rows = self.scan.rows
        if self._is_train:
            official = TRAIN_ROWS[self.task.name]
            if rows in official:
                return
            message = f"{rows:,} rows; the official file has {official[0]:,} (train1128) or {official[1]:,} (before it)."
            level, advice = (NOTE, "It is a part of it, or of other data.")
            if 2 * rows > official[1]:
                level, advice = WARNING, "If it should be the whole file: rows are missing or added; get it again."
            yield self.finding(level, "rows", message, advice)
        elif rows != BOARD_ROWS:
            message = f"{rows:,} rows; the official file has {BOARD_ROWS:,}, and a submission must have one for each."
            yield self.finding(ERROR, "rows", message, "Get the file again.")

    def _ids(self) -> Iterator[Finding]:
        scan, numbers, unlabelled = self.scan, self.scan.id_numbers, not self.scan.file.labelled
        repeated = repeats(scan.id_hashes)
        if len(repeated):
            message = "the id stands in an earlier row too."
            advice = "Give every row its own id; predict and submit refuse the file."
            if not unlabelled:
                advice = "Look whether the file holds rows twice; training does not read ids."
            yield self._at(ERROR if unlabelled else WARNING, "repeated_ids", message, advice, repeated)
        if not len(numbers) or not is_contest_task(self.task):
            return
        strange = np.flatnonzero(numbers == NO_NUMBER)
        if len(strange):
            message = "the id is no whole number; the official files count from 0."
            yield self._at(WARNING, "odd_ids", message, "Look whether the first column is the id.", strange)
            return
        backwards = 1 + np.flatnonzero(np.diff(numbers) < 0)
        if len(backwards):
            message = "the id is smaller than the one before: the rows are not in the official order."
            advice = "Sort it by id, as the official file is." if unlabelled else "Fine for a shuffled file."
            yield self._at(WARNING if unlabelled else NOTE, "id_order", message, advice, backwards)
        if not self._is_official:
            return
        expected, least = first_id(self.task, self.kind), int(numbers.min())
        if least == expected + 1:
            message = (
                f"the first id is {least}, and id {expected} is missing: read_csv without header=None took the first row "
                "for a header."
            )
            line = int(scan.lines[0])
            yield self.finding(ERROR if unlabelled else WARNING, "header_eaten", message, AS_PUBLISHED, line, 1)
        elif unlabelled and least != expected:
            message = f"the smallest id is {least}; the official file begins with {expected}."
            advice = "Leave the ids as they are in the official file; submissions are matched by them."
            yield self.finding(ERROR, "first_id", message, advice, int(scan.lines[numbers.argmin()]), 1)
        if unlabelled:
            yield from self.missing_ids(ERROR, numbers)

    def missing_ids(self, level: str, numbers: np.ndarray, also: str = "") -> Iterator[Finding]:
        """Yields a finding if numbers between the smallest and the largest id are missing, but for those of bad rows.

        Args:
            level: of the finding.
            numbers: the ids, int64; those of another file may be among them.
            also: how to name that file, after "in this file".
        """
        unique = np.unique(numbers)
        gaps = np.diff(unique) - 1
        missing = int(gaps.sum())
        if missing <= len(self.scan.tally.bad_rows) + self.scan.swallowed.count:
            return
        before = int(unique[np.flatnonzero(gaps)[0]])
        where = np.flatnonzero(self.scan.id_numbers == before)
        line = int(self.scan.lines[where[0]]) if len(where) else None
        message = f"ids between {unique[0]} and {unique[-1]} are missing in this file{also}, the first after {before}."
        yield self.finding(level, "missing_ids", message, "If it should be the whole file, get it again.", line, missing)

    def _bytes(self) -> Iterator[Finding]:
        scan, ends = self.scan, self.scan.line_ends
        if scan.has_bom:
            message = "the file begins with a byte order mark (BOM), so it was saved by another program."
            advice = "It is passed over here; elsewhere it becomes a part of the first id."
            yield self.finding(NOTE, "bom", message, advice, 1, 1)
        if ends.lone_cr.count:
            message = "a CR stands inside a line: it is dropped here, but pandas and Excel end a row at it."
            yield self._spots(WARNING, "lone_cr", message, "Remove it from the file.", ends.lone_cr)
        if ends.name == "mixed":
            message = f"{ends.crlf:,} lines end with CRLF, {ends.lf:,} with LF: a part was edited or appended."
            yield self.finding(NOTE, "line_ends", message, "Nothing is lost here; look at what was changed.")

    def _texts(self) -> Iterator[Finding]:
        scan = self.scan
        yield from self._if_any(WARNING, "empty_text", "a text is empty.", "Look at these rows.", scan.empty)
        message = "a text holds U+FFFD, which stands where a character could not be decoded: it is lost."
        level = WARNING if scan.replaced.count > FEW * scan.rows else NOTE
        yield from self._if_any(level, "lost_characters", message, "If there are many, get the file again.", scan.replaced)
        message = "a text holds a control character."
        yield from self._if_any(NOTE, "control_characters", message, "BERT's tokenizer drops it.", scan.control)

    def _repeated(self) -> Iterator[Finding]:
        scan, text = self.scan, "pair of texts" if self.task.second_sequence else "text"
        repeated = repeats(scan.texts)
        if not len(repeated):
            return
        message = f"the {text} stands in an earlier row too (width and case aside)."
        advice = "Keep them in one part when you split: the split command does." if scan.file.labelled else "Nothing to do."
        yield self._at(NOTE, "repeated_texts", message, advice, repeated)
        if not scan.file.labelled:
            return
        _, groups = np.unique(scan.texts, return_inverse=True)
        least, most = (np.full(groups.max() + 1, bound) for bound in (np.iinfo(np.int64).max, np.iinfo(np.int64).min))
        np.minimum.at(least, groups, scan.label_keys)
        np.maximum.at(most, groups, scan.label_keys)
        unsure = np.flatnonzero((least != most)[groups])
        if len(unsure):
            texts = int((least != most).sum())
            pair = scan.lines[groups == groups[unsure[0]]][:2]
            message = (
                f"equal texts have different {self._called} (different texts: {texts:,}), such as those of lines "
                f"{pair[0]:,} and {pair[1]:,}."
            )
            advice = "No model gets all of them right; correct or leave out those that you can judge."
            yield self._at(WARNING, "conflicting_labels", message, advice, unsure)

    def _if_any(self, level: str, check: str, message: str, advice: str, spots: Spots) -> Iterator[Finding]:
        if spots.count:
            yield self._spots(level, check, message, advice, spots)

    def _spots(self, level: str, check: str, message: str, advice: str, spots: Spots) -> Finding:
        return self.finding(level, check, message, advice, spots.line, spots.count)

    def _at(self, level: str, check: str, message: str, advice: str, rows: np.ndarray) -> Finding:
        """Returns a finding about rows, given by their places."""
        return self.finding(level, check, message, advice, int(self.scan.lines[rows[0]]), len(rows))


def repeats(values: np.ndarray) -> np.ndarray:
    """Returns the places, ascending, of values that occur at an earlier place too."""
    _, first = np.unique(values, return_index=True)
    later = np.ones(len(values), bool)
    later[first] = False
    return np.flatnonzero(later)


def names_looked_for(kinds: tuple[str, ...] = tuple(NAMES)) -> str:
    """Returns examples of the names under which files are found, for messages."""
    return listed([name.format(task="<TASK>") for kind in kinds for name in NAMES[kind]])
