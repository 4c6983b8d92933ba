"""The texts that a vocabulary is pruned for: contest files by their text columns, all other files line by line."""

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from easytransfer_mtl.config.prune_settings import PruneVocabularySettings
from easytransfer_mtl.data.contest_files import NAMES, TOTAL, find_files, meaning_of
from easytransfer_mtl.data.encodings import BOM, LONGEST_LINE
from easytransfer_mtl.data.table_form import JSON_ENDINGS
from easytransfer_mtl.data.table_reader import TableTally, check_rows, require_rows, stream_rows
from easytransfer_mtl.data.tokenization import TEXT_NORMALIZATIONS, normalized_text
from easytransfer_mtl.data.wrong_files import check_is_plain_text, head_of
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import home_expanded, naming, why_no_file
from easytransfer_mtl.tasks import Task

LABELLED = ("train", TOTAL, "dev")
ROWS_TOGETHER, CHARACTERS_TOGETHER = 1000, 1 << 20
SECONDS_BETWEEN_LINES = 10.0
"""Time between two progress lines in the log."""

Text = tuple[str, ...]
"""One text, or both texts of a pair."""


@dataclass(frozen=True)
class TextFile:
    """A file with texts.

    Attributes:
        path: the file.
        task: defines the columns of a contest file; None if every line is a text.
        labelled: whether a contest file has the label column.
    """

    path: Path
    task: Task | None = None
    labelled: bool = False


def find_text_files(paths: str, tasks: tuple[Task, ...], flag: str) -> list[TextFile]:
    """Returns the files that a comma list of files and folders stands for.

    A folder stands for all contest files in it. A file is a contest file if its name says so, see ``find_files``.

    Raises:
        UserError: a file does not exist, is empty or no UTF-8 text, or a folder has no contest file.
    """
    found: dict[Path, TextFile] = {}
    for name in filter(None, map(str.strip, paths.split(","))):
        path = home_expanded(name)
        for each in _in_folder(path, tasks) if path.is_dir() else [path]:
            if not each.is_file():
                raise UserError(f"--{flag}: {each} {why_no_file(each)}.")
            if not each.stat().st_size:
                raise UserError(f"--{flag}: {each} is empty; get the file again, or leave it out.")
            meaning = meaning_of(each, tasks)
            if meaning is None:
                check_is_plain_text(each)
                _check_no_json(each, flag)
            found[each] = TextFile(each, meaning[1], meaning[0] in LABELLED) if meaning else TextFile(each)
    if not found:
        raise UserError(f"--{flag} names no file.")
    return list(found.values())


def _check_no_json(path: Path, flag: str) -> None:
    """Raises UserError for JSON, whose keys and escapes are no texts."""
    if path.suffix.lower() in JSON_ENDINGS or head_of(path).lstrip(BOM).lstrip().startswith(b'{"'):
        raise UserError(
            f"--{flag}: {path} is JSON, and no task's file by its name, so its texts cannot be told from its keys. Name it "
            "like a task's (<TASK>_train.jsonl, with --tasks_file), or write its texts a line each."
        )


def names_of(files: Sequence[TextFile]) -> dict[TextFile, str]:
    """Returns the files' names for a report, with their folders where two files have the same name."""
    names = Counter(file.path.name for file in files)
    return {file: file.path.name if names[file.path.name] == 1 else str(file.path) for file in files}


def _in_folder(folder: Path, tasks: tuple[Task, ...]) -> list[Path]:
    found = [path for kind in NAMES for path in find_files(folder, kind, tasks).values()]
    if not found:
        names = ", ".join(task.name for task in tasks)
        raise UserError(
            f"{folder} has no contest file of {names} (names like {tasks[0].name}_train.csv). Name other files one by one."
        )
    return found


def batches_of(file: TextFile, settings: PruneVocabularySettings, doing: str, variants: bool = True) -> Iterator[list[Text]]:
    """Reads a file and yields its rows in batches; the log tells how far it is.

    Args:
        file: the file.
        settings: what to do with bad rows of contest files, and whether these have a header.
        doing: what is done with the rows, for the log.
        variants: whether a row whose texts ``convert --text_normalization`` changes comes in that form too.

    Raises:
        UserError: a contest file has bad rows that are not skipped; another one a line that is no UTF-8 or too long; or
            there is no text.
    """
    done, told = 0, time.monotonic()
    rows = _contest_rows(file, file.task, settings) if file.task else _lines(file.path)
    while batch := _next_batch(rows):
        yield _with_variants(batch) if variants else batch
        done += len(batch)
        if time.monotonic() - told >= SECONDS_BETWEEN_LINES:
            logging.info("%s: %s, %s rows so far", doing, file.path.name, f"{done:,}")
            told = time.monotonic()
    if not done:
        raise UserError(f"{file.path} has no text; get the file again, or leave it out.")


def _next_batch(rows: Iterator[Text]) -> list[Text]:
    batch: list[Text] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += sum(map(len, row))
        if len(batch) == ROWS_TOGETHER or size >= CHARACTERS_TOGETHER:
            break
    return batch


def _with_variants(rows: Sequence[Text]) -> list[Text]:
    found = list(rows)
    for how in TEXT_NORMALIZATIONS[1:]:
        changed = (tuple(normalized_text(text, how) for text in row) for row in rows)
        found += [new for row, new in zip(rows, changed, strict=True) if new != row]
    return found


def _contest_rows(file: TextFile, task: Task, settings: PruneVocabularySettings) -> Iterator[Text]:
    tally = TableTally(file.path, task, file.labelled, settings.header)
    for row in stream_rows(tally):
        yield row.texts
    check_rows(tally, settings.on_bad_row, max_bad_share=settings.max_bad_share)
    require_rows(tally)


def _lines(path: Path) -> Iterator[Text]:
    with naming(path), open(path, "rb") as stream:
        for number, line in enumerate(iter(lambda: stream.readline(LONGEST_LINE + 1), b""), start=1):
            if len(line) > LONGEST_LINE:
                raise UserError(
                    f"{path}: line {number} has more than {LONGEST_LINE:,} bytes. Are its line ends lost, or is it not text?"
                )
            try:
                text = (line.removeprefix(BOM) if number == 1 else line).decode("utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise UserError(
                    f"{path}: line {number} is not UTF-8 (byte {error.start} of the line). Save the file as UTF-8."
                ) from None
            if text.strip():
                yield (text,)
