"""How well a model predicts texts that it does not train on."""

import math
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from easytransfer_mtl.data.encoded_rows import Batch
from easytransfer_mtl.pretraining.batches import BATCH_SIGNATURE
from easytransfer_mtl.pretraining.model import MaskedLanguageModel

LARGEST_EXPONENT = 700.0


@dataclass(frozen=True)
class Measurement:
    """Mean cross entropy of the masked tokens, and the share of them that is predicted right."""

    loss: float
    accuracy: float

    @property
    def perplexity(self) -> float:
        """e^loss."""
        return math.exp(min(self.loss, LARGEST_EXPONENT))

    def text(self) -> str:
        """Returns perplexity and accuracy for a terminal."""
        return f"perplexity {self.perplexity:.4g}, masked accuracy {self.accuracy:.4f}"


class HeldOut:
    """The held-out batches; one traced function measures any weights of a model on them."""

    def __init__(self, model: MaskedLanguageModel, batches: list[Batch]) -> None:
        """Takes the model and the batches."""
        self.model = model
        self.batches = batches
        self._sums = tf.function(model.sums, input_signature=[BATCH_SIGNATURE])

    def measure(self) -> Measurement:
        """Measures the model as it is, in float32 whatever training computes in."""
        with self.model.encoder.computing_in("float32"):
            sums = [self._sums({name: tf.constant(value) for name, value in batch.items()}) for batch in self.batches]
        loss, right, count = np.sum([[float(value) for value in batch] for batch in sums], axis=0)
        return Measurement(loss / max(count, 1.0), right / max(count, 1.0))
