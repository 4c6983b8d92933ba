"""Event files: hyperparameters as TensorBoard's plugin reads them, dev scores of the last evaluation only."""

from pathlib import Path

import tensorflow as tf
from google.protobuf.struct_pb2 import Struct

from easytransfer_mtl.runs.board import add_hyperparameters, write_dev_scores


def values_in(folder: Path) -> list[tuple[int, tf.compat.v1.Summary.Value]]:
    found = []
    for path in sorted(folder.glob("events*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            found += [(event.step, value) for value in event.summary.value]
    return found


def test_hyperparameters_are_the_plugins(tmp_path: Path) -> None:
    board = tf.summary.create_file_writer(str(tmp_path))
    given = {"learning_rate": 1e-3, "optimizer": "adamw", "shuffle": True, "variants": "长" * 100}
    add_hyperparameters(board, given)
    board.close()
    [(_, value)] = values_in(tmp_path)
    assert (value.tag, value.metadata.plugin_data.plugin_name) == ("_hparams_/session_start_info", "hparams")
    content = value.metadata.plugin_data.content
    # Field 3, a message; its length of two bytes, 7 bits each.
    assert content[0] == 0x1A and content[1] >= 128 and (content[1] & 127) + 128 * content[2] == len(content) - 3
    assert dict(Struct.FromString(content[3:])) == given


def test_scores_replace_those_of_an_earlier_evaluation(tmp_path: Path) -> None:
    write_dev_scores(tmp_path, {0: {"dev/mean": 0.5}})
    assert not list(tmp_path.iterdir())  # a run without event files gets none
    (tmp_path / "tensorboard").mkdir()
    write_dev_scores(tmp_path, {0: {"dev/mean": 0.5}})
    write_dev_scores(tmp_path, {4: {"dev/mean": 0.75}, 0: {"dev/mean": 0.25}})
    found = [(step, value.tag, value.simple_value) for step, value in values_in(tmp_path / "tensorboard/dev")]
    assert found == [(0, "dev/mean", 0.25), (4, "dev/mean", 0.75)]
