"""Comparisons: what is trained, what the numbers say, and a run of the command that is interrupted."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stored import store_model
from transformers import BertConfig
from warm_processes import WarmProcess, WarmSession

from easytransfer_mtl.commands.compare import _num_rows, _single_task_jobs, _unlabelled, _variant_job
from easytransfer_mtl.commands.compare import run as compare
from easytransfer_mtl.comparing.report import comparison_rows, comparison_text
from easytransfer_mtl.comparing.runs import Job, RunResult, TrainingProcesses
from easytransfer_mtl.comparing.statistics import delta_m, paired_difference
from easytransfer_mtl.comparing.variants import command_line, parse_seeds, parse_variants, training_of
from easytransfer_mtl.config.options import options_of, parse_flags
from easytransfer_mtl.config.study_settings import CompareSettings
from easytransfer_mtl.config.train_settings import TrainSettings
from easytransfer_mtl.data.list_files import task_files
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import write_json
from easytransfer_mtl.tasks import CONTEST_TASKS
from easytransfer_mtl.training.plan import plan_run

REQUIRED = {"pretrain_model_name_or_path": "x", "train_input_fp": "t", "train_batch_size": 4, "model_dir": "out"}


def test_variants_are_weightings_with_settings_of_their_own() -> None:
    plain, fixed, gradnorm = parse_variants("equal;  fixed task_weights=ocnli=2,tnews=1 ; gradnorm gradnorm_alpha=0.5;")
    assert plain.settings == {"loss_weighting": "equal"} and plain.folder == "equal"
    assert fixed.settings == {"loss_weighting": "fixed", "task_weights": "ocnli=2,tnews=1"}
    assert gradnorm.settings["gradnorm_alpha"] == 0.5 and fixed.folder == "fixed_task_weights=ocnli=2,tnews=1"
    settings = CompareSettings(**REQUIRED, step_mode="joint", learning_rate=0.5)
    training = training_of(settings, gradnorm, 7, "out/gradnorm/seed_7/model")
    assert (training.seed, training.gradnorm_alpha, training.learning_rate, training.step_mode) == (7, 0.5, 0.5, "joint")


def test_what_variants_have_in_common_reaches_those_that_read_it() -> None:
    settings = CompareSettings(**REQUIRED, soft_weight=0.5, private_layers=2, experts=8, dwa_temperature=3.0)
    variants = "equal; dwa sharing=soft; equal sharing=shared_private combine=gate; equal sharing=soft experts=3"
    plain, soft, private, wrong = (training_of(settings, variant, 1, "out") for variant in parse_variants(variants))
    assert (plain.soft_weight, plain.private_layers, plain.experts) == (0.01, None, 4)
    assert (soft.soft_weight, soft.private_layers) == (0.5, None)
    assert (plain.dwa_temperature, soft.dwa_temperature) == (2.0, 3.0)
    assert (private.private_layers, private.combine, private.soft_weight) == (2, "gate", 0.01)
    assert wrong.experts == 3  # a variant's own is refused when it is checked


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "at least one"),
        ("equal; equal", "none twice"),
        ("equally", "'equally' is not allowed"),
        ("equal learning_rate", "'learning_rate' is not SETTING=VALUE"),
        ("equal lerning_rate=1", "'lerning_rate=1' is not SETTING=VALUE"),
        ("equal seed=3", "'seed=3' is not SETTING=VALUE"),
        ("equal learning_rate=fast", "'fast' is not a finite number"),
    ],
)
def test_variants_that_make_no_sense(text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        parse_variants(text)
    assert message in str(error.value)


@pytest.mark.parametrize("text", ["", "1,1", "one", "1,,2"])
def test_seeds_that_make_no_sense(text: str) -> None:
    with pytest.raises(UserError, match="different whole numbers"):
        parse_seeds(text)
    assert parse_seeds("3, 1") == [3, 1]


def test_command_line_gives_the_same_settings_back() -> None:
    settings = TrainSettings(**REQUIRED, shuffle=False, loss_weighting="dwa", dwa_temperature=3.5, save_steps=0, seed=4)
    assert TrainSettings(**parse_flags(options_of(TrainSettings), command_line(settings), "train")) == settings


def result(*scores: float, seconds: float | None = 10.0, memory_gb: float = 1.0) -> RunResult:
    return RunResult(dict(zip(("TNEWS", "OCNLI"), scores)), 5, seconds, memory_gb)


def test_differences_are_paired_by_seed_and_have_students_margin() -> None:
    found = paired_difference([0.52, 0.55, 0.51], [0.50, 0.51, 0.50])
    differences = np.array([0.02, 0.04, 0.01])
    assert found.mean == pytest.approx(differences.mean())
    assert found.margin == pytest.approx(4.302653 * differences.std(ddof=1) / 3**0.5, rel=1e-6)
    assert not found.supported and paired_difference([0.5, 0.6, 0.7], [0.4, 0.501, 0.6]).supported
    assert not paired_difference([0.9], [0.1]).supported  # one seed shows nothing


def test_gain_over_single_task_models() -> None:
    assert delta_m({"TNEWS": 0.55, "OCNLI": 0.45}, {"TNEWS": 0.5, "OCNLI": 0.5}) == pytest.approx(0.0)
    assert delta_m({"TNEWS": 0.55, "OCNLI": 0.5}, {"TNEWS": 0.5, "OCNLI": 0.5}) == pytest.approx(5.0)


def test_table_marks_what_the_spread_does_not_support() -> None:
    results = {
        "equal": [result(0.50, 0.40), result(0.51, 0.41), result(0.52, 0.42, seconds=None)],
        "better": [result(0.60, 0.50, seconds=12.0), result(0.61, 0.51, seconds=12.0), result(0.62, 0.53, memory_gb=1.5)],
        "noise": [result(0.55, 0.40), result(0.45, 0.41), result(0.53, 0.42)],
    }
    single = {"TNEWS": [0.5, 0.5, 0.5], "OCNLI": [0.4, 0.4, 0.4]}
    rows = comparison_rows(results, single)
    assert "difference" not in rows[0] and rows[1]["supported"] and not rows[2]["supported"]
    assert rows[1]["time"] == pytest.approx(1.2) and rows[1]["memory"] == 1.0
    assert rows[1]["delta_m"] == pytest.approx(100 * ((0.61 - 0.5) / 0.5 + (0.51333 - 0.4) / 0.4) / 2, rel=1e-3)
    assert "delta_m" not in comparison_rows(results, {**single, "OCNLI": [-0.1]})[1]  # a negative correlation
    lines = comparison_text(rows, single).splitlines()
    assert "not supported" in lines[3] and "not supported" not in lines[2] and lines[4].startswith("single-task models")
    assert all(len(line) <= 160 for line in lines) and rows[0]["tasks"]["OCNLI"]["mean"] == pytest.approx(0.41)


@pytest.fixture
def arguments(tmp_path: Path, tiny_encoder: Path, tiny_data: Path) -> list[str]:
    return [
        "compare", f"--model_dir={tmp_path / 'study'}", "--seeds=2",
        "--random_init", f"--pretrain_model_name_or_path={tiny_encoder}",
        f"--train_input_fp={tiny_data / 'train.list_tfrecord'}",
        f"--predict_input_fp={tiny_data / 'dev.list_tfrecord'}", "--train_batch_size=4", "--num_epochs=0.4", "--jobs=2",
        "--step_mode=joint", "--variants=equal; pcgrad", "--nosingle_task",
    ]  # fmt: skip


def test_command_trains_all_writes_the_table_and_repeats_nothing(arguments: list[str], tmp_path: Path) -> None:
    """At first one of the trainings fails, which is told with its last lines; the others are compared all the same."""
    arguments = [*arguments, "--step_mode=alternating", "--variants=equal; dwa"]
    failed = WarmProcess([*arguments, "--variants=equal; dwa random_init=false"], tmp_path).finish()
    assert failed.returncode == 1
    assert "failed (status 2)" in failed.stderr and "no weights" in failed.stderr
    assert "equal" in failed.stdout and "dwa" not in failed.stdout
    study = tmp_path / "study"
    trained = (study / "equal/seed_2/train.log").read_bytes()
    first = WarmProcess(arguments, tmp_path).finish()
    assert first.returncode == 0, first.stderr
    assert (study / "equal/seed_2/train.log").read_bytes() == trained
    assert (study / "compare.txt").read_text(encoding="utf-8") in first.stdout
    written = json.loads((study / "compare.json").read_text(encoding="utf-8"))
    assert [row["variant"] for row in written["variants"]] == ["equal", "dwa"]
    (run,) = written["runs"]["dwa"]
    assert set(run["scores"]) == {"TNEWS", "OCEMOTION", "OCNLI"} and run["seconds"] > 0 and 0.1 < run["memory_gb"] < 20
    assert (study / "compare.csv").read_text(encoding="utf-8").startswith("variant,seeds,mean")
    assert (study / "dwa/seed_2/model/metrics.csv").exists() and not list(study.rglob("model.ckpt-*"))
    logs = {path: path.read_bytes() for path in study.rglob("train.log")}
    session = WarmSession()
    second = session.run(*arguments, cwd=tmp_path)
    assert second.returncode == 0 and second.stdout == first.stdout
    assert {path: path.read_bytes() for path in study.rglob("train.log")} == logs
    other = session.run(*arguments, "--learning_rate=0.5", cwd=tmp_path)
    session.close()
    assert other.returncode == 2 and "holds a run with other settings (--learning_rate=0.5)" in other.stderr


def test_what_is_done_is_not_repeated_and_single_tasks_give_the_gain(
    study: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []

    def train(self: TrainingProcesses, folder: Path, flags: list[str]) -> float:
        """Writes what a training would leave."""
        started.append(folder.relative_to(tmp_path / "study").as_posix())
        names = [folder.parent.name] if "single" in folder.parts else ["TNEWS", "OCEMOTION", "OCNLI"]
        scores = {name: 0.5 + 0.01 * len(started) for name in names}
        rows = [{"step": step, "scores": scores, "mean": 0.5, "best": False} for step in (2, 3)]
        rows.append({"step": 0, "scores": dict.fromkeys(names, 0.9), "mean": 0.9, "best": True})
        write_json(folder / "model/evaluation/summary.json", {"checkpoints": rows})
        return 1.5

    monkeypatch.setattr(TrainingProcesses, "_train", train)
    settings = CompareSettings(**study, seeds="1,2", variants="equal; dwa")
    assert compare(settings) == 0
    assert len(started) == 10 and {"equal/seed_1", "dwa/seed_2", "single/OCNLI/seed_1"} <= set(started)
    written = json.loads((tmp_path / "study/compare.json").read_text(encoding="utf-8"))
    assert set(written["single_task"]) == {"TNEWS", "OCEMOTION", "OCNLI"} and len(written["single_task"]["OCNLI"]) == 2
    assert all("delta_m" in row for row in written["variants"])
    result = json.loads((tmp_path / "study/dwa/seed_1/result.json").read_text(encoding="utf-8"))
    assert result["best_step"] == 3 and max(result["scores"].values()) < 0.9  # not the start's, which no variant has changed
    (tmp_path / "study/dwa/seed_1/result.json").unlink()
    assert compare(settings) == 0
    assert started[10:] == ["dwa/seed_1"]


def test_interrupted_comparison_stops_its_trainings_and_goes_on(arguments: list[str], tmp_path: Path) -> None:
    words = [*arguments, "--num_epochs=400", "--variants=equal"]
    running = WarmProcess(words, tmp_path)
    run = tmp_path / "study/equal/seed_2"
    running.wait_until((run / "model/model.ckpt-0.index").exists, "the first checkpoint")
    running.send_signal(signal.SIGTERM)
    stopped = running.finish()
    assert stopped.returncode == 128 + signal.SIGTERM and "start the same command again to go on" in stopped.stderr
    assert "saved in" in (run / "train.log").read_text(encoding="utf-8") and not (run / "result.json").exists()
    other = WarmProcess([*words, "--learning_rate=0.5"], tmp_path).finish()
    assert other.returncode == 2 and "holds a run with other settings (--learning_rate=0.5)" in other.stderr


def test_variant_that_does_not_fit_is_told_before_the_first_training(arguments: list[str], tmp_path: Path) -> None:
    refused = WarmProcess([*arguments, "--step_mode=alternating"], tmp_path).finish()
    assert refused.returncode == 2 and "loss_weighting pcgrad needs every task in every step" in refused.stderr
    assert not (tmp_path / "study").exists()


@pytest.fixture
def study(tmp_path: Path, tiny_encoder: Path, tiny_data: Path) -> dict[str, Any]:
    """What every comparison of the tiny encoder on the tiny data is told."""
    own = {"pretrain_model_name_or_path": str(tiny_encoder), "model_dir": str(tmp_path / "study")}
    files = {"train_input_fp": "train.list_tfrecord", "predict_input_fp": "dev.list_tfrecord"}
    return REQUIRED | own | {name: str(tiny_data / file) for name, file in files.items()}


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("equal num_freezed_layers=9", "num_freezed_layers is 9; the encoder has 2 layers"),
        ("equal sharing=soft soft_layers=0-7", "'0-7' is not a part of the encoder"),
        ("mgda sharing=soft", "there is nothing shared"),
        ("equal sharing=mmoe features=layer1.mean", "does not deliver"),
        ("equal features=layer7.mean", "the encoder has 2 layers"),
        ("mgda features=mean gram_variables=pooler", "which no task reads"),
    ],
)
def test_variant_that_does_not_fit_the_encoder_is_told_before_the_first_training(
    variant: str, message: str, study: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrainingProcesses, "run", lambda self, job: pytest.fail("a training began"))
    with pytest.raises(UserError, match=message):
        compare(CompareSettings(**study, variants=f"equal; {variant}", seeds="1", single_task=False))
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("common", "message"),
    [
        ({"task_sampling": "proportional"}, "task_sampling has no effect with step_mode joint"),
        ({"gradnorm_alpha": 2.0}, "gradnorm_alpha has no effect with loss_weighting"),
    ],
)
def test_what_has_an_effect_with_no_variant_is_told(
    common: dict[str, Any], message: str, study: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrainingProcesses, "run", lambda self, job: pytest.fail("a training began"))
    with pytest.raises(UserError, match=message):
        compare(CompareSettings(**study | common, variants="equal; dwa", seeds="1", single_task=False))


@pytest.mark.parametrize("step_mode, sampling", [("joint", "round_robin"), ("alternating", "explicit")])
def test_single_task_models_see_as_many_batches(
    step_mode: str, sampling: str, study: dict[str, Any], tiny_encoder: Path, tmp_path: Path
) -> None:
    config = BertConfig.from_pretrained(tiny_encoder)
    rates = {"task_rates": "tnews=3,ocnli=1,ocemotion=1"} if sampling == "explicit" else {"joint_batch_sizes": "tnews=6"}
    settings = CompareSettings(
        **study | rates, num_epochs=6.0, seeds="1", step_mode=step_mode, save_steps=5, task_sampling=sampling,
        heads="ocnli=mlp,tnews=gru", head_dropout="ocnli=0.3", variants="uncertainty uncertainty_start=0.5",
    )  # fmt: skip
    train, dev = (task_files(path, CONTEST_TASKS) for path in (settings.train_input_fp, settings.predict_input_fp))
    like = _variant_job(settings, parse_variants(settings.variants)[0], tmp_path, 1)
    together = plan_run(like.settings, [file.task for file in train], [12, 12, 12], config)
    steps = together.steps.train_steps
    jobs = _single_task_jobs(like, train, dev, [], [12, 12, 12])
    assert [job.name for job in jobs] == ["single TNEWS", "single OCEMOTION", "single OCNLI"]
    counted = 0
    for place, job in enumerate(jobs):
        alone = plan_run(job.settings, [train[place].task], [12], config)
        assert alone.sizes == [together.sizes[place]]
        assert job.settings.loss_weighting == "equal" and job.settings.step_mode == "alternating"
        parts = {"TNEWS": ("tnews=gru", "0.1"), "OCEMOTION": (None, "0.1"), "OCNLI": ("ocnli=mlp", "ocnli=0.3")}
        assert (job.settings.heads, job.settings.head_dropout) == parts[train[place].task.name]
        counted += alone.steps.train_steps
        if together.order is None:
            assert alone.steps.train_steps == steps and alone.steps.save_steps == 5
    if together.order is not None:
        assert counted == steps


def test_rows_without_labels_are_read_by_the_trainings_and_by_their_tasks_alone(
    study: dict[str, Any], tiny_data: Path, convert_rows: Callable[..., Path], tmp_path: Path
) -> None:
    path = tmp_path / "test.list_tfrecord"
    path.write_text("".join(f"{convert_rows(tmp_path / f'{task.name}.tfrecord', task, 9, labelled=False)}\n"
                            for task in (CONTEST_TASKS[0], CONTEST_TASKS[2])), encoding="utf-8")  # fmt: skip
    settings = CompareSettings(
        **study, seeds="1", variants="equal", teacher="t", distillation_unlabelled_fp=str(path), num_epochs=4.0
    )
    train, dev = (task_files(str(tiny_data / f"{kind}.list_tfrecord"), CONTEST_TASKS) for kind in ("train", "dev"))
    like = _variant_job(settings, parse_variants("equal")[0], tmp_path / "study", 1)
    unlabelled = _unlabelled(like.settings, train)
    rows = _num_rows(train, unlabelled)
    assert rows == [21, 12, 21]
    jobs = _single_task_jobs(like, train, dev, unlabelled, rows)
    assert [job.settings.distillation_unlabelled_fp for job in jobs] == [
        str(tmp_path / "TNEWS.tfrecord"), None, str(tmp_path / "OCNLI.tfrecord")
    ]  # fmt: skip
    config = BertConfig.from_pretrained(like.settings.pretrain_model_name_or_path)
    tasks = [file.task for file in train]
    alone = [plan_run(job.settings, [task], [count], config) for job, task, count in zip(jobs, tasks, rows)]
    assert {plan.steps.train_steps for plan in alone} == {plan_run(like.settings, tasks, rows, config).steps.train_steps}
    assert _unlabelled(jobs[1].settings, train[1:2]) == []


def test_a_training_with_a_teacher_reads_its_files(
    tiny_settings: Callable[..., TrainSettings], tiny_encoder: Path, tiny_data: Path, convert_rows: Callable[..., Path],
    tmp_path: Path,
) -> None:  # fmt: skip
    store_model(tmp_path / "teacher", tiny_encoder, 1)
    settings = tiny_settings(
        teacher=str(tmp_path / "teacher"),
        predict_input_fp=str(tiny_data / "dev.list_tfrecord"),
        distillation_unlabelled_fp=str(convert_rows(tmp_path / "tnews.tfrecord", CONTEST_TASKS[0], 4, labelled=False)),
    )
    job = Job("taught", tmp_path / "job", settings)
    before = job.inputs()
    names = {name for name in before if name.startswith("teacher ")}
    assert {name.rsplit(" ")[-1] for name in names} >= {"model.safetensors", "heads.safetensors", "config.json"}
    path = tmp_path / "teacher/best/heads.safetensors"
    path.write_bytes(path.read_bytes() + b" ")
    changed = {name for name, digest in job.inputs().items() if before[name] != digest}
    assert changed == {f"teacher {tmp_path}/teacher/best: heads.safetensors"}
    convert_rows(tmp_path / "tnews.tfrecord", CONTEST_TASKS[0], 5, labelled=False)
    changed = {name for name, digest in job.inputs().items() if before[name] != digest}
    assert changed == {f"teacher {tmp_path}/teacher/best: heads.safetensors", "unlabelled file 1"}
