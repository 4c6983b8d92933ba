"""Files appear whole or not at all."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import (
    check_outputs,
    read_json,
    readable_by_tensorflow,
    replacing,
    replacing_folder,
    sha256_of,
    try_lock,
    write_json,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "file.txt"
    with replacing(path) as temporary:
        temporary.write_bytes(b"new")
        assert temporary.parent == path.parent
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert names(path.parent) == ["file.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_block_that_raises_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(b"old")
    with pytest.raises(error), replacing(path) as temporary:
        temporary.write_bytes(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file.txt"]


def test_a_block_that_raises_leaves_no_new_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError), replacing(tmp_path / "file.txt") as temporary:
        temporary.write_bytes(b"half")
        raise ValueError
    assert names(tmp_path) == []


def test_the_old_file_stays_readable_until_the_end(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(b"old")
    with replacing(path) as temporary:
        temporary.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


def test_a_path_that_is_a_folder_is_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="out cannot be written"), replacing(tmp_path / "out") as temporary:
        temporary.write_bytes(b"new")
    assert names(tmp_path) == ["out"]


def test_a_folder_that_is_a_file_is_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"old")
    with pytest.raises(UserError, match="file.txt cannot be written"), replacing(tmp_path / "out" / "file.txt") as temporary:
        temporary.write_bytes(b"new")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_the_users_mistake(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(UserError, match="file.txt cannot be written"), replacing(tmp_path / "file.txt") as temporary:
            temporary.write_bytes(b"new")
    finally:
        tmp_path.chmod(0o700)


def test_text_is_utf8_with_lf(tmp_path: Path) -> None:
    write_text(tmp_path / "file.txt", "今天\nx\r\n")
    assert (tmp_path / "file.txt").read_bytes() == "今天\nx\r\n".encode()


def test_json_keeps_chinese_and_comes_back(tmp_path: Path) -> None:
    value = {"文": [1, 2.5, None, "今天"]}
    write_json(tmp_path / "file.json", value)
    text = (tmp_path / "file.json").read_text(encoding="utf-8")
    assert "今天" in text and text.endswith("}\n")
    assert read_json(tmp_path / "file.json") == value


def test_json_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "file.json").write_bytes(b"\xef\xbb\xbf" + json.dumps({"a": 1}).encode())
    assert read_json(tmp_path / "file.json") == {"a": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1,\n "b": }', "config .*file.json is not valid JSON: line 2, column 7"),
        (b'{"a": "\xff"}', r"not UTF-8 \(byte 7\)"),
        (b" \n", "config .*file.json is empty"),
        (b"<html>404</html>", "file.json is a web page .*not JSON; download the file itself"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "file.json is a git-lfs pointer, not JSON; run git lfs pull",
        ),
    ],
)
def test_damaged_json_says_where(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "file.json").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_json(tmp_path / "file.json", "config")


def test_a_missing_json_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="config .*none.json does not exist"):
        read_json(tmp_path / "none.json", "config")
    with pytest.raises(UserError, match="is a folder"):
        read_json(tmp_path, "config")
    (tmp_path / "file").write_bytes(b"{}")
    with pytest.raises(UserError, match="config"):
        read_json(tmp_path / "file" / "config.json", "config")


def test_sha256(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000  # more than one block
    (tmp_path / "file").write_bytes(content)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"train_config": {"seed": 1, "seed": 2}}', encoding="utf-8")
    with pytest.raises(UserError, match="config.json: seed stands twice"):
        read_json(path)


def test_a_folder_takes_its_place_only_when_complete(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    for content in ("one", "two"):
        with replacing_folder(target) as fresh:
            fresh.mkdir()
            (fresh / content).touch()
    assert [path.name for path in target.iterdir()] == ["two"]
    with pytest.raises(RuntimeError), replacing_folder(target) as fresh:
        fresh.mkdir()
        raise RuntimeError
    assert [path.name for path in target.iterdir()] == ["two"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def dead_process() -> int:
    """Returns the number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.skipif(os.name != "posix", reason="where processes cannot be asked for, nothing is removed")
def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    dead, running = dead_process(), os.getppid()
    kept = [f".file.txt.{running}.tmp", f".other.txt.{dead}.tmp", f".file.txt.{dead}.new"]
    kept += [f"file.txt.{dead}.tmp", ".file.txt.tmp"]
    for name in [*kept, f".file.txt.{dead}.tmp"]:
        (tmp_path / name).touch()
    write_text(tmp_path / "file.txt", "new")
    assert names(tmp_path) == sorted([*kept, "file.txt"])


@pytest.mark.skipif(os.name != "posix", reason="where processes cannot be asked for, nothing is removed")
def test_what_a_killed_process_left_of_a_folder_is_removed(tmp_path: Path) -> None:
    left, neighbours = tmp_path / f".folder.{dead_process()}.new", tmp_path / f".folder.{os.getppid()}.new"
    for folder in (left, neighbours):
        (folder / "deep").mkdir(parents=True)
    with replacing_folder(tmp_path / "folder") as fresh:
        fresh.mkdir()
    assert names(tmp_path) == [neighbours.name, "folder"]


def test_what_another_process_writes_is_not_touched(tmp_path: Path) -> None:
    """It may be in another container, where its number says nothing."""
    pytest.importorskip("fcntl")
    path = tmp_path / f".file.txt.{dead_process()}.tmp"
    with open(path, "wb") as stream:
        assert try_lock(stream.fileno())
        write_text(tmp_path / "file.txt", "new")
        assert names(tmp_path) == sorted([path.name, "file.txt"])
    write_text(tmp_path / "file.txt", "newer")
    assert names(tmp_path) == ["file.txt"]


def test_two_writers_of_one_file_do_not_mix(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    with replacing(tmp_path / "file.txt") as temporary:
        temporary.write_bytes(b"first")
        with pytest.raises(UserError, match="is being written by another process"):
            write_text(tmp_path / "file.txt", "second")
    assert (tmp_path / "file.txt").read_bytes() == b"first"


def test_a_folder_that_was_being_replaced_when_the_process_was_killed_comes_back(tmp_path: Path) -> None:
    (tmp_path / ".folder.old").mkdir()
    (tmp_path / ".folder.old" / "file").touch()
    with pytest.raises(RuntimeError), replacing_folder(tmp_path / "folder"):
        raise RuntimeError
    assert names(tmp_path) == ["folder"] and names(tmp_path / "folder") == ["file"]


def test_a_file_is_not_replaced_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").write_bytes(b"kept")
    with pytest.raises(UserError, match="it is a file"), replacing_folder(tmp_path / "folder") as fresh:
        fresh.mkdir()
    assert names(tmp_path) == ["folder"] and (tmp_path / "folder").read_bytes() == b"kept"


def test_an_output_is_checked_without_making_its_folder(tmp_path: Path) -> None:
    check_outputs([tmp_path / "a" / "b"], [])
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file is no folder"):
        check_outputs([tmp_path / "file" / "b"], [])
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("name", ["plain", "a[1]", "a\\b", "a*?]b"])
def test_tensorflow_reads_what_looks_like_a_pattern_and_no_link_stays(name: str, tmp_path: Path) -> None:
    if os.name != "posix":
        pytest.skip("such names are possible on POSIX only")
    (tmp_path / name).mkdir()
    (tmp_path / name / "file[1]").write_bytes(b"content")
    with readable_by_tensorflow(tmp_path / name / "file[1]") as path:
        link = Path(path)
        assert link.read_bytes() == b"content" and not set("[\\") & set(str(link.parent))
    assert link == tmp_path / name / "file[1]" or not link.parent.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 100_000, "nested too deeply"),
        ("[" * 101 + "]" * 101, "nested too deeply"),
        ("9" * 5000, "a whole number of more than 300 digits"),
        ("1" + "0" * 400, "a whole number of more than 300 digits"),
        ("[1e400]", "numbers must be finite"),
        ('{"a": NaN}', "numbers must be finite"),
        ('{"a": -Infinity}', "numbers must be finite"),
        (r'{"a": "\ud800"}', "half of a surrogate pair"),
        (r'{"\udfff": 1}', "half of a surrogate pair"),
        (" " * (16 << 20) + "1", "at most 16,777,216 bytes"),
        ("{" + ",".join(f'"{number % 100_000}": 0' for number in range(200_000)) + "}", "stands twice"),
        ("{" + f'"{"a" * 100_000}": 0,' * 2 + '"b": 1}', "stands twice"),
    ],
    ids=range(12),
)
def test_json_that_no_program_writes_is_refused_in_a_few_words(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message) as caught:
        read_json(tmp_path / "config.json")
    assert len(str(caught.value)) < 2000


def test_json_with_large_numbers_and_characters_of_two_codes(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(r'["\ud83d\ude00", 18446744073709551616, -0.0, 1e308]', encoding="utf-8")
    assert read_json(tmp_path / "config.json") == ["\U0001f600", 2**64, 0.0, 1e308]


@pytest.mark.parametrize("target", ["elsewhere", "nowhere"])
def test_a_link_to_a_folder_gives_way_time_and_again_and_its_folder_stays(target: str, tmp_path: Path) -> None:
    elsewhere, link = tmp_path / "elsewhere", tmp_path / "best"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    for number in range(3):
        if not number:
            link.symlink_to(tmp_path / target, target_is_directory=True)
        with replacing_folder(link) as fresh:
            fresh.mkdir()
            (fresh / str(number)).touch()
        assert [path.name for path in link.iterdir()] == [str(number)] and not link.is_symlink()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["best", "elsewhere"]
    assert [path.name for path in elsewhere.iterdir()] == ["kept"]
