"""compare --runs: finished runs in the table, alone and beside variants, and those that cannot be compared."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from easytransfer_mtl.commands.compare import run as compare
from easytransfer_mtl.commands.evaluate import run as evaluate
from easytransfer_mtl.comparing.by_seed import SeededResults, seeded_rows, seeded_text
from easytransfer_mtl.comparing.finished_runs import as_variants, read_runs
from easytransfer_mtl.comparing.runs import RunResult, TrainingProcesses
from easytransfer_mtl.config.predict_settings import EvaluateSettings
from easytransfer_mtl.config.study_settings import CompareSettings
from easytransfer_mtl.config.train_settings import TrainSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.row_table import write_rows
from easytransfer_mtl.files import read_json, write_json
from easytransfer_mtl.tasks import OCNLI


@pytest.fixture
def make_run(
    tiny_settings: Callable[..., TrainSettings], trained: Callable[..., Path], tiny_data: Path, tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory, untraced: None,
) -> Callable[..., Path]:  # fmt: skip
    """Writes a finished, evaluated run of one training; name, seed and weighting are written into it."""

    def make(name: str, seed: int = 5, weighting: str = "equal", score: float | None = None) -> Path:
        settings = tiny_settings(predict_input_fp=str(tiny_data / "dev.list_tfrecord"), model_dir=str(tmp_path / name))
        folder = Path(settings.model_dir)
        evaluated = tmp_path_factory.getbasetemp() / "evaluated_run"
        if not evaluated.exists():
            given = {"model_dir": str(trained(settings)), "predict_input_fp": str(settings.predict_input_fp)}
            evaluate(EvaluateSettings(**given))
            folder.rename(evaluated)
        shutil.copytree(evaluated, folder)
        path = folder / "train_config.json"
        written = read_json(path)
        written["settings"] |= {"seed": seed, "loss_weighting": weighting, "model_dir": str(folder)}
        write_json(path, written)
        if score is not None:
            summary = read_json(folder / "evaluation/summary.json")
            best = next(row for row in summary["checkpoints"] if row["best"])
            best["scores"] = dict.fromkeys(best["scores"], score)
            write_json(folder / "evaluation/summary.json", summary)
        return folder

    return make


def result(*scores: float) -> RunResult:
    return RunResult(dict(zip(("TNEWS", "OCNLI"), scores)), 5, 10.0, 1.0)


def test_differences_are_of_the_seeds_that_two_variants_share() -> None:
    variants = {
        "equal": {1: result(0.5, 0.4), 2: result(0.51, 0.41), 3: result(0.9, 0.9)},
        "two": {2: result(0.61, 0.51), 1: result(0.6, 0.501)},
        "none": {7: result(0.6, 0.5)},
        "one": {3: result(0.6, 0.5)},
    }
    results = SeededResults(variants, {"TNEWS": {1: 0.5}, "OCNLI": {1: 0.4}})
    equal, two, none, one = rows = seeded_rows(results)
    assert two["difference"] == pytest.approx((0.1 + 0.1 + 0.1 + 0.101) / 4) and two["supported"] and two["pairs"] == 2
    assert "difference" not in none and "difference" not in equal
    assert one["pairs"] == 1 and one["margin"] is None and one["supported"] is False
    assert none["delta_m"] == pytest.approx(100 * (0.1 / 0.5 + 0.1 / 0.4) / 2) and two["time"] == 1.0
    lines = seeded_text(rows, results).splitlines()
    assert lines[1].split()[:2] == ["equal", "3"] and lines[5].startswith("single-task models")


def test_a_table_of_finished_runs_alone(
    make_run: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [make_run(f"plain/seed_{seed}", seed, score=0.4 + 0.01 * seed) for seed in (1, 2)]
    folders += [make_run(f"famo/seed_{seed}", seed, "famo", 0.5 + 0.011 * seed) for seed in (1, 2)]
    folders.append(make_run("other", 9, "dwa", 0.3))
    assert compare(CompareSettings(runs=",".join(map(str, folders)), model_dir=str(tmp_path / "table"))) == 0
    written = read_json(tmp_path / "table/compare.json")
    rows = {row["variant"]: row for row in written["variants"]}
    assert list(rows) == ["plain", "famo", "other"] and rows["famo"]["seeds"] == 2 and written["single_task"] == {}
    assert rows["famo"]["difference"] == pytest.approx(0.1015) and rows["famo"]["supported"]
    assert rows["plain"]["time"] is None and "difference" not in rows["other"]
    assert (tmp_path / "table/compare.txt").read_text(encoding="utf-8") in capsys.readouterr().out
    assert "famo,2," in (tmp_path / "table/compare.csv").read_text(encoding="utf-8")


def test_finished_runs_stand_beside_variants(
    make_run: Callable[..., Path], tiny_encoder: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(self: TrainingProcesses, folder: Path, flags: list[str]) -> float:
        scores = dict.fromkeys(("TNEWS", "OCEMOTION", "OCNLI"), 0.5)
        best = {"step": 3, "scores": scores, "mean": 0.5, "best": True}
        write_json(folder / "model/evaluation/summary.json", {"checkpoints": [best]})
        return 1.5

    monkeypatch.setattr(TrainingProcesses, "_train", train)
    given: dict[str, Any] = {
        "pretrain_model_name_or_path": str(tiny_encoder), "random_init": True, "model_dir": str(tmp_path / "study"),
        "train_input_fp": str(tiny_data / "train.list_tfrecord"), "predict_input_fp": str(tiny_data / "dev.list_tfrecord"),
        "train_batch_size": 4, "seeds": "1,2", "variants": "equal; dwa", "single_task": False,
        "runs": ",".join(str(make_run(f"dwa/seed_{seed}", seed, "dwa", 0.6)) for seed in (2, 1)),
    }  # fmt: skip
    assert compare(CompareSettings(**given)) == 0
    rows = read_json(tmp_path / "study/compare.json")["variants"]
    assert [row["variant"] for row in rows] == ["equal", "dwa", "dwa (run)"]
    assert rows[2]["difference"] == pytest.approx(0.1) and rows[2]["pairs"] == 2
    fewer = tmp_path / "dev.list_tfrecord"
    fewer.write_text(f"{tiny_data}/OCNLI_dev.tfrecord\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"is of other tasks \(TNEWS, OCEMOTION, OCNLI\) than --predict_input_fp \(OCNLI\)"):
        compare(CompareSettings(**given | {"predict_input_fp": str(fewer)}))
    other = "".join(f"{tiny_data}/{name}_{kind}.tfrecord\n" for name, kind in
                    (("TNEWS", "dev"), ("OCEMOTION", "dev"), ("OCNLI", "train")))  # fmt: skip
    fewer.write_text(other, encoding="utf-8")
    with pytest.raises(UserError, match="was scored on other dev rows of OCNLI than .*OCNLI_train.tfrecord"):
        compare(CompareSettings(**given | {"predict_input_fp": str(fewer)}))


def test_runs_that_cannot_be_compared_are_refused(make_run: Callable[..., Path], tmp_path: Path) -> None:
    one, two = make_run("one", 1), make_run("two", 2)
    assert list(as_variants(read_runs(f"{one}, {two}"))) == [tmp_path.name]
    other_tasks, other_rows, unscored = (shutil.copytree(two, tmp_path / name) for name in ("tasks", "rows", "unscored"))
    rows = other_tasks / "evaluation/best/rows.json"
    table = read_runs(str(two))[0].table
    write_rows(rows.parent, replace(table, tasks=table.tasks[:2]))
    summary = read_json(other_tasks / "evaluation/summary.json")
    for row in summary["checkpoints"]:
        row["scores"].pop("OCNLI")
    write_json(other_tasks / "evaluation/summary.json", summary)
    changed = replace(table.tasks[2], truth=(table.tasks[2].truth + 1) % OCNLI.num_labels)
    write_rows(other_rows / "evaluation/best", replace(table, tasks=[*table.tasks[:2], changed]))
    shutil.rmtree(unscored / "evaluation")
    twin = make_run("twin", 1)
    for second, message in (
        (other_tasks, f"{other_tasks} is of other tasks"),
        (other_rows, f"{other_rows} was scored on other dev rows of OCNLI than {one}"),
        (unscored, "it was not evaluated, or by an earlier version; run easytransfer_mtl evaluate"),
        (one, "is given twice"),
        (tmp_path, "is not the folder of a run"),
        (tmp_path / "nowhere", "is not there"),
        ("", "has an empty entry"),
    ):
        with pytest.raises(UserError, match=message):
            read_runs(f"{one},{second}")
    with pytest.raises(UserError, match="are one run twice"):
        as_variants(read_runs(f"{one},{twin}"))
    (two / "evaluation/summary.json").write_text(json.dumps({"checkpoints": [{"best": True}]}), encoding="utf-8")
    with pytest.raises(UserError, match="is damaged"):
        read_runs(f"{one},{two}")


def test_what_a_training_needs_is_needed_unless_there_is_none() -> None:
    with pytest.raises(UserError, match="Missing: --pretrain_model_name_or_path.*--train_batch_size"):
        CompareSettings(model_dir="m", train_input_fp="t", runs="a,b")
    with pytest.raises(UserError, match="Missing: .*--train_input_fp"):
        CompareSettings(model_dir="m", variants="equal", runs="a,b")
    with pytest.raises(UserError, match="Missing: --model_dir"):
        CompareSettings(runs="a,b")
    assert not CompareSettings(model_dir="m", runs="a,b").trains
