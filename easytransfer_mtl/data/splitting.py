"""Splits a dev part off the end of a train file."""

import csv
import io
from pathlib import Path

from easytransfer_mtl.data.csv_quoting import QUOTE
from easytransfer_mtl.data.encodings import UTF_8, byte_lines, codec
from easytransfer_mtl.data.named_rows import records
from easytransfer_mtl.data.table_form import CONTEST, CSV, JSON_ENDINGS, JSONL, TSV, TableForm
from easytransfer_mtl.data.table_reader import split_lines
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import replacing

AS_EVER = TableForm(CONTEST)


def split_tail(
    source: Path, share: float, folder: Path, header: bool = False, form: TableForm = AS_EVER
) -> tuple[Path, Path]:
    """Writes the first rows of a file and the rest to two files: bytes unchanged if it is UTF-8, else as UTF-8.

    The contest's train files end with CLUE's own dev rows, so the tail is their natural dev part. A tab separated table with
    quotes becomes comma separated, since a part of it may not show whether its quotes are a part of the texts.

    Args:
        source: the train file.
        share: share of the rows that goes to the dev part, at least one.
        folder: gets ``<name>_train_part`` and ``<name>_dev_part``, ending with .csv or .jsonl.
        header: whether the first line of a file in the contest's format is a header. Headers are copied to both parts.
        form: the file's, see ``form_of``.

    Raises:
        UserError: the share is not between 0 and 1, or the file has fewer than two rows.
    """
    if not 0.0 < share < 1.0:
        raise UserError(f"dev_share is {share}; it must be more than 0 and less than 1.")
    lines = _lines(source, form)
    has_header = form.format in (CSV, TSV) or (header and form.format == CONTEST)
    head, rows = (lines[:1], lines[1:]) if has_header else ([], lines)
    if len(rows) < 2:
        raise UserError(f"{source} has {len(rows)} rows; too few to split into train and dev.")
    dev_rows = min(len(rows) - 1, max(1, round(len(rows) * share)))
    paths = tail_paths(source, folder)
    for path, part in zip(paths, (rows[:-dev_rows], rows[-dev_rows:])):
        with replacing(path) as temporary:
            temporary.write_bytes(b"".join(line + b"\n" for line in head + part))
    return paths


def tail_paths(source: Path, folder: Path) -> tuple[Path, Path]:
    """Returns the paths of the train part and the dev part that ``split_tail`` writes."""
    ending = ".jsonl" if source.suffix.lower() in JSON_ENDINGS else ".csv"
    return folder / f"{source.stem}_train_part{ending}", folder / f"{source.stem}_dev_part{ending}"


def _lines(source: Path, form: TableForm) -> list[bytes]:
    """Returns the file's rows and header, without the line ends after them."""
    if form.format == CONTEST:
        if form.encoding == UTF_8:
            return split_lines(source.read_bytes())
        return [_as_utf_8(line.removesuffix(b"\n"), form) for _, line in byte_lines(source, form.encoding)]
    if form.format == JSONL:
        return [_as_utf_8(line.removesuffix(b"\n"), form) for _, line in byte_lines(source, form.encoding) if line.strip()]
    found = list(records(source, form))
    if not form.guessed or not any(QUOTE in content for _, content, _ in found):
        return [_as_utf_8(content.removesuffix(b"\n"), form) for _, content, _ in found]
    return [_comma_separated(values) for _, _, values in found]


def _as_utf_8(line: bytes, form: TableForm) -> bytes:
    return line if codec(form.encoding) == UTF_8 else line.decode(form.encoding, "surrogateescape").encode(UTF_8, "replace")


def _comma_separated(values: list[str]) -> bytes:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="").writerow(values)
    return stream.getvalue().encode(UTF_8, "surrogateescape")
