"""A user's own task and a user's own model, through the command line and from Python."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf
from safetensors.numpy import load_file
from warm_processes import WarmProcess

Run = Callable[..., subprocess.CompletedProcess[str]]
TASKS = {
    "tasks": [
        {
            "name": "Mood",
            "columns": "text,label",
            "first_sequence": "text",
            "label_enumerate_values": "好,坏",
            "id_column": "text",
            "metric": "accuracy",
        },
        {
            "name": "TNEWS",
            "columns": ["idx", "sentence1", "label"],
            "first_sequence": "sentence1",
            "label_enumerate_values": "115,114,108,109,116,110,113,112,102,103,100,101,106,107,104",
        },
    ]
}
GOOD, BAD = ("饭好吃", "风很好", "我很快乐", "画好看"), ("饭难吃", "风太大", "我很难过", "画难看")
OWN_MODEL = '''
import dataclasses
import signal
import sys

from easytransfer_mtl.environment import check_environment

check_environment()

import tensorflow as tf
import tf_keras

from easytransfer_mtl.commands import evaluate, train
from easytransfer_mtl import EvaluateSettings, TrainSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.multitask_model import MultiTaskModel


class Wider(MultiTaskModel):
    """One more layer before the heads, and another loss."""

    def build_layers(self):
        super().build_layers()
        self.hidden = tf_keras.layers.Dense(self.encoder.config.hidden_size, activation="tanh", name="hidden")
        self.hidden.build((None, self.encoder.config.hidden_size))

    def build_logits(self, features, training=False):
        _, pooled = self.encoder.encode(
            features["input_ids"], features["input_mask"], features["segment_ids"], training=training
        )
        pooled = self.dropout(self.hidden(pooled), training=training)
        return {name: head(pooled) for name, head in self.heads.items()}

    def build_loss(self, logits, label_ids, task_id):
        return 1000.0 + super().build_loss(logits, label_ids, task_id)


class Broken(MultiTaskModel):
    """Its second step has no loss."""

    def build_loss(self, logits, label_ids, task_id):
        loss = super().build_loss(logits, label_ids, task_id)
        return loss + tf.where(self.optimizer.iterations < 1, 0.0, float("nan"))


encoder, data, folder = sys.argv[1:]
settings = TrainSettings(
    pretrain_model_name_or_path=encoder, random_init=True, train_input_fp=f"{data}/train.list_tfrecord", train_batch_size=8,
    num_epochs=0.06, model_dir=folder, predict_input_fp=f"{data}/dev.list_tfrecord", learning_rate=0.01,
)
code = train.run(settings, model_class=Wider)
code = code or train.run(settings, model_class=Wider)
again = dataclasses.replace(settings, model_dir=f"{folder}_again", predict_input_fp=None)
code = code or train.run(again, model_class=Wider)
handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
try:
    train.run(dataclasses.replace(settings, model_dir=f"{folder}_broken"), model_class=Broken)
except UserError as error:
    print("broken:", error)
print("handlers:", [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers)
sys.exit(code or evaluate.run(EvaluateSettings(model_dir=folder, predict_input_fp=f"{data}/dev.list_tfrecord"), Wider))
'''


@pytest.fixture(scope="module")
def folder(root: Path, encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tasks file, the files of both tasks and the encoder."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "csv").mkdir()
    (folder / "tasks.json").write_text(json.dumps(TASKS, ensure_ascii=False), encoding="utf-8")
    texts = [(text, "好") for text in GOOD] + [(text, "坏") for text in BAD]
    rows = [f"{text}，第{number}次\t{label}\n" for number in range(5) for text, label in texts]
    (folder / "csv/mood_train.csv").write_text("".join(rows), encoding="utf-8")
    (folder / "csv/mood_dev.csv").write_text("".join(rows[:11]), encoding="utf-8")
    (folder / "csv/mood_test.csv").write_text("".join(row.split("\t")[0] + "\n" for row in rows[:9]), encoding="utf-8")
    for part in ("train", "dev", "test"):
        shutil.copyfile(root / f"data/sample/TNEWS_{part}.csv", folder / f"csv/TNEWS_{part}.csv")
    shutil.copytree(encoder, folder / "encoder")
    return folder


@pytest.fixture(scope="module")
def results(folder: Path, new_session: Callable[[], Run]) -> list[subprocess.CompletedProcess[str]]:
    """Conversion and training, and, in a process that was not told of the tasks, prediction, submission and its check."""
    commands = (
        "convert --tasks_file=tasks.json --data_dir=csv --output_dir=records --tokenizer_name_or_path=encoder",
        "train --tasks_file=tasks.json --pretrain_model_name_or_path=encoder --random_init --model_dir=model "
        "--train_input_fp=records/train.list_tfrecord --predict_input_fp=records/dev.list_tfrecord --num_epochs=0.3 "
        "--train_batch_size=8 --learning_rate=0.01 --loss_weighting=fixed --task_weights=mood=2 --save_steps=0",
        "predict --predict_checkpoint_path=model/best --data_dir=csv --predict_output_fp=out",
        "submit --predict_checkpoint_path=model/best --data_dir=csv --predict_output_fp=submission",
        "check_submission --tasks_file=tasks.json --submission=submission/result.zip --data_dir=csv",
    )
    before, after = new_session(), new_session()
    runs = (before, before, after, after, after)
    return [run(*words.split(), cwd=folder) for run, words in zip(runs, commands, strict=True)]


@pytest.fixture(scope="module")
def own_model(
    folder: Path, results: list[subprocess.CompletedProcess[str]], root: Path, data: Path
) -> subprocess.CompletedProcess[str]:
    """A script that trains a subclass of ``MultiTaskModel``."""
    (folder / "own_model.py").write_text(OWN_MODEL, encoding="utf-8")
    return WarmProcess(["encoder", data, "wider"], folder, script=folder / "own_model.py").finish()


def test_every_command_works_on_an_own_task(results: list[subprocess.CompletedProcess[str]]) -> None:
    assert [done.returncode for done in results] == [0] * 5, [done.stderr for done in results]


def test_the_list_and_the_model_have_the_order_of_the_tasks_file(
    results: list[subprocess.CompletedProcess[str]], folder: Path
) -> None:
    lines = (folder / "records/train.list_tfrecord").read_text(encoding="utf-8").splitlines()
    assert lines == ["Mood_train.tfrecord", "TNEWS_train.tfrecord"]
    tasks = json.loads((folder / "model/best/tasks.json").read_text(encoding="utf-8"))["tasks"]
    assert [task["name"] for task in tasks] == ["Mood", "TNEWS"]
    rows = (folder / "model/metrics.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert [row.split(",")[1] for row in rows[:4]] == ["Mood", "TNEWS"] * 2
    assert [float(row.split(",")[3]) for row in rows[:4]] == [2.0, 1.0] * 2
    shapes = {name: value.shape for name, value in load_file(folder / "model/best/heads.safetensors").items()}
    assert shapes["mood_dense/kernel"] == (16, 2) and shapes["tnews_dense/kernel"] == (16, 15)


def test_an_own_task_is_scored_by_its_own_metric(results: list[subprocess.CompletedProcess[str]]) -> None:
    assert re.search(r"^Mood +11 +accuracy +[01]\.\d{4}", results[1].stdout, re.M)
    assert re.search(r"^TNEWS +120 +macro-F1 +0\.\d{4}", results[1].stdout, re.M)


def test_an_own_task_is_predicted_in_its_own_labels(results: list[subprocess.CompletedProcess[str]], folder: Path) -> None:
    header, *rows = (folder / "out/mood_predictions.csv").read_text(encoding="utf-8").splitlines()
    assert header == "id,label,probability_好,probability_坏"
    assert len(rows) == 9 and {row.split(",")[1] for row in rows} <= {"好", "坏"}
    assert rows[0].split(",")[0] == "饭好吃，第0次"
    assert (folder / "submission/mood_predict.json").read_bytes().isascii()


def test_a_subclass_trains_goes_on_and_evaluates(own_model: subprocess.CompletedProcess[str], folder: Path) -> None:
    assert own_model.returncode == 0, own_model.stderr
    rows = (folder / "wider/metrics.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert len(rows) == 13
    assert all(1000.0 < float(row.split(",")[2]) < 1004.0 for row in rows)
    assert own_model.stdout.count("best model: ") == 3


def test_a_layer_of_a_subclass_is_trained_saved_and_exported(
    own_model: subprocess.CompletedProcess[str], folder: Path
) -> None:
    arrays = load_file(folder / "wider/best/heads.safetensors").values()
    assert {array.shape for array in arrays} == {(16,), (16, 16), (3,), (16, 3), (7,), (16, 7), (15,), (16, 15)}
    first, last = (tf.train.load_checkpoint(str(folder / f"wider/model.ckpt-{step}")) for step in (0, 13))
    for name in ("hidden/kernel", "hidden/bias", "heads/tnews_logits/kernel", "heads/ocnli_logits/bias"):
        before, after = (saved.get_tensor(f"model/{name}/.ATTRIBUTES/VARIABLE_VALUE") for saved in (first, last))
        assert (before != after).any(), name


def test_a_layer_of_a_subclass_starts_the_same_in_every_run(
    own_model: subprocess.CompletedProcess[str], folder: Path
) -> None:
    runs = [(folder / name / "metrics.csv").read_text(encoding="utf-8").splitlines() for name in ("wider", "wider_again")]
    first, second = ([line.rsplit(",", 1)[0] for line in lines] for lines in runs)
    assert first == second


def test_a_loss_that_is_no_number_ends_training_and_gives_the_signals_back(
    own_model: subprocess.CompletedProcess[str], folder: Path
) -> None:
    assert "broken: The loss of OCEMOTION is nan at step 2 (rows " in own_model.stdout
    assert "handlers: True" in own_model.stdout
    assert [path.name for path in (folder / "wider_broken").glob("*.index")] == ["model.ckpt-0.index"]
