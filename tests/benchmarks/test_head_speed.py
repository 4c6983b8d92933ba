"""What features and heads cost: every case is a model that can be trained."""

import pytest

from benchmarks import head_speed
from benchmarks.head_speed import CASES, batches, step_of


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head_speed, "SIZE", (4, 64))
    monkeypatch.setattr(head_speed, "SHAPE", (2, 8))


@pytest.mark.parametrize("case", ["", *CASES])
def test_every_case_is_a_model(case: str) -> None:
    step_of(case)


@pytest.mark.parametrize("case", ["pair", "sequence bilstm"])
def test_a_case_is_trained(case: str) -> None:
    assert step_of(case).seconds(batches()) > 0
