"""Which encoding a file is read in: UTF-8, what was told, or what is certain."""

from pathlib import Path

import pytest

from easytransfer_mtl.data.encodings import GB18030, UTF_8, UTF_16, byte_lines, encoding_of
from easytransfer_mtl.data.table_reader import read_table
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.tasks import TNEWS, task_from_json

CHINESE = "id,text\n" + "1,今天的天气真好，我们去看电影吧\n2,他说这个问题不大\n" * 3
TRADITIONAL = "id,text\n1,這個問題並沒有什麼關係，電視劇還沒結束\n" * 3
KOREAN = "id,text\n1,오늘은 날씨가 정말 좋습니다 우리는 영화를 보러 갑니다\n" * 5
JAPANESE = "id,text\n1,今日は天気がとてもいいですね、映画を見に行きましょう\n" * 5
WESTERN = "id,text\n1,Café crème brûlée à la façon de mère Ségolène, déjà goûté\n" * 20


def seen(path: Path, content: bytes, told: str = "auto") -> str:
    path.write_bytes(content)
    found = encoding_of(path, told)
    assert bool(found.why) == (found.name != UTF_8)
    return found.name


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (CHINESE.encode(), UTF_8),
        (CHINESE.encode("utf-8-sig"), UTF_8),
        (CHINESE.encode("gb18030"), GB18030),
        (CHINESE.encode("utf-16"), UTF_16),
        ("\ufeff".encode("utf-16-be") + CHINESE.encode("utf-16-be"), UTF_16),
        (b"id,text\n1,abc\n", UTF_8),
        (b"", UTF_8),
        ("1,天气\n".encode("gb18030"), UTF_8),  # too little to be certain
        (KOREAN.encode("euc-kr"), UTF_8),
        (JAPANESE.encode("euc-jp"), UTF_8),
        (JAPANESE.encode("shift-jis"), UTF_8),
        (TRADITIONAL.encode("big5"), UTF_8),
        (WESTERN.encode("latin-1"), UTF_8),
        (CHINESE.encode("utf-32"), UTF_8),  # no byte order mark of UTF-16
        (CHINESE.encode("gb18030") + b"\xff\n", UTF_8),
    ],
)
def test_what_is_certain_is_taken_and_nothing_else(tmp_path: Path, content: bytes, found: str) -> None:
    assert seen(tmp_path / "a.csv", content) == found


@pytest.mark.parametrize("told", [GB18030, UTF_16, UTF_8])
def test_what_is_told_decides_where_the_bytes_do_not(tmp_path: Path, told: str) -> None:
    path = tmp_path / "a.csv"
    assert seen(path, CHINESE.encode(), told) == UTF_8
    assert seen(path, CHINESE.encode("utf-16"), told) == UTF_16
    assert seen(path, TRADITIONAL.encode("gb18030"), GB18030) == GB18030
    assert seen(path, b"id,text\n1,abc\n", UTF_16) == UTF_8
    assert seen(path, CHINESE.encode("gb18030"), UTF_8) == UTF_8


def test_a_long_file_is_judged_by_its_whole_lines(tmp_path: Path) -> None:
    for shift in range(4):
        lines = "x" * shift + "\n" + "1,今天的天气真好\n" * 6000
        assert seen(tmp_path / "a.csv", lines.encode("gb18030")) == GB18030
        assert seen(tmp_path / "a.csv", lines.encode()) == UTF_8


def test_lines_of_every_encoding(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        path.write_bytes("天\r\n地\u2028\n人".encode(encoding))
        assert list(byte_lines(path, UTF_16)) == [(1, "天\r\n".encode()), (2, "地\u2028\n".encode()), (3, "人".encode())]
    path.write_bytes("x".encode("utf-16") + b"\x00\xd8")
    with pytest.raises(UserError, match="is damaged UTF-16 text"):
        list(byte_lines(path, UTF_16))


def test_the_contests_files_stay_utf_8_and_an_own_task_may_say_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("".join(f"{number}\t今天的天气真好\t115\n" for number in range(9)).encode("gb18030"))
    with pytest.raises(UserError, match="in GBK or GB18030, as it seems, not tab separated UTF-8 text; convert it"):
        read_table(path, TNEWS, True)
    told = task_from_json({**TNEWS.to_json(), "encoding": "GBK"})
    own = task_from_json({**TNEWS.to_json(), "name": "NEWS"})
    for task in (told, own):
        assert len(read_table(path, task, True).rows) == 9
