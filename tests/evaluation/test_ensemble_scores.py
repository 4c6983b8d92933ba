"""An average of models on dev files: its scores are those of the mean probabilities, beside each model's own."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from exports import allow_changes

from easytransfer_mtl.commands import evaluate
from easytransfer_mtl.config.predict_settings import EvaluateSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.ensemble_scores import read_dev_data, score_ensemble
from easytransfer_mtl.evaluation.evaluator import EvaluationOptions
from easytransfer_mtl.evaluation.inference import Inference
from easytransfer_mtl.evaluation.metrics import mean_score, score_task
from easytransfer_mtl.evaluation.row_table import read_rows
from easytransfer_mtl.evaluation.stored_models import StoredModel, find_models


@pytest.fixture
def members(runs: Path) -> list[StoredModel]:
    """Three models."""
    return find_models(f"{runs}/fold_*")


def test_scores_are_those_of_the_mean_probabilities(members: list[StoredModel], tiny_data: Path) -> None:
    data = read_dev_data(str(tiny_data / "dev.list_tfrecord"), members)
    scores = score_ensemble(members, data, EvaluationOptions(batch_size=4))
    assert list(scores.models) == [member.name for member in members]
    inferences = [Inference(member.load(), 4) for member in members]
    for place, item in enumerate(data):
        name, truth, rows = item.task.name, item.label_ids, item.encoded(members[0])
        outputs = [inference.outputs(rows, [name], "test")[name] for inference in inferences]
        for member, output in zip(members, outputs):
            own = score_task(item.task, truth, output.predictions)
            np.testing.assert_array_equal(scores.models[member.name][place].confusion, own.confusion)
        mean = np.mean([output.probabilities.astype(np.float64) for output in outputs], axis=0)
        expected = score_task(item.task, truth, mean.argmax(axis=1))
        np.testing.assert_array_equal(scores.together[place].confusion, expected.confusion)
        assert scores.together[place].score == expected.score


def test_one_model_alone_is_its_own_average(members: list[StoredModel], tiny_data: Path) -> None:
    data = read_dev_data(str(tiny_data / "dev.list_tfrecord"), members[:1])
    scores = score_ensemble(members[:1], data, EvaluationOptions())
    own = scores.models[members[0].name]
    assert [score.score for score in scores.together] == [score.score for score in own]


def test_the_command_prints_and_writes_the_tables(
    members: list[StoredModel], tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dev, names = str(tiny_data / "dev.list_tfrecord"), [member.name for member in members]
    output = tmp_path / "out"
    settings = EvaluateSettings(checkpoints=",".join(names), predict_input_fp=dev, output_dir=str(output))
    assert evaluate.run(settings) == 0
    printed = capsys.readouterr().out
    assert (output / "models.txt").read_text(encoding="utf-8") in printed
    with open(output / "models.csv", encoding="utf-8", newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["model", "TNEWS", "OCEMOTION", "OCNLI", "mean"]
    assert [row[0] for row in rows] == [*names, "average"]
    scores = score_ensemble(members, read_dev_data(dev, members), EvaluationOptions())
    assert float(rows[-1][-1]) == mean_score(scores.together)
    models = json.loads((output / "models.json").read_text(encoding="utf-8"))["models"]
    assert [item["mean"] for item in models] == [float(row[-1]) for row in rows]
    tables = [read_rows(output / name) for name in ("", "model_1", "model_2", "model_3")]
    assert [table.name for table in tables] == ["average", *names]
    for table, item in zip(tables, [models[-1], *models], strict=False):
        assert [score.score for score in table.scores()] == [score["score"] for score in item["scores"]]
    for place, task in enumerate(tables[0].tasks):
        labels = np.mean([table.tasks[place].p_label for table in tables[1:]], axis=0)
        np.testing.assert_allclose(task.p_label, labels, rtol=1e-6)
    assert (output / "classes.csv").exists() and (output / "confusion_ocnli.csv").exists()


def test_models_of_different_vocabularies_have_no_files_in_common(
    runs: Path, members: list[StoredModel], tiny_data: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(runs / "fold_1/best", tmp_path / "other"))
    allow_changes(other, "vocab.txt")
    text = (other / "vocab.txt").read_text(encoding="utf-8")
    (other / "vocab.txt").write_text(text.replace("天\n", "乙\n"), encoding="utf-8")
    both = [members[0], *find_models(str(other))]
    with pytest.raises(UserError, match="has another vocabulary than .*Give the contest files instead .--data_dir"):
        read_dev_data(str(tiny_data / "dev.list_tfrecord"), both)
