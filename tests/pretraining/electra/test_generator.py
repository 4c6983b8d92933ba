"""The generator: its size, that it computes what an encoder of its layers would, and what it shares."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from transformers import BertConfig

from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.pretraining.electra.generator import Generator, generator_config
from easytransfer_mtl.training.optimizers import decays

MakeEncoder = Callable[..., Encoder]
IDS = tf.constant([[2, 7, 8, 9, 3, 0, 0], [2, 10, 3, 11, 12, 21, 3]])
MASK = tf.constant([[1, 1, 1, 1, 1, 0, 0], [1] * 7])
SEGMENTS = tf.constant([[0] * 7, [0, 0, 0, 1, 1, 1, 1]])


@pytest.mark.parametrize(
    ("hidden", "heads", "size", "expected"),
    [
        (256, 4, 0.25, (64, 1, 256)),
        (768, 12, 1 / 3, (256, 4, 1024)),
        (1024, 16, 0.25, (256, 4, 1024)),
        (128, 2, 0.25, (32, 1, 128)),
        (768, 12, 1.0, (768, 12, 3072)),
    ],
)
def test_sizes_are_the_papers(hidden: int, heads: int, size: float, expected: tuple[int, ...]) -> None:
    config = BertConfig(hidden_size=hidden, num_attention_heads=heads, intermediate_size=4 * hidden)
    small = generator_config(config, size)
    assert (small.hidden_size, small.num_attention_heads, small.intermediate_size) == expected
    assert small.num_hidden_layers == config.num_hidden_layers and config.hidden_size == hidden


@pytest.mark.parametrize("size", [0.001, 0.1, 0.3, 0.37, 0.5, 0.99])
def test_any_size_gives_heads_of_an_even_width(size: float) -> None:
    small = generator_config(BertConfig(hidden_size=312, num_attention_heads=12, intermediate_size=1200), size)
    assert small.hidden_size % (2 * small.num_attention_heads) == 0 and small.hidden_size > 0
    assert abs(small.hidden_size - size * 312) <= 2 * small.num_attention_heads and small.intermediate_size > 0


def encoders_name(name: str) -> str:
    """Returns the canonical name in the encoder of what the generator calls by a name."""
    return name.removeprefix("generator/").replace("embeddings_project", "embeddings/projection")


@pytest.mark.parametrize("kind", ["bert", "electra", "electra small", "albert", "roformer"])
def test_with_the_encoders_size_and_weights_it_computes_the_same(kind: str, make_encoder: MakeEncoder) -> None:
    encoder = make_encoder(kind)
    generator = Generator(encoder, 1.0)
    for name, variable in generator.by_name.items():
        variable.assign(encoder.canonical_variables[encoders_name(name)])
    expected, _ = encoder.encode(IDS, MASK, SEGMENTS)
    found = generator.encode(IDS, MASK, SEGMENTS, training=False)
    np.testing.assert_allclose(tf.reshape(found, expected.shape), expected, atol=1e-5)
    own = {encoders_name(name) for name in generator.by_name}
    assert own == {name for name in encoder.canonical_variables if name.startswith(("encoder/", "embeddings/projection"))}


def test_a_narrower_one_projects_the_embeddings(make_encoder: MakeEncoder) -> None:
    generator = Generator(make_encoder("bert"), 0.5)
    shapes = {name: tuple(variable.shape) for name, variable in generator.by_name.items()}
    assert shapes["generator/embeddings_project/kernel"] == (8, 4)
    assert shapes["generator/encoder/layer_1/intermediate/dense/kernel"] == (4, 8)
    assert generator.encode(IDS, MASK, SEGMENTS, training=False).shape == (14, 4)


def test_the_start_is_random_by_seed_and_only_kernels_decay(make_encoder: MakeEncoder) -> None:
    encoder = make_encoder("bert")
    one, same = Generator(encoder, 0.5).by_name, Generator(encoder, 0.5).by_name
    starts = set()
    for name, variable in one.items():
        np.testing.assert_array_equal(variable, same[name])
        assert decays(variable) == name.endswith("/kernel")
        starts.add(variable.numpy().tobytes())
        if not name.endswith("/kernel"):
            assert (variable.numpy() == float(name.endswith("gamma"))).all()
    kernels = [name for name in one if name.endswith("/kernel")]
    assert len(kernels) == 1 + 2 * 6 and len(starts & {one[name].numpy().tobytes() for name in kernels}) == len(kernels)


def test_dropout_is_a_function_of_the_time_and_not_the_encoders(make_encoder: MakeEncoder) -> None:
    encoder = make_encoder("bert", hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.0, num_hidden_layers=1)
    generator = Generator(encoder, 1.0)
    for name, variable in generator.by_name.items():
        variable.assign(encoder.canonical_variables[encoders_name(name)])
    found = []
    for time in (1, 1, 2):
        encoder.clock.time.assign(time)
        found.append(generator.encode(IDS, MASK, SEGMENTS, training=True).numpy())
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()
    encoder.clock.time.assign(1)
    states, _ = encoder.encode(IDS, MASK, SEGMENTS, training=True)
    assert abs(found[0] - states.numpy().reshape(found[0].shape)).max() > 0.1
