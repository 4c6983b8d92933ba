"""Own tasks from tables as people have them, through the command line.

Quoted CSV without ids, whose labels are learned; a task with a Chinese name in GB18030; pairs in UTF-16 with tabs; JSON
lines as CLUE's for a task that lists its columns.
"""

import csv
import io
import json
import random
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
GOOD, BAD = ("饭很好吃", "天气真好", "我们很高兴", "这个画好看"), ("饭不好吃", "风太大了", "我很难过", "这个画难看")
TASKS = {
    "tasks": [
        {"name": "review", "first_sequence": "text", "label_name": "labels", "label_enumerate_values": "from data"},
        {
            "name": "情感",
            "first_sequence": "内容",
            "label_name": "标签",
            "id_column": "编号",
            "label_enumerate_values": ["好", "坏"],
            "metric": "accuracy",
        },
        {
            "name": "pairs",
            "first_sequence": "a",
            "second_sequence": "b",
            "label_name": "gold",
            "label_enumerate_values": "from data",
        },
        {
            "name": "TNEWS",
            "columns": "idx,sentence1,label",
            "first_sequence": "sentence1",
            "label_enumerate_values": "102,103",
        },
    ]
}
ROWS = {"train": 40, "dev": 12, "test": 7}


def table(names: str, rows: list[list[str]], end: str = "\n") -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator=end).writerows([names.split(), *rows])
    return stream.getvalue()


@pytest.fixture(scope="module")
def folder(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tasks file, the tables and the encoder."""
    folder, random_ = tmp_path_factory.mktemp("tables"), random.Random(5)
    data = folder / "data"
    data.mkdir()
    (folder / "tasks.json").write_text(json.dumps(TASKS, ensure_ascii=False), encoding="utf-8")
    for part, count in ROWS.items():
        good = [random_.random() < 0.5 for _ in range(count)]
        texts = [f'{random_.choice(GOOD if is_good else BAD)}, "第{place}次"' for place, is_good in enumerate(good)]
        cut = None if part != "test" else -1  # test files have no label
        rows = [[text, "pos" if is_good else "neg"][:cut] for text, is_good in zip(texts, good)]
        (data / f"review_{part}.csv").write_text(table(" ".join(["text", "labels"][:cut]), rows, "\r\n"), encoding="utf-8")
        rows = [
            [f"n{place}", text, "好" if is_good else "坏"][:cut] for place, (text, is_good) in enumerate(zip(texts, good))
        ]
        names = " ".join(["编号", "内容", "标签"][:cut])
        (data / f"情感_{part}.csv").write_text(table(names, rows), encoding="gb18030")
        if part != "dev":
            lines = [["a", "b", "gold"], *([text, text[::-1], str(int(is_good))] for text, is_good in zip(texts, good))]
            content = "".join("\t".join(line[:cut]) + "\n" for line in lines)
            (data / f"pairs_{part}.tsv").write_text(content, encoding="utf-16")
        objects = [{"label": "102" if is_good else "103", "label_desc": "x", "sentence": text, "keywords": ""}
                   for text, is_good in zip(texts, good)]  # fmt: skip
        if part == "test":
            objects = [{"id": place, "sentence": each["sentence"]} for place, each in enumerate(objects)]
        content = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in objects)
        (data / f"TNEWS_{part}.json").write_text(content, encoding="utf-8")
    shutil.copytree(encoder, folder / "encoder")
    return folder


@pytest.fixture(scope="module")
def done(folder: Path, new_session: Callable[[], Run]) -> dict[str, subprocess.CompletedProcess[str]]:
    """Every command that reads tables, one after the other; what comes after train was not told of the tasks file."""
    commands = (
        "check_data data --tasks_file=tasks.json",
        "eda data --tasks_file=tasks.json",
        "split --data_dir=data --tasks_file=tasks.json --output_dir=folds --folds=3",
        "convert --tasks_file=tasks.json --data_dir=data --output_dir=records --tokenizer_name_or_path=encoder",
        "train --tasks_file=tasks.json --pretrain_model_name_or_path=encoder --random_init --model_dir=model "
        "--train_input_fp=records/train.list_tfrecord --predict_input_fp=records/dev.list_tfrecord --num_epochs=0.3 "
        "--train_batch_size=8 --learning_rate=0.01 --loss_weighting=fixed --task_weights=情感=2 --save_steps=0 "
        "--sharing=shared_private --features=情感=cls,review=mean",
        "evaluate --model_dir=model --predict_input_fp=records/dev.list_tfrecord --data_dir=data",
        "predict --predict_checkpoint_path=model --data_dir=data --predict_output_fp=out",
        "submit --predict_checkpoint_path=model --data_dir=data --predict_output_fp=submission",
        "check_submission --tasks_file=model/best/tasks.json --submission=submission/result.zip --data_dir=data",
        "export model exported",
    )
    run = new_session()
    return {words.split()[0]: run(*words.split(), cwd=folder) for words in commands}


def test_every_command_reads_every_table(done: dict[str, subprocess.CompletedProcess[str]]) -> None:
    assert {name: each.returncode for name, each in done.items()} == dict.fromkeys(done, 0), [
        each.stderr for each in done.values()
    ]
    log = done["convert"].stderr
    assert re.search(r"review: 2 labels from data, data/review_train.csv: neg \(\d+\), pos \(\d+\)", log)
    log = done["check_data"].stderr  # in one process it is said once
    assert "data/情感_train.csv is read as GB18030: it is no UTF-8" in log
    assert "data/pairs_train.tsv is read as UTF-16: it begins with its byte order mark" in log
    assert "0 errors" in done["check_data"].stdout


def test_files_and_layers_have_ascii_names_and_reports_the_tasks_own(
    done: dict[str, subprocess.CompletedProcess[str]], folder: Path
) -> None:
    paths = [path.relative_to(folder) for name in ("records", "model", "out", "submission", "exported", "folds")
             for path in (folder / name).rglob("*")]  # fmt: skip
    assert all(str(path).isascii() for path in paths)
    assert Path("records/u60c5_u611f_train.tfrecord") in paths and Path("folds/u60c5_u611f_folds.csv") in paths
    assert re.search(r"^情感 +12 +accuracy", done["train"].stdout, re.M)
    tasks = json.loads((folder / "model/best/tasks.json").read_text(encoding="utf-8"))["tasks"]
    assert [(task["name"], task["label_enumerate_values"]) for task in tasks] == [
        ("review", ["neg", "pos"]), ("情感", ["好", "坏"]), ("pairs", ["0", "1"]), ("TNEWS", ["102", "103"]),
    ]  # fmt: skip


def test_rows_are_called_by_their_ids_or_numbers(done: dict[str, object], folder: Path) -> None:
    assert done
    ids = {"review": "012", "u60c5_u611f": ["n0", "n1", "n2"], "pairs": "012", "tnews": "012"}
    with zipfile.ZipFile(folder / "submission/result.zip") as archive:
        for name, wanted in ids.items():
            lines = archive.read(f"{name}_predict.json").decode().splitlines()
            assert [json.loads(line)["id"] for line in lines[:3]] == list(wanted) and len(lines) == ROWS["test"]
    with open(folder / "out/u60c5_u611f_predictions.csv", encoding="utf-8", newline="") as stream:
        assert [row["id"] for row in csv.DictReader(stream)][:3] == ["n0", "n1", "n2"]
    with open(folder / "model/evaluation/best/rows.csv", encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["task"] == "情感"]
    assert [row["id"] for row in rows] == [f"n{number}" for number in range(12)] and all("第" in row["text"] for row in rows)


def test_other_labels_in_the_table_are_not_learned_anew_after_training(
    done: dict[str, object], folder: Path, new_session: Callable[[], Run]
) -> None:
    assert done
    more = folder / "more"
    shutil.copytree(folder / "data", more)
    with open(more / "review_train.csv", "a", encoding="utf-8") as stream:
        stream.write("怎么样,unsure\n" * 3)
    run = new_session()
    words = "convert --tasks_file=tasks.json --data_dir=more --output_dir=again --tokenizer_name_or_path=encoder"
    assert run(*words.split(), cwd=folder).returncode == 0
    words = "evaluate --model_dir=model --predict_input_fp=again/dev.list_tfrecord"
    found = run(*words.split(), cwd=folder)
    assert (
        found.returncode == 2 and "was made with the labels neg,pos,unsure of review, the model has neg,pos" in found.stderr
    )
