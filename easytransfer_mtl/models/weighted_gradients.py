"""The gradients of a weighted objective, in which the tasks' own variables may have the unweighted one's."""

from typing import TYPE_CHECKING

import tensorflow as tf

from easytransfer_mtl.models import gradients as grads

if TYPE_CHECKING:
    from easytransfer_mtl.models.multitask_model import MultiTaskModel


def weighted_gradients(
    model: "MultiTaskModel", tape: tf.GradientTape, weighted: tf.Tensor, plain: tf.Tensor
) -> list[grads.Gradient | None]:
    """Returns the gradients of ``trainable_variables``; with ``scale_heads`` off the tasks' own are the plain objective's.

    Args:
        model: the model.
        tape: what computed both; persistent if ``scale_heads`` is off.
        weighted: the objective, float32 [].
        plain: the same without weights, float32 [].
    """
    variables = model.trainable_variables
    gradients = tape.gradient(weighted, variables)
    if not model.options.scale_heads:
        shared = grads.positions_of(model.shared_variables, variables)
        own = [place for place in range(len(variables)) if place not in shared]
        for place, gradient in zip(own, tape.gradient(plain, [variables[place] for place in own])):
            gradients[place] = gradient
    return gradients
