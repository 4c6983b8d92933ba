"""Weightings of the contest's tasks by name, made as a run makes them."""

from collections.abc import Callable

import pytest

from easytransfer_mtl.config.weighting_settings import WeightingSettings
from easytransfer_mtl.tasks import CONTEST_TASKS
from easytransfer_mtl.weighting import RunFacts, TaskWeighting, make_weighting


@pytest.fixture(scope="session")
def weighting_of() -> Callable[..., TaskWeighting]:
    """Makes a method's weighting for a step mode; weights of ``fixed`` differ from task to task."""

    def make(name: str, step_mode: str, steps_per_epoch: int) -> TaskWeighting:
        more = {"task_weights": "TNEWS=2,OCEMOTION=0.5"} if name == "fixed" else {}
        run = RunFacts(
            [task.name for task in CONTEST_TASKS], [task.num_labels for task in CONTEST_TASKS], steps_per_epoch, 5
        )
        return make_weighting(WeightingSettings(loss_weighting=name, step_mode=step_mode, **more), run)

    return make
