"""What a run needs of memory: each thing that it keeps beside the plain one's is in the estimate."""

from collections.abc import Callable
from typing import Any

import pytest

from easytransfer_mtl.config.settings import TrainSettings
from easytransfer_mtl.training.memory_estimate import Estimate
from easytransfer_mtl.training.preparation import prepare

Settings = Callable[..., TrainSettings]


@pytest.fixture
def memory(tiny_settings: Settings) -> Callable[..., Estimate]:
    return lambda **changes: prepare(tiny_settings(**changes)).model.memory


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({"ema_decay": 0.9}, 1), ({"adversarial": "fgm"}, 1), ({"adversarial": "pgd", "num_accumulated_batches": 2}, 2),
        ({"swa_checkpoints": 2}, 2), ({"swa_checkpoints": 2, "ema_decay": 0.9, "adversarial": "fgm"}, 3),
        ({"loss_weighting": "mgda", "step_mode": "joint", "adversarial": "fgm"}, 4),
    ],
)  # fmt: skip
def test_numbers_a_parameter(changes: dict[str, Any], more: int, memory: Callable[..., Estimate]) -> None:
    plain, found = memory(), memory(**changes)
    assert found.copies == plain.copies + more and found.gb > plain.gb


def test_rows_that_go_twice_through_the_network_keep_twice_the_states(memory: Callable[..., Estimate]) -> None:
    plain, twice = memory(), memory(rdrop_alpha=1.0)
    assert twice.states_gb == pytest.approx(2 * plain.states_gb) and twice.copies == plain.copies


@pytest.mark.parametrize(
    ("features", "numbers"),
    [(None, 0), ("mean", 0), ("pooled+ngrams:1000:8", 3 * 8000), ("tnews=cls+ngrams:50:4,ocnli=pair+ngrams:10:3", 230)],
)
def test_tables_of_ngrams_count_with_all_their_copies(
    features: str | None, numbers: int, memory: Callable[..., Estimate]
) -> None:
    plain, found = memory(), memory(features=features)
    assert found.tables == numbers
    assert found.gb - plain.gb == pytest.approx(4 * found.copies * numbers / 1e9, abs=1e-12)
