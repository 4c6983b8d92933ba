"""A fine-tuned classifier as a start: its head is left aside, or taken over with its labels in the task's order."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from crafted_pickles import tensor, write_zip
from safetensors.numpy import load_file, save_file

from easytransfer_mtl.encoders.canonical_names import canonical_name, torch_array, torch_name
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.training.trainer import run_training

pytestmark = pytest.mark.usefixtures("untraced")
LABELS = {"0": "2", "1": "0", "2": "1"}
"""A classifier's labels, which are OCNLI's in another order."""
IDS = np.array([[2, 7, 8, 9, 3, 0], [2, 10, 3, 11, 12, 3]], np.int32)
ROWS = {"input_ids": IDS, "input_mask": (IDS > 0).astype(np.int32), "segment_ids": np.array([[0] * 6, [0] * 3 + [1] * 3])}
Settings = Callable[..., Any]


class Classifier:
    """A random fine-tuned classifier of three labels, and its folder."""

    def __init__(self, folder: Path, head: str = "ForSequenceClassification") -> None:
        import transformers

        self.folder = folder
        config = transformers.BertConfig.from_pretrained(folder, initializer_range=0.5, num_labels=3)
        self.model = getattr(transformers, f"TFBert{head}")(config)
        self.model.build_in_name_scope()
        self.model.classifier.bias.assign([0.5, -0.25, 1.0])

    def save(self, layout: str = "safetensors", more: dict[str, np.ndarray] | None = None) -> None:
        """Writes the weights in PyTorch's names, or in those of TensorFlow's classes; ``more`` are other arrays."""
        if layout == "tensorflow":
            config = (self.folder / "config.json").read_bytes()
            self.model.save_pretrained(self.folder, safe_serialization=True)
            (self.folder / "config.json").write_bytes(config)
            return
        arrays = {}
        for variable in self.model.weights:
            canonical = canonical_name(variable.name)
            name = f"bert/{canonical}" if canonical else "classifier/" + variable.name.split("/")[-1].removesuffix(":0")
            arrays[torch_name(name, "bert")] = torch_array(name, variable.numpy())
        arrays |= more or {}
        assert arrays["classifier.weight"].shape == (3, 8)
        if layout == "safetensors":
            save_file(arrays, self.folder / "model.safetensors", {"format": "pt"})
        else:
            write_torch(self.folder / "pytorch_model.bin", arrays)

    def logits(self) -> np.ndarray:
        """Returns transformers' logits of ``ROWS``."""
        inputs = zip(("input_ids", "attention_mask", "token_type_ids"), ROWS.values(), strict=True)
        return self.model({name: tf.constant(values, tf.int32) for name, values in inputs}).logits.numpy()


def write_torch(path: Path, arrays: dict[str, np.ndarray]) -> None:
    flat, records = np.concatenate([array.ravel() for array in arrays.values()]).astype("<f4"), {}
    offset = 0
    for name, array in arrays.items():
        strides = tuple(stride // array.itemsize for stride in array.strides)
        records[name] = tensor(offset, array.shape, strides, flat.size)
        offset += array.size
    write_zip(path, records, flat.tobytes())


def labelled(folder: Path, id2label: Any) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "id2label": id2label}), encoding="utf-8")


@pytest.fixture
def start(tiny_encoder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny encoder's folder, for a classifier's weights."""
    return Path(shutil.copytree(tiny_encoder, tmp_path / "classifier"))


@pytest.fixture
def classifier(start: Path) -> Classifier:
    """A saved classifier whose labels have names."""
    made = Classifier(start)
    made.save()
    labelled(start, LABELS)
    return made


@pytest.fixture
def train(tiny_settings: Settings, start: Path) -> Callable[..., MultiTaskModel]:
    """Trains a step at rate 0 from the classifier, and returns the model."""

    def run(take_heads: str | None = "ocnli=classifier", **changes: Any) -> MultiTaskModel:
        rates = {"learning_rate": 0.0, "num_epochs": 0.01, "random_init": False, "gelu": "exact"}
        given = {"pretrain_model_name_or_path": str(start), "take_heads": take_heads, **rates, **changes}
        return run_training(tiny_settings(**given)).model

    return run


def logits_of(model: MultiTaskModel) -> np.ndarray:
    return model.build_logits({name: tf.constant(values, tf.int32) for name, values in ROWS.items()})["ocnli_logits"].numpy()


def refused(train: Callable[..., MultiTaskModel], tmp_path: Path, *given: Any, **changes: Any) -> str:
    """Returns the message of an error before anything is written."""
    with pytest.raises(UserError) as error:
        train(*given, **changes)
    assert not (tmp_path / "run").exists()
    return str(error.value)


@pytest.mark.parametrize("layout", ["safetensors", "bin", "tensorflow"])
def test_a_head_is_taken_with_its_labels_in_the_tasks_order(
    layout: str, start: Path, train: Callable[..., MultiTaskModel], caplog: pytest.LogCaptureFixture
) -> None:
    made = Classifier(start)
    made.save(layout)
    labelled(start, LABELS)
    with caplog.at_level(logging.INFO):
        model = train()
    np.testing.assert_allclose(logits_of(model), made.logits()[:, [1, 2, 0]], atol=1e-5)
    assert "Load head classifier of OCNLI from the checkpoint" in caplog.text
    assert "No part of the encoder" not in caplog.text and "task's order" not in caplog.text
    assert np.abs(model.heads["tnews_logits"].kernel).max() < 0.05  # random


@pytest.mark.parametrize("layout", ["safetensors", "bin"])
def test_a_head_that_nobody_asks_for_is_left_aside_in_one_line(
    layout: str, start: Path, train: Callable[..., MultiTaskModel], caplog: pytest.LogCaptureFixture
) -> None:
    made = Classifier(start)
    made.save(layout)
    with caplog.at_level(logging.INFO):
        model = train(None)
    (told,) = [record.getMessage() for record in caplog.records if "classifier" in record.getMessage().split("/")[0]]
    assert told == "No part of the encoder, which leaves it aside: classifier (2 weights)"
    np.testing.assert_array_equal(model.encoder.pooler_variables[0], made.model.bert.pooler.dense.kernel)
    assert not np.any(model.heads["ocnli_logits"].bias)


@pytest.mark.parametrize("id2label", [None, {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}])
def test_labels_without_names_keep_their_order_and_the_log_says_so(
    id2label: Any, classifier: Classifier, train: Callable[..., MultiTaskModel], caplog: pytest.LogCaptureFixture
) -> None:
    labelled(classifier.folder, id2label)
    with caplog.at_level(logging.INFO):
        model = train()
    np.testing.assert_allclose(logits_of(model), classifier.logits(), atol=1e-5)
    assert "does not name the head's labels (id2label); they are taken to be in the task's order, 0, 1, 2" in caplog.text


@pytest.mark.parametrize(
    "id2label, message",
    [
        (
            {"0": "entailment", "1": "neutral", "2": "contradiction"},
            "3 labels, entailment, neutral, contradiction, and OCNLI",
        ),
        ({"0": "0", "1": "1"}, "has 2 labels, 0, 1, and OCNLI has 3, 0, 1, 2"),
        ({"0": "LABEL_0", "1": "LABEL_1"}, "has 2 labels, LABEL_0, LABEL_1, and OCNLI has 3, 0, 1, 2"),
        ({"0": "0", "1": "1", "2": "1"}, "has 3 labels, 0, 1, 1, and OCNLI has 3, 0, 1, 2"),
        ({"0": "LABEL_1", "1": "LABEL_0", "2": "LABEL_2"}, "has 3 labels, LABEL_1, LABEL_0, LABEL_2, and OCNLI"),
        (["0", "1", "2"], "expected an object of the numbers from 0 on"),
        ({"1": "0", "2": "1", "3": "2"}, "expected an object of the numbers from 0 on"),
        ({"0": "0", "1": None, "2": "2"}, "expected an object of the numbers from 0 on"),
        ({}, "expected an object of the numbers from 0 on"),
    ],
)
def test_other_labels_are_refused_with_both_lists(
    id2label: Any, message: str, classifier: Classifier, train: Callable[..., MultiTaskModel], tmp_path: Path
) -> None:
    labelled(classifier.folder, id2label)
    text = refused(train, tmp_path)
    assert message in text and "config.json" in text


@pytest.mark.parametrize(
    "given, changes, message",
    [
        ("ocnli=classifer", {}, "has no head 'classifer' of one dense layer"),
        ("ocnli=bert", {}, "has no head 'bert' of one dense layer.* classifier.bias, classifier.weight"),
        ("cola=classifier", {}, "'cola' is no task or given twice"),
        ("classifier", {}, "'classifier' is no task"),
        ("ocnli=classifier", {"features": "ocnli=cls"}, "OCNLI has dense on cls. Leave ocnli out of --take_heads"),
        ("ocnli=classifier", {"heads": "ocnli=mlp"}, "OCNLI has mlp.* on pooled"),
        ("ocnli=classifier", {"sharing": "mmoe"}, "take_heads ocnli=classifier: .*which sharing mmoe changes"),
        ("ocnli=classifier", {"random_init": True}, "take_heads has no effect with random_init True"),
        ("tnews=classifier", {}, "has 3 labels, 2, 0, 1, and TNEWS has 15"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    given: str,
    changes: dict[str, Any],
    message: str,
    classifier: Classifier,
    train: Callable[..., MultiTaskModel],
    tmp_path: Path,
) -> None:
    with pytest.raises(UserError, match=message):
        train(given, **changes)
    assert not (tmp_path / "run").exists()


def test_a_head_of_another_shape_is_refused(
    classifier: Classifier, train: Callable[..., MultiTaskModel], tmp_path: Path
) -> None:
    classifier.save(more={"score.weight": np.ones((2, 8), np.float32), "score.bias": np.ones(2, np.float32)})
    text = refused(train, tmp_path, "ocnli=score")
    assert "head score has kernel and bias of the shapes [(8, 2), (2,)]; OCNLI needs [(8, 3), (3,)]" in text


def test_the_error_lists_what_there_is(classifier: Classifier, train: Callable[..., MultiTaskModel], tmp_path: Path) -> None:
    classifier.save(more={"deep.out_proj.weight": np.ones((3, 8), np.float32), "deep.out_proj.bias": np.ones(3, np.float32)})
    text = refused(train, tmp_path, "ocnli=deep")
    assert "classifier.weight, deep.out_proj.bias, deep.out_proj.weight" in text
    model = train("ocnli=deep.out_proj")
    assert (model.heads["ocnli_logits"].kernel.numpy() == 1).all()


def test_a_head_without_pooler_needs_a_random_one(
    start: Path, train: Callable[..., MultiTaskModel], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = Classifier(start, "ForTokenClassification")
    made.save()
    text = refused(train, tmp_path)
    assert "has no pooler, whose output the head classifier (--take_heads) is to read" in text and "--random_pooler" in text
    kernel = train(random_pooler=True).heads["ocnli_logits"].kernel
    np.testing.assert_array_equal(kernel, made.model.classifier.kernel)
    assert "The head classifier of --take_heads reads a random pooler now" in caplog.text


def test_two_heads_of_one_name_are_refused(
    classifier: Classifier, train: Callable[..., MultiTaskModel], tmp_path: Path
) -> None:
    weights = load_file(classifier.folder / "model.safetensors")
    classifier.save(more={"model.classifier.bias": weights["classifier.bias"]})
    text = refused(train, tmp_path)
    assert "classifier.bias' are both the head's classifier/bias. Remove one of the two heads" in text


def test_a_run_from_a_taken_head_goes_on(classifier: Classifier, train: Callable[..., MultiTaskModel]) -> None:
    first = train(learning_rate=0.01, save_steps=1, num_epochs=0.2)
    again = train(learning_rate=0.01, save_steps=1, num_epochs=0.4)
    assert int(again.optimizer.iterations) > int(first.optimizer.iterations)
