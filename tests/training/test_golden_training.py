"""Training replays the original's runs step by step; a wrong rule of the optimizer falls outside the same tolerances.

The original's recorded row order, learning rates, losses, gradient norms, weights and slots are compared after each step.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from steps import compiled

from easytransfer_mtl.data.encoded_rows import EncodedRows
from easytransfer_mtl.data.pipeline import RowOrder, TaskBatches, TrainingBatches
from easytransfer_mtl.data.task_order import TaskOrder
from easytransfer_mtl.data.tfrecords import read_tfrecords
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.runs import gradients as grads
from easytransfer_mtl.runs.optimizers import make_optimizer
from easytransfer_mtl.runs.schedule import WarmupDecay
from easytransfer_mtl.tasks import CONTEST_TASKS
from easytransfer_mtl.training.distribution import BATCH_SIGNATURE

ADAM, ADAMW, CONSTANT = "nodrop_noshuffle_adam", "nodrop_noshuffle_adamw", "nodrop_noshuffle_constlr_clip1e9"
LOSS, NORM, WEIGHT, SLOT, LOGIT = 1e-5, 1e-5, 5e-6, 5e-5, 1e-5
"""Largest allowed differences; NORM is relative, SLOT relative to the slot's largest value, the others absolute."""
LENGTHS = np.array([41, 61, 128])
"""To which batches are padded, as by ``--length_buckets``: each length is compiled for. The original's batches were 128."""


class KerasFormAdam(tf_keras.optimizers.Adam):
    """A wrong rule: epsilon beside the corrected root, m_hat / (sqrt(v_hat) + eps)."""

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """One step of the wrong rule."""
        index = self._index_dict[self._var_key(variable)]
        m, v = self._momentums[index], self._velocities[index]
        m.assign_add((gradient - m) * (1 - self.beta_1))
        v.assign_add((tf.square(gradient) - v) * (1 - self.beta_2))
        time = tf.cast(self.iterations + 1, tf.float32)
        m_hat, v_hat = m / (1 - self.beta_1**time), v / (1 - self.beta_2**time)
        variable.assign_sub(self.learning_rate * m_hat / (tf.sqrt(v_hat) + self.epsilon))


@dataclass
class Replay:
    """A replayed run: the model after it, largest differences from the record, and weights after every step."""

    model: MultiTaskModel
    loss: float
    norm: float
    rates: list[tuple[float, float]]
    trajectory: dict[str, list[np.ndarray]]


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as values:
        return {name: values[name] for name in values.files}


@pytest.fixture(scope="module")
def rows(golden: Path) -> list[EncodedRows]:
    return [
        read_tfrecords(golden / "preprocess" / f"{task.name}_train.tfrecord", task.num_labels, 570) for task in CONTEST_TASKS
    ]


def variables_of(model: MultiTaskModel) -> dict[str, tf.Variable]:
    """The model's variables by the original's names, without the scope of its encoder."""
    named = {f"bert/{name}": variable for name, variable in model.encoder.canonical_variables.items()}
    for task in CONTEST_TASKS:
        named |= {
            variable.name.removesuffix(":0"): variable for variable in model.heads[task.logits_name].trainable_variables
        }
    return named


def recorded_name(name: str, variables: dict[str, tf.Variable]) -> str:
    """Completes a shortened name of trajectory.npz."""
    (found,) = [full for full in variables if full == name or full.endswith("/" + name)]
    return found


@pytest.fixture(scope="module")
def replay(golden: Path, golden_model: Callable[..., MultiTaskModel], rows: list[EncodedRows]) -> Callable[..., Replay]:
    """Replays a run; ``optimizer`` and ``idle_heads`` put wrong rules in."""

    def run(name: str, optimizer: type[tf_keras.optimizers.Adam] | None = None, idle_heads: str = "zero") -> Replay:
        record = read_json(golden / "train" / name / "train.json")
        model = golden_model(f"train/{name}/initial_heads.npz")
        steps = record["train_steps"]
        schedule = WarmupDecay(1e-3, steps, 0 if name == CONSTANT else int(0.1 * steps), decay=name != CONSTANT)
        rule = (
            optimizer(schedule, 0.9, 0.98, 1e-6)
            if optimizer
            else make_optimizer("adam", schedule, 0.01 if name == ADAMW else 0.0)
        )
        compiled(model, rule, clip_norm_value=1e9 if name == CONSTANT else 1.0, idle_heads=idle_heads)
        train_step = tf.function(model.train_step, input_signature=[BATCH_SIGNATURE])
        variables = variables_of(model)
        watched = {
            key: variables[recorded_name(key, variables)] for key in arrays_of(golden / "train" / name / "trajectory.npz")
        }
        result = Replay(model, 0.0, 0.0, [], {key: [variable.numpy()] for key, variable in watched.items()})
        for step in record["steps"]:
            task = [item.name for item in CONTEST_TASKS].index(step["task"])
            batch = {**rows[task].batch(np.array(step["rows"]), LENGTHS), "task_id": np.int32(task)}
            np.testing.assert_array_equal(batch["label_ids"], step["labels"])
            outputs = train_step({key: tf.constant(value) for key, value in batch.items()})
            result.loss = max(result.loss, abs(float(outputs["losses"][int(batch["task_id"])]) - step["loss"]))
            result.norm = max(result.norm, abs(float(outputs["grad_norm"]) / step["norm_as_used"] - 1))
            result.rates.append((float(outputs["learning_rate"]), step.get("lr", float(np.float32(1e-3)))))
            for key, variable in watched.items():
                result.trajectory[key].append(variable.numpy())
        return result

    return run


@pytest.fixture(scope="module", params=[ADAM, ADAMW, CONSTANT])
def replayed(request: pytest.FixtureRequest, replay: Callable[..., Replay], golden: Path) -> tuple[Replay, Path]:
    return replay(request.param), golden / "train" / request.param


def final_difference(result: Replay, folder: Path) -> float:
    """Largest difference of any final weight."""
    final = arrays_of(folder / "final_weights.npz")
    variables = variables_of(result.model)
    found = {name.removeprefix("bert_pre_trained_model/"): value for name, value in final.items() if name != "global_step"}
    assert found.keys() == variables.keys()
    return max(float(np.abs(value - variables[name]).max()) for name, value in found.items())


def test_losses_rates_and_norms_of_every_step(replayed: tuple[Replay, Path]) -> None:
    result, _ = replayed
    assert result.loss < LOSS and result.norm < NORM
    assert all(np.float32(found) == np.float32(expected) for found, expected in result.rates)


def test_weights_after_every_step(replayed: tuple[Replay, Path]) -> None:
    result, folder = replayed
    for name, values in arrays_of(folder / "trajectory.npz").items():
        np.testing.assert_allclose(np.stack(result.trajectory[name]), values, rtol=0, atol=WEIGHT, err_msg=name)


def test_all_final_weights(replayed: tuple[Replay, Path]) -> None:
    result, folder = replayed
    if folder.name == CONSTANT:
        assert not (folder / "final_weights.npz").exists()  # the trajectory is all that was recorded of its weights
    else:
        assert final_difference(result, folder) < WEIGHT


def test_optimizer_slots(replayed: tuple[Replay, Path]) -> None:
    result, folder = replayed
    variables, optimizer = variables_of(result.model), result.model.optimizer
    slots = {key: value for key, value in arrays_of(folder / "optimizer_slots_some.npz").items() if "power" not in key}
    assert len(slots) >= 30
    for key, value in slots.items():
        name, kind = key.removeprefix("bert_pre_trained_model/").rsplit("/", 1)
        index = optimizer._index_dict[optimizer._var_key(variables[name])]
        found = (optimizer._velocities if kind.endswith("_1") else optimizer._momentums)[index]
        np.testing.assert_allclose(found, value, rtol=0, atol=SLOT * np.abs(value).max(), err_msg=key)


def test_dev_logits_after_training(replayed: tuple[Replay, Path], golden: Path) -> None:
    result, folder = replayed
    expected = arrays_of(folder / "dev_logits_after_training.npz")
    for task in CONTEST_TASKS:
        dev = read_tfrecords(golden / "preprocess" / f"{task.name}_dev.tfrecord", task.num_labels, 570)
        batch = dev.batch(np.arange(len(dev)))
        logits = result.model({name: tf.constant(batch[name]) for name in ("input_ids", "input_mask", "segment_ids")})
        np.testing.assert_array_equal(batch["label_ids"], expected[f"{task.name.lower()}_label"])
        np.testing.assert_allclose(logits[task.logits_name], expected[task.logits_name], rtol=0, atol=LOGIT)


def recorded_difference(golden: Path, **rule: str) -> dict[str, float]:
    """What the wrong rule cost in an independent recomputation."""
    rule = {"run": ADAM, "head_rule": "zero", "norm_rule": "slices", "eps_rule": "tf1", **rule}
    (found,) = [item for item in read_json(golden / "replay_check.json")["results"] if rule.items() <= item.items()]
    return found


def assert_wrong(result: Replay, golden: Path, **rule: str) -> None:
    """The differences are beyond every tolerance and about as large as recorded."""
    final = final_difference(result, golden / "train" / ADAM)
    assert result.loss > LOSS and result.norm > NORM and final > WEIGHT
    recorded = recorded_difference(golden, **rule)
    found = {"max_abs_loss_diff": result.loss, "max_rel_norm_diff": result.norm, "max_abs_final_weight_diff": final}
    for name, value in found.items():
        assert 0.5 < value / recorded[name] < 2, (name, value, recorded[name])


def test_skipped_idle_heads_fall_outside_the_tolerances(replay: Callable[..., Replay], golden: Path) -> None:
    assert_wrong(replay(ADAM, idle_heads="skip"), golden, head_rule="skip")


def test_norm_of_summed_rows_falls_outside_the_tolerances(
    replay: Callable[..., Replay], golden: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = grads.unsummed_norm
    monkeypatch.setattr(grads, "unsummed_norm", lambda gradients: right(grads.dense(gradients)))
    assert_wrong(replay(ADAM), golden, norm_rule="dense")


def test_keras_form_of_epsilon_falls_outside_the_tolerances(replay: Callable[..., Replay], golden: Path) -> None:
    assert_wrong(replay(ADAM, optimizer=KerasFormAdam), golden, eps_rule="keras")


@pytest.mark.parametrize("run", [ADAM, ADAMW, CONSTANT])
def test_batches_are_the_recorded_rows_and_tasks(run: str, golden: Path, rows: list[EncodedRows]) -> None:
    record = read_json(golden / "train" / run / "train.json")
    orders = [
        RowOrder(len(item), 0, task.name, shuffle=False, batch_size=4)
        for item, task in zip(rows, CONTEST_TASKS, strict=True)
    ]
    batches = list(TrainingBatches(TaskBatches(rows, orders), TaskOrder(3)).steps(0, record["train_steps"]))
    assert len(batches) == len(record["steps"])
    for batch, step in zip(batches, record["steps"], strict=True):
        task = int(batch["task_id"])
        assert CONTEST_TASKS[task].name == step["task"] and CONTEST_TASKS[task].name.lower() == step["head"]
        expected = rows[task].batch(np.array(step["rows"]))
        for name, value in expected.items():
            np.testing.assert_array_equal(batch[name], value)
