"""Every kept checkpoint of a run on the dev files; the best one exported."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.export import export_model
from easytransfer_mtl.evaluation.inference import Inference
from easytransfer_mtl.evaluation.legacy import LegacyScore, legacy_score
from easytransfer_mtl.evaluation.metrics import TaskScore, best_step, mean_score, score_task
from easytransfer_mtl.evaluation.reports import score_json, write_reports, write_summary
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.variables import build_variables
from easytransfer_mtl.training.checkpoints import checkpoint_steps, restore_model
from easytransfer_mtl.training.run_folder import RunFolder
from easytransfer_mtl.training.task_data import TaskData


@dataclass(frozen=True)
class EvaluationOptions:
    """How checkpoints are scored.

    Attributes:
        batch_size: rows a batch.
        max_batches: at most this many batches a task; None for all rows.
        f1_labels: ``present`` or ``all``, see ``score_task``.
        legacy: also compute what the original would have printed.
        precision: ``float32``, or ``bfloat16`` for speed.
    """

    batch_size: int = 64
    max_batches: int | None = None
    f1_labels: str = "present"
    legacy: bool = False
    precision: str = "float32"


@dataclass(frozen=True)
class Evaluation:
    """Scores of a run's checkpoints.

    Attributes:
        scores: step -> one score per task.
        best: the step with the highest mean; the later one of equals.
        best_folder: the exported model; None if only a part of the rows was scored, which exports nothing.
        legacy: step -> what the original would have printed, where asked for and possible.
    """

    scores: dict[int, list[TaskScore]]
    best: int
    best_folder: Path | None
    legacy: dict[int, LegacyScore]


def build_model(folder: RunFolder, model_class: type[MultiTaskModel] = MultiTaskModel) -> MultiTaskModel:
    """Builds a run's model from its folder, weights yet to be restored."""
    tasks, _ = folder.read_tasks()
    folder.check_class(model_class)
    encoder = load_encoder(folder.encoder_files, DropoutClock(0), random_init=True).encoder
    model = model_class(encoder, tasks, architecture=folder.read_architecture())
    build_variables(model)
    return model


def score_rows(
    inference: Inference, data: list[TaskData], options: EvaluationOptions, what: str
) -> tuple[list[TaskScore], LegacyScore | None]:
    """Scores a model's present weights: each task's rows with its own head, whatever the tasks' sizes."""
    names = [item.task.name for item in data]
    predictions: dict[str, dict[str, np.ndarray]] = {}
    truths: dict[str, np.ndarray] = {}
    for item in data:
        heads = names if options.legacy else [item.task.name]
        result = inference.outputs(item.rows, heads, f"{what} {item.task.name}", options.max_batches)
        predictions[item.task.name] = {name: output.predictions for name, output in result.items()}
        truths[item.task.name] = item.rows.label_ids[: len(result[item.task.name].predictions)]
    scores = [
        score_task(task, truths[task.name], predictions[task.name][task.name], options.f1_labels)
        for task in (item.task for item in data)
    ]
    return scores, _legacy(data, truths, predictions, options)


def _legacy(
    data: list[TaskData],
    truths: dict[str, np.ndarray],
    predictions: dict[str, dict[str, np.ndarray]],
    options: EvaluationOptions,
) -> LegacyScore | None:
    """Returns the original's score where it is wanted and the original would have had one."""
    if not options.legacy:
        return None
    try:
        return legacy_score([item.task for item in data], truths, predictions, options.batch_size)
    except UserError as error:
        logging.warning("No score of the original's: %s", error)
        return None


def evaluate_run(model: MultiTaskModel, folder: RunFolder, data: list[TaskData], options: EvaluationOptions) -> Evaluation:
    """Scores every kept checkpoint, writes tables to ``evaluation/`` and the best model to ``best/``.

    Args:
        model: built as the run's; its weights change.
        folder: the run.
        data: the dev files, already through ``check_dev_data``.
        options: how to score.

    Raises:
        UserError: the run has no checkpoint, or one is damaged.
    """
    checkpoints = checkpoint_steps(folder.path)
    if not checkpoints:
        raise UserError(f"{folder.path} has no checkpoint to evaluate; train first.")
    inference = Inference(model, options.batch_size, options.precision)
    scores: dict[int, list[TaskScore]] = {}
    legacy: dict[int, LegacyScore] = {}
    for step, prefix in checkpoints.items():
        restore_model(model, prefix)
        scores[step], printed = score_rows(inference, data, options, f"step {step}")
        if printed:
            legacy[step] = printed
        each = ", ".join(f"{score.task.name} {score.score:.4f}" for score in scores[step])
        logging.info("checkpoint %d: %s, mean %.4f", step, each, mean_score(scores[step]))
    best = best_step({step: mean_score(values) for step, values in scores.items()})
    if options.max_batches is not None:
        return Evaluation(scores, best, None, legacy)
    restore_model(model, checkpoints[best])
    write_summary(folder.path / "evaluation", scores)
    write_reports(folder.path / "evaluation" / "best", scores[best])
    about = {"step": best, "mean_score": mean_score(scores[best]), "scores": [score_json(score) for score in scores[best]]}
    best_folder = export_model(model, folder, folder.read_tasks()[1], about)
    return Evaluation(scores, best, best_folder, legacy)
