"""Weighted averages: given numbers or dev scores, and models of different tokenizers scored together on texts."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stored import encoder_of_other_ids, store_model

from easytransfer_mtl.commands import evaluate
from easytransfer_mtl.config.predict_settings import EvaluateSettings, PredictSettings
from easytransfer_mtl.data.table_reader import read_table
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.ensemble import ensemble_of, mean_probabilities
from easytransfer_mtl.evaluation.member_weights import member_weights
from easytransfer_mtl.evaluation.metrics import score_task
from easytransfer_mtl.evaluation.prediction import Predictor
from easytransfer_mtl.evaluation.stored_models import find_models
from easytransfer_mtl.files import read_json, write_json
from easytransfer_mtl.tasks import CONTEST_TASKS

SCORES = {"a": (0.25, 0.5, 0.75), "b": (0.5, 0.25, 0.0)}
"""Model -> dev scores of the tasks."""


def about(scores: tuple[float, ...]) -> dict[str, Any]:
    return {"scores": [{"task": task.name, "score": score} for task, score in zip(CONTEST_TASKS, scores)]}


@pytest.fixture(scope="module")
def folder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models: a and b with dev scores, and c, which has none, whose tokens have other ids and are one fewer."""
    folder = tmp_path_factory.mktemp("models")
    other = encoder_of_other_ids(folder / "other", tiny_encoder)
    for seed, (name, scores) in enumerate(SCORES.items()):
        store_model(folder / name, tiny_encoder, seed, about=about(scores))
    store_model(folder / "c", other, 3, length=9)
    return folder


def test_the_weighted_mean() -> None:
    random = np.random.default_rng(0)
    parts = [random.dirichlet(np.full(7, 0.05), 50).astype(np.float32) for _ in range(9)]
    weights = random.uniform(0, 3, 9)
    found = mean_probabilities(parts, weights.tolist())
    np.testing.assert_allclose(found, np.average(np.stack(parts).astype(float), axis=0, weights=weights), rtol=1e-12)
    for _ in range(5):
        order = random.permutation(9)
        np.testing.assert_array_equal(mean_probabilities([parts[place] for place in order], weights[order].tolist()), found)
    np.testing.assert_array_equal(mean_probabilities(parts, [1.0] * 9), mean_probabilities(parts))
    np.testing.assert_array_equal(mean_probabilities(parts[:2], [0.0, 4.0]), parts[1])


def test_weights_are_numbers_or_dev_scores(folder: Path, tmp_path: Path) -> None:
    members = find_models(f"{folder}/a,{folder}/b")
    names = [task.name for task in CONTEST_TASKS]
    assert member_weights(None, members, "--w") == member_weights("", members, "--w") == {}
    assert member_weights("0.5, 2", members, "--w") == dict.fromkeys(names, (0.5, 2.0))
    assert member_weights("dev", members, "--w") == dict(zip(names, [(0.25, 0.5), (0.5, 0.25), (0.75, 0.0)]))
    by_task = {"TNEWS": (1.0, 3.0), "OCNLI": (0.75, 0.0)}
    assert member_weights("ocnli=dev, tnews=1:3", members, "--w") == by_task
    assert member_weights("2:1,ocnli=dev,tnews=1:3", members, "--w") == {**by_task, "OCEMOTION": (2.0, 1.0)}
    run = Path(shutil.copytree(folder / "a", tmp_path / "run"))
    rows = [
        {"step": step, "weights": kind, "scores": dict.fromkeys(names, score)}
        for step, kind, score in ((2, "raw", 0.1), (3, "ema", 0.2), (3, "raw", 0.3))
    ]
    write_json(run / "evaluation/summary.json", {"checkpoints": rows})
    prefix = find_models(f"{run}/model.ckpt-3,{folder}/a")
    assert member_weights("dev", prefix, "--w")["TNEWS"] == (0.3, 0.25)
    write_json(run / "evaluation/summary.json", {"checkpoints": [{**rows[2], "scores": dict.fromkeys(names, -0.2)}]})
    assert member_weights("dev", prefix, "--w")["TNEWS"] == (0.0, 0.25)  # a negative correlation


@pytest.mark.parametrize(
    "text, names, message",
    [
        ("1", "ab", r"--w has 1 weights for 2 models \(.*/a/best, .*/b/best\); give one for each"),
        ("1,2,3", "ab", "--w has 3 weights for 2 models"),
        ("1,-2", "ab", "--w: -2 is not from 0 to 1,000,000, as every weight must be"),
        ("1,1e9", "ab", "--w: 1e9 is not from 0"),
        ("0,0", "ab", "--w: all weights of TNEWS are 0; at least one model"),
        ("1,x", "ab", "--w: 'x' is no number; give numbers such as 0.5,0.3,0.2, or dev"),
        ("1,nan", "ab", "--w: 'nan' is no number"),
        (
            "dev",
            "ac",
            "--w=dev: .*/c/best/export.json has no dev score of TNEWS, OCEMOTION, OCNLI for .*/c/best. Run evaluate",
        ),
        ("dev", "b", "--w: all weights of OCNLI are 0"),
        ("ocnli=dev", "b", "--w: all weights of OCNLI are 0"),
        ("tnews=dev", "ac", "--w=dev: .*/c/best/export.json has no dev score of TNEWS for .*/c/best. Run evaluate"),
        ("tnews=1:2:3", "ab", "--w has 3 weights for 2 models"),
        ("tnews=1:x", "ab", "--w: 'x' is no number"),
        ("tnews=", "ab", "--w 'tnews=': TNEWS has no value; write tnews=VALUE"),
        ("cmnli=1:2", "ab", "--w 'cmnli=1:2': 'cmnli' is no task or given twice; the tasks are tnews, ocemotion, ocnli"),
    ],
)
def test_weights_that_cannot_be(text: str, names: str, message: str, folder: Path) -> None:
    members = find_models(",".join(f"{folder}/{name}" for name in names))
    with pytest.raises(UserError, match=message):
        member_weights(text, members, "--w")


@pytest.mark.parametrize("value", ["damaged", {"checkpoints": [{"step": 3, "weights": "raw", "scores": [1]}]}, []])
def test_a_damaged_table_of_scores_has_none(value: Any, folder: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(folder / "a", tmp_path / "run"))
    write_json(run / "evaluation/summary.json", value)
    with pytest.raises(UserError, match="evaluation/summary.json has no dev score of TNEWS"):
        member_weights("dev", find_models(f"{run}/model.ckpt-3"), "--w")


def test_predictions_are_weighted(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "TNEWS.csv"
    path.write_text("0\t天地人\n1\t日月\n", encoding="utf-8")
    settings = PredictSettings(
        checkpoints=f"{folder}/a,{folder}/c", checkpoint_weights="3,1", predict_output_fp=str(tmp_path / "out")
    )
    found = ensemble_of(settings).predict_files({"TNEWS": path})["TNEWS"].probabilities
    a, c = (
        Predictor(str(folder / name)).predict("TNEWS", ["0", "1"], ["天地人", "日月"]).probabilities.astype(float)
        for name in "ac"
    )
    np.testing.assert_allclose(found, 0.75 * a + 0.25 * c, atol=1e-7)


def labelled(folder: Path, source: Path) -> Path:
    folder.mkdir()
    for task in CONTEST_TASKS:
        shutil.copyfile(source / f"{task.name}_dev.csv", folder / f"{task.name}_dev.csv")
    return folder


def test_models_of_different_tokenizers_are_scored_together_on_texts(
    folder: Path, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts, output = labelled(tmp_path / "texts", tiny_data), tmp_path / "scores"
    common: dict[str, Any] = {
        "checkpoints": f"{folder}/a,{folder}/c",
        "output_dir": str(output),
        "checkpoint_weights": "1,2",
    }
    with pytest.raises(UserError, match="has another vocabulary than .*Give the contest files instead .--data_dir"):
        evaluate.run(EvaluateSettings(predict_input_fp=str(tiny_data / "dev.list_tfrecord"), **common))
    assert evaluate.run(EvaluateSettings(data_dir=str(texts), **common)) == 0
    assert "average" in capsys.readouterr().out
    written = {item["model"]: item for item in read_json(output / "models.json")["models"]}
    assert list(written) == [f"{folder}/a/best", f"{folder}/c/best", "average"]
    for place, task in enumerate(CONTEST_TASKS):
        rows = read_table(texts / f"{task.name}_dev.csv", task, labelled=True).rows
        truth = np.array([task.label_enumerate_values.index(str(row.label)) for row in rows])
        each = [
            Predictor(str(folder / name)).predict(task.name, map(str, range(len(rows))), [row.texts for row in rows])
            for name in "ac"
        ]
        parts = [item.probabilities for item in each]
        for name, probabilities in zip(written, [*parts, mean_probabilities(parts, [1.0, 2.0])]):
            score = score_task(task, truth, probabilities.argmax(axis=1))
            found = written[name]["scores"][place]
            assert (found["task"], found["confusion_rows_are_truth"]) == (task.name, score.confusion.tolist())


def test_texts_give_the_scores_of_the_tfrecords(folder: Path, tiny_data: Path, tmp_path: Path) -> None:
    texts, common = labelled(tmp_path / "texts", tiny_data), {"checkpoints": f"{folder}/a,{folder}/b"}
    for name, source in (
        ("ids", {"predict_input_fp": str(tiny_data / "dev.list_tfrecord")}),
        ("texts", {"data_dir": texts}),
    ):
        assert evaluate.run(EvaluateSettings(output_dir=str(tmp_path / name), **common, **source)) == 0
    one, other = (read_json(tmp_path / name / "models.json") for name in ("ids", "texts"))
    assert json.dumps(one) == json.dumps(other)
    with pytest.raises(UserError, match="has no dev file of TNEWS, OCEMOTION, OCNLI"):
        evaluate.run(EvaluateSettings(output_dir=str(tmp_path / "x"), data_dir=str(folder), **common))
    path = texts / "TNEWS_dev.csv"
    path.write_text(path.read_text(encoding="utf-8") + "no row\n", encoding="utf-8")
    with pytest.raises(UserError, match="TNEWS_dev.csv: 1 bad rows"):
        evaluate.run(EvaluateSettings(output_dir=str(tmp_path / "x"), data_dir=str(texts), **common))


@pytest.mark.parametrize(
    "given, message",
    [
        ({"model_dir": "m", "checkpoint_weights": "1,2"}, "--checkpoint_weights are those of --checkpoints A,B"),
        (
            {"eval_checkpoint_path": "m", "data_dir": "d"},
            "--data_dir is for rows.csv, which is not written",
        ),
        (
            {"checkpoints": "a", "output_dir": "o", "header": True},
            "--header is about the CSV files that --checkpoints read",
        ),
        (
            {"checkpoints": "a", "output_dir": "o", "data_dir": "d", "eval_input_fp": "e"},
            "--data_dir and --eval_input_fp are two kinds of dev files; give one .--eval_input_fp= takes it back",
        ),
        ({"checkpoints": "a", "output_dir": "o", "checkpoint_weights": "1"}, "each model is scored on its own fold"),
    ],
)
def test_what_evaluate_takes_together(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        EvaluateSettings(**given)


def test_predict_takes_weights_of_an_average_only() -> None:
    with pytest.raises(UserError, match="--checkpoint_weights are those of --checkpoints A,B"):
        PredictSettings(predict_checkpoint_path="p", checkpoint_weights="dev", predict_output_fp="o")
