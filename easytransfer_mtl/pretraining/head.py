"""BERT's masked-word head: dense, activation, LayerNorm, scores by the word embeddings; its weights in files."""

import logging
import re

import numpy as np
import tensorflow as tf
import tf_keras
from transformers import PretrainedConfig
from transformers.activations_tf import get_tf_activation

from easytransfer_mtl.encoders.finite import check_finite
from easytransfer_mtl.encoders.fused.gelu import bias_gelu
from easytransfer_mtl.encoders.fused.graphs import own_graph
from easytransfer_mtl.encoders.saving import Head
from easytransfer_mtl.encoders.sizes import dense_size
from easytransfer_mtl.encoders.transformer import GELUS
from easytransfer_mtl.encoders.weight_files import WeightFile
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.pretraining.cross_entropy import tied_cross_entropy
from easytransfer_mtl.seeding import truncated_normal

CLS = "cls.predictions"
"""Where PyTorch's models but ALBERT keep the head."""
_STORED = re.compile(
    r"(?:.+[./])?(?:mlm___)?cls[./]predictions[./]"
    r"(?:transform[./](dense|LayerNorm)[./](weight|kernel|bias|gamma|beta)|(?:output_)?bias)(?::0)?"
)
_STORED_ALBERT = re.compile(r"predictions\.(?:(dense|LayerNorm)\.(weight|bias)|bias)")
"""In PyTorch's ALBERT; Google's is as BERT's."""
_NORM_NAMES = {"weight": "gamma", "bias": "beta"}


def head_size(config: PretrainedConfig, width: int) -> int:
    """Returns the parameters of a ``MaskedWordHead`` of the same arguments."""
    return dense_size(config.hidden_size, width) + 2 * width + config.vocab_size


class MaskedWordHead(tf_keras.layers.Layer):
    """Scores of all tokens for states of the encoder.

    The second half of the head, the table of the scores, is the encoder's word embeddings.
    """

    def __init__(self, config: PretrainedConfig, width: int, seed: int) -> None:
        """Draws the start: kernel truncated normal, biases 0.

        Args:
            config: the encoder's.
            width: of the word embeddings, E.
            seed: the run's.
        """
        super().__init__(name="masked_words")
        hidden = config.hidden_size
        shapes = {
            "transform/dense/kernel": (hidden, width),
            "transform/dense/bias": (width,),
            "transform/LayerNorm/gamma": (width,),
            "transform/LayerNorm/beta": (width,),
            "bias": (config.vocab_size,),
        }
        self.by_name = {
            name: self.add_weight(name=f"masked_words/{name}", shape=shape, initializer="zeros")
            for name, shape in shapes.items()
        }
        kernel = truncated_normal((hidden, width), config.initializer_range, seed, "masked_words")
        self.by_name["transform/dense/kernel"].assign(kernel)
        self.by_name["transform/LayerNorm/gamma"].assign(np.ones(width, np.float32))
        self._activation, self._epsilon = config.hidden_act, config.layer_norm_eps

    def token_losses(self, states: tf.Tensor, table: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns each token's cross entropy and whether it is predicted right (1 or 0), float32 [P].

        Args:
            states: of the tokens to predict, [P, H], float32 or bfloat16, the type of the matrix products.
            table: the word embeddings, float32 [V, E].
            labels: int32 [P].
        """
        transformed = tf.cast(self._transform(states), states.dtype)
        return tied_cross_entropy(transformed, table, tf.convert_to_tensor(self.by_name["bias"]), labels)

    def _transform(self, states: tf.Tensor) -> tf.Tensor:
        kernel, bias, gamma, beta = (tf.convert_to_tensor(variable) for variable in list(self.by_name.values())[:4])
        product = tf.matmul(states, tf.cast(kernel, states.dtype))
        values = activated(product, bias, self._activation)
        mean, variance = tf.nn.moments(values, axes=[-1], keepdims=True)
        return tf.nn.batch_normalization(values, mean, variance, beta, gamma, self._epsilon)

    def take(self, weight_file: WeightFile) -> None:
        """Takes over the head that a checkpoint holds; without one, or with a part of one only, the start stays.

        Raises:
            UserError: its shapes are not the encoder's.
            NonFiniteError: a weight is NaN or infinite.
        """
        arrays = stored_head(weight_file)
        missing = [name for name in self.by_name if name not in arrays]
        if missing:
            part = f"; of {weight_file.path} only {', '.join(sorted(arrays))} is there" if arrays else ""
            logging.info("Masked-word head: random start%s", part)
            return
        check_finite(arrays, f"The masked-word head in {weight_file.path}")
        for name, variable in self.by_name.items():
            if arrays[name].shape != tuple(variable.shape):
                raise UserError(
                    f"The masked-word head in {weight_file.path} does not fit the encoder of its config: {name} has the "
                    f"shape {arrays[name].shape} instead of {tuple(variable.shape)}."
                )
        for name, variable in self.by_name.items():
            variable.assign(arrays[name])
        logging.info("Masked-word head: taken from %s", weight_file.path)

    def saved(self, model_type: str, model_class: str) -> Head:
        """Returns the head as transformers' class of masked words has it, whose table is tied to the embeddings.

        ELECTRA's goes beside the encoder: its class is made for a generator, whatever activation the config names.

        Args:
            model_type: the encoder's.
            model_class: transformers' class of it, for instance ``BertModel``.
        """
        prefix, layers = ("predictions", "predictions") if model_type == "albert" else (CLS, f"{CLS}.transform")
        arrays = {}
        for name, variable in self.by_name.items():
            last = name.removeprefix("transform/").replace("/", ".")
            last = re.sub("(kernel|gamma)$", "weight", last.replace("beta", "bias"))
            value = variable.numpy()
            arrays[f"{layers if '/' in name else prefix}.{last}"] = value.T if name.endswith("/kernel") else value
        if model_type == "electra":
            return Head(additional=arrays)
        return Head(f"{model_class.removesuffix('Model')}ForMaskedLM", arrays)


@own_graph
def activated(product: tf.Tensor, bias: tf.Tensor, activation: str) -> tf.Tensor:
    """Returns an activation, by its name in a config, of a product of any number format and a bias, in float32."""
    if activation in GELUS:
        return tf.cast(bias_gelu(product, bias, GELUS[activation]), tf.float32)
    return get_tf_activation(activation)(tf.cast(product, tf.float32) + bias)


def stored_head(weight_file: WeightFile) -> dict[str, np.ndarray]:
    """Returns the masked-word head's arrays in a weight file, of any layout, by ``MaskedWordHead``'s names."""
    found = {}
    for stored, array in weight_file.arrays.items():
        match = _STORED.fullmatch(stored) or _STORED_ALBERT.fullmatch(stored)
        if match is None:
            continue
        layer, part = match.groups()
        if layer is None:
            found["bias"] = array
        elif layer == "LayerNorm":
            found[f"transform/LayerNorm/{_NORM_NAMES.get(part, part) if '/' not in stored else part}"] = array
        else:
            is_transposed = part == "weight"  # PyTorch's Linear keeps [out, in]
            found[f"transform/dense/{'bias' if part == 'bias' else 'kernel'}"] = array.T if is_transposed else array
    return {name: np.ascontiguousarray(array, np.float32) for name, array in found.items()}
