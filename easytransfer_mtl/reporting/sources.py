"""The folders that a report is of: runs, and evaluations of averages, as evaluate left them."""

import logging
import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from easytransfer_mtl.config.options import options_of
from easytransfer_mtl.config.train_settings import TrainSettings
from easytransfer_mtl.errors import UserError, listed
from easytransfer_mtl.evaluation.row_table import ROWS_CSV, ROWS_JSON, RowTable, TaskRows, read_rows
from easytransfer_mtl.evaluation.run_metrics import STEP, Panel, read_dev_scores, read_metrics
from easytransfer_mtl.files import files_in, read_json, real_path
from easytransfer_mtl.tasks import AUC

BEST = Path("evaluation/best")
TRAIN_CONFIG, METRICS, CONFIG, TASKS, MODELS = "train_config.json", "metrics.csv", "config.json", "tasks.json", "models.json"
UNNAMED = ("model", "best", "evaluation")
"""Folder names that say nothing without the folder above."""
ENCODER_KEYS = ("model_type", "num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size")
NOT_SETTINGS_OF = ("model_dir", "config")
MOST_MODELS = 1000


@dataclass(frozen=True)
class Training:
    """How a run was trained.

    Attributes:
        settings: setting -> value, of those that differ from their default.
        data: (use, task, file, rows, tokens a row) of each file.
        encoder: config key -> value.
        plan: step numbers by name.
        versions: package -> version.
        panels: curves by kind, see ``read_metrics``, and ``score``.
        seconds: time of all steps; None if it cannot be told.
    """

    settings: dict[str, str]
    data: list[tuple[str, str, str, int, int]]
    encoder: dict[str, str]
    plan: dict[str, int]
    versions: dict[str, str]
    panels: dict[str, Panel]
    seconds: float | None


@dataclass(frozen=True)
class Source:
    """One evaluation.

    Attributes:
        name: short name of the folder, for tables.
        path: the folder.
        table: what the model says of every row.
        training: of a run; None for an average.
        members: the models of an average.
    """

    name: str
    path: Path
    table: RowTable
    training: Training | None = None
    members: list["Source"] = field(default_factory=list)


def run_folders(text: str, most: int) -> list[Path]:
    """Returns the folders of a comma list; a text that is itself the name of a folder is that folder.

    Args:
        text: what ``--runs`` was given.
        most: how many folders there may be.

    Raises:
        UserError: an entry is empty, there are too many, or a folder is there twice.
    """
    names = [text] if Path(text).is_dir() else [part.strip() for part in text.split(",")]
    if not all(names):
        raise UserError("--runs has an empty entry; give A,B,... without a comma at an end.")
    if len(names) > most:
        raise UserError(f"--runs has {len(names):,} folders; at most {most:,} are taken.")
    places = [real_path(name) for name in names]
    twice = sorted({name for name, place in zip(names, places) if places.count(place) > 1})
    if twice:
        raise UserError(f"--runs: {listed(twice)} is given twice; give each run once.")
    return [Path(name) for name in names]


def read_source(path: Path) -> Source:
    """Reads a run's folder, or the output folder of ``evaluate --checkpoints``.

    Raises:
        UserError: it is neither, it was not evaluated (the message has the command), or a file in it is damaged.
    """
    if not path.is_dir():
        raise UserError(f"{path} is {'not a folder' if path.exists() else 'not there'}; give the folder of a run.")
    if (path / ROWS_JSON).is_file():
        return Source(_name(path), path, _rows_in(path), members=_members(path))
    if not (path / TASKS).is_file():
        raise UserError(
            f"{path} is neither the folder of a run (it has no {TASKS}) nor that of an average's scores (no {ROWS_JSON}, "
            "which evaluate --checkpoints --output_dir writes)."
        )
    if not (path / BEST / ROWS_JSON).is_file():
        raise UserError(_not_evaluated(path))
    return Source(_name(path), path, _rows_in(path / BEST), _training(path))


def _rows_in(folder: Path) -> RowTable:
    """Returns the rows of the tasks that can be scored; logs the others."""
    table = read_rows(folder)
    others = [item.task.name for item in table.tasks if item.task.metric == AUC and item.probabilities is None]
    if not others:
        return table
    what = (
        f"{folder / ROWS_CSV} is of an earlier version and lacks the probabilities that the AUC of {', '.join(others)} is "
        "computed from; run evaluate again"
    )
    if len(others) == len(table.tasks):
        raise UserError(f"{what}.")
    logging.warning("%s. Left out: %s", what, ", ".join(others))
    return replace(table, tasks=[item for item in table.tasks if item.task.name not in others])


def source_files(source: Source) -> list[Path]:
    """Returns the files of an evaluation's folder that a page must not be written over: all but earlier pages."""
    folders = (source.path, source.path / "evaluation", source.path / BEST, *(member.path for member in source.members))
    return [path for folder in folders for path in files_in(folder) if path.suffix != ".html"]


def _name(path: Path) -> str:
    place = real_path(path)
    return f"{place.parent.name}/{place.name}" if place.name in UNNAMED else place.name


def _not_evaluated(path: Path) -> str:
    if (path / "export.json").is_file() and (path.parent / TASKS).is_file():
        return f"{path} is an exported model; give the folder of its run, {path.parent}."
    dev = _section(_json(path / TRAIN_CONFIG), "settings").get("predict_input_fp")
    source = dev if isinstance(dev, str) and dev else "DEV.list_tfrecord"
    command = ["easytransfer_mtl", "evaluate", f"--model_dir={path}", f"--predict_input_fp={source}"]
    return (
        f"{path} has no {BEST / ROWS_CSV}: the run was not evaluated, or by an earlier version. Run `{shlex.join(command)}` "
        "(with --data_dir=FOLDER of the contest's files for the texts as they stand there)."
    )


def _members(path: Path) -> list[Source]:
    """Returns the models of an average, from the folders beside its rows."""
    found = []
    for number in range(1, MOST_MODELS + 1):
        folder = path / f"model_{number}"
        if not (folder / ROWS_JSON).is_file():
            break
        table = _rows_in(folder)
        found.append(Source(_name(Path(table.name)), folder, table))
    return found


def _training(path: Path) -> Training:
    written = _json(path / TRAIN_CONFIG)
    settings, data = _section(written, "settings"), _section(written, "data")
    panels = read_metrics(path / METRICS) if (path / METRICS).is_file() else {}
    config = _json(path / CONFIG)
    return Training(
        settings=_changed(settings),
        data=[_file(use, item) for use in ("train", "unlabelled", "dev") for item in _entries(data, use)],
        encoder={key: str(config[key]) for key in ENCODER_KEYS if key in config},
        plan={key: value for key, value in _section(written, "plan").items() if type(value) is int},
        versions={key: str(value) for key, value in _section(written, "versions").items()},
        panels={**panels, "score": read_dev_scores(path)},
        seconds=_seconds(settings, panels),
    )


def _json(path: Path) -> dict[str, Any]:
    """Returns a JSON file's object; empty if the file does not exist or holds something else."""
    value = read_json(path) if path.is_file() else {}
    return value if isinstance(value, dict) else {}


def _section(value: dict[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _entries(data: dict[str, Any], use: str) -> list[dict[str, Any]]:
    found = data.get(use)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _file(use: str, item: dict[str, Any]) -> tuple[str, str, str, int, int]:
    rows, length = (value if type(value := item.get(key)) is int else 0 for key in ("rows", "sequence_length"))
    return use, str(item.get("task", "")), str(item.get("file", "")), rows, length


def _changed(settings: dict[str, Any]) -> dict[str, str]:
    known = options_of(TrainSettings)
    return {
        name: str(value)
        for name, value in settings.items()
        if name not in NOT_SETTINGS_OF and (name not in known or value not in (known[name].default, ""))
    }


def _seconds(settings: dict[str, Any], panels: dict[str, Panel]) -> float | None:
    """Returns the sum over the steps of rows / (rows per second); None where the rows of a step are not known."""
    rates = panels.get("rows_per_second", {}).get(STEP)
    size, times = settings.get("train_batch_size"), settings.get("num_accumulated_batches", 1)
    alone = settings.get("workerGPU", 1) in (0, 1) and settings.get("workerCount", 1) == 1
    if rates is None or not rates.values or type(size) is not int or type(times) is not int or not alone:
        return None
    if settings.get("step_mode") == "joint":
        if settings.get("joint_batch_sizes"):
            return None
        times *= len(panels["loss"])
    values = np.array(rates.values)
    return float((size * times / values[values > 0]).sum())


def same_rows(first: TaskRows, second: TaskRows) -> bool:
    """Returns whether two evaluations of a task are of the same dev rows, so that they can be compared row by row.

    The labels must be equal, row by row, and the rows must come from one file by its hash or have equal texts.
    """
    if first.task.label_enumerate_values != second.task.label_enumerate_values or first.task.metric != second.task.metric:
        return False
    if not np.array_equal(first.truth, second.truth):
        return False
    one, other = first.about, second.about
    if one.from_file == other.from_file and one.ids != other.ids:
        return False
    if one.source_sha256 and one.source_sha256 == other.source_sha256:
        return True
    return one.from_file == other.from_file and one.texts == other.texts
