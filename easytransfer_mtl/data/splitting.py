"""Splits a dev part off the end of a train file."""

from pathlib import Path

from easytransfer_mtl.data.csv_reader import split_lines
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import replacing


def split_tail(source: Path, share: float, folder: Path, header: bool = False) -> tuple[Path, Path]:
    """Writes the first lines of a file and the rest to two files, bytes unchanged.

    The contest's train files end with CLUE's own dev rows, so the tail is their natural dev part.

    Args:
        source: the train file.
        share: share of the lines that goes to the dev part, at least one line.
        folder: gets ``<name>_train_part.csv`` and ``<name>_dev_part.csv``.
        header: whether the first line is a header, which is copied to both parts.

    Raises:
        UserError: the share is not between 0 and 1, or the file has fewer than two rows.
    """
    if not 0.0 < share < 1.0:
        raise UserError(f"dev_share is {share}; it must be more than 0 and less than 1.")
    lines = split_lines(source.read_bytes())
    head, rows = (lines[:1], lines[1:]) if header else ([], lines)
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
    return folder / f"{source.stem}_train_part.csv", folder / f"{source.stem}_dev_part.csv"
