"""A training checkpoint of EasyTransfer's (TensorFlow 1) scores and predicts as the original did with it."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.commands import evaluate, predict, submit
from easytransfer_mtl.config.predict_settings import EvaluateSettings, PredictSettings, SubmitSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.prediction import Predictor
from easytransfer_mtl.files import write_json
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.tasks import CONTEST_TASKS

RUN = "nodrop_noshuffle_adam"


class Wider(MultiTaskModel):
    """A class with weights that the original has not."""

    def build_layers(self) -> None:
        super().build_layers()
        self.scale = self.add_weight(name="scale", shape=(3,))


def write_checkpoint(prefix: Path, values: dict[str, np.ndarray]) -> None:
    """Writes variables as TensorFlow 1 does."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variables = [tf.compat.v1.Variable(value, name=name) for name, value in values.items()]
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver(variables).save(session, str(prefix), write_meta_graph=False, write_state=False)


@pytest.fixture(scope="module")
def original(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the original's run after its last step, and its dev files. Do not write into it."""
    folder = tmp_path_factory.mktemp("original")
    with np.load(golden / f"train/{RUN}/final_weights.npz") as weights:
        write_checkpoint(folder / "model.ckpt-37", dict(weights))
    source = golden / "checkpoint/pai-bert-tiny-zh"
    shutil.copyfile(source / "config_nodrop.json", folder / "config.json")
    shutil.copyfile(source / "vocab.txt", folder / "vocab.txt")
    for task in CONTEST_TASKS:
        shutil.copyfile(golden / f"preprocess/{task.name}_dev.tfrecord", folder / f"{task.name}_dev.tfrecord")
    lines = "".join(f"{task.name}_dev.tfrecord\n" for task in CONTEST_TASKS)
    (folder / "dev.list_tfrecord").write_text(lines, encoding="utf-8")
    return folder


@pytest.fixture
def unlabelled(golden: Path, tmp_path: Path) -> str:
    """The dev rows without their labels, as ``predict_input_fp`` has them."""
    entries = []
    for task in CONTEST_TASKS:
        lines = (golden / f"preprocess/{task.name}_dev.csv").read_text(encoding="utf-8").splitlines()
        path = tmp_path / f"{task.name}.csv"
        path.write_text("".join(line.rpartition("\t")[0] + "\n" for line in lines), encoding="utf-8")
        entries.append(f"{task.name}={path}")
    return ",".join(entries)


def recorded(golden: Path) -> dict[str, Any]:
    """Returns what the original printed of its last checkpoint, by task."""
    value = json.loads((golden / f"eval/{RUN}.json").read_text(encoding="utf-8"))
    return {item["called_as"]: item for item in value["reports"][-3:]}


@pytest.mark.parametrize("more", [{}, {"model_dir": "the original's own"}], ids=["alone", "with EasyTransfer's model_dir"])
def test_it_scores_what_the_original_printed(
    original: Path, golden: Path, capsys: pytest.CaptureFixture[str], more: dict[str, str]
) -> None:
    more = {name: str(original) for name in more}
    prefix, dev = str(original / "model.ckpt-37"), str(original / "dev.list_tfrecord")
    before = sorted(original.iterdir())
    assert evaluate.run(EvaluateSettings(eval_checkpoint_path=prefix, predict_input_fp=dev, **more)) == 0
    lines = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines() if "macro-F1  " in line}
    for name, item in recorded(golden).items():
        assert float(lines[name][3]) == item["macro_f1_read"]
    assert sorted(original.iterdir()) == before


def test_it_predicts_what_the_original_predicted(original: Path, golden: Path, unlabelled: str, tmp_path: Path) -> None:
    settings = {"predict_checkpoint_path": str(original / "model.ckpt-37"), "predict_input_fp": unlabelled}
    assert predict.run(PredictSettings(**settings, predict_output_fp=str(tmp_path / "out"))) == 0
    assert submit.run(SubmitSettings(**settings, predict_output_fp=str(tmp_path / "submission"))) == 0
    assert (tmp_path / "submission/result.zip").is_file()
    expected = np.load(golden / f"train/{RUN}/dev_logits_after_training.npz")
    for task in CONTEST_TASKS:
        path = tmp_path / "out" / f"{task.name.lower()}_predictions.csv"
        rows = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
        labels = [task.label_enumerate_values[index] for index in recorded(golden)[task.name]["preds"]]
        assert [row[1] for row in rows] == labels
        logits = expected[task.logits_name].astype(np.float64)
        logits = np.exp(logits - logits.max(axis=1, keepdims=True))
        np.testing.assert_allclose(
            [[float(value) for value in row[2:-1]] for row in rows], logits / logits.sum(axis=1, keepdims=True), atol=2e-6
        )


def test_it_is_one_of_an_average(original: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(original, tmp_path / "other"))
    members = f"{original / 'model.ckpt-37'},{other}/model.ckpt-*"
    dev = str(original / "dev.list_tfrecord")
    assert evaluate.run(EvaluateSettings(checkpoints=members, predict_input_fp=dev, output_dir=str(tmp_path / "out"))) == 0
    models = json.loads((tmp_path / "out/models.json").read_text(encoding="utf-8"))["models"]
    assert len(models) == 3 and len({model["mean"] for model in models}) == 1


def test_the_start_of_its_training_is_said_to_be_one(
    original: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for path in original.iterdir():
        if path.is_file() and path.name != "checkpoint":
            shutil.copyfile(path, tmp_path / path.name.replace("model.ckpt-37", "model.ckpt-0"))
    Predictor(str(original / "model.ckpt-37"))
    assert "before any training" not in caplog.text
    Predictor(str(tmp_path / "model.ckpt-0"))
    assert "model.ckpt-0 is the start of its run (step 0), before any training" in caplog.text


def test_texts_are_as_long_as_the_training_was_told(original: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(original, tmp_path / "run"))
    text = [("我们" * 40,)]
    usual = Predictor(str(folder / "model.ckpt-37")).predict("TNEWS", ["0"], text).probabilities
    write_json(folder / "train_config.json", {"preprocess_config": {"sequence_length": 10}})
    short = Predictor(str(folder / "model.ckpt-37")).predict("TNEWS", ["0"], text).probabilities
    cut = Predictor(str(folder / "model.ckpt-37")).predict("TNEWS", ["0"], [("我们" * 4,)]).probabilities
    assert np.abs(usual - short).max() > 1e-6
    np.testing.assert_array_equal(short, cut)
    write_json(folder / "train_config.json", ["damaged"])
    again = Predictor(str(folder / "model.ckpt-37")).predict("TNEWS", ["0"], text).probabilities
    np.testing.assert_array_equal(again, usual)


def test_own_tasks(original: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(original, tmp_path / "run"))
    with np.load(Path(__file__).parents[1] / f"golden/train/{RUN}/final_weights.npz") as weights:
        values = {name: value for name, value in weights.items() if "_dense" not in name or "tnews" in name}
    values["review_dense/kernel"], values["review_dense/bias"] = np.zeros((64, 2), np.float32), np.array([0, 1], np.float32)
    write_checkpoint(folder / "model.ckpt-9", values)
    tasks = {"name": "REVIEW", "columns": "idx,text,label", "first_sequence": "text", "label_enumerate_values": "bad,good"}
    write_json(tmp_path / "tasks.json", {"tasks": [tasks]})
    (tmp_path / "review.csv").write_text("7\t天地\n8\t人\n", encoding="utf-8")
    settings = {
        "predict_checkpoint_path": str(folder / "model.ckpt-9"),
        "predict_input_fp": f"REVIEW={tmp_path / 'review.csv'}",
        "predict_output_fp": str(tmp_path / "out"),
    }
    assert predict.run(PredictSettings(**settings, tasks_file=str(tmp_path / "tasks.json"))) == 0
    rows = (tmp_path / "out/review_predictions.csv").read_text(encoding="utf-8").splitlines()
    assert [row.split(",")[:2] for row in rows[1:]] == [["7", "good"], ["8", "good"]]
    tasks["label_enumerate_values"] = "bad,good,so-so"
    write_json(tmp_path / "tasks.json", {"tasks": [tasks]})
    with pytest.raises(UserError, match=r"review_dense/\w+ has the shape .* the tasks need"):
        predict.run(PredictSettings(**settings, tasks_file=str(tmp_path / "tasks.json")))


def test_what_does_not_fit_is_told(original: Path, golden: Path, tmp_path: Path) -> None:
    prefix, dev = str(original / "model.ckpt-37"), str(original / "dev.list_tfrecord")
    cases: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("does not hold .*tnews_dense/kernel.* an encoder alone", {}, {"encoder": True}),
        ("does not hold scale of Wider", {"model_class": Wider}, {}),
        ("holds no moving averages", {}, {"eval_checkpoint_path": f"{prefix}@ema"}),
        ("no folder and no checkpoint", {}, {"eval_checkpoint_path": str(original / "model.ckpt-5")}),
        ("needs --predict_input_fp", {}, {"predict_input_fp": None}),
        ("is given one by one|holds checkpoints of EasyTransfer's; name one", {}, {"eval_checkpoint_path": str(original)}),
    ]
    for message, arguments, changes in cases:
        values = {"eval_checkpoint_path": prefix, "predict_input_fp": dev, **changes}
        if values.pop("encoder", False):
            values["eval_checkpoint_path"] = str(golden / "checkpoint/pai-bert-tiny-zh/model.ckpt")
        with pytest.raises(UserError, match=message):
            evaluate.run(EvaluateSettings(**values), **arguments)
    with pytest.raises(UserError, match="no tasks.json.*one by one, by their prefix"):
        evaluate.run(EvaluateSettings(model_dir=str(original), predict_input_fp=dev))
    folder = Path(shutil.copytree(original, tmp_path / "bare"))
    for name in ("vocab.txt", "config.json"):
        (folder / name).unlink()
        with pytest.raises(UserError, match=name):
            evaluate.run(EvaluateSettings(eval_checkpoint_path=str(folder / "model.ckpt-37"), predict_input_fp=dev))


def test_a_checkpoint_of_a_run_needs_no_folder_either(
    runs: Path, tiny_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prefix, dev = str(runs / "fold_1/model.ckpt-3"), str(tiny_data / "dev.list_tfrecord")
    printed = []
    for more in ({}, {"model_dir": str(runs / "fold_1")}):
        assert evaluate.run(EvaluateSettings(eval_checkpoint_path=prefix, predict_input_fp=dev, **more)) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] and "macro-F1" in printed[0]
