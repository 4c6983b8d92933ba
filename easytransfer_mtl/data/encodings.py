"""Tells in which encoding a text file is written, where that is certain, and reads its lines."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from easytransfer_mtl.data.wrong_files import codec_of, decodes, head_of, whole_lines
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import naming

BOM = b"\xef\xbb\xbf"
LONGEST_LINE = 1 << 20
"""In bytes; the contest's longest row has about 900."""
UTF_16_MARKS, UTF_32_LE_MARK = (b"\xff\xfe", b"\xfe\xff"), b"\xff\xfe\0\0"
UTF_8, UTF_16, GB18030 = "utf-8", "utf-16", "gb18030"
FEWEST_CHARACTERS, LEAST_SHARE = 20, 0.25
"""Chinese characters of a file's start that are looked at, and the share of common ones among them, for certainty. Chinese
texts have a share of 0.4 or more; Korean, Japanese or Western ones that are valid GB18030 by chance have less than 0.1."""
COMMON = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成方"
    "多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公此已工使情明"
    "性知全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代内信表化老给世位"
    "次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔更别打女变四神总何电数安少报才结反受目太量再感"
    "建务做接必场件计管期市直德资命山金指克许统区保至队形社便空决治展马科司五基眼书非则听白却界达光放强即像难且权思王象完设式色"
    "路记南品住告类求据程北边死张该交规万取拉格望觉术领共确传师观清今切院让识候带导争运"
)
"""The most frequent characters of written Chinese, two thirds of running text."""


class Encoding(NamedTuple):
    """An encoding, and why a file is read in it; empty for UTF-8."""

    name: str
    why: str = ""


def encoding_of(path: Path, told: str = "auto") -> Encoding:
    """Returns the encoding in which a file is read: UTF-8, UTF-16 or GB18030.

    What is valid UTF-8, with a character that is not ASCII, is UTF-8, and a byte order mark is believed, whatever was told.

    Args:
        path: an existing file.
        told: the encoding, if the start of the file does not show it; ``auto`` for one that is certain, else UTF-8.
    """
    head = head_of(path)
    if head.startswith(BOM):
        return Encoding(UTF_8)
    if head.startswith(UTF_16_MARKS) and not head.startswith(UTF_32_LE_MARK):
        return Encoding(UTF_16, "it begins with its byte order mark")
    text = b"\n".join(whole_lines(head))
    if (not text.isascii() and decodes(text, UTF_8)) or told == UTF_8:
        return Encoding(UTF_8)
    if told == UTF_16 and b"\0" not in head:  # its line ends have one
        return Encoding(UTF_8)
    if told in (UTF_16, GB18030):
        return Encoding(told, "its task says so")
    if (share := _share_of_common(text)) is None:
        return Encoding(UTF_8)
    why = f"it is no UTF-8, and {share:.0%} of its Chinese characters are of the {len(COMMON)} most common ones then"
    return Encoding(GB18030, why)


def _share_of_common(text: bytes) -> float | None:
    """Returns the share of common characters among the Chinese ones of a text in GB18030; None if it is hardly one."""
    if decodes(text, UTF_8) or not decodes(text, GB18030):
        return None
    characters = [char for char in text.decode(GB18030) if "\u3400" <= char <= "\u9fff"]
    share = sum(char in COMMON for char in characters) / max(1, len(characters))
    return share if len(characters) >= FEWEST_CHARACTERS and share >= LEAST_SHARE else None


def byte_lines(path: Path, encoding: str = UTF_8) -> Iterator[tuple[int, bytes]]:
    """Yields the number, from 1, and the bytes of every line; lines end with LF, which they keep.

    The bytes are those of the file, but of UTF-16 files UTF-8. A byte order mark at the start is left out.

    Raises:
        UserError: a line is too long to be one, or a UTF-16 file is damaged.
    """
    lines = _utf_16_lines(path) if encoding == UTF_16 else _lines(path)
    for number, line in enumerate(lines, start=1):
        if len(line) > LONGEST_LINE:
            raise UserError(
                f"{path}: line {number} has more than {LONGEST_LINE:,} bytes. Are its line ends lost, or is it not "
                "text? Get the file again."
            )
        yield number, line.removeprefix(BOM) if number == 1 else line


def codec(encoding: str) -> str:
    """Returns the encoding of the bytes that ``byte_lines`` yields of a file in an encoding."""
    return UTF_8 if encoding == UTF_16 else encoding


def _lines(path: Path) -> Iterator[bytes]:
    with naming(path), open(path, "rb") as stream:
        yield from iter(functools.partial(stream.readline, LONGEST_LINE + 1 + len(BOM)), b"")


def _utf_16_lines(path: Path) -> Iterator[bytes]:
    with naming(path), open(path, encoding=codec_of(head_of(path), UTF_16), newline="\n") as stream:
        try:
            yield from (line.encode() for line in iter(functools.partial(stream.readline, LONGEST_LINE + 1), ""))
        except UnicodeError as error:
            raise UserError(f"{path} is damaged UTF-16 text ({error}). Get the file again.") from None
