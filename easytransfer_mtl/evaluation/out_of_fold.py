"""Scores every training row with the model that was not trained on it."""

import logging
from dataclasses import replace
from functools import partial

import numpy as np

from easytransfer_mtl.data.tag_units import NO_TAG, widened
from easytransfer_mtl.encoders.config_checks import most_tokens
from easytransfer_mtl.encoders.loading import load_config
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.ensemble import one_at_a_time
from easytransfer_mtl.evaluation.evaluator import EvaluationOptions
from easytransfer_mtl.evaluation.inference import Inference
from easytransfer_mtl.evaluation.model_class import AS_STORED, ModelClass
from easytransfer_mtl.evaluation.model_scores import ModelScores
from easytransfer_mtl.evaluation.row_table import RowTable, TaskRows, task_rows
from easytransfer_mtl.evaluation.row_texts import texts_of_records
from easytransfer_mtl.evaluation.stored_models import StoredModel, check_alike
from easytransfer_mtl.runs.fold_data import held_out_rows
from easytransfer_mtl.runs.task_data import TaskData, read_task_data


def score_out_of_fold(
    members: list[StoredModel], options: EvaluationOptions, model_class: ModelClass = AS_STORED
) -> ModelScores:
    """Scores each fold's model on its fold, and the predictions of all folds together.

    Args:
        members: models of runs trained with ``--fold`` of one fold file, each for another fold.
        options: batch size, labels that macro-F1 averages over, and precision; the other options apply to runs only.
        model_class: the class the models were trained with, and whether user-defined code may be imported.

    Raises:
        UserError: the models are not of different folds of one split, or the runs' data has changed.
    """
    tasks = check_alike(members)
    _check_folds(members)
    tables: list[RowTable] = []
    for member in one_at_a_time(members):
        data = held_out_rows(member.run, partial(_read, member))
        inference = Inference(member.load(model_class), options.batch_size, options.precision)
        vocabulary = member.folder.encoder_files.vocabulary
        rows = []
        for item in data:
            name = item.task.name
            output = inference.outputs(item.rows, [name], f"evaluate {name}")[name]
            rows.append(task_rows(item.task, texts_of_records(item, vocabulary), item.rows.targets, *output))
        tables.append(RowTable(member.name, options.f1_labels, rows))
        del inference
    together = [_joined([rows for table in tables for rows in table.tasks if rows.task.name == task.name]) for task in tasks]
    return ModelScores.of(tables, RowTable("all folds", options.f1_labels, together))


def _joined(parts: list[TaskRows]) -> TaskRows:
    """Returns the rows of all folds, in the order of their numbers."""
    numbers = np.concatenate([np.array(part.about.ids, np.int64) for part in parts])
    order = np.argsort(numbers, kind="stable")
    texts = [text for part in parts for text in part.about.texts]
    about = replace(parts[0].about, ids=[*map(str, numbers[order])], texts=[texts[place] for place in order])
    columns = [
        np.concatenate(_of_one_width([getattr(part, name) for part in parts], fill))[order]
        for name, fill in (
            ("truth", NO_TAG),
            ("predicted", NO_TAG),
            ("p_label", 0),
            ("p_prediction", 0),
            ("probabilities", 0),
        )
    ]
    return TaskRows(parts[0].task, about, *columns)


def _of_one_width(arrays: list[np.ndarray], fill: float) -> list[np.ndarray]:
    """Returns the arrays with their second dimension, which differs where rows have tags, made equal."""
    if arrays[0].ndim == 1:
        return arrays
    width = max(array.shape[1] for array in arrays)
    return [widened(array, width, fill) for array in arrays]


def _check_folds(members: list[StoredModel]) -> None:
    """Raises UserError unless the models are of different folds of one split; warns if folds are missing."""
    written = [member.run.written_fold() for member in members]
    without = [member.name for member, fold in zip(members, written) if not fold]
    if without:
        raise UserError(
            f"evaluate needs --predict_input_fp: {', '.join(without)} was not trained with --fold, so there are no rows of "
            "its own to score it on."
        )
    found = [fold for fold in written if fold]
    splits = {fold["folds_sha256"] for fold in found}
    numbers = [fold["fold"] for fold in found]
    if len(splits) > 1 or len(set(numbers)) < len(numbers):
        named = ", ".join(f"{member.name} (fold {number})" for member, number in zip(members, numbers))
        raise UserError(
            f"These models are not of different folds of one split: {named}. Give one model a fold, or dev files "
            "(--predict_input_fp) to score their average on."
        )
    missing = sorted(set(range(found[0]["num_folds"])) - set(numbers))
    if missing:
        logging.warning("There is no model of fold %s: its rows are not scored.", ", ".join(map(str, missing)))


def _read(member: StoredModel, path: str) -> list[TaskData]:
    files, (tasks, _) = member.folder.encoder_files, member.folder.read_tasks()
    positions = most_tokens(load_config(files).to_dict())
    return read_task_data(path, tasks, files.vocabulary, files.vocabulary_file, positions)
