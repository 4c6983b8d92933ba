"""Signals of a step, as a train step gives them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.weighting import Signals


@pytest.fixture(scope="session")
def signals_of() -> Callable[..., Signals]:
    """Builds signals; all tasks are active unless told."""

    def build(losses: Any, active: Any = None, step: int = 0, accuracies: Any = None, gram: Any = None) -> Signals:
        losses = tf.constant(losses, tf.float32)
        return Signals(
            losses,
            tf.ones_like(losses, tf.bool) if active is None else tf.constant(active, tf.bool),
            tf.constant(step, tf.int64),
            tf.zeros_like(losses) if accuracies is None else tf.constant(accuracies, tf.float32),
            None if gram is None else tf.constant(np.asarray(gram), tf.float64),
        )

    return build
