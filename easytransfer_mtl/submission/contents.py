"""Reads the prediction files from an archive or a folder and reports wrong names."""

import re
import zipfile
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from easytransfer_mtl.data.archives import open_archive, read_member
from easytransfer_mtl.errors import UserError, clipped, shown
from easytransfer_mtl.files import why_no_file
from easytransfer_mtl.submission.findings import Findings

MAX_BYTES = 64 << 20
"""Largest archive, and largest total size of its unpacked files, that is read; a real submission has about 0.2 MB."""


def read_contents(source: Path, names: Sequence[str], findings: Findings) -> dict[str, bytes]:
    """Reads the files called ``names`` from a zip archive or a folder; nothing is unpacked to disk.

    A file with a similar name (in a folder of the archive, in other case, with another ending) is an error, but it is
    returned under the right name, so that its content is checked too. Other files cause a warning in an archive and are
    ignored in a folder.

    Returns:
        Name -> content, for the files that were found and could be read.

    Raises:
        UserError: ``source`` is neither a file nor a folder.
    """
    if source.is_dir():
        return _read_folder(source, names, findings)
    if not source.is_file():
        raise UserError(f"{source} {why_no_file(source)}. Give the archive or the folder with {', '.join(names)}.")
    if not _small_enough(source.stat().st_size, source.name, findings, "has"):
        return {}
    try:
        with open(source, "rb") as stream, open_archive(stream) as archive:
            return _read_archive(archive, source.name, names, findings)
    except zipfile.BadZipFile as error:
        findings.error(source.name, "no archive", f"cannot be read as a zip archive ({error}). Pack it again, as zip.")
        return {}


def _read_folder(folder: Path, names: Sequence[str], findings: Findings) -> dict[str, bytes]:
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()}
    found = _find(names, sizes, findings)
    if not _small_enough(sum(sizes[entry] for entry in found.values()), str(folder), findings, "has files of"):
        return {}
    return {name: (folder / entry).read_bytes() for name, entry in found.items()}


def _read_archive(archive: zipfile.ZipFile, where: str, names: Sequence[str], findings: Findings) -> dict[str, bytes]:
    # is_dir would fail for an empty name.
    files = [info for info in archive.infolist() if not info.filename.endswith("/")]
    entries = [info.filename for info in files]
    _check_entries(entries, where, findings)
    found = _find(names, entries, findings)
    for entry in entries:
        if entry not in found.values():
            findings.warning(where, "extra files", f"also holds {shown(entry)}, which the contest does not ask for.")
    if not _small_enough(sum(info.file_size for info in files), where, findings, "unpacks to"):
        return {}
    contents = {name: _read_entry(archive, entry, findings) for name, entry in found.items()}
    return {name: content for name, content in contents.items() if content is not None}


def _check_entries(entries: Sequence[str], where: str, findings: Findings) -> None:
    for entry, times in Counter(entries).items():
        if times > 1:
            message = f"holds {shown(entry)} {times} times; only one can be scored. Pack it again."
            findings.error(where, "repeated names", message)
        if entry == "":
            findings.error(where, "names", "holds a file without a name. Pack the bare files.")
        if re.match(r"[/\\]|[A-Za-z]:", entry) or ".." in re.split(r"[/\\]", entry):
            message = f"{shown(entry)} would be unpacked outside the folder. Pack the bare files."
            findings.error(where, "unsafe names", message)


def _small_enough(size: int, where: str, findings: Findings, has: str) -> bool:
    if size > MAX_BYTES:
        message = f"{has} {size:,} bytes; more than {MAX_BYTES:,} is not read. Pack the prediction files only."
        findings.error(where, "too large", message)
    return size <= MAX_BYTES


def _read_entry(archive: zipfile.ZipFile, entry: str, findings: Findings) -> bytes | None:
    try:
        return read_member(archive, archive.getinfo(entry))
    except zipfile.BadZipFile as error:
        message = f"cannot be unpacked ({error}). Pack it again, deflated and without password."
        findings.error(clipped(entry), "unreadable", message)
        return None


def _find(names: Sequence[str], entries: Collection[str], findings: Findings) -> dict[str, str]:
    found = {}
    for name in names:
        entry = name if name in entries else _similar(name, [other for other in entries if other not in names])
        if entry is None:
            findings.error(name, "missing", "is missing. The submission needs exactly " + ", ".join(names) + ".")
            continue
        found[name] = entry
        if entry != name:
            findings.error(name, "name", f"is missing, but there is {shown(entry)}: {_what_to_rename(name, entry)}.")
    return found


def _similar(name: str, entries: Sequence[str]) -> str | None:
    stem = name.removesuffix(".json").lower()
    for entry in entries:
        if _bare(entry).lower().startswith(stem) and not entry.startswith("__MACOSX/"):
            return entry
    return None


def _what_to_rename(name: str, entry: str) -> str:
    bare = _bare(entry)
    hints = []
    if bare != entry:
        hints.append("the files must lie at the root of the archive, so zip them from inside their folder")
    if bare.lower() == name.lower() != bare:
        hints.append("upper and lower case count")
    elif bare.lower() == name.lower() + ".json":
        hints.append("the ending .json stands there twice")
    elif bare != name:
        hints.append("rename it")
    return " and ".join(hints)


def _bare(entry: str) -> str:
    return re.split(r"[/\\]", entry)[-1]
