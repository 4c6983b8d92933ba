"""Predictions from Python: ``load`` a trained model, or an average of several, and give it texts."""

import itertools
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from easytransfer_mtl.data.frames import is_table, rows_of_table
from easytransfer_mtl.errors import UserError, shown
from easytransfer_mtl.evaluation.ensemble import mean_probabilities
from easytransfer_mtl.evaluation.given_texts import check_lengths, checked_ids, checked_texts, tasks_reading, texts_a_row
from easytransfer_mtl.evaluation.inference import HeadOutput
from easytransfer_mtl.evaluation.member_weights import TaskWeights, member_weights
from easytransfer_mtl.evaluation.model_class import ModelClass
from easytransfer_mtl.evaluation.prediction import Predictor, checked_batch_size
from easytransfer_mtl.evaluation.stored_models import StoredModel, check_alike, find_models, stored_model_at
from easytransfer_mtl.evaluation.tagging import Entity, entities_of, most_probable_tags, tags_of
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.progress import progress_bar
from easytransfer_mtl.tasks import CLASSIFY, CONTEST_TASKS, LABEL_SEPARATOR, MULTI_LABEL, SCORE, TAGS, Task, task_named

BATCHES_AT_ONCE = 16
"""Batches of a long list that are encoded, sorted by length and predicted together."""
Texts = str | tuple[str, str] | Iterable[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What a model says about one text, or pair of texts, in one task.

    Attributes:
        task: the task.
        values: the probabilities of the task's labels in their order, float32 [C]; of a task with numbers the number, [1];
            of a task with tags [U, C], for each unit, zeros where it has no token.
        id: the row's id, if ids were given.
        text: the text that a task with tags read, of words with a space between them; empty of other tasks.
    """

    task: Task
    values: np.ndarray
    id: str | None = None
    text: str = ""

    @property
    def label(self) -> str:
        """The label with the highest probability; several separated by commas, the number as text, or the tags
        separated by spaces, by the task's type."""
        if self.task.type == TAGS:
            return " ".join(self.tags)
        (target,) = HeadOutput.of(self.task, self.values[np.newaxis]).predictions
        return self.task.label_text(target)

    @property
    def labels(self) -> list[str]:
        """The labels: one, those that reach a ``multi_label`` task's threshold, the tags, or none of a task with numbers."""
        if self.task.type == TAGS:
            return self.tags
        if self.task.type != MULTI_LABEL:
            return [] if self.task.type == SCORE else [self.label]
        return self.task.labels_of(self.values >= self.task.threshold)

    @property
    def label_name(self) -> str:
        """The name of the label, or of each; the label itself if the task names none."""
        if self.task.type in (SCORE, TAGS):
            return self.label
        return LABEL_SEPARATOR.join(self.task.label_names.get(label, label) for label in self.labels)

    @property
    def tags(self) -> list[str]:
        """The tag of each character or word of the text, of a task of the type ``tags``; empty of other tasks."""
        if self.task.type != TAGS:
            return []
        (found,) = most_probable_tags(self.task, self.values[np.newaxis])
        return tags_of(self.task, self.text, found)

    @property
    def entities(self) -> list[Entity]:
        """The entities that ``tags`` name, with ``start`` and ``end`` in characters; empty of other tasks."""
        return entities_of(self.task, self.text, self.tags)

    @property
    def number(self) -> float | None:
        """The number that a task of the type ``score`` predicts; None of other tasks."""
        return float(self.values[0]) if self.task.type == SCORE else None

    @property
    def probabilities(self) -> dict[str, float]:
        """Label -> its probability, in the order of the task's labels; empty of a task with numbers or tags."""
        if self.task.type in (SCORE, TAGS):
            return {}
        return dict(zip(self.task.label_enumerate_values, map(float, self.values), strict=True))

    def to_json(self, decimals: int | None = None) -> dict[str, Any]:
        """Returns the result as a JSON object: ``id`` if there is one, ``label``, ``label_name``, ``probabilities``.

        With several labels a row there is ``labels`` too, a list; of a task with numbers ``id`` and ``number`` only, of
        one with tags ``id``, ``tags`` and ``entities``.

        Args:
            decimals: of probabilities and numbers; None for all of them.
        """
        row_id = {} if self.id is None else {"id": self.id}
        if self.task.type == SCORE:
            return {**row_id, "number": _rounded(float(self.values[0]), decimals)}
        if self.task.type == TAGS:
            tags = self.tags
            return {**row_id, "tags": tags, "entities": entities_of(self.task, self.text, tags)}
        several = {"labels": self.labels} if self.task.type == MULTI_LABEL else {}
        named = {"label": self.label, **several, "label_name": self.label_name}
        return {**row_id, **named, "probabilities": {k: _rounded(p, decimals) for k, p in self.probabilities.items()}}

    def __repr__(self) -> str:
        shown: dict[str, Any] = {"task": self.task.name}
        shown |= {"number": self.number} if self.task.type == SCORE else {"label": self.label, "label_name": self.label_name}
        shown = {"task": self.task.name, "entities": self.entities} if self.task.type == TAGS else shown
        parts = ", ".join(f"{name}={value!r}" for name, value in shown.items())
        one = f", probability={self.values.max():.4f}" if self.task.type == CLASSIFY else ""
        return f"Result({parts}{one})"


def _rounded(value: float, decimals: int | None) -> float:
    return value if decimals is None else round(value, decimals)


class LoadedModel:
    """A trained model in memory, or several whose probabilities are averaged; made by ``load``.

    Texts of every length run at once: nothing is compiled for a new one. Several threads may ask; they take turns.
    """

    def __init__(
        self, predictors: Sequence[Predictor], tasks: tuple[Task, ...], weights: TaskWeights, batch_size: int
    ) -> None:
        """Takes models, their tasks as ``check_alike`` returns them, and ``member_weights``.

        Runs each model once, so that the first texts need not wait.
        """
        self.tasks = tasks
        self._predictors = predictors
        self._weights = weights
        self._rows_at_once = batch_size * BATCHES_AT_ONCE
        self._turn = threading.Lock()  # tokenizers and graphs are not made for several threads at a time
        for count in {texts_a_row(task) for task in self.tasks}:
            self.predict_all("我" if count == 1 else ("我", "我"))

    @property
    def models(self) -> list[MultiTaskModel]:
        """The Keras models, with their trained weights."""
        return [predictor.model for predictor in self._predictors]

    def predict(self, task: str, texts: Texts, ids: Any = None) -> Result | list[Result]:
        """Predicts one text or pair, or many.

        Args:
            task: the name of one of the model's tasks.
            texts: for a task with one text, a string, or a list, array, series or generator of strings; for a task with
                pairs, a tuple of two strings, or a list etc. of such tuples. A tuple of strings is one row. For a task with
                tags a row may also be the tuple, or a list in a list, of its characters or words. A DataFrame gives the
                columns of the task's texts, and of an id if it has one.
            ids: a string for one row, a list etc. of different strings for many; the results carry them. None for no ids.

        Returns:
            A ``Result`` for one row, else a list of them in the order of the rows.

        Raises:
            UserError: an argument does not fit the task; the message names the row, what was found and what is allowed.
            NonFiniteError: the model's probabilities are NaN or infinite.
        """
        (found,) = self._predicted([task_named(task, self.tasks)], texts, ids).values()
        return found

    def predict_all(self, texts: Texts, ids: Any = None) -> dict[str, Result | list[Result]]:
        """Predicts one text or pair, or many, in every task that reads as many texts.

        Args:
            texts: as in ``predict``, of tags whole texts only.
            ids: as in ``predict``.

        Returns:
            Task name -> what ``predict`` returns.

        Raises:
            UserError: no task reads so many texts; also as ``predict``.
        """
        rows: Any = list(texts) if isinstance(texts, Iterator) else texts
        first = rows if _is_row(rows) or not isinstance(rows, Iterable) else next(iter(rows), None)
        return self._predicted(tasks_reading(first, self.tasks), rows, ids)

    def stream(self, task: str, texts: Iterable[Any], ids: Iterable[str] | None = None) -> Iterator[Result]:
        """Yields the results of any number of rows in their order, in memory that does not grow with it.

        Args:
            task: the name of one of the model's tasks.
            texts: rows, as in ``predict``; an iterable that is read as results are asked for.
            ids: one per row; None for no ids.

        Raises:
            UserError: an argument does not fit the task, or there are more or fewer ids than texts; results of the rows
                before have been yielded then.
            NonFiniteError: the model's probabilities are NaN or infinite.
        """
        chosen = task_named(task, self.tasks)
        if _is_row(texts):
            raise UserError(f"{chosen.name}: texts is {shown(texts)}; stream takes many rows, predict takes one.")
        rows, names = iter(texts), None if ids is None else iter(ids)
        start = 0
        while True:
            given = list(itertools.islice(rows, self._rows_at_once))
            part = checked_texts(given, chosen, start)
            part_ids = None if names is None else list(itertools.islice(names, len(part) or 1))
            if part_ids is not None and len(part_ids) != len(part):
                what, more = ("more", "") if len(part_ids) > len(part) else ("fewer", " or more")
                count = f"{start + len(part):,}{more}"
                raise UserError(f"{chosen.name}: there are {what} ids than texts ({count}); give one id for each.")
            if not part:
                return
            yield from self.results([chosen], part, part_ids and checked_ids(part_ids, chosen.name))[chosen.name]
            start += len(part)

    def _predicted(self, tasks: list[Task], texts: Any, ids: Any) -> dict[str, Any]:
        if is_table(texts) and len(tasks) == 1:
            found_rows = rows_of_table(texts, tasks[0])
            texts, ids = [row.texts for row in found_rows], [row.row_id for row in found_rows] if ids is None else ids
        is_one = _is_row(texts)
        rows = checked_texts([texts] if is_one else texts, tasks[0])
        names = None if ids is None else checked_ids([ids] if is_one else ids, tasks[0].name)
        if names is not None:
            check_lengths(names, rows, tasks[0])
        found: dict[str, list[Result]] = {task.name: [] for task in tasks}
        what = f"predict {', '.join(found)}"
        bar = progress_bar(len(rows), what, " rows", is_shown=not is_one)
        for start in range(0, len(rows), self._rows_at_once):
            part = slice(start, start + self._rows_at_once)
            for name, results in self.results(tasks, rows[part], names and names[part]).items():
                found[name] += results
            bar.update(len(rows[part]))
        bar.close()
        return {name: results[0] for name, results in found.items()} if is_one else found

    def results(
        self, tasks: Sequence[Task], rows: Sequence[tuple[str, ...]], ids: Sequence[str] | None = None
    ) -> dict[str, list[Result]]:
        """Returns task name -> results of rows that ``checked_texts`` returned, without progress on the terminal.

        Args:
            tasks: tasks of the model that read as many texts a row.
            rows: one tuple of texts per row.
            ids: one per row; None for no ids.

        Raises:
            NonFiniteError: the model's probabilities are NaN or infinite.
        """
        with self._turn:
            outputs = [predictor.outputs(tasks, rows) for predictor in self._predictors]
        names: Sequence[str | None] = ids or [None] * len(rows)
        found = {}
        for task in tasks:
            parts = [output[task.name].probabilities for output in outputs]
            weights = self._weights.get(task.name)
            values = parts[0] if len(parts) == 1 else mean_probabilities(parts, weights).astype(np.float32)
            texts = [row[0] if task.type == TAGS else "" for row in rows]
            found[task.name] = [Result(task, *each) for each in zip(values, names, texts, strict=True)]
        return found


def load(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    weights: str | Sequence[float] | None = None,
    batch_size: int = 64,
    precision: str = "float32",
    model_class: type[MultiTaskModel] | None = None,
    trust_own_code: bool = False,
    tasks: tuple[Task, ...] = CONTEST_TASKS,
) -> LoadedModel:
    """Loads a trained model, or several whose probabilities are averaged.

    Args:
        path: a run's folder, its ``best/``, or a checkpoint prefix of a run or of EasyTransfer, see ``stored_model_at``; for
            an average a list of them, or a string as ``--checkpoints`` takes it (``A,B`` or a pattern).
        weights: with several models, their weights in the average: numbers in their order, or a text as
            ``--checkpoint_weights`` takes it (``dev``, ``tnews=1:2,ocnli=dev``); None for equal ones.
        batch_size: rows per batch.
        precision: ``float32``, or ``bfloat16`` for speed where the processor has instructions for it.
        model_class: the class the model was trained with, if the folder does not name it.
        trust_own_code: whether to import the user-defined classes named in the folder.
        tasks: the tasks of an EasyTransfer checkpoint, which does not name them.

    Raises:
        UserError: there is no model, it is damaged, needs code that may not be imported, or an argument is invalid.
        NonFiniteError: a weight of the model is NaN or infinite.
    """
    batch_size = checked_batch_size(batch_size)
    members = [member for part in _paths(path) for member in _members(part, tasks)]
    common = check_alike(members)
    given = weights if weights is None or isinstance(weights, str) else ",".join(map(str, weights))
    chosen = ModelClass(model_class, trust_own_code)
    shares = member_weights(given, members, "weights")
    predictors = [Predictor(member, batch_size, chosen, precision, tasks) for member in members]
    return LoadedModel(predictors, common, shares, batch_size)


def _paths(path: Any) -> list[str]:
    parts = [path] if isinstance(path, (str, os.PathLike)) else path
    if not isinstance(parts, (list, tuple)) or not parts or not all(isinstance(part, (str, os.PathLike)) for part in parts):
        raise UserError(
            f"path is {shown(path)}; give the path of a run, of its best/ or of a checkpoint, or a list of such paths."
        )
    return list(map(os.fspath, parts))


def _members(path: str, tasks: tuple[Task, ...]) -> list[StoredModel]:
    is_one = os.path.exists(path) or os.path.exists(f"{path}.index")  # whatever signs are in its name
    return [stored_model_at(path, tasks)] if is_one else find_models(path, tasks, "path")


def _is_row(texts: Any) -> bool:
    return isinstance(texts, str) or (
        isinstance(texts, tuple) and bool(texts) and all(isinstance(part, str) for part in texts)
    )
