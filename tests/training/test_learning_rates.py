"""Shares of the learning rate: whose they are, and that every optimizer keeps to them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from transformers import BertConfig

from easytransfer_mtl.config.train_settings import SharingSettings, TrainSettings
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.runs.optimizers import make_optimizer
from easytransfer_mtl.tasks import CONTEST_TASKS
from easytransfer_mtl.training.learning_rates import RateShares
from easytransfer_mtl.training.plan import plan_run

OPTIMIZERS = [("adam", 0.0), ("adam", 0.3), ("lamb", 0.3), ("adagrad", 0.0), ("adadelta", 0.0)]


@pytest.fixture(scope="module")
def model(tiny_encoder: Path) -> MultiTaskModel:
    encoder = load_encoder(find_encoder(str(tiny_encoder)), DropoutClock(3), random_init=True).encoder
    features = {"TNEWS": "attention", "OCEMOTION": "attention_shared", "OCNLI": "pooled"}
    return MultiTaskModel(encoder, CONTEST_TASKS, architecture=Architecture(features=features))


def rates_of(settings: TrainSettings) -> RateShares:
    return plan_run(settings, list(CONTEST_TASKS), [12, 12, 12], BertConfig(num_hidden_layers=2)).rates


def by_name(model: MultiTaskModel, shares: RateShares) -> dict[str, float]:
    return {v.name: share for v, share in zip(model.trainable_variables, shares.of_variables(model), strict=True)}


def test_without_shares_there_is_nothing_to_do(model: MultiTaskModel) -> None:
    assert RateShares((1.0, 1.0, 1.0)).of_variables(model) == []


def test_heads_have_their_tasks_share(model: MultiTaskModel) -> None:
    found = by_name(model, RateShares((2.0, 3.0, 1.0)))
    for name, share in found.items():
        expected = {"tnews": 2.0, "ocemotion": 3.0}.get(name.split("_")[0], 1.0)
        assert share == expected, name
    assert {name.split("/")[0] for name, share in found.items() if share == 2.0} == {"tnews_features", "tnews_dense"}
    both = by_name(model, RateShares((5.0, 5.0, 5.0)))
    assert all(share == (1.0 if name.startswith("bert/") else 5.0) for name, share in both.items())


def test_layers_have_less_the_lower_they_are(model: MultiTaskModel) -> None:
    for name, share in by_name(model, RateShares((1.0, 1.0, 2.0), 0.5)).items():
        place = [part for part in ("embeddings/", "layer_._0/", "layer_._1/", "ocnli_dense/") if part in name]
        expected = {"embeddings/": 0.125, "layer_._0/": 0.25, "layer_._1/": 0.5, "ocnli_dense/": 2.0}
        assert share == (expected[place[0]] if place else 1.0), name


@pytest.mark.parametrize(
    ("sharing", "options", "private", "shared"),
    [
        ("soft", {}, 0, 0),
        ("shared_private", {"combine": "gate", "adversarial_weight": 0.1}, 2, 2),
        ("shared_private", {"private_part": "encoder", "private_width": 6}, 39, 0),
        ("shared_private", {"private_part": "adapter", "adapter_size": 3}, 8, 0),
        ("memory", {}, 12, 1),
        ("mmoe", {"experts": 2}, 2, 2),
    ],
)
def test_new_layers_of_a_sharing_structure_are_as_heads_and_copies_as_what_they_copy(
    sharing: str, options: dict[str, Any], private: int, shared: int, tiny_encoder: Path
) -> None:
    encoder = load_encoder(find_encoder(str(tiny_encoder)), DropoutClock(3), random_init=True).encoder
    model = MultiTaskModel(encoder, CONTEST_TASKS, Architecture(SharingSettings(sharing=sharing, **options)))
    different = list(by_name(model, RateShares((2.0, 3.0, 4.0), 0.5)).values())
    heads = 2
    assert [different.count(share) for share in (2.0, 3.0, 4.0)] == [private + heads] * 3
    one = list(by_name(model, RateShares((7.0, 7.0, 7.0), 0.5)).values())
    assert one.count(7.0) == 3 * (private + heads) + shared
    assert set(one) == {0.125, 0.25, 0.5, 1.0, 7.0}


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("name, decay", OPTIMIZERS)
def test_a_share_is_the_same_as_a_rate_so_much_smaller(name: str, decay: float, traced: bool) -> None:
    def values(rate: float, shares: list[float]) -> list[np.ndarray]:
        optimizer = make_optimizer(name, rate, decay)
        variables = [tf.Variable([[1.0, -2.0]], name=f"kernel{place}") for place in range(2)]
        optimizer.set_rate_shares(shares)
        optimizer.build(variables)
        apply = tf.function(lambda g: optimizer.apply_gradients(zip([g, g], variables))) if traced else None
        for value in (0.5, -1.0, 2.0):
            gradient = tf.constant([[value, 1.0]])
            apply(gradient) if apply else optimizer.apply_gradients(zip([gradient] * 2, variables))
        return [variable.numpy() for variable in variables]

    whole, shared = values(0.1, []), values(0.1, [1.0, 0.25])
    np.testing.assert_array_equal(shared[0], whole[0])
    np.testing.assert_allclose(shared[1], values(0.025, [])[1], rtol=1e-5)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"head_lr": "0"}, "head_lr '0': 0.0 for TNEWS is too small; it must be more than 0"),
        ({"head_lr": "ocnli=-1"}, "head_lr 'ocnli=-1': -1.0 for OCNLI is too small; it must be more than 0"),
        ({"head_lr": "nan"}, "head_lr 'nan': 'nan' is not a finite number"),
        ({"head_lr": "inf"}, "head_lr 'inf'"),
        ({"head_lr": "fast"}, "neither a number nor NAME=NUMBER"),
        ({"layer_lr_decay": 0.0}, "--layer_lr_decay: 0.0 is too small; it must be more than 0 and at most 1"),
        ({"layer_lr_decay": 1.1}, "--layer_lr_decay: 1.1 is too large; it must be more than 0 and at most 1"),
    ],
)
def test_what_is_out_of_range(changes: dict[str, Any], message: str, tiny_settings: Callable[..., Any]) -> None:
    with pytest.raises(UserError) as error:
        rates_of(tiny_settings(**changes))
    assert message in str(error.value)


def test_settings_to_shares(tiny_settings: Callable[..., Any]) -> None:
    assert rates_of(tiny_settings()) == RateShares((1.0, 1.0, 1.0))
    found = rates_of(tiny_settings(head_lr="ocnli=10", layer_lr_decay=0.9))
    assert found == RateShares((1.0, 1.0, 10.0), 0.9)
