"""BERT's masked-word head (dense, activation, LayerNorm, scores from the word embeddings) and its weights in files."""

import logging
import re

import numpy as np
import tensorflow as tf
import tf_keras
from transformers import PretrainedConfig
from transformers.activations_tf import get_tf_activation

from easytransfer_mtl.encoders.config_checks import AFTER_PADDING
from easytransfer_mtl.encoders.finite import check_finite
from easytransfer_mtl.encoders.fused.gelu import bias_gelu
from easytransfer_mtl.encoders.fused.graphs import own_graph
from easytransfer_mtl.encoders.saving import Head
from easytransfer_mtl.encoders.transformer import GELUS
from easytransfer_mtl.encoders.weight_files import WeightFile
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.pretraining.cross_entropy import tied_cross_entropy
from easytransfer_mtl.seeding import truncated_normal

PLACES = {"albert": ("predictions", "predictions", "LayerNorm")} | dict.fromkeys(
    AFTER_PADDING, ("lm_head", "lm_head", "layer_norm")
)
"""Model type -> prefix of the bias and of the layers, and name of the LayerNorm, in PyTorch models."""
USUAL_PLACES = ("cls.predictions", "cls.predictions.transform", "LayerNorm")
_STORED = re.compile(
    r"(?:.+[./])?(?:mlm___)?cls[./]predictions[./]"
    r"(?:transform[./](dense|LayerNorm)[./](weight|kernel|bias|gamma|beta)|(?:output_)?bias)(?::0)?"
)
_STORED_ALBERT = re.compile(r"predictions\.(?:(dense|LayerNorm)\.(weight|bias)|bias)")
"""The names in PyTorch's ALBERT; Google's ALBERT uses those of BERT."""
_STORED_ROBERTA = re.compile(
    r"(?:.+/)?lm_head[./](?:(dense|layer_norm)[./](weight|kernel|bias|gamma|beta)(?::0)?|bias(?::0)?)"
)
"""The names in RoBERTa and XLM-R; the copies that PyTorch files may have, ``lm_head.decoder``, are not among them."""
_NORM_NAMES = {"weight": "gamma", "bias": "beta"}


class MaskedWordHead(tf_keras.layers.Layer):
    """Computes scores of all tokens from states of the encoder.

    The output projection is the encoder's word embedding table.
    """

    def __init__(self, config: PretrainedConfig, width: int, seed: int) -> None:
        """Initializes the weights: kernel truncated normal, biases 0.

        Args:
            config: the encoder's config.
            width: width E of the word embeddings.
            seed: the run's seed.
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
        # RoBERTa's head has this activation whatever the encoder's is.
        self._activation = "gelu" if config.model_type in AFTER_PADDING else config.hidden_act
        self._epsilon = config.layer_norm_eps

    def token_losses(self, states: tf.Tensor, table: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns each token's cross entropy and whether it is predicted correctly (1 or 0), float32 [P].

        Args:
            states: states of the tokens to predict, [P, H], float32 or bfloat16, which is the type of the matrix products.
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
        """Loads the head from a checkpoint; if it holds no head, or only a part of one, the initial weights are kept.

        Raises:
            UserError: the shapes do not fit the encoder.
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
        """Returns the head as in transformers' masked language model class, which ties the score table to the embeddings.

        ELECTRA's head is saved as additional weights: its class in transformers is made for a generator, whatever activation
        the config names.

        Args:
            model_type: the encoder's model type.
            model_class: transformers' class of the encoder, for instance ``BertModel``.
        """
        prefix, layers, norm = PLACES.get(model_type, USUAL_PLACES)
        arrays = {}
        for name, variable in self.by_name.items():
            last = name.removeprefix("transform/").replace("/", ".").replace("LayerNorm", norm)
            last = re.sub("(kernel|gamma)$", "weight", last.replace("beta", "bias"))
            value = variable.numpy()
            arrays[f"{layers if '/' in name else prefix}.{last}"] = value.T if name.endswith("/kernel") else value
        if model_type == "electra":
            return Head(additional=arrays)
        return Head(f"{model_class.removesuffix('Model')}ForMaskedLM", arrays)


@own_graph
def activated(product: tf.Tensor, bias: tf.Tensor, activation: str) -> tf.Tensor:
    """Returns the named activation of product + bias in float32; ``product`` may have any number format."""
    if activation in GELUS:
        return tf.cast(bias_gelu(product, bias, GELUS[activation]), tf.float32)
    return get_tf_activation(activation)(tf.cast(product, tf.float32) + bias)


def stored_head(weight_file: WeightFile) -> dict[str, np.ndarray]:
    """Returns the arrays of the masked-word head in a weight file of any layout, by the names in ``MaskedWordHead``."""
    found = {}
    for stored, array in weight_file.arrays.items():
        match = _STORED.fullmatch(stored) or _STORED_ALBERT.fullmatch(stored) or _STORED_ROBERTA.fullmatch(stored)
        if match is None:
            continue
        layer, part = match.groups()
        if layer is None:
            found["bias"] = array
        elif layer in ("LayerNorm", "layer_norm"):
            found[f"transform/LayerNorm/{_NORM_NAMES.get(part, part) if '/' not in stored else part}"] = array
        else:
            is_transposed = part == "weight"  # PyTorch's Linear stores [out, in]
            found[f"transform/dense/{'bias' if part == 'bias' else 'kernel'}"] = array.T if is_transposed else array
    return {name: np.ascontiguousarray(array, np.float32) for name, array in found.items()}
