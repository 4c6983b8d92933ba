"""Features of random states against NumPy; padding has no part in any."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.models.encoded import LAYERS, POOLED, SEQUENCE, Encoded
from easytransfer_mtl.models.features import FeatureMaker, parse_features
from easytransfer_mtl.models.features.feature import Feature
from easytransfer_mtl.models.features.spec import POOLINGS

WIDTH, DEPTH = 3, 2
MASK = np.array([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]])
SEGMENTS = np.array([[0, 0, 1, 1, 0], [0, 0, 0, 1, 1], [0, 0, 0, 0, 0]])
IDS = np.array([[2, 7, 8, 3, 0], [2, 7, 3, 9, 3], [5, 0, 0, 0, 0]])
SPECS = [*(name for name in POOLINGS if name not in ("sequence", "ngrams")), "pooled+ngrams:50:2", "layer0.mean",
         "layer1.attention", "first1.max", "last2.cls", "mix.mean", "mix.pair", "mean+ngrams:7:1", "cls+mean+mix.attention_shared"]  # fmt: skip


def encoded(padding: int = 0, junk: float | None = None, mask: np.ndarray = MASK) -> Encoded:
    """States of real tokens are always the same, those of padding are ``junk``, and there can be more of it."""
    random = np.random.default_rng(0)
    layers = random.normal(size=(DEPTH + 1, 3, 5, WIDTH))
    if junk is not None:
        layers = np.where(mask[:, :, np.newaxis] > 0, layers, junk)
    wider = [[0, 0], [0, padding]]
    layers = np.pad(layers, [[0, 0], *wider, [0, 0]], constant_values=junk or 0.0)
    states = [tf.constant(layer, tf.float32) for layer in layers]
    pooled = tf.constant(random.normal(size=(3, WIDTH)), tf.float32)
    ids = np.where(mask > 0, IDS, 0 if junk is None else 77)
    inputs = [tf.constant(np.pad(part, wider), tf.int32) for part in (ids, mask, SEGMENTS)]
    return Encoded(*inputs, pooled, states[-1], tuple(states), tf.constant(0.0))


def feature(text: str, task: str = "T", maker: FeatureMaker | None = None) -> Feature:
    """The feature, its variables far from their start."""
    made = (maker or FeatureMaker(WIDTH, DEPTH, 1)).make(parse_features(text, ""), task)
    for place, variable in enumerate(made.trainable_variables):
        variable.assign(np.random.default_rng(place).normal(size=variable.shape))
    return made


def value(text: str, *arguments: Any) -> np.ndarray:
    return feature(text).read(encoded(*arguments)).numpy()


@pytest.mark.parametrize("text", SPECS)
def test_shape_and_padding(text: str) -> None:
    made, found = feature(text), value(text)
    assert found.shape == (3, made.width) and not made.is_sequence and np.isfinite(found).all()
    np.testing.assert_allclose(value(text, 4, 1e6), found, rtol=0, atol=1e-6)


def numpy_mean(states: np.ndarray, mask: np.ndarray) -> np.ndarray:
    rows = [row[marks > 0].mean(axis=0) if marks.any() else np.zeros(WIDTH) for row, marks in zip(states, mask, strict=True)]
    return np.stack(rows)


def test_poolings_by_hand() -> None:
    states = encoded().sequence.numpy()
    np.testing.assert_allclose(value("mean"), numpy_mean(states, MASK), rtol=1e-6)
    np.testing.assert_array_equal(value("cls"), states[:, 0])
    np.testing.assert_array_equal(value("pooled"), encoded().pooled.numpy())
    np.testing.assert_array_equal(
        value("max"), np.stack([row[: marks.sum()].max(axis=0) for row, marks in zip(states, MASK)])
    )
    np.testing.assert_array_equal(value("sequence"), states)
    both = value("max+pooled")
    np.testing.assert_array_equal(both, np.concatenate([value("max"), value("pooled")], axis=1))


def test_greatest_of_negative_states_is_not_the_paddings() -> None:
    below = encoded(junk=0.0)
    found = feature("max").read(below._replace(sequence=below.sequence - 100.0))
    assert np.all(found.numpy() < -90)


def test_pair_by_hand_and_without_a_second_text() -> None:
    states, second = encoded().sequence.numpy(), MASK * SEGMENTS
    u, v = numpy_mean(states, MASK - second), numpy_mean(states, second)
    np.testing.assert_allclose(value("pair"), np.concatenate([u, v, abs(u - v), u * v], axis=1), rtol=1e-5, atol=1e-7)
    assert not v[2].any() and feature("pair").width == 4 * WIDTH


def test_attention_by_hand() -> None:
    made, states = feature("attention"), encoded().sequence.numpy()
    values = {variable.name.split("/")[-1]: variable.numpy() for variable in made.trainable_variables}
    scores = np.tanh(states @ values["kernel:0"] + values["bias:0"]) @ values["query:0"]
    for row, marks in enumerate(MASK):
        weights = np.exp(scores[row, : marks.sum()])
        expected = (weights / weights.sum()) @ states[row, : marks.sum()]
        np.testing.assert_allclose(made.read(encoded())[row], expected, rtol=1e-5, atol=1e-6)


def test_ngrams_by_hand() -> None:
    """Tables of one row by number of tokens: every n-gram's vector is 1, so that the value is the root of their number."""
    made = FeatureMaker(WIDTH, DEPTH, 1).make(parse_features("pooled+ngrams:1:1", ""), "T")
    made.trainable_variables[0].assign([[1.0]])
    # Row 0: tokens 4, pairs within a text 2, none of three. Row 1: 5, then 2 + 1, then 1. Row 2: one token.
    np.testing.assert_allclose(made.read(encoded())[:, WIDTH], np.sqrt([6.0, 9.0, 1.0]), rtol=1e-6)


def test_ngrams_are_told_apart() -> None:
    """By token, order, length and text: no two of these rows have the same value, equal rows have."""
    made = feature("pooled+ngrams:65536:2").parts[1]

    def of(ids: list[int], second: int = 0) -> np.ndarray:
        row = tf.constant([ids], tf.int32)
        inputs = row, tf.ones_like(row), tf.fill(tf.shape(row), second)
        return made.read(Encoded(*inputs, None, None, (), tf.constant(0.0))).numpy()[0]

    rows = [of([5]), of([6]), of([5, 6]), of([6, 5]), of([5, 6, 5]), of([5, 5, 6]), of([5, 6], 1)]
    assert len({tuple(row) for row in rows}) == len(rows)
    np.testing.assert_array_equal(of([5, 6, 5]), rows[4])


def test_layers_by_hand() -> None:
    layers = [layer.numpy() for layer in encoded().layers]
    np.testing.assert_array_equal(value("layer0.sequence"), layers[0])
    np.testing.assert_allclose(value("last2.sequence"), (layers[1] + layers[2]) / 2, rtol=1e-6)
    np.testing.assert_array_equal(value("first1.sequence"), layers[1])
    mix = FeatureMaker(WIDTH, DEPTH, 1).make(parse_features("mix.sequence", ""), "T")
    np.testing.assert_allclose(mix.read(encoded()), np.mean(layers, axis=0), rtol=1e-5, atol=1e-6)
    shares, gamma = np.array([0.3, -1.0, 0.5]), 2.0
    for variable in mix.trainable_variables:
        variable.assign(gamma if "gamma" in variable.name else shares)
    weights = np.exp(shares) / np.exp(shares).sum()
    np.testing.assert_allclose(mix.read(encoded()), gamma * np.tensordot(weights, layers, 1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "text, reads",
    [
        ("pooled", {POOLED}), ("mean", {SEQUENCE}), ("layer2.mean", {SEQUENCE}), ("last1.cls", {SEQUENCE}),
        ("layer1.mean", {LAYERS}), ("mix.cls", {LAYERS}), ("pooled+first1.max", {POOLED, LAYERS}),
        ("pooled+ngrams", {POOLED}),
    ],
)  # fmt: skip
def test_no_more_is_read_than_needed(text: str, reads: set[str]) -> None:
    assert feature(text).reads == reads


def test_what_tasks_share_and_what_they_own() -> None:
    maker = FeatureMaker(WIDTH, DEPTH, 1)
    assert feature("mean", "A", maker) is feature("mean", "B", maker)
    assert feature("attention_shared", "A", maker) is feature("attention_shared", "B", maker)
    one, other = (feature("mix.attention_shared", task, maker) for task in "AB")
    common = {id(v) for v in one.trainable_variables} & {id(v) for v in other.trainable_variables}
    assert common == {id(v) for v in maker.shared["mix.attention_shared"].trainable_variables}
    assert len(one.trainable_variables) == len(common) + 2 and len(maker.shared) == 2
    names = [{v.name for v in feature("attention", task, maker).trainable_variables} for task in "AB"]
    assert not names[0] & names[1] and all(name.startswith("a_features/attention/") for name in names[0])


def test_first_values_come_from_the_seed_and_the_name() -> None:
    made = [FeatureMaker(WIDTH, DEPTH, seed).make(parse_features("attention", ""), task) for seed, task in
            [(1, "A"), (1, "A"), (2, "A"), (1, "B")]]  # fmt: skip
    queries = [feature.trainable_variables[0].numpy() for feature in made]
    np.testing.assert_array_equal(queries[0], queries[1])
    assert np.any(queries[0] != queries[2]) and np.any(queries[0] != queries[3])
