"""Scores every kept checkpoint of a run on the dev files and exports the best one."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from easytransfer_mtl.data.encoded_rows import targets_of
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.errors import NonFiniteError, UserError
from easytransfer_mtl.evaluation.confusions import log_confusions
from easytransfer_mtl.evaluation.export import export_model
from easytransfer_mtl.evaluation.inference import HeadOutput, Inference
from easytransfer_mtl.evaluation.kept_scores import KeptScores
from easytransfer_mtl.evaluation.legacy import LegacyScore, legacy_score
from easytransfer_mtl.evaluation.metrics import TaskScore, best_of, best_threshold, mean_score, score_task
from easytransfer_mtl.evaluation.model_class import AS_STORED, ModelClass
from easytransfer_mtl.evaluation.reports import score_json, write_reports, write_summary
from easytransfer_mtl.evaluation.row_table import RowTable, RowTexts, task_rows, write_rows
from easytransfer_mtl.evaluation.row_texts import texts_of
from easytransfer_mtl.evaluation.weights import Weights, weights_in
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.variables import build_variables
from easytransfer_mtl.runs.board import write_dev_scores
from easytransfer_mtl.runs.checkpoint_files import checkpoint_steps
from easytransfer_mtl.runs.folder import RunFolder
from easytransfer_mtl.runs.task_data import TaskData
from easytransfer_mtl.tasks import CLASSIFY, MULTI_LABEL, Task


@dataclass(frozen=True)
class EvaluationOptions:
    """How checkpoints are scored.

    Attributes:
        batch_size: rows per batch.
        max_batches: maximum number of batches per task; None for all rows.
        f1_labels: ``present`` or ``all``, see ``score_task``.
        legacy: also compute the score that the original would have printed.
        precision: ``float32``, or ``bfloat16`` or ``float16`` for speed.
        swa_checkpoints: number of last checkpoints whose mean weights are scored too; 0 for none.
    """

    batch_size: int = 64
    max_batches: int | None = None
    f1_labels: str = "present"
    legacy: bool = False
    precision: str = "float32"
    swa_checkpoints: int = 0


class ScoredRows(NamedTuple):
    """Scores of a model's weights: one per task, the original's if requested, and task name -> outputs of its own head."""

    scores: list[TaskScore]
    legacy: LegacyScore | None
    outputs: dict[str, HeadOutput]


@dataclass(frozen=True)
class Evaluation:
    """Scores of a run's checkpoints.

    Attributes:
        scores: weights -> one score per task.
        best: the weights with the highest mean; the last ones if several are equal.
        best_folder: the exported model; None if only a part of the rows was scored, in which case nothing is exported.
        legacy: weights -> the score that the original would have printed, if requested and possible.
    """

    scores: dict[Weights, list[TaskScore]]
    best: Weights
    best_folder: Path | None
    legacy: dict[Weights, LegacyScore]


def build_model(folder: RunFolder, model_class: ModelClass = AS_STORED) -> MultiTaskModel:
    """Builds a run's model from its folder; the weights still have to be restored."""
    tasks, _ = folder.read_tasks()
    chosen = model_class.of(folder)
    encoder = load_encoder(folder.encoder_files, DropoutClock(0), random_init=True).encoder
    model = chosen(encoder, tasks, architecture=folder.read_architecture())
    build_variables(model)
    return model


def score_rows(inference: Inference, data: list[TaskData], options: EvaluationOptions, what: str) -> ScoredRows:
    """Scores a model's current weights: each task's rows with its own head, whatever the tasks' sizes."""
    names, one_label = [item.task.name for item in data], all(item.task.type == CLASSIFY for item in data)
    predictions: dict[str, dict[str, np.ndarray]] = {}
    truths: dict[str, np.ndarray] = {}
    outputs: dict[str, HeadOutput] = {}
    for item in data:
        heads = names if options.legacy and one_label else [item.task.name]
        result = inference.outputs(item.rows, heads, f"{what} {item.task.name}", options.max_batches)
        predictions[item.task.name] = {name: output.predictions for name, output in result.items()}
        outputs[item.task.name] = result[item.task.name]
        truths[item.task.name] = item.rows.targets[: len(result[item.task.name].predictions)]
    scores = []
    for task in (item.task for item in data):
        score, outputs[task.name] = _score_output(task, truths[task.name], outputs[task.name], options.f1_labels)
        scores.append(score)
    return ScoredRows(scores, _legacy(data, truths, predictions, options), outputs)


def _score_output(task: Task, label_ids: np.ndarray, output: HeadOutput, f1_labels: str) -> tuple[TaskScore, HeadOutput]:
    """Scores what a model says of a task's rows, with the threshold of several labels a row that they are best scored with.

    Args:
        task: the task.
        label_ids: see ``EncodedRows.targets``.
        output: of the same rows.
        f1_labels: see ``score_task``.

    Returns:
        The score, whose task has the threshold, and the output with the predictions of that threshold.
    """
    truth = targets_of(label_ids, task.type)
    if task.type == MULTI_LABEL:
        task = replace(task, threshold=best_threshold(task, truth, output.probabilities))
        output = HeadOutput.of(task, output.probabilities)
    return score_task(task, truth, output.predictions, f1_labels, output.probabilities), output


def _legacy(
    data: list[TaskData],
    truths: dict[str, np.ndarray],
    predictions: dict[str, dict[str, np.ndarray]],
    options: EvaluationOptions,
) -> LegacyScore | None:
    """Returns the original's score; None if it is not requested or the original could not compute it."""
    if not options.legacy:
        return None
    try:
        return legacy_score([item.task for item in data], truths, predictions, options.batch_size)
    except UserError as error:
        logging.warning("No score of the original's: %s", error)
        return None


def evaluate_run(
    model: MultiTaskModel,
    folder: RunFolder,
    data: list[TaskData],
    options: EvaluationOptions,
    known: KeptScores | None = None,
    texts: Mapping[str, RowTexts] = MappingProxyType({}),
) -> Evaluation:
    """Scores every kept checkpoint and its averages, writes tables to ``evaluation/`` and the best model to ``best/``.

    No rows are computed twice: what the best weights say of every row is remembered while the others are scored.

    Weights that are not finite are left out, with a warning. Step 0 is scored as in the original; warns if no later
    checkpoint is better.

    Args:
        model: the run's model; its weights are changed.
        folder: the run.
        data: the dev files, after ``check_dev_data``.
        options: how to score.
        known: scores of the same rows that are already known and not computed again.
        texts: task name -> ids and texts of its rows, for the tasks whose contest file is known.

    Raises:
        UserError: the run has no checkpoint, one is damaged, or none is finite.
    """
    checkpoints = checkpoint_steps(folder.path)
    if not checkpoints:
        raise UserError(f"{folder.path} has no checkpoint to evaluate; train first.")
    inference = Inference(model, options.batch_size, options.precision)
    found = _score_all(inference, checkpoints, data, options, known)
    scores, legacy, best = found.scores, found.legacy, found.best
    if options.max_batches is not None:
        return Evaluation(scores, best, None, legacy)
    best.restore(model)
    write_summary(folder.path / "evaluation", scores)
    write_dev_scores(folder.path, _by_step(scores))
    write_reports(folder.path / "evaluation" / "best", scores[best])
    outputs = found.outputs or score_rows(inference, data, options, best.label).outputs
    _write_rows(folder, best.label, options.f1_labels, data, scores[best], outputs, texts)
    log_confusions(scores[best])
    if not best.is_trained:
        logging.warning(
            "No checkpoint after step 0 has a score as high as the start's: the model to export is untrained. Look at the "
            "learning rate, the number of steps and the data."
        )
    about = {"step": best.step, "weights": best.kind, "name": str(best), "trained": best.is_trained}
    about |= {"mean_score": mean_score(scores[best]), "scores": [score_json(score) for score in scores[best]]}
    best_folder = export_model(model, folder, folder.read_tasks()[1], about, _chosen(model.tasks, scores[best]))
    return Evaluation(scores, best, best_folder, legacy)


def _chosen(tasks: tuple[Task, ...], scores: list[TaskScore]) -> tuple[Task, ...]:
    """Returns the tasks with the thresholds that were chosen for the scores."""
    thresholds = {score.task.name: score.task.threshold for score in scores}
    return tuple(replace(task, threshold=thresholds.get(task.name, task.threshold)) for task in tasks)


def _by_step(scores: Mapping[Weights, list[TaskScore]]) -> dict[int, dict[str, float]]:
    """Returns step -> name in TensorBoard -> score; the mean of several checkpoints is left out, being of no step."""
    found: dict[int, dict[str, float]] = {}
    for weights, values in scores.items():
        if weights.kind != "swa":
            prefix = "dev" if weights.kind == "raw" else f"dev_{weights.kind}"
            each = {f"{prefix}/{score.task.name}": score.score for score in values}
            found.setdefault(weights.step, {}).update({**each, f"{prefix}/mean": mean_score(values)})
    return found


def _write_rows(
    folder: RunFolder,
    name: str,
    f1_labels: str,
    data: list[TaskData],
    scores: list[TaskScore],
    outputs: dict[str, HeadOutput],
    texts: Mapping[str, RowTexts],
) -> None:
    vocabulary = folder.encoder_files.vocabulary
    rows = [
        task_rows(score.task, texts_of(item, texts, vocabulary), item.rows.targets, *outputs[item.task.name])
        for item, score in zip(data, scores, strict=True)
    ]
    write_rows(folder.path / "evaluation" / "best", RowTable(name, f1_labels, rows))
    decoded = [item.task.name for item in data if item.task.name not in texts]
    if decoded:
        how = "evaluate --data_dir=FOLDER takes them from the contest's files"
        logging.info("rows.csv: the texts of %s are decoded from token ids; %s.", ", ".join(decoded), how)


@dataclass
class _Found:
    """All scores, and the outputs of the best weights so far; None if these were scored before and not kept."""

    scores: dict[Weights, list[TaskScore]] = field(default_factory=dict)
    legacy: dict[Weights, LegacyScore] = field(default_factory=dict)
    outputs: dict[str, HeadOutput] | None = None

    @property
    def best(self) -> Weights:
        return best_of({weights: mean_score(values) for weights, values in self.scores.items()})


def _score_all(
    inference: Inference,
    checkpoints: dict[int, Path],
    data: list[TaskData],
    options: EvaluationOptions,
    known: KeptScores | None,
) -> _Found:
    found = _Found()
    problems: list[str] = []
    for weights in weights_in(checkpoints, options.swa_checkpoints):
        if known and weights in known.scores:
            found.scores[weights] = known.scores[weights]
            if found.best == weights:
                found.outputs = known.outputs(weights)
            continue
        try:
            weights.restore(inference.model)
            scored = score_rows(inference, data, options, weights.label)
        except NonFiniteError as error:
            problems.append(str(error))
            logging.warning("%s has no score and is left out: %s", weights.label, error)
            continue
        found.scores[weights] = scored.scores
        if found.best == weights:
            found.outputs = scored.outputs
        if scored.legacy:
            found.legacy[weights] = scored.legacy
        logging.info("%s: %s", weights.label, score_text(scored.scores))
    if not found.scores:
        raise NonFiniteError("No checkpoint of the run can be scored:\n" + "\n".join(problems))
    return found


def score_text(scores: list[TaskScore]) -> str:
    """Returns each task's score and their mean as one line."""
    each = ", ".join(f"{score.task.name} {score.score:.4f}" for score in scores)
    return f"{each}, mean {mean_score(scores):.4f}"
