"""Replaced-token detection: the right labels, the right gradients, the loss, and encoders it cannot have."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.config.pretrain_settings import PretrainSettings
from easytransfer_mtl.data.tokenization import Tokenizer
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.encoders.loading import load_config
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.pretraining.electra.masking import GeneratorMasking
from easytransfer_mtl.pretraining.masking import make_masking
from easytransfer_mtl.pretraining.objectives import ReplacedTokenModel
from easytransfer_mtl.pretraining.rows import WordRows

MakeEncoder = Callable[..., Encoder]
Batch = dict[str, tf.Tensor]
SHARED = ("embeddings/word_embeddings", "embeddings/token_type_embeddings", "embeddings/LayerNorm/gamma")


@pytest.fixture
def batch(word_rows: WordRows, tokenizer: Tokenizer) -> Batch:
    """All rows, with places that are not used and padding."""
    masking = make_masking("token", 0.3, tokenizer.vocabulary, "test", GeneratorMasking)
    rows = word_rows.batch(np.arange(len(word_rows)), np.array([12]))
    return {name: tf.constant(value) for name, value in masking.apply(rows, np.random.default_rng(1)).items()}


@pytest.fixture
def make_model(make_encoder: MakeEncoder, settings: Callable[..., PretrainSettings]) -> Callable[..., ReplacedTokenModel]:
    """Builds a model around a tiny encoder of a type; arguments change the settings."""

    def make(kind: str = "bert", encoder: dict[str, Any] | None = None, **changes: Any) -> ReplacedTokenModel:
        return ReplacedTokenModel(
            make_encoder(kind, **encoder or {}), settings(objective="electra", generator_size=0.5, **changes)
        )

    return make


MakeModel = Callable[..., ReplacedTokenModel]


def true_ids(batch: Batch) -> np.ndarray:
    ids, used = batch["input_ids"].numpy().copy(), batch["weights"].numpy() > 0
    ids.ravel()[batch["positions"].numpy()[used]] = batch["labels"].numpy()[used]
    return ids


def test_a_token_is_replaced_where_it_is_not_the_true_one(make_model: MakeModel, batch: Batch) -> None:
    made = make_model().generate(batch, False, "float32")
    ids, used = made.input_ids.numpy(), batch["weights"].numpy() > 0
    np.testing.assert_array_equal(made.replaced, ids != true_ids(batch))
    is_place = np.zeros(ids.size, bool)
    is_place[batch["positions"].numpy()[used]] = True
    assert not used.all() and not made.replaced.numpy().ravel()[~is_place].any()
    assert 0.5 * used.sum() < made.replaced.numpy().sum() <= used.sum()


def test_a_drawn_token_that_is_the_true_one_is_not_replaced(make_model: MakeModel, batch: Batch) -> None:
    model, token = make_model(), int(batch["labels"].numpy()[0])
    bias = model.generator_head.by_name["bias"]
    bias.assign(tf.tensor_scatter_nd_add(bias, [[token]], [1e4]))
    made = model.generate(batch, False, "float32")
    used = batch["weights"].numpy() > 0
    positions, labels = batch["positions"].numpy()[used], batch["labels"].numpy()[used]
    assert (made.input_ids.numpy().ravel()[positions] == token).all()
    np.testing.assert_array_equal(made.replaced.numpy().ravel()[positions], labels != token)
    assert (labels == token).any() and made.replaced.numpy().sum() == (labels != token).sum()


def test_the_loss_is_the_sum_of_both_means(make_model: MakeModel, batch: Batch) -> None:
    model = make_model(encoder={"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}, rtd_weight=7.0)
    told = model.step_values(batch)
    made = model.generate(batch, False, "float32")
    scores = model.replaced_scores(made.input_ids, batch, False, "float32").numpy()
    is_token, labels = batch["input_mask"].numpy() == 1, made.replaced.numpy()
    losses = np.log1p(np.exp(scores)) - labels * scores
    mlm_loss, rtd_loss = np.average(made.losses, weights=batch["weights"]), losses[is_token].mean()
    assert float(told["mlm_loss"]) == pytest.approx(mlm_loss, rel=1e-5)
    assert float(told["rtd_loss"]) == pytest.approx(rtd_loss, rel=1e-5)
    assert float(told["loss"]) == pytest.approx(mlm_loss + 7 * rtd_loss, rel=1e-5)
    assert float(told["rtd_accuracy"]) == pytest.approx(((scores > 0) == labels)[is_token].mean(), rel=1e-5)
    measured = model.measurement(np.array([float(value) for value in model.sums(batch)]))
    for name, value in told.items():
        assert getattr(measured, name) == pytest.approx(float(value), rel=1e-5)


def gradients(model: ReplacedTokenModel, batch: Batch, loss: str) -> dict[str, float]:
    """Returns the norm of a loss's gradient at every part: encoder's by canonical name, others' by name in files."""
    named = {**model.encoder.canonical_variables, **model.stored_parts}
    with tf.GradientTape() as tape:
        value = model.step_values(batch)[loss]
    found = tape.gradient(value, named)
    return {name: 0.0 if part is None else float(tf.linalg.global_norm([part])) for name, part in found.items()}


@pytest.mark.parametrize("kind", ["bert", "electra small", "albert", "roformer"])
def test_every_gradient_reaches_what_it_should_and_nothing_else(kind: str, make_model: MakeModel, batch: Batch) -> None:
    model = make_model(kind)
    from_words, from_tokens = (gradients(model, batch, loss) for loss in ("mlm_loss", "rtd_loss"))
    for name in from_words:
        is_generator = name.startswith("generator")
        is_shared = name.startswith("embeddings/") and "projection" not in name
        if name.startswith("pooler/"):
            assert from_words[name] == from_tokens[name] == 0, name
        elif not name.endswith("key/bias"):  # of which softmax takes no notice, but for rounding
            assert (from_words[name] > 0) == (is_generator or is_shared), name
            assert (from_tokens[name] > 0) == (not is_generator), name
    assert set(SHARED) <= from_words.keys()


def test_the_sum_moves_shared_embeddings_by_both(make_model: MakeModel, batch: Batch) -> None:
    model = make_model(encoder={"hidden_dropout_prob": 0.0}, rtd_weight=3.0)
    table = model.encoder.word_embeddings
    parts = {}
    for loss in ("loss", "mlm_loss", "rtd_loss"):
        with tf.GradientTape() as tape:
            value = model.step_values(batch)[loss]
        parts[loss] = tf.convert_to_tensor(tape.gradient(value, table)).numpy()
    np.testing.assert_allclose(parts["loss"], parts["mlm_loss"] + 3 * parts["rtd_loss"], atol=1e-5)
    assert abs(parts["mlm_loss"]).max() > 1e-3 and abs(parts["rtd_loss"]).max() > 1e-4


def test_padding_is_not_told_of(make_model: MakeModel, batch: Batch) -> None:
    model = make_model()
    longer = {**batch, **{name: tf.pad(batch[name], [[0, 0], [0, 3]]) for name in ("input_ids", "input_mask")}}
    longer |= {name: tf.pad(batch[name], [[0, 0], [0, 3]]) for name in ("segment_ids", "token_weights")}
    rows, places = batch["positions"] // 12, batch["positions"] % 12
    longer["positions"] = rows * 15 + places
    np.testing.assert_allclose(model.sums(longer), model.sums(batch), rtol=1e-5)


def test_the_same_time_and_draws_give_the_same_step(make_model: MakeModel, batch: Batch) -> None:
    model = make_model()

    def loss(time: int, batch: Batch) -> float:
        model.encoder.clock.time.assign(time)
        return float(model.step_values(batch)["loss"])

    other = {**batch, "draws": tf.reverse(batch["draws"], [0])}
    assert loss(1, batch) == loss(1, batch)
    assert len({loss(1, batch), loss(2, batch), loss(1, other)}) == 3


def test_parts_are_trained_once_each_and_without_the_pooler(make_model: MakeModel) -> None:
    model = make_model("albert")
    trained = [id(variable) for variable in model.trained_variables]
    pooler = {id(variable) for variable in model.encoder.pooler_variables}
    assert len(trained) == len(set(trained))
    assert set(trained) | pooler == {id(variable) for variable in model.trainable_variables}


def test_what_cannot_work_is_an_error(encoder_folder: Callable[..., Any], settings: Callable[..., PretrainSettings]) -> None:
    def check(kind: str, **changes: Any) -> None:
        config = load_config(find_encoder(str(encoder_folder(kind)), needs_weights=False))
        ReplacedTokenModel.check(settings(objective="electra", **changes), config)

    with pytest.raises(UserError, match=r"no.* for model_type deberta; set --objective=mlm"):
        check("deberta")
    for size in (0.0, 1.5):
        with pytest.raises(UserError, match=f"generator_size is {size}; it must be more than 0 and at most 1"):
            check("bert", generator_size=size)
    check("bert", generator_size=1.0)
