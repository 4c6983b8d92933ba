"""Heads of random states against NumPy; padding has no part in any; their dropout repeats with the clock."""

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.models.heads import HEADS, Head, HeadFacts, parse_head
from easytransfer_mtl.models.heads.textcnn import WINDOWS

WIDTH, LABELS = 3, 4
LENGTHS = [4, 5, 1]
KINDS = ["dense", "mlp:5", "mlp:5:relu", "multi_dropout:3", "lstm:2", "bilstm:2", "gru:2", "textcnn:2", "label_attention"]


def states(padding: int = 0, junk: float = 0.0) -> tuple[tf.Tensor, tf.Tensor]:
    """Rows of ``LENGTHS`` tokens and their mask, padding being ``junk``."""
    values, lengths = np.random.default_rng(0).normal(size=(3, 5 + padding, WIDTH)), np.array(LENGTHS)
    values[:, :5] = np.random.default_rng(1).normal(size=(3, 5, WIDTH))
    mask = np.arange(5 + padding) < lengths[:, np.newaxis]
    return tf.constant(np.where(mask[:, :, np.newaxis], values, junk), tf.float32), tf.constant(mask, tf.int32)


def inputs_of(head: Head, padding: int = 0, junk: float = 0.0) -> tuple[tf.Tensor, tf.Tensor]:
    values, mask = states(padding, junk)
    return (values if head.reads_sequence else values[:, 0]), mask


def build(text: str, rate: float = 0.0, seed: int = 1) -> Head:
    """The head, its variables far from their start."""
    spec = parse_head(text, "")
    head = spec.head(HeadFacts(f"t_{spec.kind}", WIDTH, LABELS, rate, spec.size, spec.activation, DropoutClock(seed)))
    for place, variable in enumerate(head.trainable_variables):
        variable.assign(np.random.default_rng(place).normal(size=variable.shape))
    return head


def weights_of(head: Head) -> dict[str, np.ndarray]:
    return {v.name.removeprefix(f"{head.name}/").removesuffix(":0"): v.numpy() for v in head.trainable_variables}


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def test_all_kinds_are_here() -> None:
    assert {text.split(":")[0] for text in KINDS} == set(HEADS)


@pytest.mark.parametrize("text", KINDS)
def test_shape_padding_and_gradients(text: str) -> None:
    head = build(text)
    with tf.GradientTape() as tape:
        found = head(*inputs_of(head), training=False)
        loss = tf.reduce_sum(found * tf.range(1.0, 13.0)[:, tf.newaxis][:3])
    assert found.shape == (3, LABELS)
    np.testing.assert_allclose(head(*inputs_of(head, 6, 1e4), training=False), found, rtol=0, atol=1e-6)
    for variable, gradient in zip(head.trainable_variables, tape.gradient(loss, head.trainable_variables), strict=True):
        assert gradient is not None and np.any(gradient) and np.isfinite(gradient).all(), variable.name
        assert variable.name.startswith(f"t_{text.split(':')[0]}/")


def test_gradients_of_states_end_at_real_tokens() -> None:
    for text in (text for text in KINDS if build(text).reads_sequence):
        head, (values, mask) = build(text), states(2, 3.0)
        with tf.GradientTape() as tape:
            tape.watch(values)
            loss = tf.reduce_sum(tf.square(head(values, mask, training=False)))
        gradient = tape.gradient(loss, values).numpy()
        assert not gradient[mask.numpy() == 0].any() and np.isfinite(gradient).all(), text
        assert gradient[:, 0].any(), text


def test_dense_and_mlp_by_hand() -> None:
    for text, function in (("mlp:5", np.tanh), ("mlp:5:relu", lambda x: np.maximum(x, 0))):
        head = build(text)
        w, x = weights_of(head), states()[0].numpy()[:, 0]
        expected = function(x @ w["hidden/kernel"] + w["hidden/bias"]) @ w["logits/kernel"] + w["logits/bias"]
        np.testing.assert_allclose(head(*inputs_of(head)), expected, rtol=1e-5, atol=1e-6)
    dense = build("dense")
    np.testing.assert_allclose(dense(x), x @ dense.kernel.numpy() + dense.bias.numpy(), rtol=1e-5, atol=1e-6)


def lstm_state(rows: list[np.ndarray], w: dict[str, np.ndarray], direction: str) -> np.ndarray:
    """The last hidden state of each row of real tokens; gates in Keras's order: input, forget, cell, output."""
    found = []
    for row in rows:
        h = c = np.zeros(2)
        for x in row:
            z = x @ w[f"{direction}/cell/kernel"] + h @ w[f"{direction}/cell/recurrent_kernel"] + w[f"{direction}/cell/bias"]
            i, f, g, o = np.split(z, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        found.append(h)
    return np.stack(found)


def test_lstms_by_hand() -> None:
    rows = [row[:length] for row, length in zip(states()[0].numpy(), LENGTHS)]
    for text in ("lstm:2", "bilstm:2"):
        head = build(text)
        w = weights_of(head)
        last = [lstm_state(rows, w, "forward")]
        if text == "bilstm:2":
            last.append(lstm_state([row[::-1] for row in rows], w, "backward"))
        expected = np.concatenate(last, axis=1) @ w["logits/kernel"] + w["logits/bias"]
        np.testing.assert_allclose(head(*states(), training=False), expected, rtol=1e-4, atol=1e-5)


def test_textcnn_by_hand() -> None:
    head = build("textcnn:2")
    w, values, found = weights_of(head), states()[0].numpy(), []
    for row, length in zip(values, LENGTHS):
        filters = []
        for window in WINDOWS:
            padded = np.concatenate([row[:length], np.zeros((max(0, window - length), WIDTH))])
            places = range(len(padded) - window + 1)
            kernel, bias = w[f"window{window}/kernel"], w[f"window{window}/bias"]
            filters.append(max_of([np.maximum(np.tensordot(padded[p : p + window], kernel, 2) + bias, 0) for p in places]))
        found.append(np.concatenate(filters))
    expected = np.stack(found) @ w["logits/kernel"] + w["logits/bias"]
    np.testing.assert_allclose(head(*states(), training=False), expected, rtol=1e-4, atol=1e-5)


def max_of(values: list[np.ndarray]) -> np.ndarray:
    return np.max(values, axis=0)


def test_label_attention_by_hand() -> None:
    head = build("label_attention")
    w = weights_of(head)
    for row, length in enumerate(LENGTHS):
        tokens = states()[0].numpy()[row, :length]
        weights = np.exp(tokens @ w["queries"].T)
        means = (weights / weights.sum(axis=0)).T @ tokens
        expected = (means * w["kernel"]).sum(axis=1) + w["bias"]
        np.testing.assert_allclose(head(*states(), training=False)[row], expected, rtol=1e-4, atol=1e-5)


def test_multi_dropout_has_several_masks_in_training_only() -> None:
    head = build("multi_dropout:3", rate=0.5)
    values = tf.ones((8, WIDTH))
    one, plain = head(values, training=True), head(values, training=False)
    assert one.shape == (3, 8, LABELS) and plain.shape == (8, LABELS)
    assert len({sample.numpy().tobytes() for sample in one}) == 3
    np.testing.assert_array_equal(head(values, training=True), one)
    head.dropout._time.assign_add(1)
    assert np.any(head(values, training=True) != one)


@pytest.mark.parametrize("text", [text for text in KINDS if text != "dense" and text != "label_attention"])
def test_dropout_inside_is_of_training_and_repeats(text: str) -> None:
    head = build(text, rate=0.5)
    plain = head(*inputs_of(head), training=False)
    one, other = (head(*inputs_of(head), training=True) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert np.any(np.asarray(one) != np.asarray(plain))


@pytest.mark.parametrize("text", KINDS)
def test_first_values_come_from_the_seed_and_the_name(text: str) -> None:
    spec = parse_head(text, "")

    def first(name: str, seed: int) -> list[np.ndarray]:
        facts = HeadFacts(name, WIDTH, LABELS, 0.0, spec.size, spec.activation, DropoutClock(seed))
        return [variable.numpy() for variable in spec.head(facts).trainable_variables]

    one, again, others = first("a", 1), first("a", 1), [first("a", 2), first("b", 1)]
    for value, same in zip(one, again, strict=True):
        np.testing.assert_array_equal(value, same)
    for other in others:
        kernels = [(a, b) for a, b in zip(one, other, strict=True) if a.ndim > 1 and len(np.unique(a)) > 2]
        assert kernels and all(np.any(a != b) for a, b in kernels)
