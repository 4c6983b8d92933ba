"""Whole runs in process: what they leave, what they learn, going on, and everything that is an error before any work."""

import csv
import dataclasses
import logging
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file
from tensorflow_models import tensorflow_model
from transformers import TFBertForMaskedLM, TFBertModel

from easytransfer_mtl.config.pretrain_settings import PretrainSettings
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.errors import Stopped, UserError
from easytransfer_mtl.files import read_json, write_json
from easytransfer_mtl.pretraining.model import MaskedLanguageModel
from easytransfer_mtl.pretraining.step_log import PretrainingLog
from easytransfer_mtl.pretraining.trainer import PretrainedRun, run_pretraining
from easytransfer_mtl.runs.checkpoints import checkpoint_steps

Settings = Callable[..., PretrainSettings]


def metric_rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "metrics.csv", encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def wider(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Path:
    """The tiny encoder, wide enough to learn the texts."""
    folder = shutil.copytree(tiny_encoder, tmp_path_factory.mktemp("wider") / "encoder")
    config = read_json(folder / "config.json") | {"hidden_size": 32, "intermediate_size": 64, "hidden_dropout_prob": 0.0}
    write_json(folder / "config.json", config)
    return folder


@pytest.fixture(scope="module")
def finished_settings(tmp_path_factory: pytest.TempPathFactory, wider: Path, folder: Path) -> PretrainSettings:
    """Settings of a run of 100 steps on texts that can be completed."""
    return PretrainSettings(
        data_dir=str(folder), pretrain_model_name_or_path=str(wider), random_init=True, seed=5, held_out=0.2,
        model_dir=str(tmp_path_factory.mktemp("finished") / "run"), sequence_length=16, train_batch_size=16, train_steps=100,
        length_buckets=1, learning_rate=1e-2, save_steps=60, packing="none",
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(finished_settings: PretrainSettings) -> PretrainedRun:
    """That run."""
    return run_pretraining(finished_settings)


def test_a_run_leaves_checkpoints_metrics_and_what_it_was_made_of(finished: PretrainedRun) -> None:
    folder = finished.final.parent
    assert list(checkpoint_steps(folder)) == [60, 100]
    rows = metric_rows(folder)
    assert [row["step"] for row in rows if row["part"] == "train"] == [str(step) for step in range(1, 101)]
    assert [row["step"] for row in rows if row["part"] == "held_out"] == ["0", "60", "100"]
    written = read_json(folder / "train_config.json")
    assert written["settings"]["packing"] == "none" and written["plan"]["train_steps"] == 100
    about = read_json(finished.final / "pretraining.json")
    assert about["steps"] == 100 and about["settings"]["seed"] == 5 and "tensorflow" in about["versions"]
    assert {(item["task"], item["kind"]) for item in about["texts"]["files"]} == {
        ("TNEWS", "train"), ("TNEWS", "dev"), ("OCEMOTION", "train"), ("OCNLI", "train"), ("OCNLI", "a"),
    }  # fmt: skip
    assert sum(item["texts"] for item in about["texts"]["files"]) == about["texts"]["train"] + about["texts"]["held_out"]


def test_texts_that_were_held_out_are_predicted_better_afterwards(finished: PretrainedRun) -> None:
    held_out = [row for row in metric_rows(finished.final.parent) if row["part"] == "held_out"]
    about = read_json(finished.final / "pretraining.json")["held_out"]
    for row, measured in ((held_out[0], about["before"]), (held_out[-1], about["after"])):
        assert float(row["perplexity"]) == pytest.approx(measured["perplexity"], rel=1e-6)
        assert float(row["accuracy"]) == pytest.approx(measured["masked_accuracy"], rel=1e-6)
    assert about["before"]["perplexity"] > 20 and about["before"]["masked_accuracy"] < 0.2
    assert about["after"]["perplexity"] < 4 and about["after"]["masked_accuracy"] > 0.6


def test_the_pooler_is_as_it_was_and_everything_else_moved(finished: PretrainedRun, wider: Path) -> None:
    start = load_encoder(find_encoder(str(wider), needs_weights=False), DropoutClock(5), random_init=True).encoder
    before, after = start.canonical_variables, finished.model.encoder.canonical_variables
    same = {name for name in before if (before[name].numpy() == after[name].numpy()).all()}
    assert same == {"pooler/dense/kernel", "pooler/dense/bias"}


def test_the_result_loads_as_encoder_and_in_transformers(finished: PretrainedRun) -> None:
    loaded = load_encoder(find_encoder(str(finished.final)), DropoutClock(0)).encoder
    own = finished.model.encoder
    for name, variable in own.canonical_variables.items():
        np.testing.assert_array_equal(loaded.canonical_variables[name].numpy(), variable.numpy())
    ids = tf.constant([[2, 7, 4, 9, 3]])
    ones, zeros = tf.ones_like(ids), tf.zeros_like(ids)
    states, pooled = own.encode(ids, ones, zeros)
    theirs = tensorflow_model(TFBertModel, finished.final)(ids, ones, zeros)
    np.testing.assert_allclose(theirs.last_hidden_state, states, atol=1e-5)
    np.testing.assert_allclose(theirs.pooler_output, pooled, atol=1e-5)
    scores = tensorflow_model(TFBertForMaskedLM, finished.final)(ids, ones, zeros).logits
    batch = {
        "input_ids": ids, "input_mask": ones, "segment_ids": zeros, "positions": tf.constant([2, 1]),
        "labels": tf.constant([8, 7]),
    }  # fmt: skip
    losses, _ = finished.model.token_losses(batch, False, "float32")
    expected = tf.nn.sparse_softmax_cross_entropy_with_logits([8, 7], tf.gather(scores[0], [2, 1]))
    np.testing.assert_allclose(losses, expected, atol=1e-4)


def test_another_pre_training_goes_on_from_the_result(
    finished: PretrainedRun, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        again = run_pretraining(
            settings(
                pretrain_model_name_or_path=str(finished.final), random_init=False, train_steps=1, packing="none",
                train_batch_size=16, length_buckets=1,
            )
        )  # fmt: skip
    assert "Masked-word head: taken from" in caplog.text
    assert again.progress.before.loss == pytest.approx(finished.progress.after.loss, rel=1e-5)


def test_a_finished_run_is_not_trained_again(
    finished: PretrainedRun, finished_settings: PretrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(finished.final.parent, tmp_path / "run")
    weights = (copy / "final/model.safetensors").read_bytes()
    shutil.rmtree(copy / "final")
    monkeypatch.setattr(MaskedLanguageModel, "fit", None)
    again = run_pretraining(dataclasses.replace(finished_settings, model_dir=str(copy)))
    assert again.progress.after == finished.progress.after
    assert (again.final / "model.safetensors").read_bytes() == weights


def test_a_finished_run_keeps_what_it_says_of_itself(
    finished: PretrainedRun, finished_settings: PretrainSettings, tmp_path: Path
) -> None:
    copy = shutil.copytree(finished.final.parent, tmp_path / "run")
    about = (copy / "final/pretraining.json").read_bytes()
    run_pretraining(dataclasses.replace(finished_settings, model_dir=str(copy), train_steps=50, learning_rate=1e-5))
    assert (copy / "final/pretraining.json").read_bytes() == about


@pytest.mark.parametrize("changes", [{"held_out": 0.1}, {"seed": 6}, {"data_dir": "more"}])
def test_a_run_does_not_go_on_with_other_texts(
    changes: dict[str, Any], settings: Settings, folder: Path, tmp_path: Path
) -> None:
    run_pretraining(settings(train_steps=1))
    if "data_dir" in changes:
        changes = {"data_dir": str(shutil.copytree(folder, tmp_path / "more"))}
        path = tmp_path / "more/OCNLI_a.csv"  # as many rows as before, one with another text
        first, *rest = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text(first.replace("\t", "\t天地人", 1) + "".join(rest), encoding="utf-8")
    before = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "run").rglob("*"))
    with pytest.raises(UserError, match="is a run on other texts"):
        run_pretraining(settings(train_steps=2, **changes))
    assert sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "run").rglob("*")) == before


def test_stopping_and_going_on_equals_never_having_stopped(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = run_pretraining(settings(model_dir=str(tmp_path / "straight")))
    end_of_step = PretrainingLog.on_train_batch_end

    def stop(log: PretrainingLog, batch: int, logs: dict[str, Any] | None = None) -> None:
        end_of_step(log, batch, logs)
        if log.step == 5:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(PretrainingLog, "on_train_batch_end", stop)
    with pytest.raises(Stopped, match="SIGTERM: stopped after step 5"):
        run_pretraining(settings())
    monkeypatch.setattr(PretrainingLog, "on_train_batch_end", end_of_step)
    gone_on = run_pretraining(settings())
    one, other = (load_file(run.final / "model.safetensors") for run in (straight, gone_on))
    assert one.keys() == other.keys() and all(one[name].tobytes() == other[name].tobytes() for name in one)
    rows = [metric_rows(run.final.parent) for run in (straight, gone_on)]
    without_speed = [[{**row, "examples_per_second": ""} for row in part] for part in rows]
    assert without_speed[0] == without_speed[1]


def test_whole_words_in_bfloat16_train_too(finished_settings: PretrainSettings, tmp_path: Path) -> None:
    changes = {"train_steps": 60, "masking": "wwm", "precision": "bfloat16", "model_dir": str(tmp_path / "run")}
    done = run_pretraining(dataclasses.replace(finished_settings, **changes))
    assert done.progress.after.loss < done.progress.before.loss - 0.2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask_share": 0.0}, "mask_share is 0.0; it must be more than 0"),
        ({"mask_share": 1.0}, "mask_share is 1.0"),
        ({"held_out": 0.0}, "held_out is 0.0"),
        ({"clip_norm_value": 0.0}, "clip_norm_value: 0.0 is too small; it must be more than 0"),
        ({"sequence_length": 17}, r"sequence_length is 17; the encoder's config .* allows 16"),
        ({"word_vectors": "x.txt", "random_init": False}, "would replace trained embeddings"),
        ({"word_vectors": "x.txt"}, "word_vectors x.txt cannot be read"),
        ({"word_vectors": "texts", "random_init": False}, "would replace trained embeddings"),
        ({"data_dir": "nowhere"}, "data_dir nowhere is not a folder"),
    ],
)
def test_what_does_not_fit_is_an_error_before_anything_is_written(
    changes: dict[str, object], message: str, settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        run_pretraining(settings(**changes))
    assert not (tmp_path / "run").exists()


def test_a_vocabulary_without_mask_is_an_error(settings: Settings, tiny_encoder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_encoder, tmp_path / "encoder")
    vocabulary = (tiny_encoder / "vocab.txt").read_text(encoding="utf-8").replace("[MASK]", "[OTHER]")
    (tmp_path / "encoder" / "vocab.txt").write_text(vocabulary, encoding="utf-8")
    with pytest.raises(UserError, match=r"vocab.txt has no token \[MASK\]"):
        run_pretraining(settings(pretrain_model_name_or_path=str(tmp_path / "encoder")))


def test_another_vocabulary_or_model_in_the_runs_folder_is_an_error(
    settings: Settings, tiny_encoder: Path, tmp_path: Path
) -> None:
    run_pretraining(settings(train_steps=1))
    shutil.copytree(tiny_encoder, tmp_path / "encoder")
    vocabulary = (tiny_encoder / "vocab.txt").read_text(encoding="utf-8").replace("竹", "木木")
    (tmp_path / "encoder" / "vocab.txt").write_text(vocabulary, encoding="utf-8")
    other = settings(pretrain_model_name_or_path=str(tmp_path / "encoder"), train_steps=1)
    with pytest.raises(UserError, match="another vocabulary"):
        run_pretraining(other)


def test_a_loss_that_is_no_number_stops_the_run(settings: Settings) -> None:
    with pytest.raises(UserError, match="lower --learning_rate"):
        run_pretraining(settings(learning_rate=1000.0, weight_decay_ratio=1000.0, warmup_ratio=0.0, train_steps=20))
