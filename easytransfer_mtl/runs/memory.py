"""Estimates a run's memory and compares it with the machine's."""

import logging
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.python.framework.func_graph import FuncGraph
from tensorflow.python.ops.resource_variable_ops import UninitializedVariable
from transformers import PretrainedConfig

from easytransfer_mtl.config.sections import MOST_TOKENS_A_STEP
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.machine import machine_gb

NUMBER_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes per number of a hidden state, by precision."""
SLOTS = {"adam": 2, "lamb": 2, "adagrad": 1, "adadelta": 2}
"""Numbers per parameter that each optimizer keeps."""


def count_parameters(build: Callable[[], list[tf.Variable]]) -> int:
    """Returns the number of elements in the variables that ``build`` creates.

    ``build`` runs in the graph of a tf.function, and no variable gets a value, so no memory is allocated for them. It cannot
    run in a ``tf.Graph``: tf-keras replaces the base classes of all layers built in one, for the whole process.
    """

    def without_value(next_creator: Callable[..., tf.Variable], **given: Any) -> tf.Variable:
        initial, shape = given.get("initial_value"), given.get("shape")
        if shape is None:
            shape = tf.convert_to_tensor(initial() if callable(initial) else initial).shape
        dtype = given.get("dtype") or getattr(initial, "dtype", tf.float32)
        return UninitializedVariable(shape=shape, dtype=dtype, name=given.get("name"), trainable=given.get("trainable"))

    with FuncGraph("count").as_default(), tf.variable_creator_scope(without_value):
        return sum(variable.shape.num_elements() for variable in build())


def states_bytes(config: PretrainedConfig, layers: int, tokens: float, length: int, precision: str) -> float:
    """Returns the bytes that the backward pass keeps of an encoder's layers: inputs, query, key, value etc., attention rows.

    Args:
        config: the layers' config.
        layers: how many there are.
        tokens: total number of tokens in all rows, padding included.
        length: tokens per row.
        precision: precision of the hidden states.
    """
    a_token = 8 * config.hidden_size + 2 * config.intermediate_size + 2 * config.num_attention_heads * length
    return NUMBER_BYTES[precision] * tokens * layers * a_token


def check_tokens(rows: int, length: int) -> None:
    """Raises UserError if the padded rows of a step have more than ``MOST_TOKENS_A_STEP`` tokens."""
    if rows * length > MOST_TOKENS_A_STEP:
        raise UserError(
            f"A step would have {rows:,} rows of up to {length:,} tokens; rows x tokens may be at most "
            f"{MOST_TOKENS_A_STEP:,}. Lower --train_batch_size or --sequence_length."
        )


def shortage(needed_gb: float) -> str:
    """Logs a run's memory need in 10^9 bytes; returns the shortage in words if a CPU has less, else an empty string."""
    available = machine_gb()
    logging.info("estimated memory: %.1f GB of %.1f GB", needed_gb, available)
    if needed_gb <= available or tf.config.list_physical_devices("GPU"):
        return ""
    return f"this machine has {available:.1f} GB"
