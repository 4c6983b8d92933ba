"""Base class of the weightings that combine the tasks' gradients themselves, element by element."""

from typing import NamedTuple

import tensorflow as tf

from easytransfer_mtl.weighting.base import Signals, TaskWeighting


class Combination(NamedTuple):
    """What ``ElementWeighting.combine`` makes of the tasks' gradients.

    Attributes:
        gradients: the combined gradient of each variable, of its shape.
        weights: float32 [K], what the log shows; with ``weighs_losses`` also the factors of all gradients that the method
            does not combine.
        moved: what the method wants back in ``update``, as ``signals.moved``, for instance its next state.
    """

    gradients: list[tf.Tensor]
    weights: tf.Tensor
    moved: tuple[tf.Tensor, ...] = ()


class ElementWeighting(TaskWeighting):
    """Combines the K gradients of each shared variable. Undefined with one task per step.

    The train step calls ``combine`` in every step, and ``update``, if the step is done, after it. The
    variables are those of the Gram matrix of all variables: shared by the tasks, in layers that are not frozen.
    Task-specific variables and frozen layers, which the method does not see, get their tasks' gradients times the weights,
    or unchanged.

    Attributes:
        weighs_losses: the weights are those of whole losses, so that they hold for the variables that the method does not
            combine too, for heads unless ``scale_heads`` is off. Without it these get the sum of the gradients.
        kept_per_task: how many numbers the method keeps for each task and element of the variables.
    """

    needs_joint_step = True
    weighs_losses = True
    kept_per_task = 0

    def combine(self, signals: Signals) -> Combination:
        """Returns the combined gradients of a step; changes no state.

        Args:
            signals: with ``gradients``, one tensor [K, *shape] for each variable of ``build``: the gradients of the
                unweighted losses, dense, 0 for a task that does not read the variable.
        """
        raise NotImplementedError
