"""The discriminator's head: one score a token, by transformers' names, in both number formats."""

import numpy as np
import pytest
import tensorflow as tf
from transformers import ElectraConfig
from transformers.models.electra.modeling_tf_electra import TFElectraDiscriminatorPredictions

from easytransfer_mtl.pretraining.electra.head import ReplacedTokenHead
from easytransfer_mtl.training.optimizers import decays


def config(activation: str = "gelu") -> ElectraConfig:
    return ElectraConfig(hidden_size=8, hidden_act=activation, initializer_range=0.4)


def states() -> tf.Tensor:
    return tf.constant(np.random.default_rng(1).normal(size=(5, 8)), tf.float32)


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu"])
def test_scores_are_those_of_transformers(activation: str) -> None:
    head, theirs = ReplacedTokenHead(config(activation), 1), TFElectraDiscriminatorPredictions(config(activation))
    theirs.build()
    theirs.set_weights([variable.numpy() for variable in head.by_name.values()])
    np.testing.assert_allclose(head.scores(states()), theirs(states()[tf.newaxis])[0], atol=1e-5)


def test_bfloat16_is_close_and_the_scores_are_float32() -> None:
    head = ReplacedTokenHead(config(), 1)
    found = head.scores(tf.cast(states(), tf.bfloat16))
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, head.scores(states()), atol=0.05)


def test_the_start_is_random_by_seed_with_zero_biases_and_only_kernels_decay() -> None:
    one, same, other = (ReplacedTokenHead(config(), seed).by_name for seed in (1, 1, 2))
    for name, variable in one.items():
        is_kernel = name.endswith("kernel")
        np.testing.assert_array_equal(variable, same[name])
        assert (variable.numpy() != other[name].numpy()).any() == variable.numpy().any() == decays(variable) == is_kernel
