"""The TensorFlow BERT encoder: the variables of transformers' TFBertMainLayer, run by ``transformer``; checked weights."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from transformers import BertConfig
from transformers.models.bert.modeling_tf_bert import TFBertMainLayer

from easytransfer_mtl.encoders.dropout import DropoutClock, use_seeded_dropout
from easytransfer_mtl.encoders.name_map import canonical_name
from easytransfer_mtl.encoders.transformer import Layout, layout_of, run_layer
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.seeding import truncated_normal

NAMES_SHOWN = 12
GRAPH_OPTIMIZER_OFF = "disable_meta_optimizer"


class BertEncoder(TFBertMainLayer):
    """BERT with pooler. Pooled output is tanh of a dense layer on the last layer's first token.

    ``config.hidden_act`` is ``gelu_new`` for the tanh approximation that EasyTransfer always used, ``gelu`` for the
    exact one.

    Attributes:
        clock: drives dropout.
        state_type: type of the layers' states and matrix products in graphs that are traced from now on: float32, or
            bfloat16 (about twice as fast where the processor has it). Variables, sums, softmax, LayerNorm and what the
            encoder returns are float32 either way.
    """

    def __init__(self, config: BertConfig, clock: DropoutClock) -> None:
        """Builds all variables (values are arbitrary until ``assign_weights``) and puts seeded dropout in."""
        super().__init__(config, add_pooling_layer=True, name="bert")
        super().__call__(input_ids=tf.zeros((1, 2), tf.int32))
        self.clock = clock
        self.state_type = tf.float32
        use_seeded_dropout(self, clock)

    @contextmanager
    def computing_in(self, precision: str) -> Iterator[None]:
        """Sets ``state_type``, ``float32`` or ``bfloat16``, for graphs that are traced and run inside the ``with`` block.

        TensorFlow's graph optimizer is off there: it lengthens the first step by a fifth and makes no later one shorter.
        """
        before, self.state_type = self.state_type, tf.as_dtype(precision)
        optimizer_was_off = tf.config.optimizer.get_experimental_options().get(GRAPH_OPTIMIZER_OFF, False)
        tf.config.optimizer.set_experimental_options({GRAPH_OPTIMIZER_OFF: True})
        try:
            yield
        finally:
            self.state_type = before
            tf.config.optimizer.set_experimental_options({GRAPH_OPTIMIZER_OFF: optimizer_was_off})

    def encode(
        self, input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the last layer's states [B, S, H] and the pooled output [B, H] of int32 [B, S] inputs."""
        states, layout = self._below_last_layer(input_ids, input_mask, segment_ids, training)
        states = run_layer(self.encoder.layer[-1], states, layout, training)
        sequence = tf.reshape(tf.cast(states, tf.float32), [layout.rows, layout.length, states.shape[-1]])
        return sequence, self.pooler(sequence)

    def pooled_output(
        self, input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor, training: bool = False
    ) -> tf.Tensor:
        """Returns what ``encode`` has as pooled output [B, H], leaving out what the last layer does for other tokens.

        With dropout the last layer draws other masks than in ``encode``, of the same distribution.
        """
        states, layout = self._below_last_layer(input_ids, input_mask, segment_ids, training)
        states = run_layer(self.encoder.layer[-1], states, layout, training, first_only=True)
        return self.pooler(tf.cast(states, tf.float32)[:, tf.newaxis])

    def _below_last_layer(
        self, input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor, training: bool
    ) -> tuple[tf.Tensor, Layout]:
        embedded = self.embeddings(input_ids=input_ids, token_type_ids=segment_ids, training=training)
        states = tf.cast(tf.reshape(embedded, [-1, embedded.shape[-1]]), self.state_type)
        layout = layout_of(input_mask)
        for layer in self.encoder.layer[:-1]:
            states = run_layer(layer, states, layout, training)
        return states, layout

    @property
    def word_embeddings(self) -> tf.Variable:
        """The table of tokens [V, E]."""
        return self.canonical_variables["embeddings/word_embeddings"]

    @property
    def canonical_variables(self) -> dict[str, tf.Variable]:
        """The variables by canonical name (Google's, below ``bert/``)."""
        return {str(canonical_name(variable.name)): variable for variable in self.weights if variable is not self.clock.time}


@dataclass(frozen=True)
class WeightMismatch:
    """How a set of weights differs from what an encoder needs."""

    missing: tuple[str, ...]
    left_over: tuple[str, ...]
    shapes: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.left_over or self.shapes)

    def text(self) -> str:
        """Returns the differences, one kind a line."""
        kinds = {"missing": self.missing, "left over": self.left_over, "of another shape": self.shapes}
        lines = []
        for kind, names in kinds.items():
            if names:
                more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
                lines.append(f"  {kind} ({len(names)}): {', '.join(names[:NAMES_SHOWN])}{more}")
        return "\n".join(lines)


def assign_weights(
    encoder: BertEncoder,
    arrays: dict[str, np.ndarray],
    left_over: tuple[str, ...],
    source: str,
) -> None:
    """Gives the encoder its weights, all or none.

    Args:
        encoder: the encoder.
        arrays: float32 arrays by canonical name.
        left_over: stored names that fit nothing; an error too.
        source: where the weights are from, for the error.

    Raises:
        UserError: names are missing, left over or of another shape.
    """
    variables = encoder.canonical_variables
    missing = tuple(name for name in variables if name not in arrays)
    extra = tuple(name for name in arrays if name not in variables)
    shapes = tuple(
        f"{name} {tuple(arrays[name].shape)} instead of {tuple(variable.shape)}"
        for name, variable in variables.items()
        if name in arrays and tuple(arrays[name].shape) != tuple(variable.shape)
    )
    mismatch = WeightMismatch(missing, left_over + extra, shapes)
    if mismatch:
        raise UserError(
            f"The weights in {source} do not fit the encoder of its config.json:\n{mismatch.text()}\n"
            "Use the checkpoint that belongs to the config, or --random_init to start from random weights on purpose."
        )
    for name, variable in variables.items():
        if name in arrays:
            variable.assign(arrays[name])


def random_weights(encoder: BertEncoder, seed: int, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Draws EasyTransfer's random start: truncated normal for kernels, embeddings and q/k/v biases; other biases 0.

    Args:
        encoder: gives shapes.
        seed: each variable has a stream of its own.
        names: canonical names of the variables that are wanted; None for all.
    """
    stddev = encoder.config.initializer_range
    arrays = {}
    for name, variable in encoder.canonical_variables.items():
        if names is not None and name not in names:
            continue
        shape = tuple(variable.shape)
        if name.endswith("/gamma"):
            arrays[name] = np.ones(shape, np.float32)
        elif name.endswith("/beta") or (name.endswith("/bias") and "/self/" not in name):
            arrays[name] = np.zeros(shape, np.float32)
        else:
            arrays[name] = truncated_normal(shape, stddev, seed, "encoder", name)
    return arrays
