"""Folders of evaluations: read as evaluate left them, and errors that say what to run."""

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.row_table import TaskRows, read_rows
from easytransfer_mtl.reporting.sources import read_source, same_rows


def test_a_run_and_how_it_was_trained(make_run: Callable[..., Path]) -> None:
    source = read_source(make_run("a"))
    training = source.training
    assert source.name == "a" and training is not None and not source.members
    assert training.settings == {"learning_rate": "0.123", "train_batch_size": "8", "predict_input_fp": "d.list_tfrecord"}
    assert training.data == [("train", "TNEWS", "TNEWS_train.tfrecord", 1234, 64)]
    assert training.encoder == {"model_type": "bert", "hidden_size": "128"} and training.plan == {"train_steps": 8}
    assert training.seconds == 8 * 8 / 16
    assert training.panels["score"]["mean"].steps == [0, 4, 8]


def test_a_folder_with_a_common_name_is_called_with_the_one_above(make_run: Callable[..., Path]) -> None:
    assert read_source(make_run("mine/model")).name == "mine/model"


def test_an_average_has_its_models(make_average: Callable[..., Path]) -> None:
    source = read_source(make_average("average"))
    assert source.training is None and source.table.name == "average"
    assert [member.name for member in source.members] == ["seed_1/best", "seed_2/best"]


def test_refused_folders(make_run: Callable[..., Path], tmp_path: Path) -> None:
    run = make_run("a run")
    with pytest.raises(UserError, match="gone is not there; give the folder of a run"):
        read_source(tmp_path / "gone")
    with pytest.raises(UserError, match="metrics.csv is not a folder"):
        read_source(run / "metrics.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty is neither the folder of a run .it has no tasks.json. nor"):
        read_source(tmp_path / "empty")
    (run / "evaluation/best/rows.json").unlink()
    with pytest.raises(
        UserError, match="was not evaluated, or by an earlier version. Run `(.*)` .with --data_dir"
    ) as caught:
        read_source(run)
    command = shlex.split(str(caught.value).split("`")[1])
    assert command == ["easytransfer_mtl", "evaluate", f"--model_dir={run}", "--predict_input_fp=d.list_tfrecord"]
    best = run / "best"
    best.mkdir()
    for name in ("export.json", "tasks.json"):
        (best / name).write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match="best is an exported model; give the folder of its run, .*a run"):
        read_source(best)


@pytest.mark.parametrize(
    "content", ["[]", '{"settings": 5, "data": {"train": [5, {"rows": "x"}]}, "plan": {"a": "b"}}', None]
)
def test_a_run_is_shown_without_what_is_not_known(content: str | None, make_run: Callable[..., Path]) -> None:
    run = make_run("a")
    (run / "metrics.csv").unlink()
    (run / "evaluation/summary.json").unlink()
    path = run / "train_config.json"
    path.unlink() if content is None else path.write_text(content, encoding="utf-8")
    training = read_source(run).training
    assert training is not None and training.settings == {} and training.plan == {} and training.seconds is None


def test_the_same_rows(make_run: Callable[..., Path]) -> None:
    def task(name: str, seed: int, **more: str) -> TaskRows:
        return read_rows(make_run(name, seed, **more) / "evaluation/best").tasks[0]

    one, other, moved = task("a", 2), task("b", 3), task("c", 3, source="1" * 64)
    assert same_rows(one, other) and same_rows(one, moved)  # equal texts, whatever the files' hashes
    renamed = replace(moved, about=replace(moved.about, texts=[("x",)] * len(moved.truth)))
    assert not same_rows(one, renamed)
    decoded = replace(other, about=replace(renamed.about, from_file=False, source_sha256="0" * 64, ids=["0"]))
    assert same_rows(one, decoded)  # one file by its hash
    assert not same_rows(one, replace(decoded, about=replace(decoded.about, source_sha256=None)))
    assert not same_rows(one, replace(other, about=replace(other.about, ids=other.about.ids[::-1])))
    assert not same_rows(one, replace(other, truth=other.truth[::-1]))
