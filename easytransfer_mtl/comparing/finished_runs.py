"""Finished, evaluated runs as variants of a comparison: nothing is trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from easytransfer_mtl.comparing.runs import RunResult
from easytransfer_mtl.data.encoded_rows import targets_of
from easytransfer_mtl.data.list_files import TaskFile
from easytransfer_mtl.data.tfrecords import read_tfrecords
from easytransfer_mtl.errors import UserError, listed, shown
from easytransfer_mtl.evaluation.row_table import ROWS_JSON, RowTable, read_rows
from easytransfer_mtl.files import read_json, real_path
from easytransfer_mtl.reporting.sources import run_folders, same_rows
from easytransfer_mtl.runs.folder import RunFolder
from easytransfer_mtl.seeding import DEFAULT_SEED

BEST, SUMMARY = "evaluation/best", "evaluation/summary.json"
OF_ONE_RUN = ("seed", "model_dir", "config")
"""Settings in which the runs of one variant differ."""
UNNAMED = ("model", "best")
MOST_RUNS = 1000
LARGEST_VOCABULARY = 1 << 31


@dataclass(frozen=True)
class FinishedRun:
    """A run that was trained and evaluated.

    Attributes:
        path: its folder.
        seed: its seed.
        settings: all of its settings but those of ``OF_ONE_RUN``, as text.
        table: what its best checkpoint says of every dev row.
        result: the scores.
    """

    path: Path
    seed: int
    settings: dict[str, str]
    table: RowTable
    result: RunResult


def read_runs(text: str) -> list[FinishedRun]:
    """Reads the runs of a comma list of folders, all scored on the same dev rows of the same tasks.

    Raises:
        UserError: a folder is no run's or was not evaluated, the runs are of other tasks or dev rows, or one is there twice.
    """
    runs = [_read(path) for path in run_folders(text, MOST_RUNS)]
    for run in runs[1:]:
        _check_same_rows(runs[0], run)
    return runs


def check_dev_files(runs: Sequence[FinishedRun], files: Sequence[TaskFile]) -> None:
    """Raises UserError if runs were scored on other tasks or rows than the dev files that new trainings are scored on."""
    run = runs[0]  # the others have the same
    rows = {item.task.name: item for item in run.table.tasks}
    if rows.keys() != {file.task.name for file in files}:
        raise _of_others(run, listed([file.task.name for file in files]), "--predict_input_fp")
    for file in files:
        item, task = rows[file.task.name], file.task
        labels = read_tfrecords(file.path, task.num_labels, LARGEST_VOCABULARY, task.type).targets
        known = file.manifest.source_sha256 if file.manifest else None
        other_file = known and item.about.source_sha256 and known != item.about.source_sha256
        alike = item.task.label_enumerate_values == task.label_enumerate_values and item.task.metric == task.metric
        if other_file or not alike or not np.array_equal(item.truth, targets_of(labels, task.type)):
            raise _on_other_rows(run, task.name, str(file.path))


def as_variants(runs: Sequence[FinishedRun]) -> dict[str, dict[int, RunResult]]:
    """Returns name -> seed -> result; runs whose settings differ in nothing but the seed are one variant.

    A variant has the name of its run's folder, or of the folder that its runs share.

    Raises:
        UserError: two runs have the same settings and the same seed.
    """
    groups: list[list[FinishedRun]] = []
    for run in runs:
        group = next((group for group in groups if group[0].settings == run.settings), None)
        if group is None:
            groups.append([run])
            continue
        same = [other for other in group if other.seed == run.seed]
        if same:
            raise UserError(
                f"--runs: {run.path} has the settings and the seed of {same[0].path}, so that they are one run twice; leave "
                "one of them out, or train it with another --seed."
            )
        group.append(run)
    names = [_name(group) for group in groups]
    # Folders of one name are told apart by their whole paths.
    return {
        name if names.count(name) == 1 else str(group[0].path): {run.seed: run.result for run in group}
        for name, group in zip(names, groups)
    }


def run_files(runs: Sequence[FinishedRun]) -> list[Path]:
    """Returns the files that were read, which a table must not be written over."""
    return [run.path / name for run in runs for name in (SUMMARY, "tasks.json", "train_config.json")]


def _name(group: list[FinishedRun]) -> str:
    place = real_path(group[0].path)
    if place.name in UNNAMED:
        place = place.parent
    # compare's own folders, and others of several seeds, are VARIANT/seed_1.
    several = len(group) > 1 or place.name == f"seed_{group[0].seed}"
    return place.parent.name if several and place.parent.name else place.name


def _read(path: Path) -> FinishedRun:
    if not path.is_dir():
        raise UserError(f"--runs: {path} is {'not a folder' if path.exists() else 'not there'}; give the folder of a run.")
    if not (path / "tasks.json").is_file() or not (path / "train_config.json").is_file():
        raise UserError(f"--runs: {path} is not the folder of a run, since it has no tasks.json and train_config.json.")
    if not (path / SUMMARY).is_file() or not (path / BEST / ROWS_JSON).is_file():
        raise UserError(
            f"--runs: {path} has no {SUMMARY} and {BEST}/rows.csv: it was not evaluated, or by an earlier version; run "
            f"easytransfer_mtl evaluate --model_dir={path} --predict_input_fp=DEV.list_tfrecord."
        )
    settings, table = RunFolder(path).written_settings(), read_rows(path / BEST)
    seed = settings.get("seed", DEFAULT_SEED)
    if type(seed) is not int:
        raise RunFolder(path).damaged(f"seed is {shown(seed)}")
    others = {name: str(value) for name, value in settings.items() if name not in OF_ONE_RUN}
    return FinishedRun(path, seed, others, table, _result(path, [item.task.name for item in table.tasks]))


def _result(path: Path, task_names: list[str]) -> RunResult:
    summary = read_json(path / SUMMARY, "summary of a run")
    rows = summary.get("checkpoints") if isinstance(summary, dict) else None
    best = [row for row in rows if isinstance(row, dict) and row.get("best")] if isinstance(rows, list) else []
    scores = best[0].get("scores") if best else None
    if not isinstance(scores, dict) or not all(
        type(value) in (int, float) for value in [*scores.values(), best[0].get("step")]
    ):
        raise UserError(f"{path / SUMMARY} is damaged (it has no best checkpoint with scores); run evaluate again.")
    if set(scores) != set(task_names):
        raise UserError(f"{path / SUMMARY} and {BEST} beside it are of other tasks; run evaluate again.")
    return RunResult({name: scores[name] for name in task_names}, best[0]["step"], None, None)


def _check_same_rows(first: FinishedRun, other: FinishedRun) -> None:
    rows, others = ({item.task.name: item for item in run.table.tasks} for run in (first, other))
    if rows.keys() != others.keys():
        raise _of_others(other, listed([*rows]), str(first.path))
    for name, item in rows.items():
        if not same_rows(item, others[name]) or first.table.f1_labels != other.table.f1_labels:
            raise _on_other_rows(other, name, str(first.path))


def _of_others(run: FinishedRun, tasks: str, where: str) -> UserError:
    found = listed([item.task.name for item in run.table.tasks])
    return UserError(f"--runs: {run.path} is of other tasks ({found}) than {where} ({tasks}), so they cannot be compared.")


def _on_other_rows(run: FinishedRun, task: str, where: str) -> UserError:
    return UserError(
        f"--runs: {run.path} was scored on other dev rows of {task} than {where}, or by another metric, so they cannot be "
        "compared; run evaluate on the same files."
    )
