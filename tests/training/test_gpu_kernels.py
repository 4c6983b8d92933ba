"""No GPU is needed to see that TensorFlow has a GPU kernel for every operation of a step, in every precision."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from steps import compiled
from tensorflow.python.framework import kernels

from easytransfer_mtl.config.sections import PRECISIONS
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.runs.optimizers import make_optimizer
from easytransfer_mtl.tasks import CONTEST_TASKS
from easytransfer_mtl.training.distribution import BATCH_SIGNATURE

CALLS = {
    "PartitionedCall",
    "StatefulPartitionedCall",
    "If",
    "StatelessIf",
    "Case",
    "StatelessCase",
    "While",
    "StatelessWhile",
}
"""Run what is looked at for itself; ``Placeholder`` is an input."""
pytestmark = pytest.mark.skipif(not tf.test.is_built_with_cuda(), reason="this TensorFlow was built without CUDA")


def nodes_of(graph: Any) -> Iterator[Any]:
    """Yields the operations of a graph and its functions; those of compiled functions are the compiler's."""
    yield from graph.node
    for function in graph.library.function:
        if not function.attr["_XlaMustCompile"].b:
            yield from function.node_def


def has_kernel(node: Any) -> bool:
    found: Iterable[Any] = kernels.get_registered_kernels_for_op(node.op).kernel
    fitting = [kernel for kernel in found if kernel.device_type in ("GPU", "DEFAULT")]
    return any(all(node.attr[c.name].type in c.allowed_values.list.type for c in kernel.constraint) for kernel in fitting)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_operation_of_a_step_has_a_gpu_kernel(precision: str, tiny_encoder: Path) -> None:
    encoder = load_encoder(find_encoder(str(tiny_encoder)), DropoutClock(3), random_init=True).encoder
    step = compiled(MultiTaskModel(encoder, CONTEST_TASKS), make_optimizer("adam", 1e-2, 0.01), precision=precision)
    with encoder.computing_in(precision):
        traced = tf.function(step, input_signature=[BATCH_SIGNATURE], autograph=False).get_concrete_function()
    nodes = [node for node in nodes_of(traced.graph.as_graph_def()) if node.op not in CALLS | {"Placeholder"}]
    types = {tf.as_dtype(node.attr["T"].type).name for node in nodes if node.op in ("MatMul", "BatchMatMulV2")}
    assert precision in types
    assert {node.op for node in nodes if not has_kernel(node)} == set()
