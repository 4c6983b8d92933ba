"""Sharing in a whole run: told, logged, stored, and not exchanged under way."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from easytransfer_mtl.config.train_settings import TrainSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.evaluator import build_model
from easytransfer_mtl.models.variables import parameter_counts
from easytransfer_mtl.runs.folder import RunFolder
from easytransfer_mtl.training.trainer import run_training

Settings = Callable[..., TrainSettings]


def test_a_run_tells_its_parameters_logs_its_penalty_and_goes_on_as_what_it_is(
    tiny_settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    changes = {"sharing": "shared_private", "orthogonality_weight": 0.5, "combine": "gate", "save_steps": 3}
    with caplog.at_level(logging.INFO):
        model = run_training(tiny_settings(**changes)).model
    counts = parameter_counts(model)
    told = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    assert f"parameters: {told}" in caplog.messages and "estimated memory: 1.3 GB of" in caplog.text
    private = sum(variable.shape.num_elements() for task in range(3) for variable in model.sharing.private_variables(task))
    assert counts["other"] == private > 0
    folder = RunFolder(Path(tiny_settings().model_dir))
    assert folder.read_architecture() == model.architecture
    header, *rows = [line.split(",") for line in (folder.path / "metrics.csv").read_text(encoding="utf-8").splitlines()]
    penalties = [float(row[header.index("penalty")]) for row in rows]
    assert len(penalties) == 6 and all(0 < penalty <= 0.5 for penalty in penalties)
    assert type(build_model(folder).sharing) is type(model.sharing)
    for other in ({"sharing": "hard"}, {**changes, "combine": "concat"}):
        with pytest.raises(UserError, match="is a run of another architecture \\(sharing"):
            run_training(tiny_settings(**other))
    run_training(tiny_settings(**changes))  # finished


def test_a_run_without_a_penalty_has_no_column_for_it(tiny_settings: Settings) -> None:
    run_training(tiny_settings(num_epochs=0.1))
    path = Path(tiny_settings().model_dir)
    assert "penalty" not in (path / "metrics.csv").read_text(encoding="utf-8").splitlines()[0]
    with pytest.raises(UserError, match="is a run of another architecture \\(sharing: hard -> mmoe"):
        run_training(tiny_settings(num_epochs=0.1, sharing="mmoe"))
