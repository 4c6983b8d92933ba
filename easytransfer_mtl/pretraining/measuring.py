"""How well a model does on texts that it does not train on."""

import numpy as np
import tensorflow as tf

from easytransfer_mtl.data.encoded_rows import Batch
from easytransfer_mtl.pretraining.measurement import Measurement
from easytransfer_mtl.pretraining.objectives.base import PretrainingModel


class HeldOut:
    """The held-out batches; one traced function measures any weights of a model on them."""

    def __init__(self, model: PretrainingModel, batches: list[Batch]) -> None:
        """Takes the model and the batches."""
        self.model = model
        self.batches = batches
        self._sums = tf.function(model.sums, input_signature=[model.masking.signature])

    def measure(self) -> Measurement:
        """Measures the model as it is, in float32 whatever training computes in."""
        with self.model.encoder.computing_in("float32"):
            sums = [self._sums({name: tf.constant(value) for name, value in batch.items()}) for batch in self.batches]
        return self.model.measurement(np.sum([[float(value) for value in batch] for batch in sums], axis=0))
