"""The learning rate: linear decay times linear warm-up, in the original's float32 numbers."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.runs.schedule import WarmupDecay


def rates(schedule: WarmupDecay, steps: int) -> list[float]:
    """The rates as a train step computes them: in a graph, whose optimization may round otherwise than single operations."""
    traced = tf.function(schedule.__call__, input_signature=[tf.TensorSpec([], tf.int64)])
    return [float(traced(tf.constant(step, tf.int64))) for step in range(steps)]


@pytest.mark.parametrize(
    "run",
    [
        "nodrop_noshuffle_adam",
        "nodrop_noshuffle_adamw",
        "nodrop_shuffle",
        "dropout_shuffle",
        "nodrop_noshuffle_resume_part2",
    ],
)
def test_rates_are_the_originals_to_the_last_bit(run: str, golden: Path) -> None:
    record = json.loads((golden / "train" / run / "train.json").read_text(encoding="utf-8"))
    steps = record["train_steps"]
    found = rates(WarmupDecay(1e-3, steps, int(steps * 0.1)), steps)
    assert [found[step["global_step_before"]] for step in record["steps"]] == [step["lr"] for step in record["steps"]]


def test_warm_up_multiplies_the_decayed_rate_so_the_peak_is_below_it() -> None:
    expected = [0.5 * (1 - s / 20) * (s / 4 if s < 4 else 1) for s in range(20)]
    found = rates(WarmupDecay(0.5, 20, 4), 20)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found[0] == 0 and max(found) == found[4] < 0.5 and found[-1] > 0


def test_without_warm_up_the_first_step_has_the_full_rate() -> None:
    np.testing.assert_allclose(rates(WarmupDecay(0.5, 4, 0), 4), [0.5, 0.375, 0.25, 0.125])


def test_without_decay_only_warm_up_is_left() -> None:
    np.testing.assert_allclose(rates(WarmupDecay(0.5, 8, 4, decay=False), 8), [0, 0.125, 0.25, 0.375, 0.5, 0.5, 0.5, 0.5])
    assert rates(WarmupDecay(1e-3, 8, 0, decay=False), 2) == [float(np.float32(1e-3))] * 2


def test_rate_stays_at_zero_after_the_last_step() -> None:
    assert float(WarmupDecay(1.0, 10, 2)(tf.constant(10))) == 0 == float(WarmupDecay(1.0, 10, 2)(tf.constant(500)))


def test_config_rebuilds_it() -> None:
    schedule = WarmupDecay(0.5, 20, 4, decay=False)
    assert rates(WarmupDecay.from_config(schedule.get_config()), 20) == rates(schedule, 20)
