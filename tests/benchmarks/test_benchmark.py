"""The benchmark: the contest's lengths, honest modes and ratios, and a run of the command at a toy size."""

import dataclasses
import importlib.util
import json
import logging
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import parts
from benchmarks.comparison import Comparison
from benchmarks.conversion_speed import conversion_speed, write_generated_files
from benchmarks.fresh_process import Case, Cost, cost_of
from benchmarks.lengths import measured_histograms, rows_of_lengths, stored_histograms
from benchmarks.machine import machine_facts
from benchmarks.matrix_product import product_rates
from benchmarks.measuring import run
from benchmarks.models import make_model
from benchmarks.rival import RivalProcess
from benchmarks.settings import BenchmarkSettings
from benchmarks.training_speed import (
    TimedStep,
    batches_of,
    padded_tokens,
    random_batch,
    real_tokens,
    training_modes,
    training_speeds,
    typical_batches,
)
from easytransfer_mtl.data.encoded_rows import EncodedRows
from easytransfer_mtl.data.features import FeatureBuilder
from easytransfer_mtl.data.table_reader import read_table
from easytransfer_mtl.data.tokenization import Tokenizer, load_vocabulary
from easytransfer_mtl.encoders.bert import GRAPH_OPTIMIZER_OFF
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.tasks import CONTEST_TASKS

ROOT = Path(__file__).parent.parent.parent
LENGTHS = {"TNEWS": {4: 300, 8: 300}, "OCEMOTION": {4: 300, 16: 300}, "OCNLI": {8: 600}}
SETUP = parts.Setup(LENGTHS, None, None, [(1, 64)], [(2, 8)], 4, 16, 2)
needs_pytorch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")


@pytest.fixture(scope="module")
def rows() -> list[EncodedRows]:
    return [rows_of_lengths(LENGTHS[task.name], 16, 300, task, seed=1) for task in CONTEST_TASKS]


def test_stored_lengths_are_those_of_the_contests_train_files() -> None:
    histograms = stored_histograms()
    assert {name: sum(sizes.values()) for name, sizes in histograms.items()} == {
        "TNEWS": 53360,
        "OCEMOTION": 31728,
        "OCNLI": 32790,
    }


def test_lengths_are_counted_on_files() -> None:
    builder = FeatureBuilder(Tokenizer(load_vocabulary(ROOT / "data/tiny_bert_zh/vocab.txt")), 64)
    histograms = measured_histograms(str(ROOT / "data/sample"), CONTEST_TASKS, builder)
    assert sum(histograms["OCNLI"].values()) == 540 and max(histograms["OCEMOTION"]) == 64


def test_rows_have_the_lengths_asked_for() -> None:
    rows = rows_of_lengths({5: 2, 9: 1, 40: 1}, 16, 300, CONTEST_TASKS[0], seed=1)
    assert rows.lengths.tolist() == [5, 5, 9, 16]
    assert rows.input_ids.max() < 300 and rows.label_ids.max() < 15


def test_generated_files_have_the_lengths_asked_for(tmp_path: Path) -> None:
    write_generated_files(tmp_path, LENGTHS, CONTEST_TASKS)
    builder = FeatureBuilder(Tokenizer(load_vocabulary(tmp_path / "vocab.txt")), 64)
    assert measured_histograms(str(tmp_path), CONTEST_TASKS, builder) == LENGTHS
    assert not read_table(tmp_path / "OCNLI_train.csv", CONTEST_TASKS[2], True).bad_rows


def test_modes_see_the_same_rows_and_differ_in_padding_only(rows: list[EncodedRows]) -> None:
    full, trimmed, grouped = (batches_of(rows, CONTEST_TASKS, mode, 16) for mode in training_modes(64)[1:4])
    for step in range(9):
        padded, cut = full.batch(step), trimmed.batch(step)
        width = cut["input_ids"].shape[1]
        assert padded["input_ids"].shape == (16, 16)
        np.testing.assert_array_equal(padded["input_ids"][:, :width], cut["input_ids"])
        assert not padded["input_mask"][:, width:].any()
    sizes = [padded_tokens(typical_batches(batches, 5)) for batches in (full, trimmed, grouped)]
    assert sizes[0] > sizes[1] > sizes[2]


def test_a_few_typical_batches_stand_for_all(rows: list[EncodedRows]) -> None:
    batches = batches_of(rows, CONTEST_TASKS, training_modes(16)[-1], 16)
    every = [batches.batch(step) for step in range(300)]
    few = typical_batches(batches, 5)
    assert real_tokens(few) / len(few) == pytest.approx(real_tokens(every) / len(every), rel=0.1)
    assert padded_tokens(few) / len(few) == pytest.approx(padded_tokens(every) / len(every), rel=0.1)


def test_the_originals_recipe_and_ours_compute_the_same_model() -> None:
    models = [make_model(1, 64, CONTEST_TASKS, original) for original in (True, False)]
    models[1].set_weights(models[0].get_weights())
    batch = random_batch(2, 8, 15)
    ours, original = (model.build_logits(batch)["tnews_logits"].numpy() for model in models)
    np.testing.assert_allclose(ours, original, atol=1e-5)


def test_speeds_count_rows_and_tokens(rows: list[EncodedRows], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TimedStep, "seconds", lambda self, batches: 2.0)
    modes = training_modes(16)
    speeds = training_speeds((1, 64), rows, CONTEST_TASKS, (modes[0], modes[-1]), 16, 3)
    original, ours = speeds[modes[0].name], speeds[modes[-1].name]
    assert original.rows_per_s == [3 * 16 / 2] * 3 and ours.rows_per_s == [9 * 16 / 2] * 3
    assert original.tokens_per_row == 16 and original.padding > 0.3 > ours.padding
    assert ours.tokens_per_s[0] == pytest.approx(ours.rows_per_s[0] * ours.tokens_per_row * (1 - ours.padding))


def test_a_ratio_above_one_is_better_for_rates_and_for_times() -> None:
    assert Comparison("a", "rows/s", [30.0, 20.0], "b", [10.0, 10.0]).ratios == [3.0, 2.0]
    assert Comparison("a", "s", [5.0], "b", [10.0]).ratios == [2.0]
    assert Comparison("a", "s", [5.0, 4.0, 9.0], "b", [10.0, 10.0, 9.0]).as_json()["ratio"] == {
        "median": 2.0,
        "min": 1.0,
        "max": 2.5,
    }


def test_the_machines_facts_name_what_changes_speed_and_nothing_private(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "XLA_FLAGS", "TF_CONFIG", "TF_CLI_CONFIG_FILE"):
        monkeypatch.setenv(name, "2")
    found = machine_facts()["environment"]
    assert {"OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "XLA_FLAGS"} <= set(found)
    assert not {"TF_CONFIG", "TF_CLI_CONFIG_FILE"} & set(found)


def test_a_matrix_product_takes_time() -> None:
    assert all(1e8 < rate < 1e15 for rate in product_rates(64, "bfloat16", 2))


def test_conversion_is_measured_as_a_process_with_its_start_up(tmp_path: Path) -> None:
    write_generated_files(tmp_path, LENGTHS, CONTEST_TASKS)
    compared = conversion_speed(tmp_path, tmp_path, CONTEST_TASKS, 1)
    assert 50 < compared.ours[0] < 1800  # a second of imports at least, for 1,800 rows
    assert compared.theirs[0] == pytest.approx(1800 / (1800 / 4000 + 3 * 2.8))


def test_a_first_step_is_measured_in_a_fresh_process() -> None:
    cost = cost_of(Case(1, 64, 2, 8))
    assert 0.1 < cost.first_step_s < 120 and cost.rows_per_s > 2 / cost.first_step_s and cost.memory_gb > 0.2


def test_first_steps_are_compared_with_the_original_recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "cost_of", lambda case: Cost(9.0 if case.original else 3.0, 1.0, 1.0))
    assert parts.first_step(SETUP).comparisons[0].ratios == [3.0, 3.0]


def test_curves_change_one_thing_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "cost_of", lambda case: Cost(1.0, 2.0, 3.0))
    setup = dataclasses.replace(SETUP, sizes=[(12, 768)], shapes=[(32, 40)])
    points = parts.curves(setup).details["curves"]
    base = {"layers": 12, "hidden_size": 768, "rows": 32, "length": 40}
    changed = [{name: point[name] for name in base if point[name] != base[name]} for point in points]
    assert all(len(change) <= 1 for change in changed) and changed.count({}) == 1
    assert {name for change in changed for name in change} == set(base)
    assert points[0]["memory_gb"] == 3.0


def test_without_pytorch_the_comparison_with_it_is_left_out_and_the_way_to_get_it_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(parts, "rival_is_installed", lambda: False)
    with caplog.at_level(logging.WARNING):
        assert parts.shapes(SETUP).comparisons == [] and parts.prediction(SETUP).comparisons == []
    assert "easytransfer_mtl[benchmark]" in caplog.text


def test_a_rival_that_ends_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with RivalProcess(1, 64) as rival, pytest.raises(RuntimeError, match="ended with status 1"):
        rival.seconds("train", [(2, 8)])


@needs_pytorch
def test_pytorch_is_measured_in_turn() -> None:
    names = [compared.what for compared in parts.shapes(SETUP).comparisons]
    assert names == ["train step 1x64, 2x8", "train step 1x64, contest's lengths"]
    assert len(parts.prediction(SETUP).comparisons[0].ratios) == 2


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"data_dir": "data/sample"}, "--tokenizer_name_or_path"),
        ({"parts": "trainig"}, "trainig is unknown; allowed: conversion, training"),
        ({"sizes": "12x768x3"}, "--sizes: '12x768x3' is not"),
        ({"shapes": "32"}, "--shapes: '32' is not"),
        ({"shapes": "0x3"}, "--shapes: '0x3' is not"),
    ],
)
def test_settings_that_do_not_fit_are_told(settings: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        run(BenchmarkSettings(**settings))


def test_the_command_writes_json_with_every_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first_and_last = training_modes(16)[::5]
    monkeypatch.setattr(parts, "training_modes", lambda batch_size: first_and_last)  # the others would only take time
    write_generated_files(tmp_path / "data", LENGTHS, CONTEST_TASKS)
    settings = BenchmarkSettings(
        parts="training,start_up",
        sizes="1x64",
        train_batch_size=16,
        sequence_length=16,
        rounds=1,
        data_dir=str(tmp_path / "data"),
        tokenizer_name_or_path=str(tmp_path / "data"),
        output=str(tmp_path / "speed.json"),
    )
    assert run(settings) == 0
    result = json.loads((tmp_path / "speed.json").read_text(encoding="utf-8"))
    assert [item["against"] for item in result["comparisons"]] == ["the original's recipe", "bfloat16 matrix product"]
    for item in result["comparisons"]:
        assert item["ratio"]["median"] == pytest.approx(item["ours"]["rounds"][0] / item["theirs"]["rounds"][0])
    assert list(result["training_modes"]) == [mode.name for mode in first_and_last]
    assert set(result["start_up_seconds"]) == {"help", "import_tensorflow_and_bert"}
    assert result["machine"]["versions"]["tensorflow"] and result["peak_memory_gb"] > 0.1
    printed = capsys.readouterr().out
    assert "bfloat16 matrix product" in printed and "% padding" in printed


@pytest.mark.parametrize("original", [False, True])
def test_the_graph_optimizer_is_off_for_our_steps_only(original: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = make_model(1, 64, CONTEST_TASKS, original), []

    def train_step(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        seen.append(tf.config.optimizer.get_experimental_options().get(GRAPH_OPTIMIZER_OFF, False))
        return {"losses": tf.constant([0.0])}

    monkeypatch.setattr(model, "train_step", train_step)
    TimedStep(model, "bfloat16").seconds([random_batch(2, 8, 15)])
    assert seen == [not original]
    assert not tf.config.optimizer.get_experimental_options().get(GRAPH_OPTIMIZER_OFF, False)
