"""Predictions averaged over several models; only one model at a time is in memory."""

import gc
import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from easytransfer_mtl.config.predict_settings import PredictingSettings
from easytransfer_mtl.data.table_form import BY_TASK
from easytransfer_mtl.data.tag_units import widened
from easytransfer_mtl.data.text_files import TextFile
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.inference import HeadOutput
from easytransfer_mtl.evaluation.member_weights import TaskWeights, member_weights
from easytransfer_mtl.evaluation.model_class import AS_STORED, ModelClass, model_class_of
from easytransfer_mtl.evaluation.prediction import Prediction, Predictor, label_of_texts
from easytransfer_mtl.evaluation.stored_models import StoredModel, check_alike, find_models, stored_model_at
from easytransfer_mtl.files import files_in
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.progress import progress_bar
from easytransfer_mtl.tasks import CONTEST_TASKS, TAGS, Task, load_tasks, task_named

ROWS_AT_ONCE = 16_384
"""Rows of a file that are encoded, sorted by length and predicted together."""


def mean_probabilities(parts: Sequence[np.ndarray], weights: Sequence[float] | None = None) -> np.ndarray:
    """Returns the mean over the models, float64 [N, C]; bit for bit independent of their order.

    Args:
        parts: one array [N, C] per model; of tags [N, U, C], where the models may have cut texts at different places.
        weights: one per model, 0 or more, with a sum above 0; None for equal ones, which is what weights of 1 give too.
    """
    if parts[0].ndim == 3:
        parts = [widened(part, max(each.shape[1] for each in parts)) for part in parts]
    if weights is None:
        return np.sort(np.stack(parts), axis=0).mean(axis=0, dtype=np.float64)
    factors = np.asarray(weights, np.float64)
    weighted = np.stack(parts).astype(np.float64) * factors.reshape(-1, *[1] * parts[0].ndim)
    return np.sort(weighted, axis=0).sum(axis=0) / np.sort(factors).sum()


def average(task: Task, outputs: Sequence[HeadOutput], weights: Sequence[float] | None = None) -> HeadOutput:
    """Averages the probabilities of several models for the same rows, and predicts from the mean.

    A single output is returned unchanged.

    Args:
        task: the task, with the threshold of the average.
        outputs: one per model, for the same rows and with the same labels.
        weights: see ``mean_probabilities``.
    """
    if len(outputs) == 1:
        return outputs[0]
    mean = mean_probabilities([output.probabilities for output in outputs], weights)
    return HeadOutput.of(task, mean)


def one_at_a_time(members: Sequence[StoredModel]) -> Iterator[StoredModel]:
    """Yields the models one after another and logs the progress; memory of the previous model is freed first."""
    for number, member in enumerate(members, start=1):
        gc.collect()  # Keras models contain reference cycles
        if len(members) > 1:
            logging.info("model %d of %d: %s", number, len(members), member.name)
        yield member


class Ensemble:
    """One or more models; their prediction is the mean of their probabilities."""

    def __init__(
        self,
        members: list[StoredModel],
        batch_size: int = 64,
        model_class: ModelClass = AS_STORED,
        precision: str = "float32",
        weights: TaskWeights | None = None,
    ) -> None:
        """Takes the models, which are loaded only for prediction.

        Args:
            members: the models.
            batch_size: see ``Predictor``, as the next two.
            model_class: the class the models were trained with.
            precision: of the encoder's matrix products.
            weights: the result of ``member_weights``; None for equal ones.

        Raises:
            UserError: the models differ in tasks, labels or text normalization, or one was trained with another class.
        """
        self.tasks = check_alike(members)
        for member in members:
            model_class.of(member.folder)
        self._members = members
        self._options = (batch_size, model_class, precision)
        self._weights = weights or {}

    @property
    def files(self) -> list[Path]:
        """All files in the models' folders."""
        return [path for member in self._members for path in files_in(member.folder.path)]

    def predict_files(self, files: dict[str, Path], header: bool = False) -> dict[str, Prediction]:
        """Predicts every row of unlabelled files in the contest's format, in their order.

        Args:
            files: task name -> file.
            header: whether the first line of the files is a header.

        Raises:
            UserError: a file has bad rows, an id twice, or no row (found before a model is loaded), or a model is damaged.
        """
        tables = {name: TextFile(path, task_named(name, self.tasks), BY_TASK, header) for name, path in files.items()}
        found = self.outputs(tables)
        result = {}
        for name, table in tables.items():
            rows = list(table.rows())
            labels = [
                label_of_texts(table.task, row.texts, value)
                for row, value in zip(rows, found[name].predictions, strict=True)
            ]
            ids = [row.row_id for row in rows]
            result[name] = Prediction(table.task, ids, labels, found[name].probabilities)
        return result

    def outputs(self, files: Mapping[str, TextFile]) -> dict[str, HeadOutput]:
        """Returns task name -> predictions for all rows of its file, in memory that grows by the probabilities only.

        Raises:
            UserError: a file has bad rows, an id twice, or no row (found before a model is loaded), or a model is damaged.
        """
        sizes = {name: file.check() for name, file in files.items()}
        parts: dict[str, list[HeadOutput]] = {name: [] for name in files}
        for member in one_at_a_time(self._members):
            predictor = Predictor(member, *self._options)
            for name, file in files.items():
                parts[name].append(_outputs_of(predictor, file, sizes[name]))
            del predictor
        return {name: average(files[name].task, items, self._weights.get(name)) for name, items in parts.items()}


def _outputs_of(predictor: Predictor, file: TextFile, size: int) -> HeadOutput:
    task = file.task
    found, of_tags = HeadOutput.empty(task, size), []
    rows, start = file.rows(), 0
    with progress_bar(size, f"predict {task.name}", " rows") as bar:
        while texts := [row.texts for row in itertools.islice(rows, ROWS_AT_ONCE)]:
            part = slice(start, start := start + len(texts))
            if start > size:
                raise UserError(f"{file.path} has grown while it was read; start again.")
            output = predictor.outputs([task], texts)[task.name]
            if task.type == TAGS:
                of_tags.append(output.probabilities)
            else:
                found.predictions[part], found.probabilities[part] = output.predictions, output.probabilities
            bar.update(len(texts))
    if start < size:
        raise UserError(f"{file.path} has shrunk while it was read; start again.")
    if task.type != TAGS:
        return found
    width = max(part.shape[1] for part in of_tags)
    return HeadOutput.of(task, np.concatenate([widened(part, width) for part in of_tags]))


def ensemble_of(settings: PredictingSettings, model_class: type[MultiTaskModel] | None = None) -> Ensemble:
    """Returns the model or models of ``--predict_checkpoint_path`` or ``--checkpoints``; raises what ``Ensemble`` raises."""
    tasks = load_tasks(settings.tasks_file) if settings.tasks_file else CONTEST_TASKS
    if settings.checkpoints:
        members = find_models(settings.checkpoints, tasks)
    else:
        members = [stored_model_at(str(settings.predict_checkpoint_path), tasks)]
    chosen = model_class_of(settings, model_class)
    weights = member_weights(settings.checkpoint_weights, members, "--checkpoint_weights")
    return Ensemble(members, settings.predict_batch_size, chosen, settings.predict_precision, weights)
