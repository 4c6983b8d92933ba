"""The original's arithmetic of steps, against its recorded runs and its published notebook."""

import pytest

from easytransfer_mtl.runs.step_plan import StepPlan, plan_steps


@pytest.mark.parametrize(
    "rows, epochs, batch_size, plan",
    [
        (180, 3, 4, StepPlan(136, 45, 13)),
        (180, 1, 4, StepPlan(46, 45, 4)),
        (180, 0.8, 4, StepPlan(37, 45, 3)),
        (60, 1, 2, StepPlan(31, 30, 3)),
        (60, 0.01, 2, StepPlan(1, 30, 0)),
        (135_525, 0.01, 2, StepPlan(678, 67762, 67)),  # the numbers of the published notebook
    ],
)
def test_plans_of_the_originals_runs(rows: int, epochs: float, batch_size: int, plan: StepPlan) -> None:
    assert plan_steps(rows, epochs, batch_size, 0.1) == plan


def test_rows_fewer_than_a_batch_give_one_step_and_no_saving_in_between() -> None:
    assert plan_steps(3, 1, 4, 0.1) == StepPlan(1, 0, 0)


def test_warm_up_is_a_share_of_the_steps() -> None:
    assert [plan_steps(180, 3, 4, ratio).warmup_steps for ratio in (0, 0.1, 0.5, 1)] == [0, 13, 68, 136]


def test_save_steps_can_be_set_also_to_none() -> None:
    assert [plan_steps(180, 3, 4, 0.1, save).save_steps for save in (None, 0, 7)] == [45, 0, 7]


def test_checkpoints_are_every_save_steps_and_at_the_end() -> None:
    assert [step for step in range(1, 11) if StepPlan(10, 4, 0).saves_after(step)] == [4, 8, 10]
    assert [step for step in range(1, 11) if StepPlan(10, 0, 0).saves_after(step)] == [10]
