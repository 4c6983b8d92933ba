"""Token dropout: which tokens it reaches, how many, and that masks follow the clock."""

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.config.train_settings import StepSettings
from easytransfer_mtl.data.tokenization import Vocabulary
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.training.token_dropout import TokenDropout, make_token_dropout

PAD, CLS, SEP, MASK = 0, 2, 3, 4
DROPOUT = TokenDropout((0.25, 0.0, 0.5), MASK, (CLS, SEP))


def batch_of(rows: int = 400, text: int = 20, padding: int = 5) -> dict[str, tf.Tensor]:
    tokens = np.random.default_rng(0).integers(5, 50, (rows, text))
    ids = np.hstack([np.full((rows, 1), CLS), tokens, np.full((rows, 1), SEP), np.full((rows, padding), PAD)])
    mask = np.hstack([np.ones((rows, text + 2)), np.zeros((rows, padding))])
    return {name: tf.constant(value, tf.int32) for name, value in (("input_ids", ids), ("input_mask", mask))}


def shown(task: int, time: int = 0, seed: int = 1, dropout: TokenDropout = DROPOUT) -> np.ndarray:
    clock = DropoutClock(seed)
    clock.time.assign(time)
    return tf.function(lambda task_id: dropout.applied(batch_of(), task_id, clock)["input_ids"])(tf.constant(task)).numpy()


@pytest.mark.parametrize("task", [0, 1, 2])
def test_a_tasks_share_of_the_tokens_becomes_mask_and_nothing_else_changes(task: int) -> None:
    before, after = batch_of()["input_ids"].numpy(), shown(task)
    changed = after != before
    assert (after[changed] == MASK).all() and not changed[:, [0, *range(21, 27)]].any()
    share, rate = changed[:, 1:21].mean(), DROPOUT.rates[task]
    assert abs(share - rate) < 4 * np.sqrt(rate * (1 - rate) / changed[:, 1:21].size) + 1e-12
    per_place = changed[:, 1:21].mean(axis=0)
    assert abs(per_place - rate).max() < 5 * np.sqrt(rate * (1 - rate) / 400) + 1e-12


def test_masks_follow_seed_and_time() -> None:
    np.testing.assert_array_equal(shown(0, time=3), shown(0, time=3))
    marks = [shown(0, *at) == MASK for at in ((3, 1), (4, 1), (3, 2))]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        both = (marks[one] & marks[other])[:, 1:21].mean()
        assert abs(both - 0.25**2) < 0.015  # independent


def test_both_passes_of_a_row_have_masks_of_their_own() -> None:
    twice = {name: tf.concat([value, value], axis=0) for name, value in batch_of().items()}
    marks = DROPOUT.applied(twice, tf.constant(0), DropoutClock(1))["input_ids"].numpy() == MASK
    assert abs((marks[:400] & marks[400:])[:, 1:21].mean() - 0.25**2) < 0.015


def test_is_made_for_a_vocabulary() -> None:
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "好"]
    names, rates = ["TNEWS", "OCEMOTION", "OCNLI"], "tnews={},ocemotion={},ocnli={}".format(*DROPOUT.rates)
    assert make_token_dropout(StepSettings(token_dropout=rates), names, Vocabulary(tokens), "v") == DROPOUT
    assert make_token_dropout(StepSettings(), names, Vocabulary(tokens[:4]), "v") is None
    with pytest.raises(UserError, match=r"token_dropout shows tokens as \[MASK\], which v does not have; leave it out"):
        make_token_dropout(StepSettings(token_dropout="0.1"), names, Vocabulary(tokens[:4]), "v")
