"""Rows through a model: probabilities come back in the rows' order, whatever the batches."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.data.encoded_rows import EncodedRows
from easytransfer_mtl.data.tfrecords import SEQUENCE_FEATURES, read_tfrecords
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.inference import Inference
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.tasks import OCNLI

HEADS = ["TNEWS", "OCNLI"]


@pytest.fixture(scope="module")
def model(golden_model: Callable[..., MultiTaskModel]) -> MultiTaskModel:
    return golden_model()


@pytest.fixture(scope="module")
def rows(golden: Path) -> EncodedRows:
    return read_tfrecords(golden / "preprocess" / "OCNLI_dev.tfrecord", OCNLI.num_labels, 570)


@pytest.fixture(scope="module")
def expected(golden: Path) -> dict[str, np.ndarray]:
    """The original's probabilities in file order."""
    result = {}
    with np.load(golden / "forward" / "OCNLI_dev.npz") as values:
        for name in HEADS:
            exponents = np.exp(values[f"{name.lower()}_logits"].astype(np.float64))
            result[name] = exponents / exponents.sum(axis=1, keepdims=True)
    return result


@pytest.mark.parametrize("batch_size", [1, 7, 24, 100])
def test_probabilities_are_in_file_order_for_any_batch_size(
    batch_size: int, model: MultiTaskModel, rows: EncodedRows, expected: dict[str, np.ndarray]
) -> None:
    assert np.any(np.diff(rows.lengths) < 0) and np.any(np.diff(rows.lengths) > 0)  # file order is not the batches' order
    found = Inference(model, batch_size).outputs(rows, HEADS, "test")
    assert list(found) == HEADS
    for name, value in expected.items():
        assert found[name].probabilities.dtype == np.float32
        np.testing.assert_allclose(found[name].probabilities, value, rtol=0, atol=1e-5)
        np.testing.assert_array_equal(found[name].predictions, found[name].probabilities.argmax(axis=1))


def test_bfloat16_gives_other_digits_and_leaves_the_encoder_in_float32(
    model: MultiTaskModel, rows: EncodedRows, expected: dict[str, np.ndarray]
) -> None:
    found = Inference(model, 24, "bfloat16").outputs(rows, ["OCNLI"], "test")["OCNLI"].probabilities
    difference = np.abs(found - expected["OCNLI"]).max()
    assert 1e-5 < difference < 0.05
    assert model.encoder.state_type == tf.float32


def test_max_batches_takes_the_first_rows_of_the_file(
    model: MultiTaskModel, rows: EncodedRows, expected: dict[str, np.ndarray]
) -> None:
    found = Inference(model, 5).outputs(rows, ["OCNLI"], "test", max_batches=2)
    assert found.keys() == {"OCNLI"} and len(found["OCNLI"].predictions) == 10
    np.testing.assert_allclose(found["OCNLI"].probabilities, expected["OCNLI"][:10], rtol=0, atol=1e-5)
    assert len(Inference(model, 5).outputs(rows, ["OCNLI"], "test", max_batches=100)["OCNLI"].predictions) == 24


def test_no_rows_give_no_probabilities(model: MultiTaskModel, rows: EncodedRows) -> None:
    assert Inference(model, 5).outputs(rows.first(0), ["OCNLI"], "test")["OCNLI"].probabilities.shape == (0, 3)


def test_one_tracing_serves_all_shapes_and_all_weights(model: MultiTaskModel, rows: EncodedRows) -> None:
    inference = Inference(model, 9)
    kernel = model.heads["ocnli_logits"].kernel
    before = inference.outputs(rows, ["OCNLI"], "test")["OCNLI"].probabilities
    old = kernel.numpy()
    kernel.assign(-old)
    after = inference.outputs(rows, ["OCNLI"], "test")["OCNLI"].probabilities
    kernel.assign(old)
    assert np.abs(after - before).max() > 0.1
    assert inference._step.experimental_get_tracing_count() == 1


def test_dropout_is_off(golden_files: object, rows: EncodedRows, model: MultiTaskModel) -> None:
    dropping = MultiTaskModel(model.encoder, model.tasks, architecture=Architecture(head_dropout=0.9))
    inference = Inference(dropping, 24)
    one = inference.outputs(rows, ["OCNLI"], "test")["OCNLI"].probabilities
    model.encoder.clock.time.assign_add(1)
    np.testing.assert_array_equal(inference.outputs(rows, ["OCNLI"], "test")["OCNLI"].probabilities, one)
    assert set(SEQUENCE_FEATURES) == {"input_ids", "input_mask", "segment_ids"}


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_probabilities_that_are_no_numbers_are_an_error(
    value: float, golden_model: Callable[..., MultiTaskModel], rows: EncodedRows
) -> None:
    model = golden_model()
    kernel = model.heads["ocnli_logits"].kernel
    kernel.assign(np.full(kernel.shape, value) * np.sign(kernel))  # of finite ones the sums overflow
    with pytest.raises(UserError, match=r"predict: some.ckpt gives probabilities that are no numbers .* for 24 of 24 rows"):
        Inference(model, 8, source="some.ckpt").outputs(rows, ["OCNLI"], "predict")
    Inference(model, 8).outputs(rows, ["TNEWS"], "predict")


def test_many_models_are_no_reason_to_warn_of_tracing(
    model: MultiTaskModel, rows: EncodedRows, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "tensorflow"):
        for _ in range(6):
            Inference(model, 24).outputs(rows, ["OCNLI"], "test", max_batches=1)
    assert not caplog.records
