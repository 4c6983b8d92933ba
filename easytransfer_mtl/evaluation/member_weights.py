"""The models' weights in an average, for all tasks or by task: given numbers, or each model's own dev scores."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from easytransfer_mtl.config.by_task import ByTask, parse_by_task
from easytransfer_mtl.errors import UserError, listed, shown
from easytransfer_mtl.evaluation.export import EXPORT_FILE
from easytransfer_mtl.evaluation.stored_models import StoredModel
from easytransfer_mtl.files import read_json
from easytransfer_mtl.values import to_number

TaskWeights = dict[str, tuple[float, ...]]
"""Task name -> one weight per model, 0 or more, with a sum above 0; tasks that are not there have equal weights."""
DEV = "dev"
SUMMARY = "evaluation/summary.json"
LARGEST = 1e6
"""Only the weights' proportions matter."""


def member_weights(text: str | None, members: Sequence[StoredModel], setting: str) -> TaskWeights:
    """Returns the models' weights of each task; empty if none are given.

    Args:
        text: one number per model, separated by commas; or ``dev``: a model's weight in a task is its dev score of that
            task, which best/ holds, or evaluation/summary.json of the run of a checkpoint. Or by task, with colons:
            ``tnews=1:1:2,ocnli=dev``, see ``parse_by_task``; other tasks have equal weights. None or "" for equal ones.
        members: the models, of the same tasks.
        setting: the flag, for errors.

    Raises:
        UserError: the number of weights is not that of the models, one is negative or no number, all of a task are 0, a
            model has no dev score, or a name is no task's.
    """
    if not text:
        return {}
    names = [task.name for task in members[0].folder.read_tasks()[0]]
    if "=" in text:
        given = parse_by_task(setting, text, names, ByTask(str), None, lambda value: None)
    else:
        given = dict.fromkeys(names, text.strip())
    scores = _of_dev_scores(members, [name for name, value in given.items() if value == DEV], setting)
    weights = {name: scores.get(name) or _of_numbers(value, members, setting) for name, value in given.items()}
    for name, values in weights.items():
        if not sum(values):
            raise UserError(f"{setting}: all weights of {name} are 0; at least one model needs a weight above 0.")
        total = sum(values)
        each = ", ".join(f"{member.name} {value / total:.3f}" for member, value in zip(members, values))
        logging.info("weights of the average, %s: %s", name, each)
    return weights


def _of_numbers(text: str, members: Sequence[StoredModel], setting: str) -> tuple[float, ...]:
    parts = [part.strip() for part in text.replace(":", ",").split(",")]
    if len(parts) != len(members):
        names = listed([member.name for member in members])
        raise UserError(f"{setting} has {len(parts)} weights for {len(members)} models ({names}); give one for each.")
    return tuple(_number(part, setting) for part in parts)


def _number(part: str, setting: str) -> float:
    try:
        value = to_number(part, float)
    except ValueError:
        raise UserError(f"{setting}: {shown(part)} is no number; give numbers such as 0.5,0.3,0.2, or {DEV}.") from None
    if not 0 <= value <= LARGEST:
        raise UserError(f"{setting}: {part} is not from 0 to {LARGEST:,.0f}, as every weight must be.")
    return value


def _of_dev_scores(members: Sequence[StoredModel], names: list[str], setting: str) -> TaskWeights:
    if not names:
        return {}
    found = [_dev_scores(member, names, setting) for member in members]
    return {name: tuple(scores[name] for scores in found) for name in names}


def _dev_scores(member: StoredModel, names: list[str], setting: str) -> dict[str, float]:
    """Returns task name -> a model's score on the dev rows that it was evaluated on."""
    if member.weights is None:
        path = member.folder.path / EXPORT_FILE
        found: dict[Any, Any] = {item.get("task"): item.get("score") for item in _objects(path, "scores")}
    else:
        path, wanted = member.run.path / SUMMARY, (member.weights.step, member.weights.kind)
        rows = _objects(path, "checkpoints") if path.is_file() else []
        fitting = [row.get("scores") for row in rows if (row.get("step"), row.get("weights")) == wanted]
        found = fitting[0] if fitting and isinstance(fitting[0], dict) else {}
    missing = [name for name in names if not _is_score(found.get(name))]
    if missing:
        raise UserError(
            f"{setting}={DEV}: {path} has no dev score of {', '.join(missing)} for {member.name}. Run evaluate on its run, "
            "which writes the scores, or give the weights as numbers."
        )
    return {name: max(0.0, float(found[name])) for name in names}  # a correlation may be negative


def _objects(path: Path, key: str) -> list[dict[str, Any]]:
    """Returns the JSON objects in the list under a key of a file; of a damaged file those that are there."""
    value = read_json(path, "record of scores")
    found = value.get(key) if isinstance(value, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _is_score(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and -1 <= value <= 1
