"""A run goes on only as the run it is: same tasks, labels, class and vocabulary, whatever became of its state file."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tf_keras

from easytransfer_mtl.encoders.dropout import SeededDropout
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.evaluator import build_model
from easytransfer_mtl.evaluation.model_class import ModelClass
from easytransfer_mtl.models.multitask_model import Features, MultiTaskModel
from easytransfer_mtl.runs.checkpoints import checkpoint_steps
from easytransfer_mtl.runs.folder import RunFolder
from easytransfer_mtl.tasks import TNEWS
from easytransfer_mtl.training.trainer import run_training

Settings = Callable[..., Any]


class SameVariables(MultiTaskModel):
    """A subclass that changes what is computed but no variable."""

    def build_logits(self, features: Features, training: bool = False) -> Features:
        """Doubles the logits."""
        return {name: 2.0 * value for name, value in super().build_logits(features, training=training).items()}


class Dropping(MultiTaskModel):
    """A subclass with a Keras dropout."""

    def build_layers(self) -> None:
        """Adds it."""
        super().build_layers()
        self.more_dropout = tf_keras.layers.Dropout(0.5)


class FrozenEmbeddings(MultiTaskModel):
    """A subclass that does not train the embeddings."""

    def build_layers(self) -> None:
        """Freezes them."""
        super().build_layers()
        self.encoder.embeddings.trainable = False


class NoLabels(MultiTaskModel):
    """A subclass whose predictions lack what evaluation reads."""

    def build_predictions(self, logits: Features) -> Features:
        """Returns nothing."""
        return {}


def test_another_vocabulary_cannot_go_on(
    trained: Callable[..., Path], tiny_settings: Settings, tiny_encoder: Path, tmp_path: Path
) -> None:
    trained(tiny_settings(num_epochs=0.1))
    before = (tmp_path / "run" / "vocab.txt").read_bytes()
    (tmp_path / "run" / "vocab.txt").write_bytes(before.replace("天".encode(), "乙".encode()))
    with pytest.raises(UserError, match="holds a run with another vocabulary"):
        run_training(tiny_settings(num_epochs=0.1))


def test_another_label_order_cannot_go_on(trained: Callable[..., Path], tiny_settings: Settings, tmp_path: Path) -> None:
    trained(tiny_settings(num_epochs=0.1))
    path = tmp_path / "run" / "tasks.json"
    value = json.loads(path.read_text(encoding="utf-8"))
    value["tasks"][0]["label_enumerate_values"].reverse()
    path.write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(UserError, match="holds a run of the tasks"):
        run_training(tiny_settings(num_epochs=0.1))


def test_a_finished_run_keeps_the_settings_it_was_trained_with(
    trained: Callable[..., Path], tiny_settings: Settings, tmp_path: Path
) -> None:
    trained(tiny_settings(num_epochs=0.1))
    before = (tmp_path / "run" / "train_config.json").read_bytes()
    run_training(tiny_settings(num_epochs=0.1, learning_rate=0.5))
    assert (tmp_path / "run" / "train_config.json").read_bytes() == before


def test_another_class_without_other_variables_is_refused(
    trained: Callable[..., Path], tiny_settings: Settings, tmp_path: Path
) -> None:
    trained(tiny_settings(num_epochs=0.1), SameVariables)
    folder = RunFolder(tmp_path / "run")
    build_model(folder, ModelClass(SameVariables))
    with pytest.raises(UserError, match="trained with the class SameVariables"):
        build_model(folder)
    with pytest.raises(UserError, match="trained with the class SameVariables"):
        run_training(tiny_settings(num_epochs=0.1))


def test_a_subclass_with_logits_of_its_own_has_no_sharing_structure(tiny_settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="SameVariables overrides build_logits, which sharing mmoe needs"):
        run_training(tiny_settings(num_epochs=0.1, sharing="mmoe"), SameVariables)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "given"),
    [
        ({"features": "ocnli=pair"}, "--features=ocnli=pair"),
        ({"heads": "tnews=mlp"}, "--heads=tnews=mlp:256:tanh"),
        ({"heads": "ocnli=gru:3"}, "--features=ocnli=sequence, --heads=ocnli=gru:3"),
        ({"head_dropout": "ocnli=0.3"}, "--head_dropout=ocnli=0.3"),
    ],
)
def test_a_subclass_with_logits_of_its_own_reads_what_it_likes(
    changes: dict[str, Any], given: str, tiny_settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=f"SameVariables overrides build_logits, .* leave out {given},"):
        run_training(tiny_settings(num_epochs=0.1, **changes), SameVariables)
    assert not (tmp_path / "run").exists()
    run_training(tiny_settings(num_epochs=0.1, features="pooled", head_dropout=0.2), SameVariables)


def test_attacks_on_embeddings_that_are_not_trained_are_refused_at_start(tiny_settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="attacks the word embeddings, which this model does not train"):
        run_training(tiny_settings(adversarial="fgm"), FrozenEmbeddings)
    assert not (tmp_path / "run").exists()
    run_training(tiny_settings(num_epochs=0.1), FrozenEmbeddings)


def test_dropout_of_a_subclass_is_seeded(tiny_settings: Settings) -> None:
    model = run_training(tiny_settings(num_epochs=0.1), Dropping).model
    assert isinstance(model.more_dropout, SeededDropout) and model.more_dropout.rate == 0.5


def test_predictions_that_evaluation_reads_are_asked_for_before_training(tiny_settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="NoLabels.build_predictions returned no .*tnews_predictions"):
        run_training(tiny_settings(), NoLabels)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", [b"", b"nonsense {"])
def test_a_spoiled_state_file_loses_no_checkpoint(
    content: bytes, trained: Callable[..., Path], tiny_settings: Settings, tmp_path: Path
) -> None:
    trained(tiny_settings(num_epochs=0.1, save_steps=1, keep_checkpoint_max=100))
    folder = tmp_path / "run"
    steps = list(checkpoint_steps(folder))
    (folder / "checkpoint").write_bytes(content)
    assert list(checkpoint_steps(folder)) == steps
    run_training(tiny_settings(num_epochs=0.6, save_steps=1, keep_checkpoint_max=100))
    assert list(checkpoint_steps(folder))[: len(steps)] == steps
    (folder / "checkpoint").unlink()
    assert list(checkpoint_steps(folder))[: len(steps)] == steps


def test_a_damaged_tasks_file_is_named(trained: Callable[..., Path], tiny_settings: Settings, tmp_path: Path) -> None:
    trained(tiny_settings(num_epochs=0.1))
    folder = RunFolder(shutil.copytree(tmp_path / "run", tmp_path / "copy"))
    _, inputs = folder.read_tasks()
    value = json.loads((folder.path / "tasks.json").read_text(encoding="utf-8"))
    value["inputs"]["TNEWS"] = vars(replace(inputs["TNEWS"], text_normalization="NFKC"))
    (folder.path / "tasks.json").write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(UserError, match="tasks.json is damaged .*NFKC"):
        folder.read_tasks()


@pytest.mark.parametrize(
    "content",
    [
        "[]", "5", "null", '"x"', "{}", '{"tasks": 5}', '{"tasks": []}', '{"tasks": [5]}', '{"tasks": {"a": 1}}',
        '{"model_class": 5}', '{"model_class": "../x"}', "[" * 100_000, '{"tasks": NaN}',
        *(
            json.dumps({"tasks": [TNEWS.to_json()], "inputs": inputs})
            for inputs in (
                None, [], {}, {"TNEWS": None}, {"TNEWS": {"sequence_length": 8}},
                {"TNEWS": {"sequence_length": 8, "text_normalization": ["none"]}},
                {"TNEWS": {"sequence_length": 8.0, "text_normalization": "none"}},
                {"TNEWS": {"sequence_length": True, "text_normalization": "none"}},
                {"TNEWS": {"sequence_length": -8, "text_normalization": "none"}},
                {"TNEWS": {"sequence_length": 10**18, "text_normalization": "none"}},
                {"TNEWS": {"sequence_length": float("nan"), "text_normalization": "none"}},
            )
        ),
        json.dumps({"tasks": [{**TNEWS.to_json(), "name": "../x"}], "inputs": {}}),
        json.dumps({"tasks": [TNEWS.to_json(), TNEWS.to_json()], "inputs": {}}),
    ],
)  # fmt: skip
def test_a_tasks_file_of_wrong_types_is_a_named_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "tasks.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError):
        RunFolder(tmp_path).check_class(MultiTaskModel)
        RunFolder(tmp_path).read_tasks()
    if not content.startswith("{"):
        for read in (RunFolder(tmp_path).read_architecture, RunFolder(tmp_path).read_tasks):
            with pytest.raises(UserError, match="tasks.json"):
                read()
