"""Code that XLA compiled, kept in a folder: whatever another process has compiled is read there.

Where it is kept is TensorFlow's own flag, ``TF_XLA_FLAGS=--tf_xla_persistent_cache_directory=FOLDER``. It looks code up by
what is compiled and by the function's name, and compares the former before it takes anything. Names are where it fails:
TensorFlow numbers functions in the order in which they are traced, so that code was found only where all functions before it
had been the same, by the same command with the same settings.

The code is of one kind of processor: on another one it may end the process, so that a folder must stay on its machine.
"""

import contextlib
import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from typing import Any

FLAGS, FOLDER = "TF_XLA_FLAGS", "--tf_xla_persistent_cache_directory"
_COMPILED, _NUMBERED = "_XlaMustCompile", "__inference_"
_made: Counter[str] = Counter()


@contextlib.contextmanager
def sharing_compiled() -> Iterator[None]:
    """Inside the block, processes that are started find what others of them have compiled; then it is deleted.

    A folder that the user has named is used instead, and stays. With a GPU nothing is kept: there it was never tried.
    """
    import tensorflow

    before = os.environ.get(FLAGS)
    if FOLDER in (before or "") or tensorflow.config.list_physical_devices("GPU"):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="easytransfer_mtl_compiled_", ignore_cleanup_errors=True) as folder:
        os.environ[FLAGS] = f"{before or ''} {FOLDER}={folder}".strip()
        try:
            yield
        finally:
            if before is None:
                del os.environ[FLAGS]
            else:
                os.environ[FLAGS] = before


def name_by_content() -> None:
    """Names functions that XLA compiles from now on by a hash of their graph, and numbers those of one graph; if what is
    compiled is kept."""
    if FOLDER not in os.environ.get(FLAGS, ""):
        return
    from tensorflow.python.eager.polymorphic_function import atomic_function

    numbered = atomic_function.from_func_graph
    if getattr(numbered, "is_by_content", False):
        return

    def from_func_graph(name: str, graph: Any, attrs: Any, *more: Any, **others: Any) -> Any:
        if name.startswith(_NUMBERED) and attrs and _COMPILED in attrs:
            content = hashlib.sha256(graph.as_graph_def().SerializeToString(deterministic=True)).hexdigest()
            stem = f"{name.rpartition('_')[0]}_{content[:32]}"
            name = f"{stem}_{_made[stem]}"
            _made[stem] += 1
        return numbered(name, graph, attrs, *more, **others)

    from_func_graph.is_by_content = True  # type: ignore[attr-defined]
    atomic_function.from_func_graph = from_func_graph
