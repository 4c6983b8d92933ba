"""Tables of what the labels of a task's files are, for a terminal."""

from collections.abc import Sequence

from easytransfer_mtl.evaluation.tables import aligned
from easytransfer_mtl.inspection.description import TaskDescription
from easytransfer_mtl.inspection.label_description import LabelDescription, Numbers

NUMBERS = ("mean", "deviation", "least", "25%", "median", "75%", "greatest")
"""The columns of ``number_cells``."""
_Files = Sequence[tuple[str, int, LabelDescription]]


def label_tables(item: TaskDescription) -> list[str]:
    """Returns the tables of a task's labelled files, none without any."""
    files = [(file.file, file.rows, file.labels) for file in item.files if file.labels is not None]
    tables = [_shares(item, files)] if files and item.number_range is None else []
    numbers = [[name, *number_cells(labels.numbers)] for name, _, labels in files if labels.numbers]
    if numbers:
        tables.append(aligned([["numbers", *NUMBERS], *numbers]))
    sizes = [labels.labels_a_row for _, _, labels in files if labels.labels_a_row is not None]
    if sizes:
        table = [["labels a row", *(name for name, _, _ in files)]]
        for size in range(max(map(len, sizes))):
            table.append([str(size), *(f"{found[size]:,}" if size < len(found) else "0" for found in sizes)])
        tables.append(aligned(table))
    return tables + _entities(item, files)


def number_cells(found: Numbers) -> list[str]:
    """Returns the cells of a table's row."""
    values = (found.least, found.lower_quartile, found.median, found.upper_quartile, found.greatest)
    return [f"{found.mean:.4g}", f"{found.standard_deviation:.4g}", *(f"{value:g}" for value in values)]


def _shares(item: TaskDescription, files: _Files) -> str:
    table = [[item.words_of, *(column for name, _, _ in files for column in (name, "share"))]]
    for label in files[0][2].rows:
        row = [item.task.named(label)]
        for _, rows, labels in files:
            row += [f"{labels.rows[label]:,}", f"{labels.rows[label] / rows:.1%}"]
        table.append(row)
    return aligned(table)


def _entities(item: TaskDescription, files: _Files) -> list[str]:
    table = [["entities", "number", f"mean {item.task.unit}s", "longest"]]
    for name, _, labels in files:
        for kind, found in (labels.entities or {}).items():
            table.append([f"{name}, {kind}", f"{found.count:,}", f"{found.mean_length:.1f}", f"{found.longest:,}"])
    return [aligned(table)] if len(table) > 1 else []
