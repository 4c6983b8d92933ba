"""Building blocks of sharing structures: dense layers with named random streams, copies of encoders, runs of layers."""

import copy

import tensorflow as tf
import tf_keras
from transformers import PretrainedConfig
from transformers.models.bert.modeling_tf_bert import TFBertLayer

from easytransfer_mtl.encoders.assigning import assign_weights, random_weights
from easytransfer_mtl.encoders.bert import BertEncoder
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.encoders.kinds import kind_of
from easytransfer_mtl.encoders.transformer import Layout, layout_of, run_layer
from easytransfer_mtl.models.encoded import SEQUENCE, Encoded, Reads
from easytransfer_mtl.models.own_layers import Drawn
from easytransfer_mtl.models.sharing.base import Features, encoded_by
from easytransfer_mtl.seeding import stream_seed

HEAD_WIDTH = 64


def dense(
    path: str, inputs: int, outputs: int, clock: DropoutClock, activation: str | None = None, stddev: float = 0.02
) -> tf_keras.layers.Dense:
    """Builds a dense layer: kernel truncated normal, bias 0.

    Args:
        path: its name in files, below ``sharing/``, and the name of its random stream, for instance ``tnews/gate``.
        inputs: width of its inputs.
        outputs: width of its outputs.
        clock: has the run's seed.
        activation: Keras name, or None.
        stddev: of the kernel; 0 for a layer that starts at 0.
    """
    start = Drawn(stddev, clock.seed, "sharing", path)
    layer = tf_keras.layers.Dense(outputs, activation, kernel_initializer=start, name=path.replace("/", "_"))
    with tf.name_scope(f"sharing/{path}"):
        layer.build((None, inputs))
    return layer


def encoder_copy(encoder: Encoder, name: str) -> Encoder:
    """Builds an encoder of the same type with the same weights; ``name`` names its dropout's random streams."""
    made = kind_of(encoder.config).build(encoder.config, encoder.clock, name)
    for key, variable in made.canonical_variables.items():
        variable.assign(encoder.canonical_variables[key])
    return made


def small_config(config: PretrainedConfig, layers: int, width: int) -> PretrainedConfig:
    """Returns the config of a smaller encoder of the same type and vocabulary.

    Attention heads are 64 wide if ``width`` is a multiple of 64; otherwise there is one head. ``embedding_size``, if the
    config has one, is kept, but at most ``width``.
    """
    small = copy.deepcopy(config)
    small.num_hidden_layers, small.hidden_size, small.intermediate_size = layers, width, 4 * width
    small.num_attention_heads = width // HEAD_WIDTH if width % HEAD_WIDTH == 0 else 1
    if getattr(config, "embedding_size", None) is not None:
        small.embedding_size = min(config.embedding_size, width)
    vars(small).pop("attention_head_size", None)  # is the large encoder's
    return small


def random_encoder(config: PretrainedConfig, clock: DropoutClock, name: str) -> Encoder:
    """Builds an encoder with random weights; ``name`` names its random streams."""
    made = kind_of(config).build(config, clock, name)
    if tf.executing_eagerly():  # in a graph variables are only counted
        assign_weights(made, random_weights(made, stream_seed(clock.seed, "sharing", name)), (), "a random start")
    return made


def encoded_like(encoder: Encoder, other: Encoder, features: Features, reads: Reads, training: bool) -> Encoded:
    """Returns the requested outputs of ``encoder``, computed in the floating-point format that ``other`` currently uses, and
    of the token types that ``other`` gets."""
    encoder.state_type, encoder.has_types = other.state_type, other.has_types
    return encoded_by(encoder, features, reads, training)


def embedded(encoder: BertEncoder, features: Features, training: bool) -> tuple[tf.Tensor, Layout]:
    """Returns the embeddings' output as flat states [B * S, H] in the encoder's floating-point format, and their layout."""
    states = encoder.embedded(features["input_ids"], features["segment_ids"], training)
    return tf.cast(states, encoder.state_type), layout_of(features["input_mask"])


def as_rows(states: tf.Tensor, layout: Layout) -> tf.Tensor:
    """Returns flat states as float32 [B, S, H]."""
    return tf.reshape(tf.cast(states, tf.float32), [layout.rows, layout.length, states.shape[-1]])


def top_output(
    layers: list[TFBertLayer],
    pooler: tf_keras.layers.Layer,
    states: tf.Tensor,
    layout: Layout,
    reads: Reads,
    training: bool,
) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Runs an encoder's last layers and pooler.

    Args:
        layers: at least one.
        pooler: the pooler.
        states: flat states from the layer below.
        layout: of the states.
        reads: without ``SEQUENCE`` the last layer runs for the first tokens only, as in ``pooled_output``.
        training: whether dropout is on.

    Returns:
        The pooled output [B, H], and the states [B, S, H] if requested, else None, both float32.
    """
    for layer in layers[:-1]:
        states = run_layer(layer, states, layout, training)
    states = run_layer(layers[-1], states, layout, training, first_only=SEQUENCE not in reads)
    if SEQUENCE not in reads:
        return pooler(tf.cast(states, tf.float32)[:, tf.newaxis]), None
    sequence = as_rows(states, layout)
    return pooler(sequence), sequence
