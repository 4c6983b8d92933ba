"""The exported folder: it stands alone, other programs load it, and it is replaced whole or not at all."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from safetensors.numpy import load_file, save_file

from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation import export
from easytransfer_mtl.evaluation.export import EXPORT_FILE, HEADS_FILE, export_model, load_exported, own_variables
from easytransfer_mtl.files import read_json, write_json
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.tasks import CONTEST_TASKS
from easytransfer_mtl.training.run_folder import RunFolder, TaskInput

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
    write_json(folder / "tasks.json", {**read_json(folder / "tasks.json"), "model_class": model_class.__name__})
    return folder


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("gelu, activation", [("tanh", "gelu_new"), ("exact", "gelu")])
def test_transformers_loads_the_encoder_with_equal_outputs(
    gelu: str, activation: str, build: Callable[..., MultiTaskModel], run: RunFolder
) -> None:
    from transformers import TFBertModel

    model = build(gelu=gelu)
    loaded = TFBertModel.from_pretrained(exported(model, run))
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
    loaded, inputs = load_exported(str(moved), model_class)
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


@pytest.mark.parametrize("breaking", ["save_file", "write_json", "save_encoder"])
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
        load_exported(str(best), loaded)
    call_it(best, loaded)
    with pytest.raises(UserError, match=rf"does not fit {loaded.__name__} \(extra/bias, extra/kernel\)"):
        load_exported(str(best), loaded)


def test_another_shape_is_named(build: Callable[..., MultiTaskModel], run: RunFolder) -> None:
    with pytest.raises(UserError, match=r"does not fit OtherShape \(.*tnews_dense/kernel"):
        load_exported(str(call_it(exported(build(), run), OtherShape)), OtherShape)


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
    damage(best / file)
    with pytest.raises(UserError, match=file if file != "model.safetensors" else "best"):
        load_exported(str(best))


@pytest.mark.parametrize("number", ["float64", "float16", "int32", "bfloat16"])
def test_heads_of_another_number_format_are_an_error(
    number: str, build: Callable[..., MultiTaskModel], run: RunFolder
) -> None:
    best = exported(build(), run)
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
