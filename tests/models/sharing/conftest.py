"""Tiny models of every sharing structure, run step by step without a graph unless a test says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from steps import compiled
from transformers import PretrainedConfig

from easytransfer_mtl.config.train_settings import SharingSettings
from easytransfer_mtl.encoders.assigning import assign_weights, random_weights
from easytransfer_mtl.encoders.dropout import DropoutClock, SeededDropout
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.kinds import kind_of
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.variables import build_variables
from easytransfer_mtl.runs.memory import count_parameters
from easytransfer_mtl.tasks import CONTEST_TASKS, Task
from easytransfer_mtl.weighting import TaskWeighting


@pytest.fixture(scope="session")
def build_sharing(tiny_encoder: Path) -> Callable[..., MultiTaskModel]:
    """Builds a tiny model of a structure and its options, without dropout unless told, with plain gradient descent.

    It is a BERT unless a config says.
    """

    def build(
        sharing: str,
        tasks: tuple[Task, ...] = CONTEST_TASKS,
        dropout: bool = False,
        optimizer: tf_keras.optimizers.Optimizer | None = None,
        weighting: TaskWeighting | None = None,
        step: dict[str, Any] | None = None,
        features: dict[str, str] | None = None,
        config: PretrainedConfig | None = None,
        **options: Any,
    ) -> MultiTaskModel:
        if config is None:
            encoder = load_encoder(find_encoder(str(tiny_encoder)), DropoutClock(3), random_init=True).encoder
        else:
            encoder = kind_of(config).build(config, DropoutClock(3))
            assign_weights(encoder, random_weights(encoder, 3), (), "a random start")
        model = MultiTaskModel(
            encoder, tasks, Architecture(SharingSettings(sharing=sharing, **options), features=features or {})
        )
        build_variables(model)
        for layer in () if dropout else model.submodules:
            if isinstance(layer, SeededDropout):
                layer.rate = 0.0
        compiled(model, optimizer or tf_keras.optimizers.SGD(0.1), weighting, **{"gradient_clip": False, **(step or {})})
        return model

    return build


@pytest.fixture(scope="session")
def size_unbuilt() -> Callable[..., int]:
    """Counts the numbers of a model of a structure and its options without building it, as a run does first."""

    def count(config: PretrainedConfig, sharing: str, **options: Any) -> int:
        architecture = Architecture(SharingSettings(sharing=sharing, **options))
        return count_parameters(
            lambda: MultiTaskModel(kind_of(config).build(config, DropoutClock(0)), CONTEST_TASKS, architecture).weights
        )

    return count


@pytest.fixture(scope="session")
def batch_of() -> Callable[..., dict[str, tf.Tensor]]:
    """Makes a batch of a task: 4 rows of up to 6 tokens."""

    def make(task: int, seed: int = 0) -> dict[str, tf.Tensor]:
        random = np.random.default_rng(10 * seed + task)
        mask = np.ones((4, 6), np.int32)
        mask[1, 4:] = 0
        return {
            "input_ids": tf.constant(random.integers(5, 25, (4, 6)) * mask, tf.int32), "input_mask": tf.constant(mask),
            "segment_ids": tf.constant(random.integers(0, 2, (4, 6)), tf.int32),
            "label_ids": tf.constant(random.integers(0, 3, 4), tf.int32), "task_id": tf.constant(task),
        }  # fmt: skip

    return make


@pytest.fixture(scope="session")
def scatter() -> Callable[[MultiTaskModel], None]:
    """Gives every variable of a model values far from its start, where nothing is 0 or equal."""

    def change(model: MultiTaskModel) -> None:
        random = np.random.default_rng(7)
        for variable in model.trainable_variables:
            variable.assign_add(random.normal(size=variable.shape, scale=0.3).astype(np.float32))

    return change
