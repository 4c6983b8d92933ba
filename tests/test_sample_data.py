"""The embedded sample: repeatable, complete, and with the awkward cases of the contest's files."""

import json
import re
import subprocess
import sys
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from easytransfer_mtl.tasks import CONTEST_TASKS, Task, task_named

DATA = Path(__file__).resolve().parents[1] / "data"
ROWS = {
    "TNEWS": {"train": 600, "dev": 120, "test": 60},
    "OCEMOTION": {"train": 480, "dev": 97, "test": 60},
    "OCNLI": {"train": 540, "dev": 111, "test": 60},
}
CRLF = {"TNEWS_train", "TNEWS_test", "OCEMOTION_train", "OCEMOTION_dev", "OCNLI_test"}
FULL_WIDTH = re.compile("[\uff01\uff08\uff09\uff0c\uff1a\uff1b\uff1f\uff5e]")
FILES = [(task, split) for task in CONTEST_TASKS for split in ("train", "dev", "test")]
each_task = pytest.mark.parametrize("task", CONTEST_TASKS, ids=lambda task: task.name)


def read(task: Task, split: str) -> list[list[str]]:
    """Returns the fields of every row of a sample file."""
    content = (DATA / "sample" / f"{task.name}_{split}.csv").read_bytes().decode("utf-8")
    return [line.rstrip("\r").split("\t") for line in content.removesuffix("\n").split("\n")]


def texts(task: Task, split: str) -> list[tuple[str, ...]]:
    """Returns the one or two texts of every row."""
    return [tuple(row[1 : 3 if task.second_sequence else 2]) for row in read(task, split)]


def same_width(task: Task, split: str) -> list[tuple[str, ...]]:
    """Returns the texts of every row with full-width characters made half-width."""
    return [tuple(unicodedata.normalize("NFKC", text) for text in row) for row in texts(task, split)]


def everything(task: Task, *splits: str) -> list[str]:
    """Returns every single text of the splits."""
    return [text for split in splits for row in texts(task, split) for text in row]


def make(folder: Path, *options: str) -> dict[str, bytes]:
    """Runs the generator and returns the written files by their path below ``folder``."""
    command = [sys.executable, str(DATA / "make_sample.py"), "--output_dir", str(folder), *options]
    subprocess.run(command, check=True, cwd=folder)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_generator_reproduces_the_committed_files(tmp_path: Path) -> None:
    made = make(tmp_path)
    committed = [path for part in ("sample", "tiny_bert_zh") for path in (DATA / part).iterdir()]
    assert made == {path.relative_to(DATA).as_posix(): path.read_bytes() for path in committed}
    assert len(made) == 11 and sum(map(len, made.values())) < 500_000


def test_another_seed_gives_other_texts_but_the_same_counts(tmp_path: Path) -> None:
    made = make(tmp_path, "--seed", "1")
    for task, split in FILES:
        content = made[f"sample/{task.name}_{split}.csv"]
        assert content.count(b"\n") == ROWS[task.name][split]
        assert content != (DATA / "sample" / f"{task.name}_{split}.csv").read_bytes()


@pytest.mark.parametrize(("task", "split"), FILES, ids=lambda value: getattr(value, "name", value))
def test_rows_columns_ids_and_line_ends(task: Task, split: str) -> None:
    rows = read(task, split)
    columns = task.unlabelled_columns if split == "test" else task.columns
    first = 1500 if (task.name, split) == ("OCNLI", "test") else 0
    assert {len(row) for row in rows} == {len(columns)}
    assert [row[0] for row in rows] == [str(first + i) for i in range(ROWS[task.name][split])]
    assert all(field.strip() for row in rows for field in row)
    content = (DATA / "sample" / f"{task.name}_{split}.csv").read_bytes()
    line_ends = len(rows) if f"{task.name}_{split}" in CRLF else 0
    assert content.count(b"\r\n") == content.count(b"\r") == line_ends and content.endswith(b"\n")
    assert not content.startswith(b"\xef\xbb\xbf")


@each_task
@pytest.mark.parametrize("split", ["train", "dev"])
def test_every_label_occurs_and_none_dominates(task: Task, split: str) -> None:
    counts = Counter(row[-1] for row in read(task, split))
    assert set(counts) == set(task.label_enumerate_values)
    assert max(counts.values()) <= 2.5 * min(counts.values())


def test_dev_sizes_differ_and_fill_no_batch() -> None:
    sizes = [len(read(task, "dev")) for task in CONTEST_TASKS]
    assert len(set(sizes)) == 3 and all(size >= 90 and size % 16 for size in sizes)


@each_task
def test_only_the_deliberate_copies_of_train_are_in_dev_and_test(task: Task) -> None:
    train = same_width(task, "train")
    assert len(train) - len(set(train)) == (4 if task.name == "TNEWS" else 3)
    assert len(set(same_width(task, "dev"))) == ROWS[task.name]["dev"]
    firsts = {row[0] for row in train}
    for split, copies in (("dev", 2), ("test", 1)):
        assert sum(row in set(train) for row in same_width(task, split)) == copies
        assert sum(row[0] in firsts for row in same_width(task, split)) == copies


def test_one_tnews_text_has_two_labels() -> None:
    labels: dict[str, set[str]] = {}
    for _, text, label in read(task_named("TNEWS", CONTEST_TASKS), "train"):
        labels.setdefault(text, set()).add(label)
    assert sum(len(found) > 1 for found in labels.values()) == 1


@each_task
@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_quotes_and_edge_spaces_occur(task: Task, split: str) -> None:
    fields = everything(task, split)
    assert any(text.startswith('"') for text in fields)
    assert any(text != text.strip() for text in fields) or (task.name, split) == ("TNEWS", "dev")


@each_task
def test_awkward_texts_occur(task: Task) -> None:
    fields = everything(task, "train", "dev")
    assert any(text.count('"') % 2 for text in fields)
    assert any("[SEP]" in text for text in everything(task, "train"))
    assert any(re.search(r"(.)\1{14}", text) for text in fields)


def test_width_differs_between_train_and_test_as_in_the_contest() -> None:
    for task in CONTEST_TASKS:
        assert not any(FULL_WIDTH.search(text) for text in everything(task, "train", "dev"))
        full = sum(bool(FULL_WIDTH.search(text)) for text in everything(task, "test"))
        assert (full == 0) == (task.name == "OCNLI") and full < 60


def test_ocemotion_has_long_texts_tags_and_emoji() -> None:
    task = task_named("OCEMOTION", CONTEST_TASKS)
    for split in ("train", "dev", "test"):
        fields = everything(task, split)
        assert any(len(text) > 128 for text in fields)
        assert any(re.search(r"\[[\u4e00-\u9fff]+\]", text) for text in fields)
        assert any(re.search("[\U0001f300-\U0001faff]", text) for text in fields)
    assert sorted(map(len, everything(task, "train")))[456] <= 40


def test_config_and_vocabulary_fit_each_other_and_leave_unknown_characters() -> None:
    content = (DATA / "tiny_bert_zh" / "vocab.txt").read_bytes().decode("utf-8")
    vocab = content.removesuffix("\n").split("\n")
    config = json.loads((DATA / "tiny_bert_zh" / "config.json").read_text(encoding="utf-8"))
    assert "\r" not in content and len(set(vocab)) == len(vocab) == config["vocab_size"] < 1500
    assert vocab[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] and config["pad_token_id"] == 0
    assert config["hidden_size"] % config["num_attention_heads"] == 0 and config["max_position_embeddings"] >= 128
    used = "".join(text for task in CONTEST_TASKS for text in everything(task, "train", "dev"))
    unknown = set(re.findall(r"[\u4e00-\u9fff]", used)) - set(vocab)
    assert 3 <= len(unknown) <= 20
