"""Functions with their own graph: compiled by XLA, or with a hand-written gradient."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import tensorflow as tf

_IS_COMPILING: ContextVar[bool] = ContextVar("is_compiling", default=True)


@contextlib.contextmanager
def compiling(wanted: bool) -> Iterator[None]:
    """Sets whether graphs traced inside the ``with`` block have XLA compile the element-wise parts of layers.

    XLA compiles for each new shape of the inputs, which takes a second or so for a batch of a new size or length.
    """
    token = _IS_COMPILING.set(wanted)
    try:
        yield
    finally:
        _IS_COMPILING.reset(token)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a function of tensors that XLA compiles into one loop; inside ``compiling(False)`` it stays as it is."""
    by_xla = tf.function(function, jit_compile=True, reduce_retracing=True, autograph=False)

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        return (by_xla if _IS_COMPILING.get() else function)(*arguments)

    return call


def own_graph(function: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a module's function a TensorFlow function that is traced once for all graphs that call it, and not inlined.

    ``tf.custom_gradient`` registers its gradient in a table that lives as long as the process, with every tensor that the
    gradient refers to. Called in the graph of a train step, it thus keeps that graph and everything that belongs to its run.
    Called in a graph of its own, it keeps only that graph, which later runs use again. There it also finds the values of its
    forward pass when it is called in a branch.

    Args:
        function: takes tensors, and numbers, for each of which it is traced again; never variables, which it would keep.
    """
    graphs = {
        is_compiling: tf.function(
            function, reduce_retracing=True, autograph=False, experimental_attributes={"_noinline": True}
        )
        for is_compiling in (True, False)
    }

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        return graphs[_IS_COMPILING.get()](*arguments)

    return call
