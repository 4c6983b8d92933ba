"""Predictions of one trained model for texts."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from easytransfer_mtl.config.options import options_of
from easytransfer_mtl.config.predict_settings import PredictSettings
from easytransfer_mtl.errors import UserError, shown
from easytransfer_mtl.evaluation.given_texts import check_lengths, checked_ids, checked_texts
from easytransfer_mtl.evaluation.inference import HeadOutput, Inference
from easytransfer_mtl.evaluation.model_class import ModelClass
from easytransfer_mtl.evaluation.stored_models import StoredModel, stored_model_at
from easytransfer_mtl.evaluation.tagging import tags_of
from easytransfer_mtl.evaluation.text_encoder import TextEncoder
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.tasks import CONTEST_TASKS, TAGS, Task, task_named


@dataclass(frozen=True)
class Prediction:
    """One task's predictions: ids as they were given, labels, and probabilities float32 [N, C], or [N, U, C] of tags."""

    task: Task
    ids: list[str]
    labels: list[str]
    probabilities: np.ndarray


def label_of_texts(task: Task, texts: tuple[str, ...], predicted: Any) -> str:
    """Returns what is predicted of a row as a text of the label column; of tags one for each unit of its text."""
    return " ".join(tags_of(task, texts[0], predicted)) if task.type == TAGS else task.label_text(predicted)


def checked_batch_size(value: Any) -> int:
    """Returns a number of rows per batch; raises UserError if it is none."""
    rows = int(value) if isinstance(value, np.integer) else value
    return int(options_of(PredictSettings)["predict_batch_size"].convert(rows, "batch_size"))


class Predictor:
    """A trained model with its tokenizer and text normalization."""

    def __init__(
        self,
        checkpoint: str | os.PathLike[str] | StoredModel,
        batch_size: int = 64,
        model_class: type[MultiTaskModel] | ModelClass | None = None,
        precision: str = "float32",
        tasks: tuple[Task, ...] = CONTEST_TASKS,
        trust_own_code: bool = False,
    ) -> None:
        """Loads a model. It compiles nothing, since a few thousand rows are done before XLA has compiled for their shapes.

        Args:
            checkpoint: a run's ``best/``, a run's folder, or a checkpoint prefix of a run or of EasyTransfer.
            batch_size: rows per batch.
            model_class: the class the model was trained with, if the folder does not name it.
            precision: ``float32``, or ``bfloat16`` or ``float16`` for speed.
            tasks: see ``stored_model_at``.
            trust_own_code: whether to import the user-defined classes named in the model's folder.

        Raises:
            UserError: an argument is invalid; also as ``stored_model_at`` and ``StoredModel.load``.
        """
        if not isinstance(checkpoint, (str, os.PathLike, StoredModel)):
            raise UserError(f"checkpoint is {shown(checkpoint)}; give the path of a run, of its best/ or of a checkpoint.")
        batch_size = checked_batch_size(batch_size)
        member = checkpoint if isinstance(checkpoint, StoredModel) else stored_model_at(str(checkpoint), tasks)
        chosen = model_class if isinstance(model_class, ModelClass) else ModelClass(model_class, trust_own_code)
        self.model = member.load(chosen)
        self._encoder = TextEncoder(member)
        self._inference = Inference(self.model, batch_size, precision, member.name, compiled=False)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The model's tasks."""
        return self.model.tasks

    def predict(self, task_name: str, ids: Iterable[str], texts: Iterable[str | Sequence[str]]) -> Prediction:
        """Predicts texts.

        Args:
            task_name: one of the model's tasks.
            ids: one per row, all different.
            texts: one per row: a string for a task with one text, a tuple or list of two strings for a task with pairs.

        Raises:
            UserError: an argument does not fit the task; the message names the row, what was found and what is allowed.
            NonFiniteError: the model's probabilities are NaN or infinite.
        """
        task = task_named(task_name, self.tasks)
        ids, texts = checked_ids(ids, task.name), checked_texts(texts, task)
        check_lengths(ids, texts, task)
        output = self.outputs([task], texts, f"predict {task.name}")[task.name]
        labels = [label_of_texts(task, row, value) for row, value in zip(texts, output.predictions, strict=True)]
        return Prediction(task, ids, labels, output.probabilities)

    def outputs(self, tasks: Sequence[Task], texts: Sequence[tuple[str, ...]], what: str = "") -> dict[str, HeadOutput]:
        """Returns task name -> predictions for N checked texts; tasks that read texts alike share the encoder's work.

        Args:
            tasks: tasks of the model that read as many texts a row as are given.
            texts: one tuple of one or two strings per row.
            what: label of the progress bar; an empty string shows none.

        Raises:
            NonFiniteError: the model's probabilities are NaN or infinite.
        """
        found: dict[str, HeadOutput] = {}
        for group in self._encoder.read_alike(tasks):
            rows = self._encoder.encode(group[0], texts)
            found |= self._inference.outputs(rows, [task.name for task in group], what)
        return found
