"""Runs in process on tiny data: their files, resuming, and everything that is found before something is written."""

import logging
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.config.train_settings import TrainSettings
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import read_json
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.task_loss import TaskLoss
from easytransfer_mtl.runs.checkpoints import checkpoint_steps
from easytransfer_mtl.training.checks import check_class
from easytransfer_mtl.training.trainer import run_training

Settings = Callable[..., Any]


def weights_of(model: MultiTaskModel) -> dict[str, np.ndarray]:
    return {variable.name: variable.numpy() for variable in model.trainable_variables}


def metric_rows(folder: Path) -> list[list[str]]:
    lines = (folder / "metrics.csv").read_text(encoding="utf-8").splitlines()
    return [line.split(",")[:-1] for line in lines[1:]]  # without the speed


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="session")
def tiny_encoder(flat_encoder: Path) -> Path:
    """One layer."""
    return flat_encoder


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **more: object) -> None:
        raise AssertionError("it trained")

    monkeypatch.setattr(MultiTaskModel, "fit", fail)


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path, tiny_data: Path
) -> tuple[Path, dict[str, np.ndarray]]:
    """The folder of a finished run of 6 steps that saved every 4, and its last weights."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    settings = TrainSettings(
        pretrain_model_name_or_path=str(tiny_encoder), random_init=True, model_dir=str(folder), num_epochs=0.6, seed=5,
        train_input_fp=str(tiny_data / "train.list_tfrecord"), train_batch_size=4, save_steps=4,
    )  # fmt: skip
    return folder, weights_of(run_training(settings).model)


@pytest.fixture
def run_copy(finished: tuple[Path, dict[str, np.ndarray]], tmp_path: Path) -> Path:
    """A copy of the finished run's folder, where ``tiny_settings`` looks for one."""
    return Path(shutil.copytree(finished[0], tmp_path / "run"))


def test_run_leaves_checkpoints_metrics_and_what_it_takes_to_rebuild_it(
    finished: tuple[Path, dict[str, np.ndarray]],
) -> None:
    folder, _ = finished
    assert list(checkpoint_steps(folder)) == [0, 4, 6]
    rows = metric_rows(folder)
    assert [row[:2] for row in rows] == [[str(i + 1), ("TNEWS", "OCEMOTION", "OCNLI")[i % 3]] for i in range(6)]
    assert {"config.json", "vocab.txt", "tasks.json", "train_config.json"} <= {path.name for path in folder.iterdir()}
    written = read_json(folder / "train_config.json")
    assert written["settings"]["seed"] == 5 and written["plan"] == {"train_steps": 6, "save_steps": 4, "warmup_steps": 0}
    assert [item["rows"] for item in written["data"]["train"]] == [12, 12, 12]


def test_finished_run_is_not_trained_again(
    run_copy: Path, finished: tuple[Path, dict[str, np.ndarray]], tiny_settings: Settings, no_training: None
) -> None:
    checkpoints = {name: data for name, data in files_in(run_copy).items() if name != "train_config.json"}
    trained = run_training(tiny_settings(save_steps=4))
    np.testing.assert_equal(weights_of(trained.model), finished[1])
    assert {name: data for name, data in files_in(run_copy).items() if name != "train_config.json"} == checkpoints


def test_run_goes_on_as_if_it_had_never_stopped(
    run_copy: Path, finished: tuple[Path, dict[str, np.ndarray]], tiny_settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    for path in run_copy.glob("model.ckpt-6.*"):
        path.unlink()
    with caplog.at_level(logging.INFO):
        trained = run_training(tiny_settings(save_steps=4))
    assert "Going on from step 4 of 6" in caplog.text and "another setting" not in caplog.text
    np.testing.assert_equal(weights_of(trained.model), finished[1])
    assert metric_rows(run_copy) == metric_rows(finished[0])
    assert list(checkpoint_steps(run_copy)) == [0, 4, 6]


def test_other_settings_for_the_same_folder_are_named(
    run_copy: Path, tiny_settings: Settings, no_training: None, caplog: pytest.LogCaptureFixture
) -> None:
    run_training(tiny_settings(save_steps=4, learning_rate=0.5))
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert any("another setting: learning_rate: 0.001 -> 0.5" in text for text in warnings)
    assert not any("seed" in text or "save_steps" in text for text in warnings)


@pytest.mark.parametrize("optimizer", ["adadelta", "lamb", "adagrad"])
def test_another_optimizer_cannot_go_on(optimizer: str, run_copy: Path, tiny_settings: Settings) -> None:
    before = files_in(run_copy)
    with pytest.raises(UserError, match=f"is a run with the optimizer adam; it cannot go on with {optimizer}"):
        run_training(tiny_settings(save_steps=4, optimizer=optimizer))
    assert files_in(run_copy) == before


def test_another_encoder_cannot_go_on_and_leaves_the_run_as_it_is(
    run_copy: Path, tiny_settings: Settings, tiny_encoder: Path
) -> None:
    other = Path(shutil.copytree(tiny_encoder, run_copy.parent / "other"))
    config = (
        (other / "config.json").read_text(encoding="utf-8").replace('"intermediate_size": 16', '"intermediate_size": 12')
    )
    (other / "config.json").write_text(config, encoding="utf-8")
    before = files_in(run_copy)
    with pytest.raises(UserError, match="an encoder with another config .*intermediate_size: 16 -> 12"):
        run_training(tiny_settings(save_steps=4, pretrain_model_name_or_path=str(other)))
    assert files_in(run_copy) == before


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"num_freezed_layers": 3}, "num_freezed_layers is 3; the encoder has 1 layers"),
        ({"workerGPU": 2}, "set --distribution_strategy=MirroredStrategy"),
        ({"workerCount": 2}, "set --distribution_strategy=MultiWorkerMirroredStrategy"),
        ({"outputs": "somewhere"}, "--outputs has no meaning in training"),
        ({"random_init": False}, "weights"),
        ({"loss_weighting": "fixed"}, "needs --task_weights"),
        ({"loss_weighting": "mgda"}, "set --step_mode=joint"),
        ({"loss_weighting": "fixed", "task_weights": "tnews=-1"}, "finite, not negative"),
        ({"joint_batch_sizes": "tnews=2"}, "joint_batch_sizes has no effect with step_mode alternating"),
        ({"step_mode": "joint", "joint_batch_sizes": "tnews=0"}, "0 for TNEWS is too small; it must be at least 1"),
        ({"step_mode": "joint", "joint_batch_sizes": "tnews=1.5"}, "1.5 is not a whole number"),
        ({"step_mode": "joint", "task_sampling": "proportional"}, "task_sampling has no effect with step_mode joint"),
        ({"task_sampling": "explicit"}, "needs a number above 0 for every task"),
        ({"task_sampling": "explicit", "task_rates": "tnews=1,ocnli=1"}, "needs a number above 0 for every task"),
        ({"task_rates": "tnews=1"}, "task_rates has no effect with task_sampling round_robin"),
        ({"label_smoothing": "1.0"}, "label_smoothing '1.0': 1.0 for TNEWS"),
        ({"class_weights": "tnews=rare"}, "'rare' for TNEWS is not allowed"),
        ({"loss_weighting": "dtp", "focal_gamma": "ocnli=2"}, "has a focal factor of its own"),
        ({"adversarial_steps": 2}, "adversarial_steps has no effect with adversarial none"),
        ({"early_stopping_patience": 2}, "early_stopping_patience needs --predict_input_fp"),
        ({"swa_checkpoints": 12}, "swa_checkpoints is 12"),
        ({"ema_decay": 1.5}, "ema_decay: 1.5 is too large"),
        ({"step_mode": "joint", "loss_weighting": "gradnorm", "num_freezed_layers": 1}, "set --gram_variables=pooler"),
        ({"head_dropout": 1.0}, "head_dropout '1.0': 1.0 for TNEWS is too large; it must be at least 0 and less than 1"),
        ({"features": "layer3.mean"}, "the encoder has 1 layers"),
        ({"heads": "lstm", "features": "mean"}, "Set --features=tnews=sequence"),
        ({"head_lr": "0"}, "head_lr '0': 0.0 for TNEWS is too small; it must be more than 0"),
        ({"train_input_fp": "nothing.list_tfrecord"}, "does not exist"),
        ({"predict_input_fp": "nothing.list_tfrecord"}, "does not exist"),
    ],
)
def test_what_does_not_fit_is_found_before_anything_is_written(
    changes: dict[str, Any], message: str, tiny_settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as error:
        run_training(tiny_settings(**changes))
    assert message in str(error.value)
    assert not (tmp_path / "run").exists()


class Exploding(MultiTaskModel):
    """Its loss is no number from the fifth step on."""

    def build_loss(self, logits: dict[str, tf.Tensor], label_ids: tf.Tensor, task_id: tf.Tensor) -> tf.Tensor:
        """NaN at time 4 and later."""
        return super().build_loss(logits, label_ids, task_id) * tf.where(self.encoder.clock.time >= 4, float("nan"), 1.0)


def test_loss_that_is_no_number_names_task_and_step_and_keeps_the_checkpoint(
    tiny_settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its ``build_loss`` may pass over what losses are asked for, which is told, and does not."""
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    rows = r"rows \d+, \d+, \d+, \d+ of .*OCEMOTION_train.tfrecord, the first row being 1"
    with pytest.raises(UserError, match=rf"The loss of OCEMOTION is nan at step 5 \({rows}"):
        run_training(tiny_settings(save_steps=1, label_smoothing="0.1", focal_gamma="ocnli=2"), Exploding)
    text = "Exploding overrides build_loss: class_weights, label_smoothing and focal_gamma will have an effect only if"
    assert text in caplog.text
    assert list(checkpoint_steps(tmp_path / "run")) == [0, 1, 2, 3, 4]
    reader = tf.train.load_checkpoint(str(tmp_path / "run" / "model.ckpt-4"))
    assert all(
        np.all(np.isfinite(reader.get_tensor(name)))
        for name in reader.get_variable_to_shape_map()
        if name.startswith("model/")
    )
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers


@pytest.mark.parametrize("step_mode", ["alternating", "joint"])
def test_bad_step_can_be_left_out_and_is_counted(
    step_mode: str, tiny_settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class ExplodingOnce(MultiTaskModel):
        """The loss of the step at time 2 or 8 is no number."""

        def build_loss(self, logits: dict[str, tf.Tensor], label_ids: tf.Tensor, task_id: tf.Tensor) -> tf.Tensor:
            """NaN in the third step."""
            time = self.encoder.clock.time
            bad = tf.equal(time, 2 if step_mode == "alternating" else 8)
            return super().build_loss(logits, label_ids, task_id) * tf.where(bad, float("nan"), 1.0)

    settings = tiny_settings(on_nonfinite="skip", step_mode=step_mode, num_epochs=2, loss_weighting="uncertainty")
    model = run_training(settings, ExplodingOnce).model
    assert "The loss of OCNLI is nan at step 3 (rows " in caplog.text and "The step is left out; 1 so far." in caplog.text
    assert "1 steps were left out" in caplog.text
    assert all(np.isfinite(value).all() for value in weights_of(model).values())
    assert [row[0] for row in metric_rows(tmp_path / "run") if row[2] == "nan"] == ["3"]


@pytest.mark.parametrize(
    "changes",
    [
        {"loss_weighting": "famo", "step_mode": "joint", "num_epochs": 2, "joint_batch_sizes": "ocnli=2"},
        {"loss_weighting": "dwa", "dwa_steps_per_epoch": 2, "task_sampling": "proportional", "log_gradients_every": 2},
        {"ema_decay": 0.9, "rdrop_alpha": 2.0, "adversarial": "fgm", "head_dropout": 0.3, "token_dropout": "ocnli=0.2"},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_run_with_weighting_or_sampling_goes_on_as_if_it_had_never_stopped(
    changes: dict[str, Any], tiny_settings: Settings, tmp_path: Path
) -> None:
    whole = run_training(tiny_settings(model_dir=str(tmp_path / "whole"), save_steps=3, **changes)).model
    shutil.copytree(tmp_path / "whole", tmp_path / "run")
    for path in (tmp_path / "run").glob(f"model.ckpt-{int(whole.optimizer.iterations)}.*"):
        path.unlink()
    resumed = run_training(tiny_settings(save_steps=3, **changes)).model
    np.testing.assert_equal(weights_of(resumed), weights_of(whole))
    for one, other in zip(resumed._step.weighting.variables, whole._step.weighting.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    assert bool(whole._step.averages) == ("ema_decay" in changes)
    if whole._step.averages:
        for one, other in zip(resumed._step.averages.averages, whole._step.averages.averages, strict=True):
            np.testing.assert_array_equal(one.numpy(), other.numpy())
    assert metric_rows(tmp_path / "run") == metric_rows(tmp_path / "whole")


def test_joint_steps_plan_and_log(tiny_settings: Settings, tmp_path: Path) -> None:
    settings = tiny_settings(step_mode="joint", joint_batch_sizes="ocnli=2,tnews=6", num_epochs=2, loss_weighting="mgda")
    run_training(settings)
    written = read_json(tmp_path / "run" / "train_config.json")["plan"]
    assert written["train_steps"] == 36 * 2 // 12 + 1 and written["save_steps"] == 3
    rows = metric_rows(tmp_path / "run")
    assert [row[:2] for row in rows[:4]] == [["1", "TNEWS"], ["1", "OCEMOTION"], ["1", "OCNLI"], ["2", "TNEWS"]]
    for step in range(7):
        of_step = np.array([[float(value) for value in row[2:]] for row in rows[3 * step : 3 * step + 3]])
        weights, shares, cosines = of_step[:, 1], of_step[:, 4], of_step[:, 5:]
        np.testing.assert_allclose(weights.sum(), 3, rtol=1e-5)
        np.testing.assert_allclose(shares.sum(), 1, rtol=1e-5)
        np.testing.assert_allclose(np.diag(cosines), 1, rtol=1e-5)
        np.testing.assert_allclose(cosines, cosines.T, rtol=1e-5)


def test_gradients_are_measured_in_alternating_steps_too_without_changing_the_run(
    finished: tuple[Path, dict[str, np.ndarray]], tiny_settings: Settings, tmp_path: Path
) -> None:
    probed = run_training(tiny_settings(model_dir=str(tmp_path / "probed"), save_steps=4, log_gradients_every=2)).model
    np.testing.assert_equal(weights_of(probed), finished[1])
    rows = metric_rows(tmp_path / "probed")
    steps = [int(row[0]) for row in rows]
    assert [steps.count(step) for step in range(1, 7)] == [1, 3, 1, 3, 1, 3]
    assert all((row[6] != "") == (int(row[0]) % 2 == 0) for row in rows)


@pytest.mark.parametrize("changes", [{"loss_weighting": "uncertainty"}, {"step_mode": "joint"}])
def test_another_weighting_or_step_mode_cannot_go_on(
    changes: dict[str, Any], run_copy: Path, tiny_settings: Settings
) -> None:
    before = files_in(run_copy)
    ((name, value),) = changes.items()
    with pytest.raises(UserError, match=f"is a run with the {name} .*; it cannot go on with {value}"):
        run_training(tiny_settings(save_steps=4, **changes))
    assert files_in(run_copy) == before


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("ocnli_labels", [3, 4])
def test_heads_of_a_checkpoint_are_taken_over_if_they_fit(
    ocnli_labels: int, tmp_path: Path, tiny_settings: Settings, tiny_encoder: Path
) -> None:
    encoder = load_encoder(find_encoder(str(tiny_encoder)), DropoutClock(5), random_init=True).encoder
    arrays = {f"bert/{name}": variable for name, variable in encoder.canonical_variables.items()}
    arrays["tnews_dense/kernel"], arrays["tnews_dense/bias"] = tf.fill((8, 15), 0.25), tf.fill((15,), 0.5)
    arrays["ocnli_dense/kernel"], arrays["ocnli_dense/bias"] = (
        tf.fill((8, ocnli_labels), 0.75),
        tf.fill((ocnli_labels,), 0.5),
    )
    folder = Path(shutil.copytree(tiny_encoder, tmp_path / "tf1"))
    tensors = [tf.convert_to_tensor(array) for array in arrays.values()]
    prefix = str(folder / "model.ckpt")
    tf.raw_ops.SaveV2(prefix=prefix, tensor_names=list(arrays), shape_and_slices=[""] * len(arrays), tensors=tensors)
    changes = {"pretrain_model_name_or_path": prefix, "random_init": False, "learning_rate": 0.0, "num_epochs": 0.01}
    settings = tiny_settings(model_dir=str(tmp_path / "second"), **changes)
    if ocnli_labels == 4:
        with pytest.raises(UserError, match=r"head ocnli_dense .*\(8, 4\).*needs \[\(8, 3\)"):
            run_training(settings)
        return
    heads = run_training(settings).model.heads
    assert (heads["tnews_logits"].kernel.numpy() == 0.25).all() and (heads["tnews_logits"].bias.numpy() == 0.5).all()
    assert (heads["ocnli_logits"].kernel.numpy() == 0.75).all() and not np.any(heads["ocemotion_logits"].kernel == 0.25)


def test_losses_that_a_subclass_may_pass_over_are_told(caplog: pytest.LogCaptureFixture) -> None:
    plain, focal = {"OCNLI": TaskLoss(3)}, {"OCNLI": TaskLoss(3, focal_gamma=2.0)}
    check_class(MultiTaskModel, Architecture(), focal)
    check_class(Exploding, Architecture(), plain)
    assert "overrides build_loss" not in caplog.text
    for loss in (focal["OCNLI"], TaskLoss(3, label_smoothing=0.1), TaskLoss(3, label_weights=(1.0, 2.0, 3.0))):
        caplog.clear()
        check_class(Exploding, Architecture(), {"TNEWS": TaskLoss(15), "OCNLI": loss})
        assert "Exploding overrides build_loss: " in caplog.text


@pytest.mark.usefixtures("untraced")
def test_bfloat16_is_for_training_only(tiny_settings: Settings) -> None:
    seen: list[tf.DType] = []

    class Watching(MultiTaskModel):
        """Notes the encoder's type whenever its loss is traced."""

        def build_loss(self, logits: dict[str, tf.Tensor], label_ids: tf.Tensor, task_id: tf.Tensor) -> tf.Tensor:
            """Notes the type."""
            seen.append(self.encoder.state_type)
            return super().build_loss(logits, label_ids, task_id)

    model = run_training(tiny_settings(precision="bfloat16", num_epochs=0.1), Watching).model
    assert seen and set(seen) == {tf.bfloat16}
    assert model.encoder.state_type == tf.float32
