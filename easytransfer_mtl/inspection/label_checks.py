"""Makes the findings about the labels of a file, by the task's type."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from easytransfer_mtl.errors import listed
from easytransfer_mtl.inspection.findings import NOTE, WARNING, Finding
from easytransfer_mtl.inspection.label_scan import SPECIAL_TOKENS, LabelScan, NumberScan, SetScan, TagScan
from easytransfer_mtl.tasks import OUTSIDE

SHOWN = 8
FAR_OUT = 3.0
"""Numbers further from the quartiles than as many times the distance between the quartiles are outliers (Tukey 1977)."""

MakeFinding = Callable[..., Finding]


def label_findings(scan: LabelScan, lines: np.ndarray, is_train: bool, finding: MakeFinding) -> Iterator[Finding]:
    """Yields what was found.

    Args:
        scan: the labels of a file with labels and at least one row.
        lines: the line of each row, int [N].
        is_train: whether labels that no row has are worth a finding.
        finding: makes a finding about the file, see ``FileCheck.finding``.
    """
    if isinstance(scan, SetScan):
        yield from _of_sets(scan, len(lines), finding)
    elif isinstance(scan, NumberScan):
        yield from _of_numbers(scan, lines, finding)
    elif isinstance(scan, TagScan):
        yield from _of_tags(scan, len(lines), finding)
    counts = scan.tags if isinstance(scan, TagScan) else scan.counts
    never = [label for label in scan.task.label_enumerate_values if not counts[label]]
    if is_train and never:
        what = "tag" if isinstance(scan, TagScan) else "label"
        message = f"no row has the {what} {listed(never)}."
        yield finding(WARNING, "unused_labels", message, "It cannot be learned; its F1 will be 0.")


def _of_sets(scan: SetScan, rows: int, finding: MakeFinding) -> Iterator[Finding]:
    labels = sum(scan.counts.values())
    of_labels = _counted({scan.task.named(name): scan.counts[name] for name in scan.task.label_enumerate_values}, rows)
    of_sets = _counted({" + ".join(found) or "none": count for found, count in scan.sets.items()}, rows)
    message = (
        f"{labels / rows:.2f} labels a row, at most {max(map(len, scan.sets))}; rows by label: {of_labels}; "
        f"{len(scan.sets):,} different sets: {of_sets}."
    )
    yield finding(NOTE, "label_counts", message, "")
    always = [name for name in scan.task.label_enumerate_values if scan.counts[name] == rows]
    if always and rows > 1:
        message = f"every row has the label {listed(always)}."
        yield finding(WARNING, "constant_labels", message, "There is nothing to tell apart; its AUC is left out.")


def _of_numbers(scan: NumberScan, lines: np.ndarray, finding: MakeFinding) -> Iterator[Finding]:
    numbers = scan.values
    lower, median, upper = (float(value) for value in np.percentile(numbers, [25, 50, 75]))
    if numbers.min() == numbers.max():
        message = f"all {len(numbers):,} numbers are {median:g}."
        if len(numbers) > 1:
            yield finding(WARNING, "constant_numbers", message, "There is nothing to learn; a correlation with them is 0.")
        return
    message = (
        f"{len(np.unique(numbers)):,} different numbers from {numbers.min():g} to {numbers.max():g}, mean "
        f"{numbers.mean():.4g}, standard deviation {numbers.std():.4g}, quartiles {lower:.4g}, {median:.4g} and {upper:.4g}."
    )
    yield finding(NOTE, "numbers", message, "")
    reach = FAR_OUT * (upper - lower)
    far = np.flatnonzero((numbers < lower - reach) | (numbers > upper + reach))
    if reach and len(far):
        some = listed([f"{number:g}" for number in np.unique(numbers[far])[:SHOWN]])
        message = (
            f"the number is further from the quartiles than {FAR_OUT:g} times the distance between them, such as {some}: "
            "such rows dominate a squared error."
        )
        advice = 'Look whether they are right; the task\'s "range" makes wrong ones bad rows.'
        yield finding(WARNING, "outliers", message, advice, int(lines[far[0]]), len(far))


def _of_tags(scan: TagScan, rows: int, finding: MakeFinding) -> Iterator[Finding]:
    entities = sum(scan.counts.values())
    of_kinds = _counted({kind: scan.counts[kind] for kind in scan.task.entity_kinds}, entities)
    message = (
        f"{entities:,} entities in {scan.rows[OUTSIDE]:,} of {rows:,} rows: {of_kinds}; the longest text has "
        f"{scan.longest:,} {scan.task.unit}s, white space aside."
    )
    yield finding(NOTE, "entities", message, "")
    if scan.ill_formed.count:
        cases = Counter({f"{tag} after {OUTSIDE} or at the beginning": count for tag, count in scan.after_outside.items()})
        cases.update({f"{tag} after {before}": count for (before, tag), count in scan.after_other.items()})
        message = f"an I- tag follows no tag of its kind: {_counted(cases)}."
        advice = "It is counted as the beginning of an entity; write B- where it is one."
        yield finding(WARNING, "ill_formed_tags", message, advice, scan.ill_formed.line, scan.ill_formed.count)
    if scan.too_long.count:
        room = scan.sequence_length - SPECIAL_TOKENS
        message = (
            f"the text has more {scan.task.unit}s than the {room:,} that --sequence_length={scan.sequence_length} has room "
            f"for: {_share(scan.tags_cut, sum(scan.tags.values()))} tags or more are behind the cut, not trained and "
            f"predicted as {OUTSIDE}."
        )
        advice = "Convert with a longer --sequence_length, or cut the texts into sentences."
        yield finding(WARNING, "long_texts", message, advice, scan.too_long.line, scan.too_long.count)


def _counted(counts: Any, total: int = 0) -> str:
    """Returns the most frequent things with their counts, and shares of ``total`` unless it is 0."""
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    parts = [f"{name} {_share(count, total)}" for name, count in ranked[:SHOWN]]
    return ", ".join(parts) + (f" and {len(ranked) - SHOWN:,} more" if len(ranked) > SHOWN else "")


def _share(count: int, total: int) -> str:
    return f"{count:,} ({count / total:.1%})" if total else f"{count:,}"
