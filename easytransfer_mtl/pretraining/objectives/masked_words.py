"""BERT's objective: fill in the masked tokens (Devlin et al. 2019)."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from transformers import PretrainedConfig

from easytransfer_mtl.config.options import options_of
from easytransfer_mtl.config.pretrain_settings import PretrainSettings
from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.encoders.sizes import encoder_size, word_width
from easytransfer_mtl.encoders.weight_files import WeightFile
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.pretraining.head import FILE_PREFIX, MaskedWordHead, head_size
from easytransfer_mtl.pretraining.masking import Masking
from easytransfer_mtl.pretraining.measurement import Measurement, perplexity
from easytransfer_mtl.pretraining.objectives.base import Batch, PretrainingModel, Size


@dataclass(frozen=True)
class MaskedWordMeasurement(Measurement):
    """Mean cross entropy of the masked tokens, and the share of them that is predicted right."""

    columns = ("loss", "perplexity", "accuracy")

    loss: float
    accuracy: float

    @property
    def perplexity(self) -> float:
        """e^loss."""
        return perplexity(self.loss)

    def row(self) -> dict[str, float]:
        """Returns values by their column in metrics.csv."""
        return {"loss": self.loss, "accuracy": self.accuracy, "perplexity": self.perplexity}

    def report(self) -> dict[str, float]:
        """Returns values by name for pretraining.json."""
        return {"loss": self.loss, "perplexity": self.perplexity, "masked_accuracy": self.accuracy}

    def text(self) -> str:
        """Returns perplexity and accuracy for a terminal."""
        return f"perplexity {self.perplexity:.4g}, masked accuracy {self.accuracy:.4f}"

    @staticmethod
    def step_text(logs: dict[str, float]) -> str:
        """Returns loss and accuracy of a step for a terminal."""
        return f"loss = {logs['loss']:.4f}, masked accuracy = {logs['accuracy']:.4f}"


class MaskedLanguageModel(PretrainingModel):
    """Predicts the masked tokens of a batch.

    Attributes:
        head: trained with the encoder.
    """

    masking = Masking
    measured = MaskedWordMeasurement

    def __init__(self, encoder: Encoder, settings: PretrainSettings) -> None:
        """Takes the encoder and the run's settings; the head starts at random."""
        super().__init__("masked_language_model", encoder, settings)
        self.head = MaskedWordHead(encoder.config, encoder.word_embeddings.shape[1], settings.seed)

    @classmethod
    def check(cls, settings: PretrainSettings, config: PretrainedConfig) -> None:
        """Raises UserError if a setting of the other objective is given, which would have no effect."""
        for name in ("generator_size", "rtd_weight"):
            value = getattr(settings, name)
            if value != options_of(PretrainSettings)[name].default:
                raise UserError(f"{name} {value} has no effect with objective mlm; set --objective=electra or leave it out.")

    @classmethod
    def size(cls, settings: PretrainSettings, config: PretrainedConfig) -> Size:
        """Returns the size of encoder and head."""
        return Size(encoder_size(config) + head_size(config, word_width(config)), ((config, config.num_hidden_layers),))

    def take(self, weight_file: WeightFile) -> None:
        """Takes over the masked-word head that a checkpoint holds, see ``MaskedWordHead.take``."""
        self.head.take(weight_file)

    @property
    def stored_parts(self) -> dict[str, tf.Variable]:
        """The head's variables, under the names of TFBertForMaskedLM."""
        return {f"{FILE_PREFIX}{name}:0": variable for name, variable in self.head.by_name.items()}

    def token_losses(self, batch: Batch, training: bool, precision: str) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns each place's cross entropy and whether its token is predicted right (1 or 0), float32 [P].

        Args:
            batch: see ``Masking.signature``.
            training: whether dropout is on.
            precision: number format of the head's matrix products.
        """
        states, _ = self.encoder.encode(batch["input_ids"], batch["input_mask"], batch["segment_ids"], training=training)
        states = tf.gather(tf.reshape(states, [-1, states.shape[-1]]), batch["positions"])
        table = tf.convert_to_tensor(self.encoder.word_embeddings)
        return self.head.token_losses(tf.cast(states, precision), table, batch["labels"])

    def step_values(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns the mean cross entropy and the share of right predictions."""
        weights = batch["weights"]
        count = tf.maximum(tf.reduce_sum(weights), 1.0)
        losses, right = self.token_losses(batch, True, self.precision)
        return {"loss": tf.reduce_sum(losses * weights) / count, "accuracy": tf.reduce_sum(right * weights) / count}

    @tf.autograph.experimental.do_not_convert
    def sums(self, batch: Batch) -> tuple[tf.Tensor, ...]:
        """Returns the batch's cross entropy, right predictions and predictions, each summed."""
        losses, right = self.token_losses(batch, False, "float32")
        weights = batch["weights"]
        return tf.reduce_sum(losses * weights), tf.reduce_sum(right * weights), tf.reduce_sum(weights)

    def measurement(self, sums: np.ndarray) -> MaskedWordMeasurement:
        """Returns means of ``sums``."""
        loss, right, count = sums
        return MaskedWordMeasurement(loss / max(count, 1.0), right / max(count, 1.0))
