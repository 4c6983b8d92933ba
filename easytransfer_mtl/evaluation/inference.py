"""Runs rows through a model: label ids and probabilities of the task heads, in the order of the rows."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from easytransfer_mtl.data.encoded_rows import Batch, EncodedRows
from easytransfer_mtl.data.pipeline import evaluation_batches
from easytransfer_mtl.data.tfrecords import SEQUENCE_FEATURES
from easytransfer_mtl.encoders.fused.graphs import compiling
from easytransfer_mtl.encoders.kinds import check_precision
from easytransfer_mtl.errors import NonFiniteError
from easytransfer_mtl.evaluation.tagging import most_probable_tags
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.progress import progress_bar
from easytransfer_mtl.tasks import MULTI_LABEL, SCORE, TAGS, Task, ascii_name


class HeadOutput(NamedTuple):
    """What one head says of N rows, in the form of ``predictions_of``; of tags what it says of their units.

    Attributes:
        predictions: label ids, int32 [N]; with several labels a row 0 or 1, int32 [N, C]; of numbers float32 [N]; of tags
            int32 [N, U], where rows with fewer units have O behind them.
        probabilities: float32 [N, C]; of numbers themselves, [N, 1]; of tags [N, U, C], 0 where there is no token.
    """

    predictions: np.ndarray
    probabilities: np.ndarray

    @classmethod
    def empty(cls, task: Task, rows: int, units: int = 0) -> "HeadOutput":
        """Returns zeros for a number of rows, to be filled; ``units`` is U of tags."""
        if task.type == TAGS:
            return cls(np.zeros((rows, units), np.int32), np.zeros((rows, units, task.num_labels), np.float32))
        return cls.of(task, np.zeros((rows, task.num_labels), np.float32))

    @classmethod
    def of(cls, task: Task, probabilities: np.ndarray) -> "HeadOutput":
        """Returns probabilities [N, C], of tags [N, U, C], with what they predict."""
        values = probabilities.astype(np.float32)
        if task.type == SCORE:
            return cls(values[:, 0].copy(), values)
        if task.type == TAGS:
            return cls(most_probable_tags(task, values), values)
        several = task.type == MULTI_LABEL
        found = probabilities >= task.threshold if several else probabilities.argmax(axis=1)
        return cls(found.astype(np.int32), values)


class Inference:
    """Runs a model without dropout; the function is traced once and serves the weights of all checkpoints."""

    def __init__(
        self,
        model: MultiTaskModel,
        batch_size: int,
        precision: str = "float32",
        source: str = "the model",
        compiled: bool = True,
    ) -> None:
        """Takes a model.

        Args:
            model: the model.
            batch_size: rows per batch.
            precision: number format of the encoder's matrix products.
            source: the model's name for errors.
            compiled: whether XLA compiles parts of the layers, which is faster for many batches of the same shape, and costs
                about a second for a batch of a new one.

        Raises:
            UserError: the encoder does not support the number format.
        """
        check_precision(model.encoder.config, precision)
        self.model = model
        self.batch_size = batch_size
        self.precision = precision
        self.source = source
        self.compiled = compiled
        rows = tf.TensorSpec([None, None], tf.int32)
        # TensorFlow counts how often a function was traced by its code, and would warn of the fifth model of an average. A
        # partial function has no code.
        step = functools.partial(model.predict_step)
        self._step = tf.function(step, input_signature=[{name: rows for name in SEQUENCE_FEATURES}])

    def outputs(
        self, rows: EncodedRows, heads: Sequence[str], what: str, max_batches: int | None = None
    ) -> dict[str, HeadOutput]:
        """Returns task name -> predictions of that task's head for all rows, in their order.

        Args:
            rows: N rows.
            heads: names of the tasks whose heads are used.
            what: label of the progress bar; an empty string shows none.
            max_batches: use only the first rows in file order, as many as fill this number of batches; None for all.

        Raises:
            NonFiniteError: a probability is NaN or infinite, so its label would be meaningless.
        """
        if max_batches is not None:
            rows = rows.first(max_batches * self.batch_size)
        result = {
            task.name: HeadOutput.empty(task, len(rows), rows.most_units) for task in self.model.tasks if task.name in heads
        }
        tagging = {task.name: task for task in self.model.tasks if task.type == TAGS}
        bar = progress_bar(len(rows), what, " rows", is_shown=bool(what))
        for numbers, batch in evaluation_batches(rows, self.batch_size):
            for name, output in self.batch_outputs(batch, heads).items():
                if name in tagging:
                    _put_units(rows, numbers, output.probabilities, result[name].probabilities)
                    continue
                result[name].predictions[numbers] = output.predictions
                result[name].probabilities[numbers] = output.probabilities
            bar.update(len(numbers))
        bar.close()
        for name, output in result.items():
            values = output.probabilities
            bad = np.flatnonzero(~np.isfinite(values).all(axis=tuple(range(1, values.ndim))))
            if len(bad):
                raise NonFiniteError(
                    f"{what or 'predict'}: {self.source} gives probabilities that are no numbers (NaN or infinite) for "
                    f"{len(bad)} of {len(rows)} rows of {name}, the first at row {bad[0] + 1}. Its weights are useless; "
                    "take another checkpoint, from before training diverged."
                )
        return {
            name: HeadOutput.of(tagging[name], output.probabilities) if name in tagging else output
            for name, output in result.items()
        }

    def batch_outputs(self, batch: Batch, heads: Sequence[str]) -> dict[str, HeadOutput]:
        """Returns task name -> predictions of that task's head for one padded batch."""
        with self.model.encoder.computing_in(self.precision), compiling(self.compiled):
            outputs = self._step({name: tf.constant(batch[name]) for name in SEQUENCE_FEATURES})
        return {
            name: HeadOutput(outputs[f"{scope}_predictions"].numpy(), outputs[f"{scope}_probabilities"].numpy())
            for name, scope in ((name, ascii_name(name).lower()) for name in heads)
        }


def _put_units(rows: EncodedRows, numbers: np.ndarray, values: np.ndarray, found: np.ndarray) -> None:
    """Copies a batch's values of tokens, [B, S, C], to the units that they begin, in ``found`` [N, U, C]."""
    for number, row in zip(numbers, values, strict=True):
        units = rows.units[rows.offsets[number] : rows.offsets[number + 1]]
        places = np.flatnonzero(units >= 0)
        found[number, units[places]] = row[places]
