"""A model whose tasks read different things through different heads: padding, whose variables move, both step modes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from steps import compiled, step_of
from transformers import BertConfig

from easytransfer_mtl.encoders.assigning import random_weights
from easytransfer_mtl.encoders.bert import BertEncoder
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.models.multitask_model import Features, MultiTaskModel
from easytransfer_mtl.models.variables import build_variables, own_variables, parameter_counts
from easytransfer_mtl.runs.optimizers import make_optimizer
from easytransfer_mtl.tasks import CONTEST_TASKS, OCNLI, TNEWS
from easytransfer_mtl.training.distribution import BATCH_SIGNATURE

CONFIG = BertConfig(
    vocab_size=30,
    hidden_size=8,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=16,
    max_position_embeddings=16,
)
EVERYTHING = [
    Architecture(),
    Architecture(features={"TNEWS": "cls+ngrams:9:3", "OCEMOTION": "last2.attention", "OCNLI": "pair+mix.attention_shared"}),
    Architecture(
        features={"TNEWS": "sequence", "OCEMOTION": "mix.sequence", "OCNLI": "layer1.sequence"},
        heads={"TNEWS": "textcnn:3", "OCEMOTION": "bilstm:3", "OCNLI": "label_attention"},
        task_dropout={"OCNLI": 0.3},
    ),
    Architecture(heads={"TNEWS": "mlp:5", "OCEMOTION": "multi_dropout:3", "OCNLI": "gru:3"}),
]
Build = Callable[..., MultiTaskModel]


@pytest.fixture(scope="module")
def build() -> Build:
    def make(
        architecture: Architecture, model_class: type[MultiTaskModel] = MultiTaskModel, **settings: Any
    ) -> MultiTaskModel:
        encoder = BertEncoder(CONFIG, DropoutClock(3))
        for name, value in random_weights(encoder, 3).items():
            encoder.canonical_variables[name].assign(value * (1.0 if value.ndim < 2 else 10.0))
        model = model_class(encoder, CONTEST_TASKS, architecture)
        build_variables(model)
        compiled(model, make_optimizer("adam", 1e-2, 0.01), **settings)
        return model

    return make


def batch_of(task: int, padding: int = 0, junk: int = 0) -> Features:
    ids = np.random.default_rng(task).integers(5, 25, (4, 6))
    mask = np.arange(6 + padding) < np.array([[6], [4], [2], [6]])
    ids = np.where(mask, np.pad(ids, [[0, 0], [0, padding]]), junk)
    segments = np.where(mask, np.arange(6 + padding) >= 3, 0)
    values = {"input_ids": ids, "input_mask": mask, "segment_ids": segments, "label_ids": [0, 1, 2, 0], "task_id": task}
    return {name: tf.constant(value, tf.int32) for name, value in values.items()}


@pytest.mark.parametrize("architecture", EVERYTHING)
def test_padding_changes_nothing(architecture: Architecture, build: Build) -> None:
    model = build(architecture)
    plain = model.build_logits(batch_of(0))
    for padding, junk in ((0, 7), (5, 0), (5, 9)):
        for name, logits in model.build_logits(batch_of(0, padding, junk)).items():
            np.testing.assert_allclose(logits, plain[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("architecture", EVERYTHING)
def test_only_the_batchs_task_and_what_is_shared_has_gradients(architecture: Architecture, build: Build) -> None:
    model = build(architecture)
    own = [{variable.name for variable in model.task_variables(index)} for index in range(3)]
    for task in range(3):
        found = step_of(model).gradients_of(batch_of(task)).gradients
        moved = {v.name for v, g in zip(model.trainable_variables, found) if np.any(tf.convert_to_tensor(g))}
        assert own[task] <= moved and not moved & set().union(*(own[other] for other in range(3) if other != task))
        assert any(name.startswith("bert/encoder/layer_._0") for name in moved)
    shared = {variable.name for variable in model.shared_variables}
    assert not shared & set().union(*own) and {v.name for v in model.trainable_variables} == shared.union(*own)


def test_a_traced_step_that_computes_apart_is_the_step_that_computes_all(build: Build) -> None:
    class Together(MultiTaskModel):
        """The same model computed in one piece, as a subclass that overrides ``build_logits`` is."""

        def build_logits(self, features: Features, training: bool = False) -> Features:
            """Returns all logits."""
            return super().build_logits(features, training)

    models = [build(EVERYTHING[2], model_class) for model_class in (MultiTaskModel, Together)]
    assert models[0].computes_apart and not models[1].computes_apart
    step = tf.function(models[0].train_step, input_signature=[BATCH_SIGNATURE])
    for task in range(3):
        one, other = step(batch_of(task)), models[1].train_step(batch_of(task))
        np.testing.assert_allclose(one["losses"], other["losses"], rtol=1e-4)
        np.testing.assert_allclose(one["grad_norm"], other["grad_norm"], rtol=1e-3)


def test_joint_steps_train(build: Build) -> None:
    model, joint = build(EVERYTHING[2]), {task.name: batch_of(index) for index, task in enumerate(CONTEST_TASKS)}
    losses = [float(tf.reduce_sum(model.train_step(joint)["losses"])) for _ in range(5)]
    assert losses[-1] < losses[0]


def test_accumulated_steps_train(build: Build) -> None:
    model = build(EVERYTHING[3], num_accumulated_batches=2)
    assert all(float(model.train_step(batch_of(task))["losses"][task]) > 0 for task in range(3))


def test_skipped_heads_stay(build: Build) -> None:
    model = build(EVERYTHING[2], idle_heads="skip")
    model.train_step(batch_of(0))
    before = [[v.numpy() for v in model.task_variables(task)] for task in range(3)]
    model.train_step(batch_of(1))
    for task in range(3):
        changed = [np.any(v.numpy() != old) for v, old in zip(model.task_variables(task), before[task], strict=True)]
        assert all(changed) if task == 1 else not any(changed)


def test_cls_is_pooled_without_the_pooler(build: Build) -> None:
    pooled, cls = build(Architecture()), build(Architecture(features={task.name: "cls" for task in CONTEST_TASKS}))
    inputs = [batch_of(0)[name] for name in ("input_ids", "input_mask", "segment_ids")]
    states, output = pooled.encoder.encode(*inputs)
    np.testing.assert_allclose(
        pooled.build_logits(batch_of(0))["ocnli_logits"], pooled.heads["ocnli_logits"](output), atol=1e-6
    )
    np.testing.assert_allclose(
        cls.build_logits(batch_of(0))["ocnli_logits"], cls.heads["ocnli_logits"](states[:, 0]), atol=1e-6
    )


def test_what_no_task_reads_of_the_encoder_is_not_trained(build: Build) -> None:
    low = build(Architecture(features={task.name: "layer1.mean" for task in CONTEST_TASKS}))
    names = {variable.name for variable in low.trainable_variables}
    assert not any("pooler" in name or "layer_._1/" in name for name in names) and any(
        "layer_._0/" in name for name in names
    )
    kept = build(Architecture(features={"TNEWS": "layer1.mean"}))
    assert any("pooler" in variable.name for variable in kept.trainable_variables)
    assert len(low.weights) == len(build(Architecture(features={task.name: "mean" for task in CONTEST_TASKS})).weights)


def test_tasks_that_read_the_same_are_computed_at_once(build: Build) -> None:
    same = build(Architecture(features={task.name: "mean" for task in CONTEST_TASKS}, heads={"OCNLI": "mlp:4"}))
    assert not same.computes_apart and not build(EVERYTHING[0]).computes_apart
    assert build(EVERYTHING[3]).computes_apart and build(EVERYTHING[1]).computes_apart


def test_rates_of_dropout(build: Build) -> None:
    model = build(Architecture(head_dropout=0.2, task_dropout={"OCNLI": 0.0}))
    assert [dropout.rate for dropout in model.dropouts] == [0.2, 0.2, 0.0]
    assert model.dropouts[0] is model.dropout is model.dropouts[1]
    logits = [model.build_logits(batch_of(0), training=True) for _ in range(2)]
    np.testing.assert_array_equal(logits[0]["ocnli_logits"], logits[1]["ocnli_logits"])


def test_part_dropout_is_a_tasks_own(build: Build) -> None:
    features = {"TNEWS": "cls+mean", "OCEMOTION": "cls+mean"}
    without = Architecture(features=features, head_dropout=0.0)
    model, plain = build(replace(without, part_dropout={"TNEWS": 0.5})), build(without)
    for training in (True, False):
        found, expected = (each.build_logits(batch_of(0), training=training) for each in (model, plain))
        np.testing.assert_array_equal(found["ocemotion_logits"], expected["ocemotion_logits"])
        assert np.array_equal(found["tnews_logits"], expected["tnews_logits"]) != training


def test_a_subclass_may_put_its_own_layers_in_the_heads_place(build: Build) -> None:
    class Plain(MultiTaskModel):
        """Replaces a head."""

        def build_layers(self) -> None:
            """Has a Keras layer for OCNLI."""
            super().build_layers()
            self.heads["ocnli_logits"] = tf_keras.layers.Dense(3, name="mine")

    model = build(Architecture(), Plain)
    assert model.build_logits(batch_of(0))["ocnli_logits"].shape == (4, 3)
    assert "mine/kernel" in own_variables(model)


def test_counts_add_up(build: Build) -> None:
    for architecture in EVERYTHING:
        model = build(architecture)
        total = sum(int(np.prod(variable.shape)) for variable in model.weights if variable is not model.encoder.clock.time)
        assert sum(parameter_counts(model).values()) == total
    counts = parameter_counts(build(EVERYTHING[1]))
    assert (
        counts["shared mix.attention_shared"] == counts["OCEMOTION feature"] == 8 * 8 + 8 + 8
        and counts["OCNLI feature"] == 4
    )
    assert counts["OCNLI head"] == (4 * 8 + 8) * 3 + 3 and counts["TNEWS feature"] == 9 * 3


@pytest.mark.parametrize(
    "architecture, message",
    [
        (Architecture(features={"TNEWS": "mean"}, heads={"TNEWS": "lstm"}), r"Set --features=tnews=sequence"),
        (Architecture(features={"TNEWS": "sequence"}), r"for instance --heads=tnews=bilstm"),
        (Architecture(features={"TNEWS": "sequence"}, heads={"TNEWS": "mlp"}), r"heads lstm, bilstm, gru, textcnn"),
        (Architecture(heads={"TNEWS": "lstn"}), r"did you mean lstm"),
    ],
)
def test_heads_that_do_not_fit_what_is_read(architecture: Architecture, message: str) -> None:
    with pytest.raises(UserError, match=message):
        architecture.spec_of(TNEWS)
    assert architecture.spec_of(OCNLI).feature.text == "pooled"
