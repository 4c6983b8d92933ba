"""The products that are told are those that are done: counted in models that run operation by operation."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import op_callbacks
from transformers import AlbertConfig, BertConfig, DebertaV2Config, ElectraConfig

from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.models.encoded import POOLED, SEQUENCE, Reads
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.sharing.base import Sharing
from easytransfer_mtl.models.sharing.work import work_of
from easytransfer_mtl.models.sharing_options import SharingOptions
from easytransfer_mtl.tasks import CONTEST_TASKS

SIZES = {
    "vocab_size": 25, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 20, "max_position_embeddings": 64,
    "num_hidden_layers": 3,
}  # fmt: skip
CONFIGS = {
    "soft": partial(ElectraConfig, embedding_size=4),
    "top of two, gate": partial(AlbertConfig, embedding_size=4),
    "mmoe": partial(
        DebertaV2Config, relative_attention=True, pos_att_type=["c2p", "p2c"], position_buckets=4, type_vocab_size=2
    ),
}
"""Cases of another type of encoder than BERT."""
NAMES, NONE = [task.name for task in CONTEST_TASKS], SharingOptions()
ROWS, SHORT, LONG, SEGMENTS = 2, 10, 30, 2
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "hard": ("hard", {}),
    "soft": ("soft", {}),
    "top": ("shared_private", {}),
    "top of two, gate": ("shared_private", {"private_layers": 2, "combine": "gate", "adversarial_weight": 0.1}),
    "encoder": ("shared_private", {"private_part": "encoder", "private_width": 6}),
    "encoder, gate": ("shared_private", {"private_part": "encoder", "private_width": 6, "combine": "gate"}),
    "adapters": ("shared_private", {"private_part": "adapter", "adapter_size": 3}),
    "adapters in one layer": ("shared_private", {"private_part": "adapter", "adapter_size": 3, "private_layers": 1}),
    "nothing private": ("shared_private", {"private_layers": 0}),
    "memory": ("memory", {"memory_slots": 5}),
    "mmoe": ("mmoe", {"expert_size": 6, "experts": 3}),
    "ple of one level": ("ple", {"expert_size": 6, "ple_levels": 1}),
    "ple": ("ple", {"expert_size": 6}),
    "ple of three levels": ("ple", {"ple_levels": 3}),
}
FEATURES = {"pooled": {}, "mean": dict.fromkeys(NAMES, "mean"), "mixed": {"OCNLI": "cls+pooled"}}
READS = {
    "pooled": [{POOLED}] * 3,
    "mean": [{SEQUENCE}] * 3,
    "mixed": [{POOLED}, {POOLED}, {POOLED, SEQUENCE}],
}


@contextmanager
def counted() -> Iterator[list[int]]:
    """Counts multiplications by kernels; those of segments, of an inner dimension of their number, are looking up."""
    found = [0]

    def count(op_type: str, inputs: Any, attrs: Any, outputs: Any, *_: Any, **__: Any) -> None:
        if op_type in ("MatMul", "_MklMatMul"):
            inner = inputs[0].shape[0 if attrs[attrs.index("transpose_a") + 1] else 1]
            found[0] += int(np.prod(outputs[0].shape)) * inner if inner != SEGMENTS else 0

    op_callbacks.add_op_callback(count)
    try:
        yield found
    finally:
        op_callbacks.remove_op_callback(count)


def products_a_token(sharing: Sharing, reads: list[Reads]) -> float:
    """Counts what every further token of a row costs, the mean over the tasks; what is done once a row drops out."""

    def products(task: int, length: int) -> int:
        ids = tf.fill((ROWS, length), 7)
        batch = {"input_ids": ids, "input_mask": tf.ones_like(ids), "segment_ids": tf.zeros_like(ids)}
        with counted() as found, sharing.one_trunk(batch, frozenset().union(*reads), training=True):
            sharing.encode(batch, task, reads[task], training=True)
        return found[0]

    costs = [(products(task, LONG) - products(task, SHORT)) / ((LONG - SHORT) * ROWS) for task in range(3)]
    return sum(costs) / 3


@pytest.fixture
def eagerly() -> Iterator[None]:
    """Has graphs run operation by operation."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.parametrize("case", CASES)
def test_products_of_a_token(case: str, build_sharing: Callable[..., MultiTaskModel], eagerly: None) -> None:
    sharing, options = CASES[case]
    config = CONFIGS.get(case, BertConfig)(**SIZES)
    model = build_sharing(sharing, config=config, **options)
    for name, features in FEATURES.items():
        told = work_of(replace(model.architecture, features=features), config, CONTEST_TASKS)
        assert products_a_token(model.sharing, [frozenset(reads) for reads in READS[name]]) == pytest.approx(told), name


def test_layers_that_nobody_reads_are_not_counted() -> None:
    config, layer = BertConfig(**SIZES), 4 * 8 * 8 + 2 * 8 * 20
    adapters = SharingOptions(private_part="adapter", adapter_size=1)
    for sharing, options, more in (("hard", NONE, 0), ("soft", NONE, 0), ("shared_private", adapters, 16)):
        for feature, layers in (("layer2.mean", 2), ("last2.mean", 3)):
            architecture = Architecture(sharing, sharing_options=options, features=dict.fromkeys(NAMES, feature))
            assert work_of(architecture, config, CONTEST_TASKS) == layers * (layer + more)
