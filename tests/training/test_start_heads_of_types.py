"""Heads of checkpoints of all types of tasks: taken over as they are, or refused by what config.json says."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import save_file

from easytransfer_mtl.config.train_settings import TrainSettings
from easytransfer_mtl.encoders.canonical_names import canonical_name, torch_array, torch_name
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.architecture import choose_architecture
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.variables import build_variables
from easytransfer_mtl.tasks import Task
from easytransfer_mtl.training.start_heads import choose_heads, start_heads

ONE = Task("ONE", (), "text", ("a", "b", "c"))
SEVERAL = Task("SEVERAL", (), "text", ("a", "b", "c"), type="multi_label")
NUMBER = Task("NUMBER", (), "text", (), type="score")
TAGGED = Task("TAGGED", (), "text", ("O", "B-X", "I-X"), type="tags")
IDS = np.array([[2, 7, 8, 9, 3, 0], [2, 10, 3, 11, 12, 3]], np.int32)


class Start:
    """A checkpoint with a random classifier of transformers', in the order of ``labels``."""

    def __init__(self, folder: Path, name: str, labels: list[str], **config: Any) -> None:
        import transformers

        self.folder = folder
        made = transformers.BertConfig.from_pretrained(folder, initializer_range=0.5, num_labels=len(labels))
        self.model = getattr(transformers, f"TFBertFor{name}Classification")(made)
        self.model.build_in_name_scope()
        value = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        value |= {"id2label": {str(place): label for place, label in enumerate(labels)}, **config}
        (folder / "config.json").write_text(json.dumps(value), encoding="utf-8")
        arrays = {}
        for variable in self.model.weights:
            canonical = canonical_name(variable.name)
            stored = f"bert/{canonical}" if canonical else "classifier/" + variable.name.split("/")[-1].removesuffix(":0")
            arrays[torch_name(stored, "bert")] = torch_array(stored, variable.numpy())
        save_file(arrays, folder / "model.safetensors", {"format": "pt"})

    def logits(self) -> np.ndarray:
        return self.model({"input_ids": IDS, "attention_mask": (IDS > 0).astype(np.int32)}).logits.numpy()

    def taken(self, task: Task, **changes: Any) -> np.ndarray:
        """Returns the logits of a model whose task takes the head."""
        given = {"take_heads": f"{task.name.lower()}=classifier", "random_pooler": task is TAGGED, **changes}
        files = {"pretrain_model_name_or_path": str(self.folder), "train_input_fp": "x", "model_dir": "y", "gelu": "exact"}
        settings = TrainSettings(train_batch_size=2, **{**files, **given})
        found = find_encoder(str(self.folder))
        architecture = choose_architecture(settings, [task])
        chosen = choose_heads(settings, [task], found, architecture)
        names = {head.name: head.reads_pooled for head in chosen.values()}
        loaded = load_encoder(found, DropoutClock(1), random_pooler=settings.random_pooler, gelu="exact", take_heads=names)
        model = MultiTaskModel(loaded.encoder, (task,), architecture)
        build_variables(model)
        start_heads(model, loaded, chosen)
        rows = {"input_ids": IDS, "input_mask": (IDS > 0).astype(np.int32), "segment_ids": np.zeros_like(IDS)}
        return model.build_logits({name: tf.constant(row) for name, row in rows.items()})[task.logits_name].numpy()


@pytest.fixture
def folder(tiny_encoder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_encoder, tmp_path / "classifier"))


@pytest.mark.parametrize("said", [{}, {"problem_type": "multi_label_classification"}])
def test_several_labels_in_the_tasks_order(folder: Path, said: dict[str, str]) -> None:
    start = Start(folder, "Sequence", ["c", "a", "b"], **said)
    np.testing.assert_allclose(start.taken(SEVERAL), start.logits()[:, [1, 2, 0]], atol=1e-5)


@pytest.mark.parametrize("label", ["LABEL_0", "similarity"])
def test_a_number_takes_a_head_with_one_output(folder: Path, label: str) -> None:
    start = Start(folder, "Sequence", [label], problem_type="regression")
    np.testing.assert_allclose(start.taken(NUMBER), start.logits(), atol=1e-5)


def test_tags_take_a_head_on_the_states(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    start = Start(folder, "Token", ["B-X", "I-X", "O"], architectures=["BertForTokenClassification"])
    with caplog.at_level(logging.WARNING):
        found = start.taken(TAGGED)
    np.testing.assert_allclose(found[IDS > 0], start.logits()[..., [2, 0, 1]][IDS > 0], atol=1e-5)
    assert "random pooler" not in caplog.text


@pytest.mark.parametrize(
    ("task", "said", "labels", "message"),
    [
        (SEVERAL, {"problem_type": "single_label_classification"}, "abc", r"type classify \(problem_type is 'single_label"),
        (
            ONE,
            {"problem_type": "multi_label_classification"},
            "abc",
            "type multi_label .*ONE of the type classify",
        ),
        (NUMBER, {"problem_type": "multi_label_classification"}, "a", "is of the type multi_label"),
        (NUMBER, {}, "abc", "has 3 labels, a, b, c, and NUMBER is of the type score, whose head has one output"),
        (SEVERAL, {"architectures": ["BertForTokenClassification"]}, "abc", r"type tags \(architectures is"),
        (TAGGED, {"problem_type": "regression"}, "a", "is of the type score"),
        (TAGGED, {}, "abc", "has 3 labels, a, b, c, and TAGGED has 3, O, B-X, I-X"),
    ],
)
def test_a_head_of_another_type_or_other_labels_is_refused(
    folder: Path, task: Task, said: dict[str, Any], labels: str, message: str
) -> None:
    start = Start(folder, "Sequence", list(labels), **said)
    with pytest.raises(UserError, match=message):
        start.taken(task)


def test_tags_need_dense_on_the_states(folder: Path) -> None:
    start = Start(folder, "Token", ["O", "B-X", "I-X"])
    with pytest.raises(UserError, match="dense on the encoder's last states, TAGGED has dense on last4.sequence"):
        start.taken(TAGGED, features="tagged=last4.sequence")
