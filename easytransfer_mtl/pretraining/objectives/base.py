"""What every objective of further pre-training is: a model around an encoder, whose optimizer step is the same for all."""

from typing import ClassVar, NamedTuple

import numpy as np
import tensorflow as tf
import tf_keras
from transformers import PretrainedConfig

from easytransfer_mtl.config.pretrain_settings import PretrainSettings
from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.encoders.weight_files import WeightFile
from easytransfer_mtl.models import gradients as grads
from easytransfer_mtl.pretraining.masking import Masking
from easytransfer_mtl.pretraining.measurement import Measurement

Batch = dict[str, tf.Tensor]


class Size(NamedTuple):
    """How large a model is.

    Attributes:
        parameters: of the encoder and all parts beside it.
        kept: layers whose states the backward pass needs, as pairs of a config and a number of layers.
    """

    parameters: int
    kept: tuple[tuple[PretrainedConfig, int], ...]


class PretrainingModel(tf_keras.Model):
    """An encoder and what an objective trains beside it; the encoder's pooler takes no part and stays as it is.

    Attributes:
        masking: class of the masking that makes its batches; ``masking.signature`` tells what is in one.
        measured: class of what ``measurement`` returns.
        encoder: what is trained.
        clip_norm: global norm to clip gradients to.
        precision: number format of training's matrix products.
    """

    masking: ClassVar[type[Masking]]
    measured: ClassVar[type[Measurement]]

    def __init__(self, name: str, encoder: Encoder, settings: PretrainSettings) -> None:
        """Takes a name, the encoder and the run's settings."""
        super().__init__(name=name)
        self.encoder = encoder
        self.clip_norm = settings.clip_norm_value
        self.precision = settings.precision

    @classmethod
    def check(cls, settings: PretrainSettings, config: PretrainedConfig) -> None:
        """Raises UserError if the objective cannot work with the settings or the encoder's config."""

    @classmethod
    def size(cls, settings: PretrainSettings, config: PretrainedConfig) -> Size:
        """Returns how large the model will be, from the settings and the encoder's config."""
        raise NotImplementedError

    def take(self, weight_file: WeightFile) -> None:
        """Takes over what an encoder's checkpoint holds of the parts beside the encoder.

        Raises:
            UserError: they do not fit.
        """
        raise NotImplementedError

    @property
    def stored_parts(self) -> dict[str, tf.Variable]:
        """What a file holds beside the encoder, by name in the file."""
        raise NotImplementedError

    @property
    def trained_variables(self) -> list[tf.Variable]:
        """The encoder's without its pooler, and the other parts'."""
        named = self.encoder.canonical_variables
        encoder = [variable for name, variable in named.items() if not name.startswith("pooler/")]
        return encoder + list(self.stored_parts.values())

    def step_values(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns what a step has to tell, float32 []; ``loss`` is what is trained on."""
        raise NotImplementedError

    def sums(self, batch: Batch) -> tuple[tf.Tensor, ...]:
        """Returns what ``measurement`` needs of a batch, computed in float32 with dropout off, as sums over its tokens."""
        raise NotImplementedError

    def measurement(self, sums: np.ndarray) -> Measurement:
        """Returns the measurement on batches whose ``sums`` add up to the given ones."""
        raise NotImplementedError

    @tf.autograph.experimental.do_not_convert
    def train_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Does one optimizer step; returns ``step_values``, grad_norm and learning_rate."""
        self.encoder.clock.time.assign(self.optimizer.iterations)
        variables = self.trained_variables
        with tf.GradientTape() as tape:
            told = self.step_values(batch)
        gradients = grads.dense(grads.zeros_for_none(tape.gradient(told["loss"], variables), variables))
        norm = tf.linalg.global_norm(gradients)
        grads.apply_scaled(self.optimizer, gradients, variables, grads.clip_factor(norm, self.clip_norm))
        return {**told, "grad_norm": norm, "learning_rate": tf.convert_to_tensor(self.optimizer.learning_rate)}
