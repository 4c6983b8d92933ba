"""Whole runs of replaced-token detection: what they learn and leave, going on, and who loads the result."""

import csv
import dataclasses
import logging
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file
from transformers import TFBertModel, TFElectraForPreTraining

from easytransfer_mtl.config.pretrain_settings import PretrainSettings
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.errors import Stopped, UserError
from easytransfer_mtl.files import read_json
from easytransfer_mtl.pretraining.step_log import PretrainingLog
from easytransfer_mtl.pretraining.trainer import PretrainedRun, run_pretraining

Settings = Callable[..., PretrainSettings]
IDS = tf.constant([[2, 7, 4, 9, 3]])
INPUTS = (IDS, tf.ones_like(IDS), tf.zeros_like(IDS))


@pytest.fixture(scope="module")
def finished_settings(
    tmp_path_factory: pytest.TempPathFactory, encoder_folder: Callable[..., Path], folder: Path
) -> PretrainSettings:
    """Settings of a run on texts in which a replaced token can be told."""
    wider = {"hidden_size": 32, "intermediate_size": 64, "embedding_size": 16}
    encoder = encoder_folder("electra small", **wider, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    return PretrainSettings(
        data_dir=str(folder), pretrain_model_name_or_path=str(encoder), random_init=True, seed=5, held_out=0.2,
        model_dir=str(tmp_path_factory.mktemp("finished") / "run"), sequence_length=16, train_batch_size=16, train_steps=200,
        length_buckets=1, learning_rate=3e-3, save_steps=100, packing="none", objective="electra", generator_size=0.5,
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(finished_settings: PretrainSettings) -> PretrainedRun:
    """That run."""
    return run_pretraining(finished_settings)


def metric_rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "metrics.csv", encoding="utf-8", newline="") as stream:
        return [{**row, "examples_per_second": ""} for row in csv.DictReader(stream)]


def test_replaced_tokens_are_told_better_than_by_calling_none_replaced(finished: PretrainedRun) -> None:
    before, after = finished.progress.before, finished.progress.after
    assert after.rtd_accuracy > 1 - after.rtd_share + 0.02 and after.rtd_f1 > 0.6
    assert before.rtd_f1 < 0.4 and after.perplexity < before.perplexity / 2 and after.rtd_loss < before.rtd_loss


def test_the_log_and_the_report_tell_both_losses(finished: PretrainedRun) -> None:
    rows = metric_rows(finished.final.parent)
    train, held_out = ([row for row in rows if row["part"] == part] for part in ("train", "held_out"))
    assert [row["step"] for row in held_out] == ["0", "100", "200"] and len(train) == 200
    for row in rows:
        loss = float(row["mlm_loss"]) + 50 * float(row["rtd_loss"])
        assert float(row["loss"]) == pytest.approx(loss, rel=1e-4)
        assert all(0 <= float(row[name]) <= 1 for name in ("accuracy", "rtd_accuracy", "rtd_f1", "rtd_share"))
    about = read_json(finished.final / "pretraining.json")
    assert about["settings"]["objective"] == "electra"
    assert about["held_out"]["after"]["rtd_f1"] == pytest.approx(float(held_out[-1]["rtd_f1"]), rel=1e-6)


def test_the_result_is_the_discriminator_and_loads_in_transformers(finished: PretrainedRun) -> None:
    own = finished.model.encoder
    loaded = load_encoder(find_encoder(str(finished.final)), DropoutClock(0)).encoder
    for name, variable in own.canonical_variables.items():
        np.testing.assert_array_equal(loaded.canonical_variables[name].numpy(), variable.numpy())
    batch = {"input_mask": INPUTS[1], "segment_ids": INPUTS[2]}
    scores = finished.model.replaced_scores(IDS, batch, False, "float32")
    theirs = TFElectraForPreTraining.from_pretrained(finished.final)(*INPUTS).logits
    np.testing.assert_allclose(theirs, scores, atol=1e-4)


def test_a_bert_loads_in_transformers_too(settings: Settings) -> None:
    done = run_pretraining(settings(objective="electra", train_steps=1))
    theirs = TFBertModel.from_pretrained(done.final)(*INPUTS)
    np.testing.assert_allclose(theirs.last_hidden_state, done.model.encoder.encode(*INPUTS)[0], atol=1e-5)


def test_another_pre_training_goes_on_from_the_result_with_its_generator(
    finished: PretrainedRun, finished_settings: PretrainSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    changes = {"pretrain_model_name_or_path": str(finished.final), "random_init": False, "train_steps": 1}
    with caplog.at_level(logging.INFO):
        again = run_pretraining(dataclasses.replace(finished_settings, **changes, model_dir=str(tmp_path / "run")))
    assert "Replaced-token head: taken from" in caplog.text and "Generator: taken from" in caplog.text
    assert again.progress.before.values == pytest.approx(finished.progress.after.values, rel=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_stopping_and_going_on_equals_never_having_stopped(
    precision: str, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"objective": "electra", "generator_size": 0.5, "precision": precision}
    straight = run_pretraining(settings(**changes, model_dir=str(tmp_path / "straight")))
    end_of_step = PretrainingLog.on_train_batch_end

    def stop(log: PretrainingLog, batch: int, logs: dict[str, Any] | None = None) -> None:
        end_of_step(log, batch, logs)
        if log.step == 5:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(PretrainingLog, "on_train_batch_end", stop)
    with pytest.raises(Stopped, match="SIGTERM: stopped after step 5"):
        run_pretraining(settings(**changes))
    monkeypatch.setattr(PretrainingLog, "on_train_batch_end", end_of_step)
    gone_on = run_pretraining(settings(**changes))
    one, other = (load_file(run.final / "model.safetensors") for run in (straight, gone_on))
    assert one.keys() == other.keys() and all(one[name].tobytes() == other[name].tobytes() for name in one)
    assert metric_rows(straight.final.parent) == metric_rows(gone_on.final.parent)
    assert straight.progress.after == gone_on.progress.after


def test_another_objectives_run_is_not_gone_on_with(settings: Settings, tmp_path: Path) -> None:
    done = run_pretraining(settings(train_steps=1))
    weights = (done.final / "model.safetensors").read_bytes()
    with pytest.raises(UserError, match="use another --model_dir"):
        run_pretraining(settings(train_steps=1, objective="electra"))
    assert (done.final / "model.safetensors").read_bytes() == weights


def test_what_cannot_work_is_an_error_before_anything_is_written(
    settings: Settings, encoder_folder: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="model_type deberta"):
        run_pretraining(settings(objective="electra", pretrain_model_name_or_path=str(encoder_folder("deberta"))))
    assert not (tmp_path / "run").exists()
