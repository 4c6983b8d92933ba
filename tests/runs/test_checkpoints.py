"""Checkpoints: bit-exact, the newest usable one wins, a stop's own one leaves no trace, and a wrong model is an error."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tf_keras

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.weights import Weights
from easytransfer_mtl.runs.checkpoints import INTERRUPTED, Progress, RunCheckpoints, checkpoint_steps
from easytransfer_mtl.runs.optimizers import make_optimizer


class Small(tf_keras.Model):
    """A stand-in for the multi-task model: some variables and a real optimizer."""

    def __init__(self, width: int = 3, optimizer: str = "adam", more: bool = False) -> None:
        super().__init__()
        self.dense = tf_keras.layers.Dense(width)
        self.dense.build((None, 2))
        if more:
            self.another = tf_keras.layers.Dense(1)
            self.another.build((None, 2))
        self.compile(optimizer=make_optimizer(optimizer, 0.1, 0.0))
        self.optimizer.build(self.trainable_variables)

    def fill(self, seed: int) -> None:
        """Gives weights and optimizer, slots and step, values of their own."""
        random = np.random.default_rng(seed)
        for variable in self.trainable_variables + self.optimizer.variables[1:]:
            variable.assign(random.normal(size=variable.shape).astype(np.float32))
        self.optimizer.iterations.assign(seed)

    def state(self) -> list[np.ndarray]:
        """All of it."""
        return [variable.numpy() for variable in self.trainable_variables + self.optimizer.variables]


def parts(folder: Path, keep: int = 10, model: Small | None = None) -> tuple[Small, Progress, RunCheckpoints]:
    model, progress = model or Small(), Progress()
    return model, progress, RunCheckpoints(model, progress, folder, keep)


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., dict[int, list[np.ndarray]]]:
    """Saves steps; returns what each held."""

    def save(*steps: int, keep: int = 10) -> dict[int, list[np.ndarray]]:
        model, progress, checkpoints = parts(tmp_path, keep)
        states = {}
        for step in steps:
            model.fill(step)
            progress.avg_loss.assign(step / 3)
            checkpoints.save(step)
            states[step] = model.state()
        return states

    return save


def assert_equal(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_weights_slots_step_and_mean_loss_come_back_bit_for_bit(saved: Callable, tmp_path: Path) -> None:
    states = saved(0, 5, 9)
    model, progress, checkpoints = parts(tmp_path)
    assert checkpoints.restore_latest() == 9
    assert_equal(model.state(), states[9])
    assert int(model.optimizer.iterations) == 9 and float(progress.avg_loss) == 9 / 3


def test_no_checkpoint_changes_nothing(tmp_path: Path) -> None:
    model, _, checkpoints = parts(tmp_path / "new")
    before = model.state()
    assert checkpoints.restore_latest() is None
    assert_equal(model.state(), before)
    assert checkpoint_steps(tmp_path / "new") == {}


def test_the_newest_are_kept_also_across_a_restart(saved: Callable, tmp_path: Path) -> None:
    saved(0, 5, 9, keep=2)
    assert list(checkpoint_steps(tmp_path)) == [5, 9]
    model, _, checkpoints = parts(tmp_path, keep=2)
    checkpoints.restore_latest()
    checkpoints.save(12)
    assert list(checkpoint_steps(tmp_path)) == [9, 12]
    assert sorted(path.name for path in tmp_path.glob("*.index")) == ["model.ckpt-12.index", "model.ckpt-9.index"]


@pytest.mark.parametrize("damaged", [".index", ".data-00000-of-00001"])
def test_truncated_newest_falls_back_with_a_warning_and_is_replaced(
    damaged: str, saved: Callable, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    states = saved(0, 5, 9)
    truncate(tmp_path / f"model.ckpt-9{damaged}")
    model, progress, checkpoints = parts(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert checkpoints.restore_latest() == 5
    assert "model.ckpt-9 cannot be used" in caplog.text
    assert_equal(model.state(), states[5])
    assert float(progress.avg_loss) == 5 / 3
    model.fill(9)
    checkpoints.save(9)
    again, _, others = parts(tmp_path)
    assert others.restore_latest() == 9
    assert_equal(again.state(), states[9])


def test_none_that_can_be_used_is_an_error_that_names_them_all(saved: Callable, tmp_path: Path) -> None:
    saved(0, 5)
    for step in (0, 5):
        truncate(tmp_path / f"model.ckpt-{step}.data-00000-of-00001")
    with pytest.raises(UserError) as error:
        parts(tmp_path)[2].restore_latest()
    assert "model.ckpt-0" in str(error.value) and "model.ckpt-5" in str(error.value) and "--model_dir" in str(error.value)


def test_a_stops_checkpoint_wins_if_it_is_newer_and_goes_with_the_next_regular_one(saved: Callable, tmp_path: Path) -> None:
    saved(0, 5)
    model, _, checkpoints = parts(tmp_path)
    checkpoints.restore_latest()
    model.fill(7)
    checkpoints.save_interrupted(7)
    stopped = model.state()
    assert list(checkpoint_steps(tmp_path)) == [0, 5] and list(checkpoint_steps(tmp_path / INTERRUPTED)) == [7]
    again, _, others = parts(tmp_path)
    assert others.restore_latest() == 7
    assert_equal(again.state(), stopped)
    assert (tmp_path / INTERRUPTED).exists()
    others.save(10)
    assert list(checkpoint_steps(tmp_path)) == [0, 5, 10] and not (tmp_path / INTERRUPTED).exists()


def test_a_stop_right_after_a_regular_checkpoint_adds_none(saved: Callable, tmp_path: Path) -> None:
    model, _, checkpoints = parts(tmp_path)
    model.fill(5)
    checkpoints.save(5)
    checkpoints.save_interrupted(5)
    assert not (tmp_path / INTERRUPTED).exists()


@pytest.mark.parametrize(
    "other",
    [lambda: Small(width=4), lambda: Small(more=True), lambda: Small(optimizer="adagrad")],
    ids=["width", "layer", "slots"],
)
def test_another_model_or_number_of_slots_is_an_error(other: Callable[[], Small], saved: Callable, tmp_path: Path) -> None:
    saved(0, 5)
    with pytest.raises(UserError, match="If the model or the optimizer was changed, use another --model_dir"):
        parts(tmp_path, model=other())[2].restore_latest()


def test_weights_alone_for_evaluation(saved: Callable, tmp_path: Path) -> None:
    states = saved(5, 9)
    model = Small()
    Weights((checkpoint_steps(tmp_path)[5],)).restore(model)
    assert_equal([variable.numpy() for variable in model.trainable_variables], states[5][:2])


@pytest.mark.parametrize("other", [lambda: Small(width=4), lambda: Small(more=True)], ids=["width", "layer"])
def test_weights_of_another_model_are_an_error_in_evaluation(
    other: Callable[[], Small], saved: Callable, tmp_path: Path
) -> None:
    saved(5)
    with pytest.raises(UserError, match="model.ckpt-5 cannot be restored"):
        Weights((checkpoint_steps(tmp_path)[5],)).restore(other())


def test_weights_that_the_model_has_no_place_for_are_an_error_in_evaluation(tmp_path: Path) -> None:
    parts(tmp_path, model=Small(more=True))[2].save(5)
    with pytest.raises(UserError, match="holds 4 weights, Small has 2: it is of another model class"):
        Weights((checkpoint_steps(tmp_path)[5],)).restore(Small())


def test_damaged_or_missing_checkpoint_is_an_error_in_evaluation(saved: Callable, tmp_path: Path) -> None:
    saved(5)
    truncate(tmp_path / "model.ckpt-5.data-00000-of-00001")
    for prefix in (tmp_path / "model.ckpt-5", tmp_path / "model.ckpt-6"):
        with pytest.raises(UserError, match=f"{prefix.name} cannot be restored"):
            Weights((prefix,)).restore(Small())


def test_list_is_in_ascending_order_and_without_incomplete_or_foreign_ones(saved: Callable, tmp_path: Path) -> None:
    saved(0, 9, 10, 100)
    (tmp_path / "model.ckpt-9.index").unlink()
    (tmp_path / "model.ckpt-77.index").touch()
    assert checkpoint_steps(tmp_path) == {step: tmp_path / f"model.ckpt-{step}" for step in (0, 10, 100)}


def test_list_survives_moving_the_folder_and_a_damaged_state_file(saved: Callable, tmp_path: Path) -> None:
    saved(0, 5)
    moved = tmp_path / "moved"
    moved.mkdir()
    for path in [path for path in tmp_path.iterdir() if path.is_file()]:
        path.rename(moved / path.name)
    assert list(checkpoint_steps(moved)) == [0, 5]
    (moved / "checkpoint").write_text("nonsense {", encoding="utf-8")
    assert list(checkpoint_steps(moved)) == [0, 5]


@pytest.mark.parametrize("listed", [(7,), (7, 8)])
def test_a_list_of_another_runs_checkpoints_hides_none_that_are_there(
    listed: tuple[int, ...], saved: Callable, tmp_path: Path
) -> None:
    states = saved(0, 5)
    lines = [f'all_model_checkpoint_paths: "/another/run/model.ckpt-{step}"\n' for step in listed]
    lines.insert(0, f'model_checkpoint_path: "/another/run/model.ckpt-{listed[-1]}"\n')
    (tmp_path / "checkpoint").write_text("".join(lines), encoding="utf-8")
    assert list(checkpoint_steps(tmp_path)) == [0, 5]
    model, _, checkpoints = parts(tmp_path)
    assert checkpoints.restore_latest() == 5
    assert_equal(model.state(), states[5])
    checkpoints.save(9)
    assert list(checkpoint_steps(tmp_path)) == [0, 5, 9]
    assert not any(f"ckpt-{step}" in (tmp_path / "checkpoint").read_text(encoding="utf-8") for step in listed)


@pytest.mark.skipif(os.name != "posix", reason="limits of files are POSIX's")
def test_a_checkpoint_for_which_there_is_no_room_leaves_nothing_and_says_so_plainly(saved: Callable, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    states, before = saved(0, 5), sorted(path.name for path in tmp_path.iterdir())
    model, _, checkpoints = parts(tmp_path)
    model.fill(9)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(UserError) as error:
            checkpoints.save(9)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    prefix = tmp_path / "model.ckpt-9"
    expected = "cannot be written: File too large. No larger file is allowed here (ulimit -f)."
    assert str(error.value) == f"Checkpoint {prefix} {expected}"
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    again, _, others = parts(tmp_path)
    assert others.restore_latest() == 5
    assert_equal(again.state(), states[5])


def test_what_a_kill_left_half_written_is_removed(saved: Callable[..., object], tmp_path: Path) -> None:
    saved(1, 2)
    before = sorted(path.name for path in tmp_path.iterdir())
    (tmp_path / "checkpoint.tmp3b48fb23660e4433aab7064dd7e85800").write_text("model_checkpoint_path", encoding="utf-8")
    (tmp_path / "model.ckpt-3_temp").mkdir()
    assert parts(tmp_path)[2].restore_latest() == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("part", ["weight", "slot"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_checkpoint_that_is_not_finite_is_not_gone_on_from(
    value: float,
    part: str,
    tmp_path: Path,
    saved: Callable[..., dict[int, list[np.ndarray]]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    states = saved(4)
    model, _, checkpoints = parts(tmp_path)
    model.fill(8)
    variable = model.dense.kernel if part == "weight" else model.optimizer.variables[-1]
    variable.assign(np.full(variable.shape, value))
    checkpoints.save(8)
    again, _, checkpoints = parts(tmp_path)
    assert checkpoints.restore_latest() == 4
    assert all((one == other).all() for one, other in zip(again.state(), states[4], strict=True))
    assert "model.ckpt-8 cannot be used" in caplog.text and "are no numbers" in caplog.text
    for path in tmp_path.glob("model.ckpt-4.*"):
        path.unlink()
    with pytest.raises(UserError, match=r"(?s)No checkpoint in .* can be restored:.*model.ckpt-8: .* are no numbers"):
        parts(tmp_path)[2].restore_latest()


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_weights_that_are_not_finite_are_refused_with_file_and_variable(value: float, tmp_path: Path) -> None:
    model, _, checkpoints = parts(tmp_path)
    model.dense.bias.assign([0.0, value, 0.0])
    checkpoints.save(2)
    with pytest.raises(UserError, match=r"Checkpoint .*model.ckpt-2: 1 of the 3 values of bias are no numbers"):
        Weights((tmp_path / "model.ckpt-2",)).restore(Small())
