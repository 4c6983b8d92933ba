"""The model of further pre-training: an encoder and the masked-word head."""

import tensorflow as tf
import tf_keras

from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.models import gradients as grads
from easytransfer_mtl.pretraining.head import MaskedWordHead

Batch = dict[str, tf.Tensor]


class MaskedLanguageModel(tf_keras.Model):
    """Predicts the masked tokens of a batch; the encoder's pooler takes no part and stays as it is.

    Attributes:
        encoder: what is trained.
        head: trained with it.
    """

    def __init__(self, encoder: Encoder, head: MaskedWordHead, clip_norm: float, precision: str) -> None:
        """Takes the parts, the global norm to clip gradients to, and the number format of training's matrix products."""
        super().__init__(name="masked_language_model")
        self.encoder = encoder
        self.head = head
        self.clip_norm = clip_norm
        self.precision = precision

    @property
    def trained_variables(self) -> list[tf.Variable]:
        """The encoder's without its pooler, and the head's."""
        named = self.encoder.canonical_variables
        return [
            variable for name, variable in named.items() if not name.startswith("pooler/")
        ] + self.head.trainable_variables

    def token_losses(self, batch: Batch, training: bool, precision: str) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns each place's cross entropy and whether its token is predicted right (1 or 0), float32 [P].

        Args:
            batch: see ``BATCH_SIGNATURE``.
            training: whether dropout is on.
            precision: number format of the head's matrix products.
        """
        states, _ = self.encoder.encode(batch["input_ids"], batch["input_mask"], batch["segment_ids"], training=training)
        states = tf.gather(tf.reshape(states, [-1, states.shape[-1]]), batch["positions"])
        table = tf.convert_to_tensor(self.encoder.word_embeddings)
        return self.head.token_losses(tf.cast(states, precision), table, batch["labels"])

    @tf.autograph.experimental.do_not_convert
    def train_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Does one optimizer step on the mean cross entropy; returns loss, accuracy, grad_norm and learning_rate."""
        self.encoder.clock.time.assign(self.optimizer.iterations)
        variables, weights = self.trained_variables, batch["weights"]
        count = tf.maximum(tf.reduce_sum(weights), 1.0)
        with tf.GradientTape() as tape:
            losses, right = self.token_losses(batch, True, self.precision)
            loss = tf.reduce_sum(losses * weights) / count
        gradients = grads.dense(grads.zeros_for_none(tape.gradient(loss, variables), variables))
        norm = tf.linalg.global_norm(gradients)
        grads.apply_scaled(self.optimizer, gradients, variables, grads.clip_factor(norm, self.clip_norm))
        accuracy = tf.reduce_sum(right * weights) / count
        rate = tf.convert_to_tensor(self.optimizer.learning_rate)
        return {"loss": loss, "accuracy": accuracy, "grad_norm": norm, "learning_rate": rate}

    @tf.autograph.experimental.do_not_convert
    def sums(self, batch: Batch) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns the batch's cross entropy, right predictions and predictions in float32, each summed, dropout off."""
        losses, right = self.token_losses(batch, False, "float32")
        weights = batch["weights"]
        return tf.reduce_sum(losses * weights), tf.reduce_sum(right * weights), tf.reduce_sum(weights)
