"""Checkpoints on dev files: the original's predictions and scores, the choice of the best, and sizes that differ."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score
from steps import compiled

from easytransfer_mtl.data.tokenization import load_vocabulary
from easytransfer_mtl.encoders.finding import EncoderFiles
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation import evaluator
from easytransfer_mtl.evaluation.evaluator import EvaluationOptions, build_model, evaluate_run, score_rows
from easytransfer_mtl.evaluation.export import load_exported
from easytransfer_mtl.evaluation.inference import Inference
from easytransfer_mtl.evaluation.kept_scores import KeptScores
from easytransfer_mtl.evaluation.metrics import mean_score
from easytransfer_mtl.evaluation.reports import best_line, summary_text
from easytransfer_mtl.evaluation.weights import Weights
from easytransfer_mtl.files import write_json
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.runs.checkpoints import Progress, RunCheckpoints
from easytransfer_mtl.runs.folder import RunFolder, TaskInput
from easytransfer_mtl.runs.optimizers import make_optimizer
from easytransfer_mtl.runs.task_data import TaskData, read_task_data
from easytransfer_mtl.tasks import CONTEST_TASKS

RUN = "nodrop_noshuffle_adam"
INPUTS = {task.name: TaskInput(128, "none") for task in CONTEST_TASKS}


@pytest.fixture(scope="module")
def recorded(golden: Path) -> list[dict[str, Any]]:
    """The original's reports: three tasks at checkpoint 0, three at checkpoint 37."""
    return json.loads((golden / "eval" / f"{RUN}.json").read_text(encoding="utf-8"))["reports"]


@pytest.fixture(scope="module")
def golden_run(
    tmp_path_factory: pytest.TempPathFactory,
    golden: Path,
    golden_files: EncoderFiles,
    golden_model: Callable[..., MultiTaskModel],
) -> RunFolder:
    """The original's run as one of ours: its weights at steps 0 and 37 in our checkpoints."""
    folder = RunFolder(tmp_path_factory.mktemp("evaluation") / "run")
    model = golden_model(f"train/{RUN}/initial_heads.npz")
    folder.write_model(model.encoder.config, golden_files.vocabulary, CONTEST_TASKS, INPUTS)
    compiled(model, make_optimizer("adam", 1e-3, 0.0))
    checkpoints = RunCheckpoints(model, Progress(), folder.path, keep=10)
    checkpoints.save(0)
    with np.load(golden / "train" / RUN / "final_weights.npz") as final:
        for name, variable in model.encoder.canonical_variables.items():
            variable.assign(final[f"bert_pre_trained_model/bert/{name}"])
        for task in CONTEST_TASKS:
            model.heads[task.logits_name].set_weights([final[f"{task.head_name}/{part}"] for part in ("kernel", "bias")])
    checkpoints.save(37)
    return folder


@pytest.fixture
def run(golden_run: RunFolder, tmp_path: Path) -> RunFolder:
    return RunFolder(Path(shutil.copytree(golden_run.path, tmp_path / "run")))


@pytest.fixture
def dev(golden: Path, golden_files: EncoderFiles, tmp_path: Path) -> Callable[..., list[TaskData]]:
    """Reads the golden dev files, or the first rows of them."""

    def read(*sizes: int) -> list[TaskData]:
        names = [golden / "preprocess" / f"{task.name}_dev.tfrecord" for task in CONTEST_TASKS]
        path = tmp_path / "dev.list_tfrecord"
        path.write_text("\n".join(map(str, names)), encoding="utf-8")
        vocabulary = load_vocabulary(golden_files.vocabulary_file)
        data = read_task_data(str(path), CONTEST_TASKS, vocabulary, golden_files.vocabulary_file, 512)
        return [
            TaskData(item.file, item.rows.first(size), 128) for item, size in zip(data, sizes or (24, 24, 24), strict=True)
        ]

    return read


def confusion(report: dict[str, Any], labels: int) -> np.ndarray:
    table = np.zeros((labels, labels), int)
    np.add.at(table, (report["gts"], report["preds"]), 1)
    return table


def test_original_run_gives_the_originals_predictions_scores_and_choice(
    run: RunFolder, dev: Callable[..., list[TaskData]], recorded: list[dict[str, Any]]
) -> None:
    evaluation = evaluate_run(build_model(run), run, dev(), EvaluationOptions(batch_size=4, legacy=True))
    assert list(evaluation.scores) == [Weights.of_step(run.path, 0), Weights.of_step(run.path, 37)]
    for step, reports in ((Weights.of_step(run.path, 0), recorded[:3]), (Weights.of_step(run.path, 37), recorded[3:])):
        for score, report in zip(evaluation.scores[step], reports, strict=True):
            assert score.task.name == report["called_as"] and score.rows == 24
            np.testing.assert_array_equal(score.confusion, confusion(report, score.task.num_labels))
            assert score.macro_f1 == f1_score(report["gts"], report["preds"], average="macro", zero_division=0)
            assert round(score.macro_f1, 4) == report["macro_f1_read"]
        assert evaluation.legacy[step].mean == sum(report["macro_f1_read"] for report in reports) / 3
        assert evaluation.legacy[step].misplaced == 0
    # "best ckpt 0, best best_macro_f1 0.16796666666666668"
    assert evaluation.best == Weights.of_step(run.path, 0) and evaluation.legacy[evaluation.best].mean == 0.16796666666666668


def test_predictions_row_by_row_are_the_originals(
    run: RunFolder, dev: Callable[..., list[TaskData]], recorded: list[dict[str, Any]]
) -> None:
    evaluate_run(build_model(run), run, dev(), EvaluationOptions())
    shutil.rmtree(run.path / "best")
    for path in run.path.glob("model.ckpt-0.*"):
        path.unlink()
    best = evaluate_run(build_model(run), run, dev(), EvaluationOptions()).best_folder
    model, _ = load_exported(str(best))
    for item, report in zip(dev(), recorded[3:], strict=True):
        found = Inference(model, 64).outputs(item.rows, [item.task.name], "test")[item.task.name].predictions
        np.testing.assert_array_equal(found, report["preds"])
        np.testing.assert_array_equal(item.rows.label_ids, report["gts"])


def test_best_is_exported_with_its_scores_and_tables(
    run: RunFolder, dev: Callable[..., list[TaskData]], golden: Path
) -> None:
    evaluation = evaluate_run(build_model(run), run, dev(), EvaluationOptions())
    about = json.loads((evaluation.best_folder / "export.json").read_text(encoding="utf-8"))
    assert about["step"] == evaluation.best.step == 0 and about["weights"] == "raw"
    assert about["mean_score"] == mean_score(evaluation.scores[Weights.of_step(run.path, 0)])
    model, inputs = load_exported(str(evaluation.best_folder))
    assert inputs == INPUTS
    with np.load(golden / "train" / RUN / "initial_heads.npz") as heads:
        np.testing.assert_array_equal(model.heads["tnews_logits"].kernel, heads["tnews_dense/kernel"])
    assert (run.path / "evaluation" / "best").is_dir()
    tables = list((run.path / "evaluation").glob("*.csv"))
    assert tables
    with open(tables[0], encoding="utf-8", newline="") as stream:
        assert len(list(csv.reader(stream))) > 2


def test_of_equal_checkpoints_the_later_one_is_best(run: RunFolder, dev: Callable[..., list[TaskData]]) -> None:
    model = build_model(run)
    compiled(model, make_optimizer("adam", 1e-3, 0.0))
    checkpoints = RunCheckpoints(model, Progress(), run.path, keep=10)
    for step in (40, 50):
        checkpoints.save(step)
    evaluation = evaluate_run(model, run, dev(), EvaluationOptions())
    means = {candidate.step: mean_score(scores) for candidate, scores in evaluation.scores.items()}
    assert means[40] == means[50]
    for path in [*run.path.glob("model.ckpt-0.*"), *run.path.glob("model.ckpt-37.*")]:
        path.unlink()
    assert evaluate_run(model, run, dev(), EvaluationOptions()).best == Weights.of_step(run.path, 50)


@pytest.mark.parametrize("batch_size", [4, 64])
def test_tasks_of_unequal_sizes_down_to_one_row_are_scored_each_for_itself(
    batch_size: int, run: RunFolder, dev: Callable[..., list[TaskData]], recorded: list[dict[str, Any]]
) -> None:
    sizes = (24, 13, 1)
    scores = evaluate_run(build_model(run), run, dev(*sizes), EvaluationOptions(batch_size=batch_size)).scores[
        Weights.of_step(run.path, 37)
    ]
    for score, report, size in zip(scores, recorded[3:], sizes, strict=True):
        part = {name: report[name][:size] for name in ("gts", "preds")}
        np.testing.assert_array_equal(score.confusion, confusion(part, score.task.num_labels))
        assert score.macro_f1 == f1_score(part["gts"], part["preds"], average="macro", zero_division=0)


def test_what_the_original_would_have_printed_counts_misplaced_rows(
    run: RunFolder, dev: Callable[..., list[TaskData]]
) -> None:
    inference = Inference(build_model(run), 4)
    # 6, 3 and 2 batches: from the third round on the positions drift.
    legacy = score_rows(inference, dev(24, 12, 8), EvaluationOptions(batch_size=4, legacy=True), "test").legacy
    assert legacy is not None and legacy.misplaced > 0
    # On these sizes the original crashed; the exact score has no such limit.
    scores, none, _ = score_rows(inference, dev(24, 13, 6), EvaluationOptions(batch_size=4), "test")
    assert none is None and [score.rows for score in scores] == [24, 13, 6]


def test_max_batches_scores_the_first_rows(
    run: RunFolder, dev: Callable[..., list[TaskData]], recorded: list[dict[str, Any]]
) -> None:
    scores = evaluate_run(build_model(run), run, dev(), EvaluationOptions(batch_size=5, max_batches=2)).scores[
        Weights.of_step(run.path, 37)
    ]
    for score, report in zip(scores, recorded[3:], strict=True):
        part = {name: report[name][:10] for name in ("gts", "preds")}
        np.testing.assert_array_equal(score.confusion, confusion(part, score.task.num_labels))


def test_f1_over_all_labels_is_lower_where_labels_are_absent(run: RunFolder, dev: Callable[..., list[TaskData]]) -> None:
    inference, data = Inference(build_model(run), 64), dev(3, 3, 3)
    present, every = (
        score_rows(inference, data, EvaluationOptions(f1_labels=labels), "test")[0][0] for labels in ("present", "all")
    )
    assert every.macro_f1 * 15 == pytest.approx(present.macro_f1 * present.counted.sum())
    assert present.counted.sum() < 15 == every.counted.sum()


def test_nothing_to_evaluate(run: RunFolder, dev: Callable[..., list[TaskData]]) -> None:
    model = build_model(run)
    for path in [run.path / "checkpoint", *run.path.glob("model.ckpt-*")]:
        path.unlink()
    with pytest.raises(UserError, match="has no checkpoint to evaluate; train first"):
        evaluate_run(model, run, dev(), EvaluationOptions())
    assert not (run.path / "best").exists() and not (run.path / "evaluation").exists()


def test_damaged_checkpoint_is_named_and_exports_nothing(run: RunFolder, dev: Callable[..., list[TaskData]]) -> None:
    data = run.path / "model.ckpt-37.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(UserError, match="model.ckpt-37 cannot be restored"):
        evaluate_run(build_model(run), run, dev(), EvaluationOptions())
    assert not (run.path / "best").exists()


def spoil(run: RunFolder, step: int, value: float) -> None:
    """Saves step 37's weights as those of a step, with one value of a head that is no number."""
    model = build_model(run)
    Weights((run.path / "model.ckpt-37",)).restore(model)
    variable = model.heads["ocnli_logits"].kernel
    values = variable.numpy()
    values.flat[1] = value
    variable.assign(values)
    compiled(model, make_optimizer("adam", 1e-3, 0.0))
    RunCheckpoints(model, Progress(), run.path, keep=10).save(step)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_checkpoint_that_is_not_finite_has_no_score_and_is_never_the_best(
    value: float, run: RunFolder, dev: Callable[..., list[TaskData]], caplog: pytest.LogCaptureFixture
) -> None:
    spoil(run, 50, value)  # the last one, which would win if scores were equal
    evaluation = evaluate_run(build_model(run), run, dev(), EvaluationOptions(swa_checkpoints=2))
    assert list(evaluation.scores) == [Weights.of_step(run.path, 0), Weights.of_step(run.path, 37)]  # nor the mean of both
    assert "checkpoint 50 has no score and is left out" in caplog.text and "swa of 2 checkpoints has no" in caplog.text
    assert json.loads((run.path / "best/export.json").read_text(encoding="utf-8"))["step"] == 0
    for name in ("0", "37"):
        for path in run.path.glob(f"model.ckpt-{name}.*"):
            path.unlink()
    before = sorted((path, path.read_bytes()) for path in (run.path / "best").iterdir())
    with pytest.raises(UserError, match=r"(?s)No checkpoint of the run can be scored:.*no numbers"):
        evaluate_run(build_model(run), run, dev(), EvaluationOptions())
    assert sorted((path, path.read_bytes()) for path in (run.path / "best").iterdir()) == before


def test_an_untrained_best_is_said_to_be_one_everywhere(
    run: RunFolder, dev: Callable[..., list[TaskData]], caplog: pytest.LogCaptureFixture
) -> None:
    evaluation = evaluate_run(build_model(run), run, dev(), EvaluationOptions())
    assert evaluation.best == Weights.of_step(run.path, 0) and "the model to export is untrained" in caplog.text
    about = json.loads((run.path / "best/export.json").read_text(encoding="utf-8"))
    assert about["trained"] is False and about["step"] == 0
    text = "best (the run's start, untrained)"
    assert text in summary_text(evaluation.scores) and "start, untrained" in best_line(evaluation.best)
    assert text in (run.path / "evaluation/summary.txt").read_text(encoding="utf-8")
    caplog.clear()
    load_exported(str(run.path / "best"))
    assert "best is the start of its run (step 0), before any training" in caplog.text
    # As an earlier version wrote it.
    write_json(run.path / "best/export.json", {key: value for key, value in about.items() if key != "trained"})
    caplog.clear()
    load_exported(str(run.path / "best"))
    assert "best is the start of its run (step 0), before any training" in caplog.text
    for path in run.path.glob("model.ckpt-0.*"):
        path.unlink()
    caplog.clear()
    evaluation = evaluate_run(build_model(run), run, dev(), EvaluationOptions())
    load_exported(str(run.path / "best"))
    assert json.loads((run.path / "best/export.json").read_text(encoding="utf-8"))["trained"] is True
    assert "start" not in caplog.text + summary_text(evaluation.scores) + best_line(evaluation.best)


@pytest.mark.parametrize(("steps", "is_ema"), [((50,), False), ((50,), True), ((37, 50), False)])
def test_step_and_kind_of_weights_mean_the_same_in_every_file(
    steps: tuple[int, ...],
    is_ema: bool,
    run: RunFolder,
    dev: Callable[..., list[TaskData]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data, weights = dev(), Weights(tuple(run.path / f"model.ckpt-{step}" for step in steps), is_ema)
    known = KeptScores(run.path, data, "float32", 0)
    known.scores[weights] = score_rows(Inference(build_model(run), 64), data, EvaluationOptions(), "test").scores
    monkeypatch.setattr(evaluator, "weights_in", lambda *arguments: [weights])
    monkeypatch.setattr(Weights, "restore", lambda *arguments: None)
    evaluate_run(build_model(run), run, data, EvaluationOptions(), known)
    about = json.loads((run.path / "best/export.json").read_text(encoding="utf-8"))
    summary = json.loads((run.path / "evaluation/summary.json").read_text(encoding="utf-8"))
    row = summary["checkpoints"][0]
    for name in ("step", "weights", "name"):
        assert about[name] == row[name]
    assert (about["step"], about["weights"]) == (50, weights.kind) and about["name"] == str(weights)
