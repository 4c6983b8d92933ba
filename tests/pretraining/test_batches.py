"""Masked batches: functions of the step, with new masks in every epoch; the held-out ones always the same."""

import numpy as np
import pytest

from easytransfer_mtl.data.pipeline import RowOrder
from easytransfer_mtl.data.tokenization import Tokenizer
from easytransfer_mtl.pretraining.batches import MaskedBatches, held_out_batches
from easytransfer_mtl.pretraining.masking import make_masking
from easytransfer_mtl.pretraining.rows import RowBuilder, WordRows
from easytransfer_mtl.pretraining.words import WordTokenizer

LENGTHS = np.array([6, 9, 12])


@pytest.fixture
def rows(tokenizer: Tokenizer) -> WordRows:
    texts = [("天地人日月山水火"[: 1 + place % 8],) for place in range(20)] + [("天地", "日月")]
    return RowBuilder(WordTokenizer(tokenizer, None), 12, False, 5).build(texts)


def batches(rows: WordRows, tokenizer: Tokenizer, seed: int = 5) -> MaskedBatches:
    masking = make_masking("token", 0.3, tokenizer.vocabulary, "test")
    order = RowOrder(len(rows), seed, "pretrain", True, 4, group=2, lengths=rows.rows.lengths)
    return MaskedBatches(rows, order, LENGTHS, masking)


def same(one: dict, other: dict) -> bool:
    return all(one[name].shape == other[name].shape and (one[name] == other[name]).all() for name in one)


def test_a_batch_is_the_same_whatever_was_asked_before(rows: WordRows, tokenizer: Tokenizer) -> None:
    one = batches(rows, tokenizer)
    expected = [one.batch(step) for step in range(12)]
    for step in (11, 3, 3, 0):
        assert same(batches(rows, tokenizer).batch(step), expected[step])
    assert not same(batches(rows, tokenizer, seed=6).batch(0), expected[0])


def test_the_dataset_goes_on_where_it_is_told(rows: WordRows, tokenizer: Tokenizer) -> None:
    masked = batches(rows, tokenizer)
    for step, batch in enumerate(batches(rows, tokenizer).dataset(3, 6), start=3):
        assert same({name: value.numpy() for name, value in batch.items()}, masked.batch(step))
    assert step == 5


def test_the_same_rows_are_masked_anew_every_time(rows: WordRows, tokenizer: Tokenizer) -> None:
    masked = batches(rows, tokenizer)
    masked.order.batch_rows = lambda step: np.arange(4)  # type: ignore[method-assign]
    shown = {masked.batch(step)["input_ids"].tobytes() for step in range(10)}
    assert len(shown) == 10


def test_every_held_out_row_is_measured_once_with_the_same_masks(rows: WordRows, tokenizer: Tokenizer) -> None:
    masking = make_masking("token", 0.999999, tokenizer.vocabulary, "test")  # so that all tokens are predicted
    found = list(held_out_batches(rows, 8, LENGTHS, masking, 5))
    assert [batch["input_ids"].shape[0] for batch in found] == [8, 8, 8]
    labels = np.concatenate([batch["labels"][batch["weights"] > 0] for batch in found])
    expected = rows.rows.input_ids[rows.parts > 0]
    assert abs(len(labels) - len(expected)) <= 2 and set(labels) == set(expected)
    again = list(held_out_batches(rows, 8, LENGTHS, masking, 5))
    assert all(same(one, other) for one, other in zip(found, again, strict=True))
