"""Whose turn it is: shares, counts, and the same order whatever is asked first."""

from typing import Any

import numpy as np
import pytest

from easytransfer_mtl.config.train_settings import BatchSettings
from easytransfer_mtl.data.task_order import SAMPLINGS, TaskOrder, TaskSampling, make_task_order
from easytransfer_mtl.errors import UserError

ROWS = [6000, 3000, 1000]


NAMES = ["TNEWS", "OCEMOTION", "OCNLI"]


def order_of(kind: str, epochs: float = 3, steps_per_epoch: int = 2000, seed: int = 1, **more: Any) -> TaskOrder:
    settings = BatchSettings(train_batch_size=1, task_sampling=kind, **more)
    return make_task_order(settings, NAMES, ROWS, epochs, steps_per_epoch, seed)


def shares_of(order: TaskOrder, start: int, stop: int) -> np.ndarray:
    return np.bincount([order.place(step)[0] for step in range(start, stop)], minlength=3) / (stop - start)


def test_turns_are_the_originals() -> None:
    order = order_of("round_robin")
    assert [order.place(step) for step in range(7)] == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (0, 2)]


@pytest.mark.parametrize(
    "kind, more, expected",
    [
        ("proportional", {}, np.array(ROWS)),
        ("temperature", {"sampling_temperature": 2.0}, np.sqrt(ROWS)),
        ("temperature", {"sampling_temperature": 1.0}, np.array(ROWS)),
        ("temperature", {"sampling_temperature": 1e6}, np.ones(3)),
        ("explicit", {"task_rates": "tnews=1,ocemotion=2,ocnli=1"}, np.array([1, 2, 1])),
    ],
)
def test_shares_are_those_asked_for(kind: str, more: dict[str, Any], expected: np.ndarray) -> None:
    found = shares_of(order_of(kind, **more), 0, 20000)
    np.testing.assert_allclose(found, expected / expected.sum(), atol=0.015)


def test_annealing_goes_from_proportional_to_nearly_uniform() -> None:
    order = order_of("annealed", epochs=3, steps_per_epoch=8000)
    for epoch, power in ((0, 1.0), (1, 0.6), (2, 0.2), (3, 0.2)):
        expected = np.array(ROWS, float) ** power
        found = shares_of(order, 8000 * epoch, 8000 * (epoch + 1))
        np.testing.assert_allclose(found, expected / expected.sum(), atol=0.02)
    np.testing.assert_allclose(shares_of(order_of("annealed", epochs=1), 0, 2000), np.array(ROWS) / 10000, atol=0.04)


@pytest.mark.parametrize("kind", ["proportional", "annealed"])
def test_a_tasks_batches_are_counted_and_depend_on_seed_and_step_alone(kind: str) -> None:
    order, counts = order_of(kind), [0, 0, 0]
    places = []
    for step in range(3000):
        task, index = order.place(step)
        assert index == counts[task]
        counts[task] += 1
        places.append((task, index))
    fresh = order_of(kind)  # as after a stop
    assert [fresh.place(step) for step in (2999, 1500, 0, 2048)] == [places[step] for step in (2999, 1500, 0, 2048)]
    assert [order_of(kind, seed=2).place(step)[0] for step in range(50)] != [place[0] for place in places[:50]]


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        (None, "needs a number above 0 for every task"), ("tnews=1,ocnli=1", "needs a number above 0 for every task"),
        ("tnews=1,ocemotion=0,ocnli=1", "0.0 for OCEMOTION is too small; it must be more than 0"),
        ("tnews=1,ocemotion=-1,ocnli=1", "-1.0 for OCEMOTION is too small"), ("tnews=nan", "is not a finite number"),
    ],
)  # fmt: skip
def test_explicit_rates_must_be_there_and_above_zero(rates: str | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        order_of("explicit", task_rates=rates)


@pytest.mark.parametrize("rates", [[1.0, 2.0], [1.0, -1.0, 1.0], [0.0, 0.0, 0.0], [1.0, float("nan"), 1.0]])
def test_rates_of_ones_own_are_checked(rates: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(TaskSampling):
        def rates(self, epoch: int) -> np.ndarray:
            return np.array(rates)

    monkeypatch.setitem(SAMPLINGS, "proportional", Own)
    with pytest.raises(UserError, match="task_sampling proportional: the rates of the first epoch are"):
        order_of("proportional")
