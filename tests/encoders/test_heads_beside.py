"""A model that was fine-tuned for something is an encoder with heads beside it: they are named and left aside."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file, save_file

from easytransfer_mtl.encoders.canonical_names import canonical_name
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.interface import POOLER, Encoder
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.errors import UserError

HEADS = {
    "bert": ("ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering", "ForMaskedLM"),
    "albert wide": ("ForSequenceClassification", "ForQuestionAnswering", "ForPreTraining"),
    "electra small": ("ForSequenceClassification", "ForQuestionAnswering", "ForPreTraining", "ForMaskedLM"),
    "roformer small": ("ForSequenceClassification", "ForQuestionAnswering", "ForMaskedLM"),
    "deberta": ("ForSequenceClassification", "ForTokenClassification"),
    "deberta-v2": ("ForSequenceClassification", "ForQuestionAnswering"),
}  # fmt: skip
CASES = [(name, head) for name, heads in HEADS.items() for head in heads]
LAYOUTS = {
    "h5": {"safe_serialization": False},
    "safetensors": {"safe_serialization": True},
    "sharded h5": {"safe_serialization": False, "max_shard_size": "3KB"},
    "sharded safetensors": {"safe_serialization": True, "max_shard_size": "3KB"},
}


def load(folder: Path | str, **options: Any) -> Encoder:
    return load_encoder(find_encoder(str(folder)), DropoutClock(0), **options).encoder


@pytest.fixture
def save(tmp_path: Path, save_finetuned: Callable[..., Any]) -> Callable[..., tuple[Path, Any]]:
    """Returns a function that saves a fine-tuned model of a type; it returns the folder and the model."""

    def save(name: str, head: str, layout: str = "safetensors") -> tuple[Path, Any]:
        return tmp_path / "finetuned", save_finetuned(name, head, tmp_path / "finetuned", **LAYOUTS[layout])

    return save


@pytest.mark.parametrize("name, head", CASES)
def test_the_encoder_of_a_fine_tuned_model_is_a_start(
    name: str, head: str, save: Callable[..., tuple[Path, Any]], rows: Any, caplog: pytest.LogCaptureFixture
) -> None:
    folder, model = save(name, head)
    with caplog.at_level(logging.INFO):
        encoder = load(folder, random_pooler=True)
    expected = model.get_layer(model.base_model_prefix)(
        input_ids=rows.input_ids, attention_mask=rows.input_mask, token_type_ids=rows.segment_ids
    )
    np.testing.assert_allclose(encoder.encode(*rows)[0], expected.last_hidden_state, atol=1e-5)
    (told,) = [record.getMessage() for record in caplog.records if "No part of the encoder" in record.getMessage()]
    outside = {str(v.name) for v in model.weights if canonical_name(v.name) is None}
    named = {name.split("/")[1] for name in outside if f"/{model.base_model_prefix}/" not in name}
    assert named and all(part in told for part in named)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_in_every_layout(layout: str, save: Callable[..., tuple[Path, Any]]) -> None:
    folder, model = save("bert", "ForSequenceClassification", layout)
    np.testing.assert_array_equal(load(folder).pooler_variables[0], model.bert.pooler.dense.kernel)


def torch_names(model: Any) -> dict[str, np.ndarray]:
    """Returns a TensorFlow BERT's weights as PyTorch names and stores them, without the model around it."""
    arrays = {}
    for variable in model.weights:
        name = variable.name.split(":")[0].partition("/")[2].replace("layer_._", "layer/").replace("/", ".")
        kernel = name.endswith(".kernel")
        for old, new in ((".kernel", ".weight"), (".gamma", ".weight"), (".beta", ".bias"), (".embeddings", ".weight")):
            name = f"{name.removesuffix(old)}{new}" if name.endswith(old) and not name.endswith("bert.embeddings") else name
        array = variable.numpy()
        arrays[name] = np.ascontiguousarray(array.T if kernel else array)
    return arrays


@pytest.mark.parametrize(
    "prefix, heads",
    [
        ("", {"classifier.weight": (3, 8), "classifier.bias": (3,), "dropout.rate": ()}),
        ("module.", {"module.classifier.weight": (3, 8), "module.crf.transitions": (3, 3)}),
        ("model.", {"model.fc.weight": (3, 8), "loss.weight": (3,), "log_vars": (3,)}),
        ("", {"lstm.weight_ih_l0": (8, 8), "qa_outputs.weight": (2, 8), "lm_head.decoder.weight": (25, 8)}),
        ("", {"pooler.dense.weight": (8, 8), "pooler.dense.bias": (8,), "dense.weight": (3, 8)}),
        ("", {"cls.predictions.bias": (25,), "cls.seq_relationship.weight": (2, 8), "score.weight": (1, 8)}),
    ],
)
def test_pytorch_models_with_any_heads(
    prefix: str, heads: dict[str, tuple[int, ...]], save: Callable[..., tuple[Path, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    folder, model = save("bert", "ForSequenceClassification")
    kept = {name: array for name, array in torch_names(model).items() if name.startswith("bert.")}
    arrays = {f"{prefix}{name}": array for name, array in kept.items()}
    arrays |= {name: np.ones(shape, np.float32) for name, shape in heads.items()}
    save_file(arrays, folder / "model.safetensors", {"format": "pt"})
    with caplog.at_level(logging.INFO):
        encoder = load(folder)
    np.testing.assert_array_equal(encoder.pooler_variables[0], model.bert.pooler.dense.kernel)
    (told,) = [record.getMessage() for record in caplog.records if "No part of the encoder" in record.getMessage()]
    assert all(name.removeprefix(prefix).split(".")[0] in told for name in heads)


def test_heads_beside_an_encoder_without_a_scope(save: Callable[..., tuple[Path, Any]]) -> None:
    folder, model = save("bert", "ForSequenceClassification")
    bare = {name.removeprefix("bert."): array for name, array in torch_names(model).items()}
    assert "classifier.weight" in bare and "embeddings.LayerNorm.weight" in bare
    save_file(bare, folder / "model.safetensors", {"format": "pt"})
    np.testing.assert_array_equal(load(folder).pooler_variables[0], model.bert.pooler.dense.kernel)
    save_file({**bare, "encoder.adapter.weight": np.ones(2, np.float32)}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="left over .*encoder.adapter.weight"):
        load(folder)


def test_googles_fine_tuned_checkpoint(save: Callable[..., tuple[Path, Any]]) -> None:
    folder, model = save("bert", "ForSequenceClassification")
    arrays = {f"bert/{canonical_name(v.name)}": v.numpy() for v in model.bert.weights}
    slots = {f"{name}/adam_m": array for name, array in arrays.items()}
    arrays |= {"output_weights": np.ones((3, 8), np.float32), "output_bias": np.ones(3, np.float32), **slots}
    (folder / "model.safetensors").unlink()
    tf.raw_ops.SaveV2(
        prefix=str(folder / "model.ckpt-9"), tensor_names=list(arrays), shape_and_slices=[""] * len(arrays),
        tensors=[tf.constant(array) for array in arrays.values()],
    )  # fmt: skip
    np.testing.assert_array_equal(load(folder).pooler_variables[0], model.bert.pooler.dense.kernel)


def test_a_pooler_that_belongs_to_debertas_classifier_is_none_of_the_encoders(save: Callable[..., tuple[Path, Any]]) -> None:
    folder, model = save("deberta", "ForSequenceClassification")
    kernel = load(folder).pooler_variables[0].numpy()
    assert not np.array_equal(kernel, model.pooler.dense.kernel) and np.abs(kernel).max() < 1


def test_only_a_missing_pooler_is_told_how_to_be_drawn(save: Callable[..., tuple[Path, Any]]) -> None:
    folder, _ = save("bert", "ForTokenClassification")
    with pytest.raises(UserError) as error:
        load(folder)
    assert all(name in str(error.value) for name in POOLER) and "--random_pooler draws one" in str(error.value)
    assert "--random_init" not in str(error.value)
    assert "\n" not in str(error.value) and "classifier" not in str(error.value)  # which is not what is wrong


def test_damage_stays_an_error_with_its_own_advice(save: Callable[..., tuple[Path, Any]]) -> None:
    folder, _ = save("bert", "ForSequenceClassification")
    arrays = load_file(folder / "model.safetensors")
    lost = next(name for name in arrays if "intermediate/dense/bias" in name)
    save_file({n: a for n, a in arrays.items() if n != lost}, folder / "model.safetensors", {"format": "tf"})
    with pytest.raises(UserError) as error:
        load(folder)
    text = str(error.value)
    assert str(canonical_name(lost)) in text and "incomplete or of another encoder" in text and "--random_pooler" not in text
    value = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**value, "intermediate_size": 24}), encoding="utf-8")
    with pytest.raises(UserError, match="of another shape"):
        load(folder)
