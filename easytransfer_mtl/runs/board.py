"""TensorBoard's event files: scalars, a run's hyperparameters, dev scores. Only TensorFlow is needed, not TensorBoard.

Raw events, since ``tf.summary.scalar`` needs the tensorboard package.
"""

from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf
from google.protobuf.struct_pb2 import Struct

from easytransfer_mtl.files import replacing_folder

FOLDER, DEV = "tensorboard", "dev"
Hyperparameters = Mapping[str, bool | int | float | str]


def add_scalars(board: tf.summary.SummaryWriter, step: int, values: Mapping[str, float]) -> None:
    """Adds a step's values."""
    _add(board, step, [tf.compat.v1.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])


def add_hyperparameters(board: tf.summary.SummaryWriter, values: Hyperparameters) -> None:
    """Adds what TensorBoard's tab HPARAMS shows beside the scores of a run.

    Source: tensorboard/plugins/hparams/plugin_data.proto. The plugin's data is a HParamsPluginData whose field 3, a
    SessionStartInfo, has the values as its field 1, a map from names to values, which is what a Struct is too.
    """
    start = Struct()
    start.update(dict(values))
    content = start.SerializeToString(deterministic=True)
    value = tf.compat.v1.Summary.Value(tag="_hparams_/session_start_info", tensor=tf.make_tensor_proto(0.0, shape=(1,)))
    value.metadata.plugin_data.plugin_name = "hparams"
    value.metadata.plugin_data.content = b"\x1a" + _varint(len(content)) + content
    _add(board, 0, [value])


def write_dev_scores(run: Path, scores: Mapping[int, Mapping[str, float]]) -> None:
    """Writes step -> tag -> score, in place of those of an earlier evaluation; for runs with event files only."""
    if not (run / FOLDER).is_dir():
        return
    with replacing_folder(run / FOLDER / DEV) as fresh:
        board = tf.summary.create_file_writer(str(fresh))
        for step, values in sorted(scores.items()):
            add_scalars(board, step, values)
        board.close()


def _add(board: tf.summary.SummaryWriter, step: int, values: list[tf.compat.v1.Summary.Value]) -> None:
    with board.as_default():
        tf.summary.experimental.write_raw_pb(tf.compat.v1.Summary(value=values).SerializeToString(), step=step)


def _varint(number: int) -> bytes:
    """Encodes a length as protocol buffers do: 7 bits a byte, the lowest first."""
    parts = []
    while number > 127:
        parts.append(number % 128 + 128)
        number //= 128
    return bytes([*parts, number])
