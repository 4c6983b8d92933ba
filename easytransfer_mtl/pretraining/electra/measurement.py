"""What is measured of a generator and of the discriminator that tells its tokens from the true ones."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from easytransfer_mtl.pretraining.measurement import Measurement, perplexity

Number = tf.Tensor | np.ndarray


class Sums(NamedTuple):
    """Sums over batches, [] each.

    Attributes:
        mlm_loss: the generator's cross entropy of the masked tokens.
        right: masked tokens that it thinks likeliest.
        places: masked tokens.
        rtd_loss: the discriminator's binary cross entropy.
        told: tokens of which it tells the truth.
        tokens: all but padding.
        found: replaced tokens that it takes for replaced.
        suspected: tokens that it takes for replaced.
        replaced: replaced tokens.
    """

    mlm_loss: Number
    right: Number
    places: Number
    rtd_loss: Number
    told: Number
    tokens: Number
    found: Number
    suspected: Number
    replaced: Number

    def means(self, rtd_weight: float) -> dict[str, tf.Tensor]:
        """Returns the fields of ``ReplacedTokenMeasurement``; 0 where there is nothing to take the mean of."""
        divide = tf.math.divide_no_nan
        mlm_loss, rtd_loss = divide(self.mlm_loss, self.places), divide(self.rtd_loss, self.tokens)
        return {
            "loss": mlm_loss + rtd_weight * rtd_loss,
            "mlm_loss": mlm_loss,
            "accuracy": divide(self.right, self.places),
            "rtd_loss": rtd_loss,
            "rtd_accuracy": divide(self.told, self.tokens),
            "rtd_f1": divide(2.0 * self.found, self.suspected + self.replaced),
            "rtd_share": divide(self.replaced, self.tokens),
        }


@dataclass(frozen=True)
class ReplacedTokenMeasurement(Measurement):
    """Means over batches.

    Attributes:
        loss: mlm_loss + rtd_weight * rtd_loss.
        mlm_loss: the generator's cross entropy of the masked tokens.
        accuracy: share of the masked tokens that it predicts right.
        rtd_loss: the discriminator's binary cross entropy.
        rtd_accuracy: share of the tokens of which it tells the truth.
        rtd_f1: F1 score of the replaced tokens.
        rtd_share: share of the tokens that are replaced; who calls none replaced has the accuracy 1 - rtd_share.
    """

    columns = ("loss", "mlm_loss", "perplexity", "accuracy", "rtd_loss", "rtd_accuracy", "rtd_f1", "rtd_share")

    loss: float
    mlm_loss: float
    accuracy: float
    rtd_loss: float
    rtd_accuracy: float
    rtd_f1: float
    rtd_share: float

    @property
    def perplexity(self) -> float:
        """The generator's, e^mlm_loss."""
        return perplexity(self.mlm_loss)

    def row(self) -> dict[str, float]:
        """Returns values by their column in metrics.csv."""
        return {name: getattr(self, name) for name in self.columns}

    def report(self) -> dict[str, float]:
        """Returns values by name for pretraining.json."""
        values = self.row()
        return {"masked_accuracy" if name == "accuracy" else name: value for name, value in values.items()}

    def text(self) -> str:
        """Returns perplexity, accuracies and F1 for a terminal."""
        return (
            f"generator perplexity {self.perplexity:.4g}, masked accuracy {self.accuracy:.4f}; replaced tokens: accuracy "
            f"{self.rtd_accuracy:.4f} (calling none replaced: {1.0 - self.rtd_share:.4f}), F1 {self.rtd_f1:.4f}"
        )

    @staticmethod
    def step_text(logs: dict[str, float]) -> str:
        """Returns losses and accuracy of a step for a terminal."""
        return (
            f"loss = {logs['loss']:.4f}, masked words {logs['mlm_loss']:.4f}, replaced tokens {logs['rtd_loss']:.4f}, "
            f"F1 = {logs['rtd_f1']:.4f}"
        )
