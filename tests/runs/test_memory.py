"""What is said of too little memory, and the count of parameters that the estimate is made from."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from steps import batch_of

from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.kinds import kind_of
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.runs import memory as machine_memory
from easytransfer_mtl.runs.memory import count_parameters, shortage
from easytransfer_mtl.tasks import CONTEST_TASKS


def test_a_gpu_or_enough_memory_is_no_shortage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_memory, "machine_gb", lambda: 2.0)
    assert shortage(2.1) == "this machine has 2.0 GB" and not shortage(2.0)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    assert not shortage(2.1)


def test_counting_leaves_the_models_that_are_there_alone(tiny_encoder: Path) -> None:
    files = find_encoder(str(tiny_encoder))

    def build() -> MultiTaskModel:
        return MultiTaskModel(load_encoder(files, DropoutClock(3), random_init=True).encoder, CONTEST_TASKS)

    model = build()
    config = model.encoder.config
    before = model.build_logits(batch_of(0))
    try:
        counted = count_parameters(
            lambda: MultiTaskModel(kind_of(config).build(config, DropoutClock(0)), CONTEST_TASKS).weights
        )
        assert counted == sum(int(np.prod(variable.shape)) for variable in model.weights)
        for name, logits in model.build_logits(batch_of(0)).items():
            np.testing.assert_array_equal(logits, before[name])
    finally:
        build()  # so that a failure here is none of the tests after it
