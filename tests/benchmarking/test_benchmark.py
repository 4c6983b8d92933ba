"""The benchmark: the contest's lengths, honest modes, and a run of the command at a toy size."""

import json
from pathlib import Path

import numpy as np
import pytest

from easytransfer_mtl.benchmarking.lengths import measured_histograms, rows_of_lengths, stored_histograms
from easytransfer_mtl.benchmarking.training_speed import MODES, batches_of, tokens_per_row
from easytransfer_mtl.commands.benchmark import run
from easytransfer_mtl.config.settings import BenchmarkSettings
from easytransfer_mtl.data.features import FeatureBuilder
from easytransfer_mtl.data.tokenization import Tokenizer, load_vocabulary
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.tasks import CONTEST_TASKS

ROOT = Path(__file__).parent.parent.parent


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


def test_modes_see_the_same_rows_and_differ_in_padding_only() -> None:
    lengths = {"TNEWS": {4: 30, 8: 30}, "OCEMOTION": {6: 30, 16: 30}, "OCNLI": {8: 60}}
    rows = [rows_of_lengths(lengths[task.name], 16, 300, task, seed=1) for task in CONTEST_TASKS]
    padded, trimmed, grouped = (batches_of(rows, CONTEST_TASKS, mode, 4, 16) for mode in MODES)
    for step in range(9):
        full, cut = padded.batch(step), trimmed.batch(step)
        width = cut["input_ids"].shape[1]
        assert full["input_ids"].shape == (4, 16)
        np.testing.assert_array_equal(full["input_ids"][:, :width], cut["input_ids"])
        assert not full["input_mask"][:, width:].any()
    means = [tokens_per_row(rows, CONTEST_TASKS, mode, 4, 16) for mode in MODES]
    assert means[0] == 16 > means[1] > means[2]


def test_the_command_writes_json_with_every_measurement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "speed.json"
    settings = BenchmarkSettings(
        output=str(output), rounds=1, layers=1, hidden_size=64, train_batch_size=2, sequence_length=16, convert_rows=50
    )
    assert run(settings) == 0
    result = json.loads(output.read_text(encoding="utf-8"))
    assert set(result["training_rows_per_s"]) == {"padded", "trimmed", "trimmed_grouped"}
    assert result["ratio_to_padded"]["padded"]["median"] == 1.0
    assert all(value > 0 for value in result["setup_seconds"].values()) and set(result["setup_seconds"]) == {
        "help",
        "import_tensorflow_and_bert",
        "build_model",
        "trace_and_first_steps",
    }
    assert "ratio to padded, trimmed" in capsys.readouterr().out


def test_a_folder_needs_a_vocabulary() -> None:
    with pytest.raises(UserError, match="--tokenizer_name_or_path"):
        run(BenchmarkSettings(data_dir=str(ROOT / "data/sample")))
