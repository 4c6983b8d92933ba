"""A process that trains again and again keeps nothing of the runs before: no model, no graph, no rows."""

import gc
import weakref
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from easytransfer_mtl.training.trainer import run_training

GRAPH = type(tf.function(lambda: tf.constant(0)).get_concrete_function().graph)
KINDS = {
    "joint": {"step_mode": "joint", "loss_weighting": "mgda"},
    "famo": {"step_mode": "joint", "loss_weighting": "famo", "ema_decay": 0.9},
    "losses": {"rdrop_alpha": 1.0, "adversarial": "fgm", "token_dropout": "ocnli=0.2", "log_gradients_every": 1,
               "heads": "ocnli=mlp", "features": "tnews=attention"},
    "soft": {"sharing": "soft"},
    "adversary": {"sharing": "shared_private", "adversarial_weight": 0.1},
}  # fmt: skip
"""In joint steps, and in alternating ones, where one task has a head and one a feature that are not the original's."""


@pytest.fixture(scope="session")
def tiny_encoder(flat_encoder: Path) -> Path:
    """One layer."""
    return flat_encoder


def alive() -> tuple[int, Counter[str]]:
    """Counts the graphs, and this package's objects by class."""
    gc.collect()
    objects = gc.get_objects()
    names = ((str(type(item).__module__), type(item).__qualname__) for item in objects)
    own = Counter(name for module, name in names if module.startswith("easytransfer_mtl"))
    return sum(type(item) is GRAPH for item in objects), own


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_a_run_outlives_it(kind: str, tiny_settings: Callable[..., Any], tmp_path: Any) -> None:
    gc.collect()
    gc.freeze()  # what is there already is not looked at again and again, nor counted

    def train(number: int) -> weakref.ref[Any]:
        settings = tiny_settings(
            model_dir=str(tmp_path / str(number)), log_step_count_steps=1, num_epochs=0.2, **KINDS[kind]
        )
        return weakref.ref(run_training(settings).model)

    first = train(0)
    graphs, own = alive()
    assert first() is None
    second = train(1)
    graphs_now, own_now = alive()
    assert graphs_now <= graphs and not own_now - own and second() is None
