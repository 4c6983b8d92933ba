"""Measures how well a model predicts masked tokens of held-out texts."""

import math
from dataclasses import astuple, dataclass, fields

import numpy as np
import tensorflow as tf

from easytransfer_mtl.data.encoded_rows import Batch
from easytransfer_mtl.pretraining.masking import Masking
from easytransfer_mtl.pretraining.model import MaskedLanguageModel

LARGEST_EXPONENT = 700.0


@dataclass(frozen=True)
class Measurement:
    """Mean cross entropy of the masked tokens, and the share of them that is predicted correctly."""

    loss: float
    accuracy: float

    @property
    def perplexity(self) -> float:
        """e^loss; a very large number where that would overflow."""
        return math.exp(min(self.loss, LARGEST_EXPONENT))

    def __str__(self) -> str:
        return f"perplexity {self.perplexity:.4g}, masked accuracy {self.accuracy:.4f}"

    def row(self) -> dict[str, float]:
        """Returns the values by their columns in metrics.csv."""
        return {"loss": self.loss, "perplexity": self.perplexity, "accuracy": self.accuracy}

    def report(self) -> dict[str, float]:
        """Returns the values by their names in pretraining.json."""
        return {"loss": self.loss, "perplexity": self.perplexity, "masked_accuracy": self.accuracy}


class HeldOut:
    """Measures a model on the held-out batches; the function is traced once and serves all weights."""

    def __init__(self, model: MaskedLanguageModel, batches: list[Batch]) -> None:
        self.model = model
        self.batches = batches
        self._sums = tf.function(self._sums_of, input_signature=[Masking.signature], autograph=False)

    def measure(self) -> Measurement:
        """Measures the model's current weights without dropout, in float32 whatever precision training uses."""
        with self.model.encoder.computing_in("float32"):
            sums = [self._sums({name: tf.constant(value) for name, value in batch.items()}) for batch in self.batches]
        loss, right, count = np.sum([[float(value) for value in batch] for batch in sums], axis=0)
        return Measurement(loss / max(count, 1.0), right / max(count, 1.0))

    def _sums_of(self, batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, ...]:
        losses, right = self.model.token_losses(batch, False, "float32")
        weights = batch["weights"]
        return tf.reduce_sum(losses * weights), tf.reduce_sum(right * weights), tf.reduce_sum(weights)


class PretrainingProgress(tf.Module):
    """The first and the last measurement of a run as variables, so that checkpoints include them."""

    def __init__(self) -> None:
        super().__init__(name="pretraining_progress")
        nothing = [0.0] * len(fields(Measurement))
        self._before = tf.Variable(nothing, dtype=tf.float64, trainable=False, name="before")
        self._after = tf.Variable(nothing, dtype=tf.float64, trainable=False, name="after")

    @property
    def before(self) -> Measurement:
        """The measurement at the start."""
        return Measurement(*self._before.numpy().tolist())

    @property
    def after(self) -> Measurement:
        """The last measurement."""
        return Measurement(*self._after.numpy().tolist())

    def note(self, step: int, measured: Measurement) -> None:
        """Stores the measurement of a step."""
        self._after.assign(astuple(measured))
        if step == 0:
            self._before.assign(astuple(measured))
