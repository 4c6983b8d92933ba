"""Which texts a file stands for, and in what forms they come."""

from pathlib import Path
from typing import Any

import pytest

from easytransfer_mtl.config.prune_settings import PruneVocabularySettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.pruning import texts
from easytransfer_mtl.pruning.texts import Text, TextFile, batches_of, find_text_files, names_of
from easytransfer_mtl.tasks import CONTEST_TASKS, task_named


def settings(**given: Any) -> PruneVocabularySettings:
    return PruneVocabularySettings(pretrain_model_name_or_path="e", input_fps="i", output_dir="o", **given)


def rows(paths: str, variants: bool = False, **given: Any) -> list[Text]:
    files = find_text_files(paths, CONTEST_TASKS, "input_fps")
    return [row for file in files for batch in batches_of(file, settings(**given), "reading", variants) for row in batch]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Contest files of all kinds, and others."""
    (tmp_path / "TNEWS_train.csv").write_text("0\t今天\t100\n", encoding="utf-8")
    (tmp_path / "OCNLI_dev.csv").write_text("7\t看书\t“天气”\t1\r\n", encoding="utf-8")
    (tmp_path / "ocemotion_test_B.csv").write_text("\ufeff9\t好\n", encoding="utf-8")
    (tmp_path / "OCEMOTION_a.csv").write_text("9\t\n", encoding="utf-8")
    (tmp_path / "lines.csv").write_bytes("\ufeffa,b\tc\r\n\n [笑]１\n最后".encode())
    return tmp_path


def test_contest_files_give_their_text_columns_and_others_their_lines(folder: Path) -> None:
    assert rows(str(folder)) == [("今天",), ("看书", "“天气”"), ("好",), ("",)]
    assert rows(f"{folder / 'lines.csv'}, {folder / 'TNEWS_train.csv'}") == [("a,b\tc",), (" [笑]１",), ("最后",), ("今天",)]
    files = find_text_files(f"{folder},{folder / 'TNEWS_train.csv'}", CONTEST_TASKS, "input_fps")
    assert len(files) == 4  # each once
    assert files[0] == TextFile(folder / "TNEWS_train.csv", task_named("TNEWS", CONTEST_TASKS), True)


def test_what_normalization_changes_comes_in_both_forms(folder: Path) -> None:
    assert rows(str(folder / "lines.csv"), True) == [("a,b\tc",), (" [笑]１",), ("最后",), (" [笑]1",)]


def test_header_and_bad_rows_are_as_converts(folder: Path) -> None:
    path = folder / "TNEWS_train.csv"
    path.write_text("id\ttext\tlabel\n0\t今天\t100\n1\t看\n", encoding="utf-8")
    with pytest.raises(UserError, match="2 bad rows"):
        rows(str(path))
    assert rows(str(path), header=True, on_bad_row="skip") == [("今天",)]


def test_batches_are_bounded_by_their_characters(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "CHARACTERS_TOGETHER", 5)
    file = find_text_files(str(folder / "lines.csv"), CONTEST_TASKS, "f")[0]
    assert [len(batch) for batch in batches_of(file, settings(), "reading", False)] == [1, 1, 1]


def test_the_log_tells_how_far_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(texts, "SECONDS_BETWEEN_LINES", 0.0)
    with caplog.at_level("INFO"):
        rows(str(folder / "lines.csv"))
    assert "reading: lines.csv, 3 rows so far" in caplog.text


def test_names_for_the_report(folder: Path) -> None:
    (folder / "TNEWS").mkdir()
    (folder / "TNEWS" / "lines.csv").write_text("好\n", encoding="utf-8")
    files = find_text_files(
        f"{folder / 'lines.csv'},{folder / 'TNEWS/lines.csv'},{folder / 'OCNLI_dev.csv'}", CONTEST_TASKS, "f"
    )
    paths = [str(folder / "lines.csv"), str(folder / "TNEWS/lines.csv")]
    assert list(names_of(files).values()) == [*paths, "OCNLI_dev.csv"]


def test_tables_of_own_tasks_give_their_texts_and_other_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "TNEWS_train.jsonl").write_text('{"sentence": "今天", "label": "100"}\n', encoding="utf-8")
    assert rows(str(tmp_path)) == [("今天",)]
    for name in ("other.jsonl", "lines.txt"):
        path = tmp_path / name
        path.write_text('\ufeff{"text": "今天"}\n', encoding="utf-8")
        with pytest.raises(UserError, match=f"{name} is JSON, and no task's file by its name"):
            rows(str(path))


def test_no_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--input_fps names no file"):
        rows(" , ")
    with pytest.raises(UserError, match="has no contest file of"):
        rows(str(tmp_path))
