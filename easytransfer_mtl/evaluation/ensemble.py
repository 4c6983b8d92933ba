"""Predictions averaged over several models; only one model at a time is in memory."""

import gc
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from easytransfer_mtl.config.predict_settings import PredictSettings
from easytransfer_mtl.evaluation.member_weights import TaskWeights, member_weights
from easytransfer_mtl.evaluation.model_class import AS_STORED, ModelClass, model_class_of
from easytransfer_mtl.evaluation.prediction import Prediction, Predictor, read_unlabelled
from easytransfer_mtl.evaluation.stored_models import StoredModel, check_alike, find_models, stored_model_at
from easytransfer_mtl.files import files_in
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.tasks import CONTEST_TASKS, load_tasks, task_named


def mean_probabilities(parts: Sequence[np.ndarray], weights: Sequence[float] | None = None) -> np.ndarray:
    """Returns the mean over the models, float64 [N, C]; bit for bit independent of their order.

    Args:
        parts: one array [N, C] per model.
        weights: one per model, 0 or more, with a sum above 0; None for equal ones, which is what weights of 1 give too.
    """
    if weights is None:
        return np.sort(np.stack(parts), axis=0).mean(axis=0, dtype=np.float64)
    factors = np.asarray(weights, np.float64)
    weighted = np.stack(parts).astype(np.float64) * factors[:, np.newaxis, np.newaxis]
    return np.sort(weighted, axis=0).sum(axis=0) / np.sort(factors).sum()


def average(predictions: Sequence[Prediction], weights: Sequence[float] | None = None) -> Prediction:
    """Averages the probabilities of several models for the same rows; the label is the one with the highest mean.

    A single prediction is returned unchanged.

    Args:
        predictions: one per model, for the same rows and with the same labels.
        weights: see ``mean_probabilities``.
    """
    first = predictions[0]
    if len(predictions) == 1:
        return first
    mean = mean_probabilities([item.probabilities for item in predictions], weights)
    labels = [first.task.label_enumerate_values[index] for index in mean.argmax(axis=1)]
    return Prediction(first.task, first.ids, labels, mean.astype(np.float32))


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
        """Predicts every row of unlabelled files, in their order.

        Args:
            files: task name -> file.
            header: whether the first line of the files is a header.

        Raises:
            UserError: ``read_unlabelled`` rejects a file (before a model is loaded), or a model is damaged.
        """
        contents = {name: read_unlabelled(path, task_named(name, self.tasks), header) for name, path in files.items()}
        predictions: dict[str, list[Prediction]] = {name: [] for name in files}
        for member in one_at_a_time(self._members):
            predictor = Predictor(member, *self._options)
            for name, content in contents.items():
                ids, texts = [row.row_id for row in content.rows], [row.texts for row in content.rows]
                predictions[name].append(predictor.predict(name, ids, texts))
            del predictor
        return {name: average(items, self._weights.get(name)) for name, items in predictions.items()}


def ensemble_of(settings: PredictSettings, model_class: type[MultiTaskModel] | None = None) -> Ensemble:
    """Returns the model or models of ``--predict_checkpoint_path`` or ``--checkpoints``; raises what ``Ensemble`` raises."""
    tasks = load_tasks(settings.tasks_file) if settings.tasks_file else CONTEST_TASKS
    if settings.checkpoints:
        members = find_models(settings.checkpoints, tasks)
    else:
        members = [stored_model_at(str(settings.predict_checkpoint_path), tasks)]
    chosen = model_class_of(settings, model_class)
    weights = member_weights(settings.checkpoint_weights, members, "--checkpoint_weights")
    return Ensemble(members, settings.predict_batch_size, chosen, settings.predict_precision, weights)
