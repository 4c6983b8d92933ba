"""Steps on tags beside a task of one label: parts of a batch are the whole batch, and only tags move the head."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from steps import compiled

from easytransfer_mtl.config.train_settings import WeightingSettings
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.tasks import OCNLI, Task
from easytransfer_mtl.training.step import Batch, TrainStep
from easytransfer_mtl.weighting import RunFacts, make_weighting

NER = Task("NER", ("text", "tags"), "text", ("O", "B-A", "I-A"), label_name="tags", type="tags")
ROWS = [[-1, 0, 1, 2, -1, -1], [-1, 0, -1, -1, -1, -1], [-1, 2, -1, 1, -1, -1], [-1, 2, 1, 0, 1, -1]]
TAG_IDS = np.array(ROWS, np.int32)
"""The halves have 4 and 6 tags."""
ONE_SIDED = np.array([ROWS[0], ROWS[3], [-1] * 6, [-1] * 6], np.int32)


def batch_of(task: int, label_ids: np.ndarray) -> Batch:
    ids = np.random.default_rng(task).integers(5, 20, (4, 6)).astype(np.int32)
    return {
        "input_ids": tf.constant(ids), "input_mask": tf.ones_like(ids), "segment_ids": tf.zeros_like(ids),
        "label_ids": tf.constant(label_ids), "task_id": tf.constant(task),
    }  # fmt: skip


def step_of(golden_files: Any, weighting: str = "equal", head: str = "dense", **settings: Any) -> TrainStep:
    encoder = load_encoder(golden_files, DropoutClock(0)).encoder
    model = MultiTaskModel(encoder, (NER, OCNLI), Architecture(head_dropout=0.0, heads={"NER": head}))
    method = make_weighting(
        WeightingSettings(loss_weighting=weighting, step_mode="joint"), RunFacts(["NER", "OCNLI"], [3, 3], 1, 5)
    )
    return compiled(model, tf_keras.optimizers.SGD(0.1), method, gradient_clip=False, **settings)


def moves_of(step: TrainStep, batch: Any) -> tuple[list[np.ndarray], dict[str, Any]]:
    before = [variable.numpy() for variable in step.model.trainable_variables]
    outputs = step(batch)
    return [variable.numpy() - old for variable, old in zip(step.model.trainable_variables, before, strict=True)], outputs


@pytest.mark.parametrize("tags", [TAG_IDS, ONE_SIDED], ids=["both halves", "one half"])
@pytest.mark.parametrize("weighting", ["alternating", "equal", "uncertainty", "pcgrad"])
def test_parts_of_a_batch_are_the_whole_batch(golden_files: Any, weighting: str, tags: np.ndarray) -> None:
    ner, ocnli = batch_of(0, tags), batch_of(1, np.array([0, 1, 2, 1], np.int32))
    batch = ner if weighting == "alternating" else {"NER": ner, "OCNLI": ocnli}
    method = "equal" if weighting == "alternating" else weighting
    (whole, outputs), (parted, of_parts) = (
        moves_of(step_of(golden_files, method, num_accumulated_batches=parts), batch) for parts in (1, 2)
    )
    assert max(np.abs(move).max() for move in whole) > 1e-3
    for one, other in zip(whole, parted, strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=2e-6)
    np.testing.assert_allclose(of_parts["losses"], outputs["losses"], rtol=1e-5)


@pytest.mark.parametrize("head", ["dense", "mlp:8:tanh"])
def test_the_loss_is_the_mean_over_the_tags_of_what_the_head_says_of_their_tokens(golden_files: Any, head: str) -> None:
    step, batch = step_of(golden_files, head=head), batch_of(0, TAG_IDS)
    logits = step.model.build_logits(batch)["ner_logits"].numpy().astype(float)
    assert logits.shape == (4, 6, 3)
    logs = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
    wanted = -np.mean([logs[row, place, TAG_IDS[row, place]] for row, place in np.argwhere(TAG_IDS >= 0)])
    moves, outputs = moves_of(step, batch)
    assert float(outputs["losses"][0]) == pytest.approx(wanted, rel=1e-5)


def test_what_the_other_tokens_would_say_moves_nothing(golden_files: Any) -> None:
    moves, _ = moves_of(step_of(golden_files), batch_of(0, np.full((4, 6), -1, np.int32)))
    assert not any(move.any() for move in moves)


@pytest.mark.parametrize("parts", [1, 2])
def test_rdrop_of_several_looks(golden_files: Any, parts: int) -> None:
    step = step_of(golden_files, head="multi_dropout:3", num_accumulated_batches=parts, rdrop_alpha=1.0)
    step.model.heads["ner_logits"].dropout.rate = 0.5
    moves, outputs = moves_of(step, batch_of(0, TAG_IDS))
    assert np.isfinite(outputs["losses"]).all() and any(move.any() for move in moves)
