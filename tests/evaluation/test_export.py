"""The exported folder: it stands alone, other programs load it, and it is replaced whole or not at all."""

import logging
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from exports import allow_changes
from safetensors.numpy import load_file, save_file
from steps import compiled
from tensorflow_models import tensorflow_model
from transformers import TFBertModel

from easytransfer_mtl.config.train_settings import WeightingSettings
from easytransfer_mtl.encoders.canonical_names import canonical_name
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation import export
from easytransfer_mtl.evaluation.export import EXPORT_FILE, HEADS_FILE, export_model, load_exported, own_variables
from easytransfer_mtl.evaluation.model_class import ModelClass
from easytransfer_mtl.files import read_json, write_json
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.runs.folder import RunFolder, TaskInput
from easytransfer_mtl.runs.optimizers import make_optimizer
from easytransfer_mtl.tasks import CONTEST_TASKS
from easytransfer_mtl.weighting import METHODS, RunFacts, make_weighting

INPUTS = {task.name: TaskInput(16 + i, "nfkc" if i else "none") for i, task in enumerate(CONTEST_TASKS)}
IDS = tf.constant([[2, 7, 8, 9, 3, 0], [2, 10, 3, 11, 12, 3]])
MASK = tf.constant([[1, 1, 1, 1, 1, 0], [1] * 6])
SEGMENTS = tf.constant([[0] * 6, [0, 0, 0, 1, 1, 1]])
FEATURES = {"input_ids": IDS, "input_mask": MASK, "segment_ids": SEGMENTS}


class WithLayer(MultiTaskModel):
    """A subclass with a layer of its own."""

    def build_layers(self) -> None:
        """Adds the layer."""
        super().build_layers()
        self.extra = tf_keras.layers.Dense(3, name="extra")
        with tf.name_scope("extra"):
            self.extra.build((None, 4))


class OtherShape(MultiTaskModel):
    """A subclass whose heads have the usual names but are wider."""

    def build_layers(self) -> None:
        """Makes heads on 9 inputs."""
        super().build_layers()
        for task in self.tasks:
            self.heads[task.logits_name] = tf_keras.layers.Dense(task.num_labels, name=task.head_name)
            with tf.name_scope(task.head_name):
                self.heads[task.logits_name].build((None, 9))

    def build_logits(self, features: dict[str, tf.Tensor], training: bool = False) -> dict[str, tf.Tensor]:
        """Heads on the pooled output and a zero."""
        inputs = (features[name] for name in ("input_ids", "input_mask", "segment_ids"))
        pooled = tf.pad(self.encoder.encode(*inputs, training=training)[1], [[0, 0], [0, 1]])
        return {name: head(pooled) for name, head in self.heads.items()}


@pytest.fixture
def run(tiny_encoder: Path, tmp_path: Path) -> RunFolder:
    """A run's folder without checkpoints."""
    config = load_encoder(find_encoder(str(tiny_encoder)), DropoutClock(0), random_init=True).encoder.config
    folder = RunFolder(tmp_path / "run")
    folder.write_model(config, find_encoder(str(tiny_encoder)).vocabulary, CONTEST_TASKS, INPUTS)
    return folder


@pytest.fixture
def build(tiny_encoder: Path) -> Callable[..., MultiTaskModel]:
    """Builds a model with weights of a seed's own, its outputs far from zero; ``gelu`` as in training."""

    def build(seed: int = 1, model_class: type[MultiTaskModel] = MultiTaskModel, gelu: str = "tanh") -> MultiTaskModel:
        encoder = load_encoder(find_encoder(str(tiny_encoder)), DropoutClock(0), random_init=True, gelu=gelu).encoder
        model, random = model_class(encoder, CONTEST_TASKS), np.random.default_rng(seed)
        for variable in model.trainable_variables:
            variable.assign(random.normal(size=variable.shape, scale=0.5).astype(np.float32))
        return model

    return build


def exported(model: MultiTaskModel, run: RunFolder, **about: Any) -> Path:
    return export_model(model, run, INPUTS, about)


def call_it(folder: Path, model_class: type[MultiTaskModel]) -> Path:
    """Has the folder say that its model is of another class than it is, as two classes of one name would."""
    allow_changes(folder, "tasks.json")
    write_json(folder / "tasks.json", {**read_json(folder / "tasks.json"), "model_class": model_class.__name__})
    return folder


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("gelu, activation", [("tanh", "gelu_new"), ("exact", "gelu")])
def test_transformers_tensorflow_class_takes_the_encoder_with_equal_outputs(
    gelu: str, activation: str, build: Callable[..., MultiTaskModel], run: RunFolder
) -> None:
    model = build(gelu=gelu)
    best = exported(model, run)
    loaded = tensorflow_model(TFBertModel, best)
    assert loaded.config.hidden_act == activation
    found = loaded(input_ids=IDS, attention_mask=MASK, token_type_ids=SEGMENTS)
    for one, other in zip(found[:2], model.encoder.encode(IDS, MASK, SEGMENTS), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-6)


def test_our_own_loader_takes_it_as_an_encoder(build: Callable[..., MultiTaskModel], run: RunFolder) -> None:
    model = build()
    encoder = load_encoder(find_encoder(str(exported(model, run))), DropoutClock(0)).encoder
    for one, other in zip(encoder.encode(IDS, MASK, SEGMENTS), model.encoder.encode(IDS, MASK, SEGMENTS), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("model_class", [MultiTaskModel, WithLayer])
def test_whole_model_comes_back_wherever_the_folder_is(
    model_class: type[MultiTaskModel], build: Callable[..., MultiTaskModel], run: RunFolder, tmp_path: Path
) -> None:
    model = build(model_class=model_class)
    moved = exported(model, run, step=7, mean_score=0.5).rename(tmp_path / "elsewhere")
    shutil.rmtree(run.path)
    loaded, inputs = load_exported(str(moved), ModelClass(model_class))
    assert inputs == INPUTS and loaded.tasks == CONTEST_TASKS
    for name, value in model(FEATURES).items():
        np.testing.assert_array_equal(loaded(FEATURES)[name], value)
    for name, variable in own_variables(model).items():
        np.testing.assert_array_equal(own_variables(loaded)[name], variable)
    about = read_json(moved / EXPORT_FILE)
    assert about["step"] == 7 and about["mean_score"] == 0.5 and about["easytransfer_mtl"]


def test_names_of_the_heads_file_are_easytransfers(build: Callable[..., MultiTaskModel], run: RunFolder) -> None:
    arrays = load_file(exported(build(), run) / HEADS_FILE)
    assert sorted(arrays) == sorted(f"{task.head_name}/{part}" for task in CONTEST_TASKS for part in ("kernel", "bias"))
    assert arrays["tnews_dense/kernel"].shape == (8, 15)


def test_a_newer_export_replaces_the_older_one_and_leaves_nothing_beside_it(
    build: Callable[..., MultiTaskModel], run: RunFolder
) -> None:
    exported(build(1), run)
    (run.path / "best" / "stray").touch()
    best = exported(build(2), run)
    assert not (best / "stray").exists()
    np.testing.assert_array_equal(load_exported(str(best))[0](FEATURES)["ocnli_logits"], build(2)(FEATURES)["ocnli_logits"])
    assert [path.name for path in run.path.iterdir() if "best" in path.name] == ["best"]


@pytest.mark.parametrize("breaking", ["write_safetensors", "write_json", "save_encoder"])
def test_an_export_that_fails_leaves_the_older_one(
    breaking: str, build: Callable[..., MultiTaskModel], run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = exported(build(1), run)
    before = files_in(best)

    def fail(*arguments: object, **more: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as context:
        context.setattr(export, breaking, fail)
        with pytest.raises(OSError, match="disk full"):
            exported(build(2), run)
    assert files_in(best) == before
    assert files_in(exported(build(2), run)).keys() == before.keys()


@pytest.mark.parametrize("trained, loaded", [(WithLayer, MultiTaskModel), (MultiTaskModel, WithLayer)])
def test_another_class_is_named(
    trained: type[MultiTaskModel], loaded: type[MultiTaskModel], build: Callable[..., MultiTaskModel], run: RunFolder
) -> None:
    best = exported(build(model_class=trained), run)
    with pytest.raises(UserError, match=f"does not fit {loaded.__name__}: it was trained with the class {trained.__name__}"):
        load_exported(str(best), ModelClass(loaded))
    call_it(best, loaded)
    with pytest.raises(UserError, match=rf"does not fit {loaded.__name__} \(extra/bias, extra/kernel\)"):
        load_exported(str(best), ModelClass(loaded))


def test_another_shape_is_named(build: Callable[..., MultiTaskModel], run: RunFolder) -> None:
    with pytest.raises(UserError, match=r"does not fit OtherShape \(.*tnews_dense/kernel"):
        load_exported(str(call_it(exported(build(), run), OtherShape)), ModelClass(OtherShape))


def test_two_variables_of_one_name_cannot_be_exported(build: Callable[..., MultiTaskModel]) -> None:
    model = build(model_class=WithLayer)
    model.more = tf_keras.layers.Dense(3, name="extra")
    with tf.name_scope("extra"):
        model.more.build((None, 4))
    with pytest.raises(UserError, match="(?i)two variables"):
        own_variables(model)


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(path.read_bytes()[:40]), Path.unlink])
@pytest.mark.parametrize("file", [HEADS_FILE, "model.safetensors", "tasks.json", "config.json", "vocab.txt"])
def test_damaged_or_missing_file_is_named(
    file: str, damage: Callable[[Path], None], build: Callable[..., MultiTaskModel], run: RunFolder
) -> None:
    best = exported(build(), run)
    whole = (best / file).read_bytes()
    damage(best / file)
    with pytest.raises(UserError, match=rf"{file} is (missing|not the file that was exported)"):
        load_exported(str(best))
    (best / file).write_bytes(whole)
    allow_changes(best)
    damage(best / file)
    with pytest.raises(UserError, match=file if file != "model.safetensors" else "best"):
        load_exported(str(best))


@pytest.mark.parametrize("seed", range(5))
def test_one_changed_bit_of_any_file_is_noticed_before_a_model_is_built(
    seed: int, build: Callable[..., MultiTaskModel], run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    best, random = exported(build(), run), np.random.default_rng(seed)
    recorded = read_json(best / EXPORT_FILE)["sha256"]
    assert recorded.keys() == files_in(best).keys() - {EXPORT_FILE}
    monkeypatch.setattr(export, "load_encoder", None)
    for name in recorded:
        whole = (best / name).read_bytes()
        content = bytearray(whole)
        content[random.integers(len(content))] ^= 1 << random.integers(8)
        (best / name).write_bytes(content)
        with pytest.raises(UserError, match=rf'{name} is not the file that was exported.*delete its line under "sha256"'):
            load_exported(str(best))
        if name != HEADS_FILE and name != "tasks.json":
            with pytest.raises(UserError, match=rf"{name} is not the file that was exported"):
                find_encoder(str(best / "model.safetensors"))  # as another run's start
        (best / name).write_bytes(whole)


def test_a_file_that_is_changed_on_purpose_loads_as_the_error_says(
    build: Callable[..., MultiTaskModel], run: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    best = exported(build(), run)
    written = read_json(best / "tasks.json")
    labels, names = (written["tasks"][0][key] for key in ("label_enumerate_values", "label_names"))
    written["tasks"][0]["label_enumerate_values"] = ["renamed", *labels[1:]]
    written["tasks"][0]["label_names"] = {label: name for label, name in names.items() if label != labels[0]}
    write_json(best / "tasks.json", written)
    (best / "README.md").write_text("what others put beside a model is nothing of its", encoding="utf-8")
    allow_changes(best, "tasks.json")
    with caplog.at_level(logging.INFO):
        model, _ = load_exported(str(best))
    assert model.tasks[0].label_enumerate_values[0] == "renamed"
    assert "not checked, since export.json has no sha256 of them: README.md, tasks.json" in caplog.text


@pytest.mark.parametrize("record", [[], "x", {"vocab.txt": 3}, {"../vocab.txt": "x"}, {"/etc/passwd": "x"}])
def test_a_damaged_record_is_an_error(record: Any, build: Callable[..., MultiTaskModel], run: RunFolder) -> None:
    best = exported(build(), run)
    write_json(best / EXPORT_FILE, {**read_json(best / EXPORT_FILE), "sha256": record})
    with pytest.raises(UserError, match="export.json is damaged: sha256 must map names of files"):
        load_exported(str(best))


def test_a_folder_of_before_there_were_hashes_loads(
    build: Callable[..., MultiTaskModel], run: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    model = build()
    best = exported(model, run)
    arrays = load_file(best / "model.safetensors")
    old = TFBertModel(model.encoder.config)  # which wrote the encoder then
    old(FEATURES["input_ids"])
    for variable in old.weights:
        variable.assign(model.encoder.canonical_variables[canonical_name(variable.name)])
    old.save_pretrained(best, safe_serialization=True)
    (best / "tokenizer_config.json").unlink()
    write_json(best / EXPORT_FILE, {"step": 811, "weights": "811", "mean_score": 0.5, "easytransfer_mtl": "0.1.0"})
    assert load_file(best / "model.safetensors").keys().isdisjoint(arrays)
    with caplog.at_level(logging.INFO):
        loaded, _ = load_exported(str(best))
    for name, value in model(FEATURES).items():
        np.testing.assert_array_equal(loaded(FEATURES)[name], value)
    assert "its files are not checked, since export.json holds no sha256" in caplog.text


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_neither_exported_nor_loaded(
    value: float, build: Callable[..., MultiTaskModel], run: RunFolder
) -> None:
    best = exported(build(), run)
    before = files_in(best)
    model = build(2)
    for variable in (model.heads["tnews_logits"].bias, model.encoder.word_embeddings):
        good = variable.numpy()
        bad = good.copy()
        bad.flat[3] = value
        variable.assign(bad)
        with pytest.raises(UserError, match=r"to export: 1 of the .* are no numbers"):
            exported(model, run)
        variable.assign(good)
    assert files_in(best) == before
    allow_changes(best, HEADS_FILE)
    arrays = load_file(best / HEADS_FILE)
    arrays["ocnli_dense/kernel"][0, 0] = value
    save_file(arrays, best / HEADS_FILE)
    with pytest.raises(UserError, match=r"heads.safetensors: 1 of the 24 values of ocnli_dense/kernel are no numbers"):
        load_exported(str(best))


def test_the_record_tells_what_the_encoder_is_to_the_tasks(build: Callable[..., MultiTaskModel], run: RunFolder) -> None:
    about = read_json(exported(build(), run) / EXPORT_FILE)
    assert about["sharing"] == "hard" and about["encoder"] == "shared by all tasks, which read it as it is"


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_every_file_has_the_umasks_mode(umask: int, build: Callable[..., MultiTaskModel], run: RunFolder) -> None:
    before = os.umask(umask)
    try:
        best = exported(build(), run)
    finally:
        os.umask(before)
    assert stat.S_IMODE(best.stat().st_mode) == 0o777 & ~umask
    assert {stat.S_IMODE(path.stat().st_mode) for path in best.iterdir()} == {0o666 & ~umask}


@pytest.mark.parametrize("number", ["float64", "float16", "int32", "bfloat16"])
def test_heads_of_another_number_format_are_an_error(
    number: str, build: Callable[..., MultiTaskModel], run: RunFolder
) -> None:
    best = exported(build(), run)
    allow_changes(best, HEADS_FILE)
    arrays = load_file(best / HEADS_FILE)
    kind = np.float16 if number == "bfloat16" else np.dtype(number)  # as many bytes
    save_file({key: value.astype(kind) for key, value in arrays.items()}, best / HEADS_FILE)
    if number == "bfloat16":
        content = (best / HEADS_FILE).read_bytes()
        end = 8 + int.from_bytes(content[:8], "little")
        header = content[8:end].replace(b'"F16"', b'"BF16"')
        (best / HEADS_FILE).write_bytes(len(header).to_bytes(8, "little") + header + content[end:])
    with pytest.raises(UserError, match=HEADS_FILE):
        load_exported(str(best))


def test_folder_that_is_no_export_gets_a_hint(build: Callable[..., MultiTaskModel], run: RunFolder) -> None:
    with pytest.raises(UserError, match="train and evaluate first"):
        load_exported(str(run.path))
    exported(build(), run)
    with pytest.raises(UserError, match=rf"did you mean {run.path}/best\?"):
        load_exported(str(run.path))


@pytest.mark.parametrize("name", METHODS)
def test_a_learned_weighting_is_no_part_of_the_export(name: str, run: RunFolder, tiny_encoder: Path) -> None:
    encoder = load_encoder(find_encoder(str(tiny_encoder)), DropoutClock(0), random_init=True).encoder
    model = MultiTaskModel(encoder, CONTEST_TASKS)
    names, labels = zip(*((task.name, task.num_labels) for task in CONTEST_TASKS))
    settings = WeightingSettings(loss_weighting=name, step_mode="joint", task_weights="tnews=2" if name == "fixed" else None)
    weighting = make_weighting(settings, RunFacts(list(names), list(labels)))
    parts = weighting.num_batches or 1
    compiled(model, make_optimizer("adam", 1e-3, 0.0), weighting, num_accumulated_batches=parts)
    best = export_model(model, run, INPUTS, {"step": 1})
    again, _ = load_exported(str(best))
    heads = {f"{task.head_name}/{part}" for task in CONTEST_TASKS for part in ("kernel", "bias")}
    assert set(load_file(best / HEADS_FILE)) == heads
    for one, other in zip(model.encoder.weights, again.encoder.weights, strict=True):
        np.testing.assert_array_equal(one, other)
