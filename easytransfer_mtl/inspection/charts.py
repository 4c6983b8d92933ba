"""The bar charts of a description's page."""

from collections.abc import Callable
from dataclasses import dataclass

from easytransfer_mtl.inspection.description import FileDescription, TaskDescription
from easytransfer_mtl.inspection.label_description import LabelDescription


@dataclass(frozen=True)
class Chart:
    """The bars of one file.

    Attributes:
        file: its name.
        what: what is shown.
        bars: of each bar its height, a number of rows or entities, and what it stands for.
        ends: what the axis begins with, has in its middle, and ends with.
    """

    file: str
    what: str
    bars: list[tuple[int, str]]
    ends: tuple[str, str, str]

    @property
    def highest(self) -> int:
        """Height of the highest bar, at least 1."""
        return max([1, *(height for height, _ in self.bars)])


def length_charts(item: TaskDescription) -> list[Chart]:
    """Returns a chart of each file's rows by length in characters."""
    return [_lengths(file, item.bin_width) for file in item.files]


def label_charts(item: TaskDescription) -> dict[str, list[Chart]]:
    """Returns title -> a chart of each labelled file, of what the type has: numbers, labels a row, lengths of entities."""
    unit = item.task.unit
    kinds: dict[str, Callable[[LabelDescription, str], Chart | None]] = {
        "Numbers": lambda labels, name: _numbers(labels, name, item.number_range),
        "Labels a row": _sizes,
        f"Entities by length in {unit}s": lambda labels, name: _entity_lengths(labels, name, unit),
    }
    labelled = [(file.file, file.labels) for file in item.files if file.labels is not None]
    found = {title: [chart for name, labels in labelled if (chart := make(labels, name))] for title, make in kinds.items()}
    return {title: charts for title, charts in found.items() if charts}


def _lengths(file: FileDescription, width: int) -> Chart:
    last = len(file.histogram) - 1
    bars = []
    for place, rows in enumerate(file.histogram):
        more = " and more" if place == last else f" to {width * (place + 1) - 1}" if width > 1 else ""
        bars.append((rows, f"{width * place}{more} characters: {rows:,} rows"))
    return Chart(file.file, "histogram of lengths", bars, ("0", str(width * (last + 1) // 2), f"{width * (last + 1)}+"))


def _numbers(labels: LabelDescription, name: str, bounds: tuple[float, float] | None) -> Chart | None:
    if labels.numbers is None or bounds is None:
        return None
    (least, greatest), count = bounds, len(labels.numbers.histogram)
    ends = [least + (greatest - least) * place / count for place in range(count + 1)]
    bars = [
        (rows, f"{start:.4g} to {end:.4g}: {rows:,} rows")
        for rows, start, end in zip(labels.numbers.histogram, ends, ends[1:])
    ]
    return Chart(name, "histogram of numbers", bars, (f"{least:g}", f"{(least + greatest) / 2:.4g}", f"{greatest:g}"))


def _sizes(labels: LabelDescription, name: str) -> Chart | None:
    if labels.labels_a_row is None:
        return None
    bars = [(rows, f"{_plural(size, 'label')}: {rows:,} rows") for size, rows in enumerate(labels.labels_a_row)]
    return Chart(name, "rows by number of labels", bars, ("0", "", str(len(bars) - 1) if len(bars) > 1 else ""))


def _entity_lengths(labels: LabelDescription, name: str, unit: str) -> Chart | None:
    found = labels.entity_lengths
    if found is None:
        return None
    bars = [
        (count, f"{_plural(length, unit)}{' and more' if length == len(found) else ''}: {count:,} entities")
        for length, count in enumerate(found, start=1)
    ]
    return Chart(name, "entities by length", bars, ("1", "", f"{len(found)}+"))


def _plural(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
