"""compare --budget: what is trained in which folders, the table, and what is refused before the first training."""

import csv
import json
import shutil
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from warm_processes import WarmProcess

from easytransfer_mtl.commands.compare import run as compare
from easytransfer_mtl.comparing.grid import OPTIONS, all_weightings, fixed_weights, with_baselines
from easytransfer_mtl.comparing.runs import SUMMARY, Job, RunResult, TrainingProcesses
from easytransfer_mtl.comparing.variants import parse_variants
from easytransfer_mtl.config.options import options_of, parse_flags
from easytransfer_mtl.config.study_settings import CompareSettings
from easytransfer_mtl.config.train_settings import LOSS_WEIGHTINGS, TrainSettings
from easytransfer_mtl.data.list_files import task_files
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import read_json, write_json
from easytransfer_mtl.runs.lock import run_lock
from easytransfer_mtl.tasks import CONTEST_TASKS, OCNLI, Task
from easytransfer_mtl.weighting import METHODS

NAMES = [task.name for task in CONTEST_TASKS]


@pytest.fixture
def study(tmp_path: Path, flat_encoder: Path, tiny_data: Path) -> dict[str, Any]:
    """What every comparison of the tiny encoder on the tiny data is told."""
    files = {"train_input_fp": "train.list_tfrecord", "predict_input_fp": "dev.list_tfrecord"}
    given: dict[str, Any] = {name: str(tiny_data / file) for name, file in files.items()}
    given |= {"pretrain_model_name_or_path": str(flat_encoder), "random_init": True, "model_dir": str(tmp_path / "study")}
    return given | {"train_batch_size": 4, "num_epochs": 8.0, "budget": "2h", "seeds": "1,2", "jobs": 2}


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders of trainings that were started; each leaves a score and no model."""
    folders: list[str] = []

    def train(self: TrainingProcesses, folder: Path, flags: list[str]) -> float:
        folders.append(folder.relative_to(tmp_path / "study").as_posix())
        given = TrainSettings(**parse_flags(options_of(TrainSettings), flags, "train"))
        names = [file.task.name for file in task_files(given.train_input_fp, CONTEST_TASKS)]
        base = 0.5 + 0.01 * LOSS_WEIGHTINGS.index(given.loss_weighting) + 0.001 * given.seed + 0.001 * given.num_epochs
        rows = [{"step": 3, "scores": dict.fromkeys(names, base), "mean": base, "best": True}]
        write_json(folder / "model/evaluation/summary.json", {"checkpoints": rows})
        return 1.5

    monkeypatch.setattr(TrainingProcesses, "_train", train)
    return folders


def test_the_grid_is_of_all_weightings_that_the_steps_allow_and_their_main_options() -> None:
    joint, alternating = ([variant.settings for variant in all_weightings(mode)] for mode in ("joint", "alternating"))
    assert {settings["loss_weighting"] for settings in joint} == {*LOSS_WEIGHTINGS} - {"fixed"}
    found = {settings["loss_weighting"] for settings in alternating}
    assert found == {name for name in LOSS_WEIGHTINGS if not METHODS[name].needs_joint_step} - {"fixed"}
    options = options_of(TrainSettings)
    for settings in joint:
        method = settings["loss_weighting"]
        others = {name: value for name, value in settings.items() if name != "loss_weighting"}
        assert len(others) <= 1 and (not others or method in OPTIONS)
        assert all(value != options[name].default for name, value in others.items())
        assert all(options[name].only_with == {"loss_weighting": (method,)} for name in others)


def test_fixed_weights_favour_each_task_in_turn() -> None:
    weights = [variant.settings["task_weights"] for variant in fixed_weights(CONTEST_TASKS[1:])]
    assert weights == ["ocemotion=2", "ocemotion=4", "ocnli=2", "ocnli=4"]
    assert [variant.settings["task_weights"] for variant in fixed_weights(CONTEST_TASKS)][:2] == ["tnews=2", "tnews=0.5"]
    many = [Task(**{**vars(OCNLI), "name": f"情感{number}"}) for number in range(7)]
    found = fixed_weights(many)
    assert len(found) == 7 and found[0].settings["task_weights"] == "情感0=2" and found[0].folder.isascii()
    assert len({variant.folder for variant in found}) == 7 and fixed_weights(CONTEST_TASKS[:1]) == []


def test_the_plain_sum_and_fixed_weights_are_added_where_they_are_missing() -> None:
    variants, fixed = with_baselines(parse_variants("famo; equal learning_rate=0.1"), CONTEST_TASKS)
    assert [variant.name for variant in (variants[0], *variants[-2:])] == ["equal", "famo", "equal learning_rate=0.1"]
    assert len(fixed) == 6 and variants[1:7] == fixed
    variants, fixed = with_baselines(parse_variants("famo; fixed task_weights=ocnli=3; equal"), CONTEST_TASKS)
    assert [variant.name for variant in variants] == ["equal", "famo", "fixed task_weights=ocnli=3"] and fixed == variants[
        2:
    ]


def test_a_search_fills_the_table(study: dict[str, Any], started: list[str], tmp_path: Path, capsys: Any) -> None:
    settings = CompareSettings(**study, variants="famo; mgda; dwa; rlw; uncertainty")
    assert compare(settings) == 0
    text = capsys.readouterr().out
    assert len(started) == len(set(started)) and {"equal/length_0.0625/seed_1", "single/OCNLI/seed_2"} <= set(started)
    assert json.loads((tmp_path / "study/famo/seed_1/flags.json").read_text(encoding="utf-8")).count("--num_epochs=8.0") == 1
    short = next(name for name in started if name.startswith("famo/length_"))
    fraction = float(short.split("/")[1].removeprefix("length_"))
    assert f"--num_epochs={8 * fraction}" in read_json(tmp_path / "study" / short / "flags.json")
    written = read_json(tmp_path / "study/compare.json")
    names = [row["variant"] for row in written["variants"]]
    assert names[0] == "equal" and names[1].startswith("fixed, tuned: ") and names[2] == "famo"
    assert written["variants"][2]["pairs"] == 2 and written["variants"][2]["supported"] is True
    assert all("delta_m" in row for row in written["variants"]) and set(written["single_task"]) == set(NAMES)
    dropped = {item["name"]: item for item in written["dropped"]}
    rung = dropped["uncertainty"]["rung"]  # how many there are depends on what starts take
    assert rung >= 1 and dropped["uncertainty"]["score"] < 0.6
    assert not dropped.keys() & set(names) and written["budget_seconds"] == 7200
    with open(tmp_path / "study/compare.csv", encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert {line["variant"]: line["rung"] for line in lines}.items() >= {
        "famo": "full length",
        "uncertainty": str(rung),
    }.items()
    assert "single-task models" in text and "of 2 h 00 min" in text and "dropped" in text
    number = len(started)
    assert compare(settings) == 0 and len(started) == number and capsys.readouterr().out == text
    (tmp_path / "study/famo/seed_2/result.json").unlink()
    assert compare(settings) == 0 and started[number:] == ["famo/seed_2"]


def test_all_weightings_are_tried_that_fit_the_tasks(
    study: dict[str, Any], started: list[str], tmp_path: Path, tiny_data: Path
) -> None:
    for kind in ("train", "dev"):
        lines = "".join(f"{tiny_data}/{name}_{kind}.tfrecord\n" for name in NAMES[1:])
        (tmp_path / f"{kind}.list_tfrecord").write_text(lines, encoding="utf-8")
        study[{"train": "train_input_fp", "dev": "predict_input_fp"}[kind]] = str(tmp_path / f"{kind}.list_tfrecord")
    assert compare(CompareSettings(**study | {"seeds": "1"})) == 0
    written = read_json(tmp_path / "study/compare.json")
    assert list(written["not_tried"]) == ["krum", "trimmed_mean", "modo", "sdmgrad"]
    assert "krum" in written["not_tried"]["krum"] and "num_accumulated_batches=3" in written["not_tried"]["sdmgrad"]
    tried = {item["name"] for item in written["dropped"]} | {*written["runs"]}
    assert {"nash", "mgda mgda_normalization=l2", "cagrad cagrad_c=0.8"} <= tried
    assert not any(row.get("supported") for row in written["variants"])  # one seed shows nothing


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": "2"}, "--budget: '2' is no time"),
        ({"single_task": False}, "single-task models are always in its table"),
        ({"variants": "equal; krum krum_outliers=2"}, "krum"),
        ({"variants": "equal num_freezed_layers=9"}, "num_freezed_layers is 9"),
        ({"step_mode": "alternating", "variants": "mgda"}, "mgda needs every task in every step"),
        (
            {"train_input_fp": "OCNLI_train.tfrecord", "predict_input_fp": "OCNLI_dev.tfrecord"},
            "is for several tasks",
        ),
        ({"runs": "nowhere"}, "--runs: nowhere is not there"),
    ],
)
def test_what_cannot_be_is_told_before_the_first_training(
    changes: dict[str, Any], message: str, study: dict[str, Any], started: list[str], tmp_path: Path, tiny_data: Path
) -> None:
    changes = {name: str(tiny_data / value) if name.endswith("_fp") else value for name, value in changes.items()}
    with pytest.raises(UserError, match=message):
        compare(CompareSettings(**study | changes))
    assert not started and not (tmp_path / "study").exists()


def test_other_settings_or_files_are_refused(
    study: dict[str, Any], started: list[str], tmp_path: Path, tiny_data: Path, convert_rows: Callable[..., Path]
) -> None:
    data = shutil.copytree(tiny_data, tmp_path / "data")
    study |= {"train_input_fp": str(data / "train.list_tfrecord"), "predict_input_fp": str(data / "dev.list_tfrecord")}
    study |= {"variants": "dwa; fixed task_weights=ocnli=2", "seeds": "1"}
    assert compare(CompareSettings(**study)) == 0
    number = len(started)
    with pytest.raises(UserError, match=r"the plan of another comparison \(budget: 7200.0 -> 3600.0\)"):
        compare(CompareSettings(**study | {"budget": "1h"}))
    with pytest.raises(UserError, match=r"holds a run with other settings \(--learning_rate=0.5\)"):
        compare(CompareSettings(**study | {"learning_rate": 0.5}))
    convert_rows(data / "OCNLI_dev.tfrecord", OCNLI, 9)
    with pytest.raises(UserError, match="files with another content .*dev file 3"):
        compare(CompareSettings(**study))
    assert len(started) == number


def test_a_training_that_was_left_behind_is_waited_for(
    tiny_settings: Callable[..., TrainSettings], tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_behind, waiting = threading.Event(), threading.Event()

    def train(self: TrainingProcesses, folder: Path, flags: list[str]) -> float:
        assert left_behind.is_set()
        write_json(folder / SUMMARY, {"checkpoints": [{"step": 3, "scores": {"OCNLI": 0.5}, "mean": 0.5, "best": True}]})
        return 1.5

    monkeypatch.setattr(TrainingProcesses, "_train", train)
    monkeypatch.setattr("easytransfer_mtl.comparing.runs.time.sleep", lambda seconds: waiting.set())
    job = Job("equal", tmp_path / "job", tiny_settings(predict_input_fp=str(tiny_data / "dev.list_tfrecord")))
    with ThreadPoolExecutor(1) as pool:
        with run_lock(job.folder / "model"):
            (job.folder / "train.log").touch()  # as a training leaves; a folder that stays empty is removed with its lock
            running = pool.submit(TrainingProcesses(0, False, waits=True).run, job)
            assert waiting.wait(60) and not running.done()
            left_behind.set()
        assert running.result() == RunResult({"OCNLI": 0.5}, 3, None, None)


SEARCH = """
import sys
from easytransfer_mtl.__main__ import main
from easytransfer_mtl.commands.train import run
from easytransfer_mtl.comparing.runs import SUMMARY, Job, RunResult, TrainingProcesses
from easytransfer_mtl.config.options import options_of, parse_flags
from easytransfer_mtl.config.train_settings import TrainSettings
import tensorflow as tf
from easytransfer_mtl.runs import callbacks

def train(self, folder, flags):
    with open("started", "a") as log:
        log.write(f"{folder}\\n")
    run(TrainSettings(**parse_flags(options_of(TrainSettings), flags, "train")))
    return 1.0

tf.config.run_functions_eagerly(True)
callbacks.stopping_signals = lambda: ()  # trainings run in a thread, which can have none
TrainingProcesses._train = train
sys.exit(main())
"""
"""The program, whose trainings run in its own process: a process for each takes ten times as long."""


def test_a_killed_search_goes_on(study: dict[str, Any], tmp_path: Path) -> None:
    """With real trainings, killed in the fourth."""
    study |= {"variants": "fixed task_weights=ocnli=2", "seeds": "1", "jobs": 1, "num_epochs": 0.4}
    words = ["compare", *(f"--{name}={str(value).lower() if value is True else value}" for name, value in study.items())]
    folder, script, log = tmp_path / "study", tmp_path / "search.py", tmp_path / "started"
    script.write_text(SEARCH, encoding="utf-8")
    killed = WarmProcess(words, tmp_path, script)
    killed.wait_until((folder / "equal/seed_1/model/.lock").exists, "the fourth training")
    killed.send_signal(signal.SIGKILL)
    assert killed.finish().returncode == -signal.SIGKILL
    done = WarmProcess(words, tmp_path, script).finish()
    assert done.returncode == 0, done.stderr
    assert (folder / "compare.txt").read_text(encoding="utf-8") in done.stdout
    written = read_json(folder / "compare.json")
    assert [row["variant"] for row in written["variants"]] == ["equal", "fixed, tuned: ocnli=2"]
    started = [Path(line).relative_to(folder).as_posix() for line in log.read_text(encoding="utf-8").splitlines()]
    lengths = ["length_0.0625/", "length_0.25/", "length_0.125/"]
    assert started[:5] == [f"equal/{length}seed_1" for length in (*lengths, "", "")]
    assert len(started) == 9 == len(set(started)) + 1
