"""Functions with their own graph, for hand-written gradients."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def own_graph(function: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a module's function a TensorFlow function that is traced once for all graphs that call it, and not inlined.

    ``tf.custom_gradient`` registers its gradient in a table that lives as long as the process, with every tensor that the
    gradient refers to. Called in the graph of a train step, it thus keeps that graph and everything that belongs to its run.
    Called in a graph of its own, it keeps only that graph, which later runs use again. There it also finds the values of its
    forward pass when it is called in a branch.

    Args:
        function: takes tensors, and numbers, for each of which it is traced again; never variables, which it would keep.
    """
    return tf.function(function, reduce_retracing=True, autograph=False, experimental_attributes={"_noinline": True})
