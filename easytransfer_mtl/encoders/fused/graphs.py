"""Functions with a graph of their own, in which hand-written gradients belong."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def own_graph(function: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a module's function a TensorFlow function that is traced once for all graphs that call it, and not inlined.

    ``tf.custom_gradient`` enters its gradient in a table that lives as long as the process, with every tensor that the
    gradient refers to: called in the graph of a train step it keeps that graph and all of its run. In here it keeps only
    this function's graph, which further runs use again. It also finds its forward pass's values if called in a branch.

    Args:
        function: takes tensors, and numbers, for which it is traced anew; never variables, which it would keep.
    """
    return tf.function(function, reduce_retracing=True, autograph=False, experimental_attributes={"_noinline": True})
