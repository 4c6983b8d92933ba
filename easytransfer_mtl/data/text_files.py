"""Files of texts without labels: in a task's own formats, CSV with a header, JSON lines, or plain text with a row a line."""

import os
from collections.abc import Iterator
from pathlib import Path

from easytransfer_mtl.data.rows import Row
from easytransfer_mtl.data.table_form import ANY
from easytransfer_mtl.data.table_reader import TableTally, check_rows, require_rows, stream_rows
from easytransfer_mtl.errors import UserError, shown
from easytransfer_mtl.tasks import Task


class TextFile:
    """A file of rows to predict; it is read again for every pass, in memory that does not grow with it."""

    def __init__(self, path: str | os.PathLike[str], task: Task, form: str = ANY, header: bool = False) -> None:
        """Looks at the first line.

        Args:
            path: the file.
            task: its columns have the texts.
            form: one of ``TEXT_FORMATS``; ``ANY`` to tell by the file's ending and first line, which knows other names of
                columns beside the task's; ``BY_TASK`` for a file like those that the task was trained on.
            header: whether the first line of a file in the contest's format is passed over; it is such a file then.

        Raises:
            UserError: the file does not exist, is no text, or has no column for a text.
        """
        self.path, self.task, self.header = Path(path), task, header
        if not self.path.is_file():
            raise UserError(f"{task.name}: {self.path} is not a file.")
        self._asked = form
        self.form = self._tally().table_form().format
        stream_rows(self._tally())  # checks the file as a whole

    def rows(self) -> Iterator[Row]:
        """Yields the rows; their ids are their numbers from 0 where the file has none, as the contest counts.

        Raises:
            UserError: a row is bad; ``check`` names all of them.
        """
        tally = self._tally()
        yield from stream_rows(tally)
        check_rows(tally)

    def check(self) -> int:
        """Reads the file to its end and returns its number of rows.

        Raises:
            UserError: there are bad rows (all are named), two have one id, or there is none.
        """
        tally, seen = self._tally(), dict[str, int]()
        for number, row in enumerate(stream_rows(tally)):
            if seen.setdefault(row.row_id, number) != number:
                rows = f"rows {seen[row.row_id]} and {number} (from 0)"
                raise UserError(f"{self.path}: id {shown(row.row_id)} is that of {rows}; every row needs an id of its own.")
        check_rows(tally)
        require_rows(tally)
        return tally.good_rows

    def _tally(self) -> TableTally:
        return TableTally(self.path, self.task, labelled=False, header=self.header, form=self._asked)
