"""A trained model as TensorFlow functions of plain operations: no compilation, no labels, any number and length of rows."""

from collections.abc import Callable

import tensorflow as tf

from easytransfer_mtl.data.tfrecords import SEQUENCE_FEATURES
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.tasks import ascii_name

ROWS = [tf.TensorSpec([None, None], tf.int32, name=name) for name in SEQUENCE_FEATURES]
"""int32 [B, S] each: token ids, 1 for tokens and 0 for padding, 0 or 1 for the first or the second text."""
OUTPUTS = ("probabilities", "predictions")


def task_function(model: MultiTaskModel, task_name: str) -> tf.types.experimental.PolymorphicFunction:
    """Returns a function of ``ROWS`` with one task's ``probabilities``, float32 [B, C], and ``predictions``, int32 [B].

    Of other types than one label a row they have the form of ``predictions_of``.

    Trace it inside ``compiling(False)``.
    """
    return _function(lambda features: _outputs_of(model, features, task_name))


def all_tasks_function(model: MultiTaskModel) -> tf.types.experimental.PolymorphicFunction:
    """Returns a function of ``ROWS`` with every task's outputs, ``tnews_probabilities`` and so on; see ``task_function``."""

    def outputs(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        found = model.predict_step(features)
        names = [f"{task.scope}_{output}" for task in model.tasks for output in OUTPUTS]
        return {name: found[name] for name in names}

    return _function(outputs)


def _outputs_of(model: MultiTaskModel, features: dict[str, tf.Tensor], task_name: str) -> dict[str, tf.Tensor]:
    found = model.predict_step(features)
    return {output: found[f"{ascii_name(task_name).lower()}_{output}"] for output in OUTPUTS}


def _function(
    outputs: Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]],
) -> tf.types.experimental.PolymorphicFunction:
    def predict(input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        return outputs(dict(zip(SEQUENCE_FEATURES, (input_ids, input_mask, segment_ids), strict=True)))

    return tf.function(predict, input_signature=ROWS, autograph=False)
