"""Says what is wrong with one line of a contest file, and what may have happened."""

from easytransfer_mtl.data.bad_rows import Problem
from easytransfer_mtl.data.wrong_files import decodes
from easytransfer_mtl.errors import listed, shown
from easytransfer_mtl.tasks import CONTEST_TASKS, Task

ID_NAMES = ("id", "idx", "index")
SEPARATORS = {",": "commas", ";": "semicolons", "|": "bars", "  ": "spaces", "\\t": "backslashes and t"}
BYTES_SHOWN = 4
AROUND_LABELS = " \t\v\f\u3000\xa0\"'"


def encoding_problem(line: bytes, place: int) -> Problem:
    """Says that a line is not UTF-8 from the byte ``place``, counted from 0."""
    found = line[place : place + BYTES_SHOWN]
    hints = ("is it GBK or GB18030?",) if decodes(line, "gb18030") else ()
    return Problem("encoding", f"byte {place + 1} of the line is not UTF-8 (found {found!r})", shared_hints=hints)


def header_problem(fields: list[str], columns: tuple[str, ...], task: Task, labelled: bool) -> Problem | None:
    """Says that a file's first line is a header, if it looks like one."""
    names = [value.strip().lower() for value in fields]
    heads_column = names[0] in (*ID_NAMES, task.id_column.lower()) and len(names) > 1
    if not heads_column and names != [column.lower() for column in columns]:
        if not labelled or fields[-1] != task.label_name:
            return None
    what = f"label {shown(fields[-1])}" if labelled else f"id {shown(fields[0])}"
    return Problem("header", f"{what} looks like a header's: pass --header if the first line is one")


def column_problem(fields: list[str], columns: tuple[str, ...], task: Task, labelled: bool) -> Problem:
    """Says that a line has another number of columns; no fields are an empty line."""
    if not fields:
        return Problem("empty line", f"the line is empty; expected {len(columns)} columns")
    text = fields[0] if len(fields) == 1 else ""
    hints = [f"are they separated by {name}?" for mark, name in SEPARATORS.items() if text.count(mark) >= len(columns) - 1]
    if labelled and len(fields) == len(task.unlabelled_columns):
        hints.append("is it a file without labels?")
    if not labelled and len(fields) == len(task.columns):
        hints.append("is it a file with labels?")
    if any("\0" in value for value in fields):
        hints.insert(0, "the line has NUL bytes: was the file cut off while it was written?")
    reason = f"found {len(fields)} columns, expected {len(columns)} ({listed(columns)}) separated by tabs"
    return Problem("columns", reason, f"{len(fields)} columns", tuple(hints))


def label_problem(label: str, values: dict[str, str], task: Task) -> Problem:
    """Says that a row's label, one of its values by column, is none of the task's."""
    labels = task.label_enumerate_values
    allowed = listed(labels, ",")
    if label == "":
        return Problem("no label", f"the label is missing; allowed: {allowed}", shared_hints=_other_columns(values, task))
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
    return tuple(
        f"column {place} ({name}) holds such labels: are the columns in another order?"
        for place, (name, value) in enumerate(values.items(), start=1)
        if name != task.label_name and value in task.label_enumerate_values
    )
