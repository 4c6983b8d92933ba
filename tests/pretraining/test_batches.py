"""Masked batches: functions of the step, with new masks in every epoch; the held-out ones always the same."""

import numpy as np

from easytransfer_mtl.data.pipeline import RowOrder
from easytransfer_mtl.data.tokenization import Tokenizer
from easytransfer_mtl.pretraining.batches import MaskedBatches, held_out_batches
from easytransfer_mtl.pretraining.masking import make_masking
from easytransfer_mtl.pretraining.rows import WordRows

LENGTHS = np.array([6, 9, 12])


def batches(word_rows: WordRows, tokenizer: Tokenizer, seed: int = 5) -> MaskedBatches:
    masking = make_masking("token", 0.3, tokenizer.vocabulary, "test")
    order = RowOrder(len(word_rows), seed, "pretrain", True, 4, group=2, lengths=word_rows.rows.lengths)
    return MaskedBatches(word_rows, order, LENGTHS, masking)


def same(one: dict, other: dict) -> bool:
    return all(one[name].shape == other[name].shape and (one[name] == other[name]).all() for name in one)


def test_a_batch_is_the_same_whatever_was_asked_before(word_rows: WordRows, tokenizer: Tokenizer) -> None:
    one = batches(word_rows, tokenizer)
    expected = [one.batch(step) for step in range(12)]
    for step in (11, 3, 3, 0):
        assert same(batches(word_rows, tokenizer).batch(step), expected[step])
    assert not same(batches(word_rows, tokenizer, seed=6).batch(0), expected[0])


def test_the_dataset_goes_on_where_it_is_told(word_rows: WordRows, tokenizer: Tokenizer) -> None:
    masked = batches(word_rows, tokenizer)
    for step, batch in enumerate(batches(word_rows, tokenizer).dataset(3, 6), start=3):
        assert same({name: value.numpy() for name, value in batch.items()}, masked.batch(step))
    assert step == 5


def test_the_same_rows_are_masked_anew_every_time(word_rows: WordRows, tokenizer: Tokenizer) -> None:
    masked = batches(word_rows, tokenizer)
    masked.order.batch_rows = lambda step: np.arange(4)  # type: ignore[method-assign]
    shown = {masked.batch(step)["input_ids"].tobytes() for step in range(10)}
    assert len(shown) == 10


def test_every_held_out_row_is_measured_once_with_the_same_masks(word_rows: WordRows, tokenizer: Tokenizer) -> None:
    masking = make_masking("token", 0.999999, tokenizer.vocabulary, "test")  # so that all tokens are predicted
    found = list(held_out_batches(word_rows, 8, LENGTHS, masking, 5))
    assert [batch["input_ids"].shape[0] for batch in found] == [8, 8, 8]
    labels = np.concatenate([batch["labels"][batch["weights"] > 0] for batch in found])
    expected = word_rows.rows.input_ids[word_rows.parts > 0]
    assert abs(len(labels) - len(expected)) <= 2 and set(labels) == set(expected)
    again = list(held_out_batches(word_rows, 8, LENGTHS, masking, 5))
    assert all(same(one, other) for one, other in zip(found, again, strict=True))


def test_copies_in_the_last_held_out_batch_count_for_nothing(word_rows: WordRows, tokenizer: Tokenizer) -> None:
    masking = make_masking("token", 0.999999, tokenizer.vocabulary, "test")
    last = list(held_out_batches(word_rows, 8, LENGTHS, masking, 5))[-1]
    rows = last["positions"][last["weights"] > 0] // last["input_ids"].shape[1]
    assert set(rows) == set(range(len(word_rows) % 8))
