"""A process that pre-trains again and again keeps nothing of the runs before."""

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from easytransfer_mtl.config.pretrain_settings import PretrainSettings
from easytransfer_mtl.pretraining.trainer import run_pretraining

GRAPH = type(tf.function(lambda: tf.constant(0)).get_concrete_function().graph)


def graphs() -> int:
    gc.collect()
    return sum(type(item) is GRAPH for item in gc.get_objects())


def test_no_graph_and_no_model_of_a_run_outlives_it(settings: Callable[..., PretrainSettings], tmp_path: Path) -> None:
    def train(number: int) -> weakref.ref[Any]:
        run = run_pretraining(settings(train_steps=2, model_dir=str(tmp_path / str(number))))
        return weakref.ref(run.model)

    first = train(0)
    before = graphs()
    assert first() is None
    for number in (1, 2):
        model = train(number)
        assert graphs() <= before and model() is None
