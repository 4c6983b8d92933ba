"""Task weights: their text, the equal and the fixed weighting, and the choice between them."""

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.weighting import LOSS_WEIGHTINGS, Equal, Fixed, make_weighting, parse_task_weights

NAMES = ["TNEWS", "OCEMOTION", "OCNLI"]
LOSSES, ACTIVE = tf.constant([2.0, 0.0, 0.0]), tf.constant([True, False, False])


@pytest.mark.parametrize(
    "text, weights",
    [
        ("ocnli=1.5,ocemotion=2,tnews=3", [3, 2, 1.5]),
        (" OCNLI = 1e-1 ,", [1, 1, 0.1]),
        ("tnews=0", [0, 1, 1]),
        ("", [1, 1, 1]),
    ],
)
def test_text_to_weights_in_the_tasks_order(text: str, weights: list[float]) -> None:
    assert parse_task_weights(text, NAMES) == weights


@pytest.mark.parametrize(
    "text, message",
    [
        ("cmnli=1", "'cmnli' is no task or given twice; the tasks are tnews, ocemotion, ocnli"),
        ("tnews=1,TNEWS=2", "'tnews' is no task or given twice"),
        ("tnews", "'tnews' is not NAME=NUMBER"),
        ("tnews=", "'tnews=' is not NAME=NUMBER"),
        ("tnews=one", "'tnews=one' is not NAME=NUMBER"),
        ("tnews=1=2", "'tnews=1=2' is not NAME=NUMBER"),
        ("=1", "'' is no task"),
    ],
)
def test_text_that_is_no_weights(text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        parse_task_weights(text, NAMES)
    assert message in str(error.value)


@pytest.mark.parametrize("name, text", [("equal", None), ("fixed", "tnews=1,ocemotion=1,ocnli=1")])
def test_equal_and_fixed_ones_are_the_same_and_sum_to_the_number_of_tasks(name: str, text: str | None) -> None:
    weights = make_weighting(name, NAMES, text).weights(LOSSES, ACTIVE)
    assert weights.dtype == tf.float32
    np.testing.assert_array_equal(weights, [1, 1, 1])


def test_fixed_weights_are_used_as_given_and_never_move() -> None:
    weighting = make_weighting("fixed", NAMES, "tnews=3,ocnli=0.5")
    assert isinstance(weighting, Fixed) and weighting.num_tasks == 3
    np.testing.assert_array_equal(weighting.weights(LOSSES, ACTIVE), [3, 1, 0.5])
    weighting.update(LOSSES, ACTIVE)
    np.testing.assert_array_equal(weighting.weights(LOSSES * 100, ~ACTIVE), [3, 1, 0.5])
    assert not weighting.trainable_variables


@pytest.mark.parametrize(
    "weights", [[-1.0, 1.0, 1.0], [float("nan"), 1.0, 1.0], [float("inf"), 1.0, 1.0], [0.0, 0.0, 0.0], []]
)
def test_fixed_weights_must_be_finite_not_negative_and_not_all_zero(weights: list[float]) -> None:
    with pytest.raises(UserError, match="finite, not negative, and not all zero"):
        Fixed(weights)


def test_choice_by_name() -> None:
    assert isinstance(make_weighting("equal", NAMES), Equal)
    assert isinstance(make_weighting("equal", NAMES, ""), Equal)
    for name in LOSS_WEIGHTINGS:
        assert make_weighting(name, NAMES, None if name == "equal" else "tnews=2").name == name


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("equal", "tnews=1", "task_weights has no effect with loss_weighting equal"),
        ("fixed", None, "fixed needs --task_weights"),
        ("fixed", "", "fixed needs --task_weights"),
        ("fixed", "tnews=-1", "weights must be finite"),
        ("uncertainty", None, "'uncertainty' is unknown; allowed: equal, fixed"),
    ],
)
def test_choice_that_makes_no_sense(name: str, text: str | None, message: str) -> None:
    with pytest.raises(UserError) as error:
        make_weighting(name, NAMES, text)
    assert message in str(error.value)
