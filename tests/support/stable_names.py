"""Compiled functions are found again: named after what they compute, not numbered in the order in which they are traced.

XLA's files of what was compiled, which all processes of a test run share (conftest.py), are looked up by the function's name
too. TensorFlow numbers functions, so that a function was found only where all before it had been traced in the same order:
by the same command in another process, and hardly ever by another test.
"""

import hashlib
from collections import Counter
from typing import Any

from tensorflow.python.eager.polymorphic_function import atomic_function

COMPILED, NUMBERED = "_XlaMustCompile", "__inference_"
_NUMBERED = atomic_function.from_func_graph
_made: Counter[str] = Counter()


def name_by_content() -> None:
    """Names functions that XLA compiles from now on by a hash of their graph; a second one of the same graph is numbered."""
    atomic_function.from_func_graph = _from_func_graph


def _from_func_graph(name: str, graph: Any, attrs: Any, *more: Any, **others: Any) -> Any:
    if name.startswith(NUMBERED) and attrs and COMPILED in attrs:
        content = hashlib.sha256(graph.as_graph_def().SerializeToString(deterministic=True)).hexdigest()
        stem = f"{name.rpartition('_')[0]}_{content[:32]}"
        name = f"{stem}_{_made[stem]}"
        _made[stem] += 1
    return _NUMBERED(name, graph, attrs, *more, **others)
