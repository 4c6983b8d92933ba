"""Rows of tab separated lines without a header, as EasyTransfer read them: quotes are ordinary characters."""

import logging
from collections.abc import Iterator
from pathlib import Path

from easytransfer_mtl.data.bad_rows import Problem, column_problem, encoding_problem, header_problem
from easytransfer_mtl.data.encodings import UTF_8, byte_lines, codec
from easytransfer_mtl.data.named_columns import label_of
from easytransfer_mtl.data.rows import ReadLine, Row
from easytransfer_mtl.data.tag_units import count_problem
from easytransfer_mtl.tasks import Task


def columns_of(task: Task, labelled: bool) -> tuple[str, ...]:
    """Returns the columns of a row, with the label column if ``labelled``."""
    return task.columns if labelled else task.unlabelled_columns


def contest_rows(path: Path, task: Task, labelled: bool, header: bool, encoding: str = UTF_8) -> Iterator[ReadLine]:
    """Yields every line of a file.

    Args:
        path: the file; lines end with LF or CRLF.
        task: defines columns and labels.
        labelled: whether the rows have the label column.
        header: whether the first line is a header, which has no row.
        encoding: the result of ``encoding_of``.
    """
    lines = _Lines(task, labelled, header, codec(encoding))
    for number, line in byte_lines(path, encoding):
        if not line.endswith(b"\n") and not line.strip(b"\r"):
            return  # nothing but CRs after the last LF
        # EasyTransfer's line reader dropped every CR, also inside a line.
        parsed: Row | Problem | None = lines.parse(line.removesuffix(b"\n").replace(b"\r", b""), number)
        if header and number == 1:
            if isinstance(parsed, Row) and task.id_column in task.columns and parsed.row_id.isdigit():
                logging.warning("%s: the first line is passed over as a header, but it looks like a row", path)
            parsed = None
        yield ReadLine(number, line, parsed)


class _Lines:
    """What the lines of a file have in common."""

    def __init__(self, task: Task, labelled: bool, header: bool, encoding: str) -> None:
        self.task, self.labelled, self.header, self.encoding = task, labelled, header, encoding
        self.columns = columns_of(task, labelled)

    def parse(self, line: bytes, number: int) -> Row | Problem:
        task, labelled = self.task, self.labelled
        try:
            fields = line.decode(self.encoding).split("\t")
        except UnicodeDecodeError as error:
            return encoding_problem(line, error.start, self.encoding)
        if number == 1 and not self.header:
            problem = header_problem(fields, self.columns, task, labelled)
            if problem:
                return problem
        if len(fields) != len(self.columns) or line == b"":
            return column_problem(fields if line else [], self.columns, task, labelled)
        values = dict(zip(self.columns, fields))
        label = label_of(values[task.label_name], values, task) if labelled else None
        if isinstance(label, Problem):
            return label
        texts = [values[task.first_sequence]]
        if task.second_sequence:
            texts.append(values[task.second_sequence])
        if problem := count_problem(label, texts[0], task):
            return problem
        return Row(values.get(task.id_column, str(number - 1 - self.header)), tuple(texts), label)
