"""ELECTRA's head of the discriminator: dense, activation, one score a token."""

import numpy as np
import tensorflow as tf
import tf_keras
from transformers import PretrainedConfig

from easytransfer_mtl.pretraining.head import activated
from easytransfer_mtl.seeding import truncated_normal

NAME = "discriminator_predictions"


class ReplacedTokenHead(tf_keras.layers.Layer):
    """Scores of tokens, positive for those that it takes for replaced.

    Attributes:
        by_name: the variables, under the names that transformers' TFElectraForPreTraining has in files.
    """

    def __init__(self, config: PretrainedConfig, seed: int) -> None:
        """Draws the start: kernels truncated normal, biases 0.

        Args:
            config: the encoder's.
            seed: the run's.
        """
        super().__init__(name=NAME)
        hidden = config.hidden_size
        shapes = {"dense/kernel": (hidden, hidden), "dense/bias": (hidden,)}
        shapes |= {"dense_prediction/kernel": (hidden, 1), "dense_prediction/bias": (1,)}
        self.by_name: dict[str, tf.Variable] = {}
        for part, shape in shapes.items():
            name = f"{NAME}/{part}"
            is_kernel = part.endswith("kernel")
            start = truncated_normal(shape, config.initializer_range, seed, name) if is_kernel else np.zeros(shape)
            self.by_name[name] = self.add_weight(name=name, shape=shape, initializer="zeros")
            self.by_name[name].assign(start)
        self._activation = config.hidden_act

    def scores(self, states: tf.Tensor) -> tf.Tensor:
        """Returns each token's score, float32 [T].

        Args:
            states: the encoder's, [T, H], float32 or bfloat16, the type of the first matrix product.
        """
        kernel, bias, last, last_bias = (tf.convert_to_tensor(variable) for variable in self.by_name.values())
        values = activated(tf.matmul(states, tf.cast(kernel, states.dtype)), bias, self._activation)
        return tf.squeeze(tf.matmul(values, last), axis=-1) + last_bias
