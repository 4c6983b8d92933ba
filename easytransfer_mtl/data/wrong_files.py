"""Recognizes files that are not tab separated UTF-8 text at all by their first bytes."""

import re
from pathlib import Path

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import placeholder

HEAD_BYTES = 1 << 16
_BINARY: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "gzip-compressed", "unpack it first"),
    (b"BZh", "bzip2-compressed", "unpack it first"),
    (b"\xfd7zXZ\x00", "xz-compressed", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed", "unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first"),
    (b"Rar!", "a RAR archive", "unpack it first"),
    (b"PK\x03\x04", "a zip archive", "unpack it first"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook (.xls)", "save it as tab separated UTF-8 text without a header"),
    (b"PAR1", "a Parquet file", "write its rows as tab separated UTF-8 text without a header"),
    (b"ARROW1", "an Arrow file", "write its rows as tab separated UTF-8 text without a header"),
    (b"\x93NUMPY", "a NumPy file", "write its rows as tab separated UTF-8 text without a header"),
    (b"\x89HDF", "an HDF5 file", "write its rows as tab separated UTF-8 text without a header"),
    (b"SQLite format 3", "an SQLite database", "write its rows as tab separated UTF-8 text without a header"),
    (b"%PDF", "a PDF file", "get the data file itself"),
)
_UNICODE = (
    ("utf-32-le", b"\xff\xfe\0\0"),
    ("utf-32-be", b"\0\0\xfe\xff"),
    ("utf-16-le", b"\xff\xfe"),
    ("utf-16-be", b"\xfe\xff"),
)
_OBJECT = re.compile(rb"\s*[{\[]")


def check_is_text(path: Path, num_columns: int, encoding: str = "utf-8") -> None:
    """Checks the start of a file for a cause that makes all its rows wrong.

    Args:
        path: an existing file.
        num_columns: columns of a row.
        encoding: in which the file is read.

    Raises:
        UserError: ``text_problem`` finds one; the message says which, and what to do.
    """
    if found := text_problem(path, num_columns, encoding):
        raise UserError(f"{path} is {found[0]}, not tab separated UTF-8 text; {found[1]}.")


def text_problem(path: Path, num_columns: int, encoding: str = "utf-8") -> tuple[str, str] | None:
    """Returns what a file is instead of tab separated UTF-8 text, judged by its start, and what to do; None if it may be it.

    Text in another ``encoding`` is judged as the UTF-8 text that it is read as.

    It may be an archive, a table of another program, a web page, JSON, a git-lfs pointer, or text in another encoding or
    with other line ends.
    """
    head = head_as_utf_8(path, encoding)
    return _no_text(head) or _other_text(head) or _chinese(head) or _old_line_ends(head, num_columns)


def check_is_plain_text(path: Path, encoding: str = "utf-8") -> None:
    """Checks the start of a file whose lines may be anything, as in ``check_is_text``.

    Raises:
        UserError: the file is an archive, a table of another program, a web page, a git-lfs pointer, or in another encoding.
    """
    head = head_as_utf_8(path, encoding)
    if found := _no_text(head) or _chinese(head) or _lone_crs(head):
        raise UserError(f"{path} is {found[0]}, not UTF-8 text; {found[1]}.")


def table_problem(path: Path, encoding: str) -> tuple[str, str] | None:
    """Returns what a task's file is instead of text with lines, and what to do; None if it may be that."""
    head = head_as_utf_8(path, encoding)
    return _no_text(head) or _chinese(head, ', or say "encoding": "gb18030" in its task') or _lone_crs(head)


def head_of(path: Path) -> bytes:
    """Returns the first bytes of a file."""
    with open(path, "rb") as stream:
        return stream.read(HEAD_BYTES)


def head_as_utf_8(path: Path, encoding: str) -> bytes:
    """Returns the first bytes of a text file in an encoding as UTF-8, without a byte order mark unless it is UTF-8's."""
    head = head_of(path)
    return head if encoding == "utf-8" else head.decode(codec_of(head, encoding), errors="replace").lstrip("\ufeff").encode()


def codec_of(head: bytes, encoding: str) -> str:
    """Returns Python's name of an encoding; for UTF-16 that of the order of bytes, by a file's first bytes."""
    if encoding != "utf-16":
        return encoding
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16-le" if head.startswith(b"\xff\xfe") else "utf-16-be"
    # The high bytes of tabs, line ends and all other ASCII are 0.
    return "utf-16-be" if head[::2].count(0) > head[1::2].count(0) else "utf-16-le"


def whole_lines(head: bytes) -> list[bytes]:
    """Returns the lines of a file's first bytes, without the last if it may end inside a character."""
    lines = head.split(b"\n")
    return lines[:-1] if len(head) == HEAD_BYTES else lines


def _no_text(head: bytes) -> tuple[str, str] | None:
    return placeholder(head) or _binary(head) or _unicode(head)


def _binary(head: bytes) -> tuple[str, str] | None:
    if head.startswith(b"PK\x03\x04") and (b"[Content_Types].xml" in head or b"xl/" in head):
        return "an Excel workbook (.xlsx)", "save it as tab separated UTF-8 text without a header"
    for start, what, advice in _BINARY:
        if head.startswith(start):
            return what, advice
    if b"\0" in head and b"input_ids" in head:
        return "a TFRecord file", "give the CSV file that it was made from"
    return None


def _unicode(head: bytes) -> tuple[str, str] | None:
    """Finds UTF-16 and UTF-32, by byte order mark or by the positions of zero bytes, and other binary files."""
    zeros = head.count(b"\0")
    for encoding, mark in _UNICODE:
        decoded = head[: len(head) // 4 * 4 or None].decode(encoding, errors="replace")
        marked = head.startswith(mark)
        plain = zeros and "\0" not in decoded and ("\t" in decoded or "\n" in decoded)
        if marked or (plain and decoded.count("\ufffd") * 100 <= len(decoded)):
            name = encoding[:6].upper()
            return f"{name} text", f"convert it: iconv -f {name}{encoding[7:].upper()} -t UTF-8 IN > OUT"
    if zeros * 10 >= len(head) > 0:
        return "binary (at least a tenth of its first bytes is NUL)", "download it again, or name the right file"
    return None


def _other_text(head: bytes) -> tuple[str, str] | None:
    first = head.removeprefix(b"\xef\xbb\xbf").lstrip().partition(b"\n")[0]
    if _OBJECT.match(first) and b"\t" not in first:
        return "JSON", "write its rows as tab separated UTF-8 text without a header"
    return None


def _chinese(head: bytes, or_else: str = "") -> tuple[str, str] | None:
    """Finds GBK, GB2312 and GB18030: most non-ASCII lines are not UTF-8, and all of those are valid GB18030."""
    foreign = [line for line in whole_lines(head) if not line.isascii()]
    wrong = [line for line in foreign if not decodes(line, "utf-8")]
    if not wrong or 2 * len(wrong) <= len(foreign) or not all(decodes(line, "gb18030") for line in wrong):
        return None
    return "in GBK or GB18030, as it seems", f"convert it: iconv -f GB18030 -t UTF-8 IN > OUT{or_else}"


def _lone_crs(head: bytes) -> tuple[str, str] | None:
    if b"\n" in head or len(head.rstrip(b"\r").split(b"\r")) < 2:
        return None
    return "text whose lines end with CR alone (old Mac)", "convert it: tr '\\r' '\\n' < IN > OUT"


def decodes(line: bytes, encoding: str) -> bool:
    """Returns whether the bytes are valid text in an encoding."""
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _old_line_ends(head: bytes, num_columns: int) -> tuple[str, str] | None:
    columns = [line.count(b"\t") + 1 for line in head.rstrip(b"\r").split(b"\r")[:2]]
    return _lone_crs(head) if columns == [num_columns] * 2 else None
