"""BERT's masked language model (Devlin et al. 2019): encoder, masked-word head, train step."""

import tensorflow as tf
import tf_keras

from easytransfer_mtl.config.pretrain_settings import PretrainSettings
from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.encoders.kinds import kind_of
from easytransfer_mtl.encoders.saving import Head
from easytransfer_mtl.encoders.weight_files import WeightFile
from easytransfer_mtl.pretraining.head import MaskedWordHead
from easytransfer_mtl.runs import gradients as grads

Batch = dict[str, tf.Tensor]


class MaskedLanguageModel(tf_keras.Model):
    """Predicts the masked tokens of a batch; the encoder's pooler is not used and stays unchanged.

    Attributes:
        encoder: the trained encoder.
        head: trained too; has random initial weights.
        clip_norm: global norm to which gradients are clipped.
        precision: number format of the matrix products in training.
    """

    def __init__(self, encoder: Encoder, settings: PretrainSettings) -> None:
        super().__init__(name="masked_language_model")
        self.encoder = encoder
        self.head = MaskedWordHead(encoder.config, encoder.word_embeddings.shape[1], settings.seed)
        self.clip_norm = settings.clip_norm_value
        self.precision = settings.precision

    def take(self, weight_file: WeightFile) -> None:
        """Loads the masked-word head from a checkpoint, see ``MaskedWordHead.take``."""
        self.head.take(weight_file)

    @property
    def stored_parts(self) -> dict[str, tf.Variable]:
        """The variables that are trained besides the encoder's, by name: those of the head."""
        return self.head.by_name

    def saved_head(self) -> Head:
        """Returns the head for an export, see ``MaskedWordHead.saved``."""
        config = self.encoder.config
        return self.head.saved(config.model_type, kind_of(config).torch_class)

    @property
    def trained_variables(self) -> list[tf.Variable]:
        """The variables of the encoder without its pooler, and those of the head."""
        named = self.encoder.canonical_variables
        encoder = [variable for name, variable in named.items() if not name.startswith("pooler/")]
        return encoder + list(self.stored_parts.values())

    def token_losses(self, batch: Batch, training: bool, precision: str) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the cross entropy of each token to predict, and whether it is predicted correctly (1 or 0), float32 [P].

        Args:
            batch: see ``Masking.signature``.
            training: whether dropout is on.
            precision: number format of the head's matrix products.
        """
        states, _ = self.encoder.encode(batch["input_ids"], batch["input_mask"], batch["segment_ids"], training=training)
        states = tf.gather(tf.reshape(states, [-1, states.shape[-1]]), batch["positions"])
        table = tf.convert_to_tensor(self.encoder.word_embeddings)
        return self.head.token_losses(tf.cast(states, precision), table, batch["labels"])

    @tf.autograph.experimental.do_not_convert
    def train_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Does one optimizer step on the mean cross entropy of the batch's masked tokens.

        Returns:
            loss, accuracy (share of masked tokens predicted correctly), grad_norm (before clipping) and learning_rate,
            float32 [] each.
        """
        self.encoder.clock.time.assign(self.optimizer.iterations)
        variables, weights = self.trained_variables, batch["weights"]
        with tf.GradientTape() as tape:
            count = tf.maximum(tf.reduce_sum(weights), 1.0)
            losses, right = self.token_losses(batch, True, self.precision)
            loss = tf.reduce_sum(losses * weights) / count
            accuracy = tf.reduce_sum(right * weights) / count
        gradients = grads.dense(grads.zeros_for_none(tape.gradient(loss, variables), variables))
        norm = tf.linalg.global_norm(gradients)
        grads.apply_scaled(self.optimizer, gradients, variables, grads.clip_factor(norm, self.clip_norm))
        rate = tf.convert_to_tensor(self.optimizer.learning_rate)
        return {"loss": loss, "accuracy": accuracy, "grad_norm": norm, "learning_rate": rate}
