"""The generator's masks: [MASK] wherever a token is chosen, the rest as BERT's, and draws that repeat."""

import numpy as np
import pytest

from easytransfer_mtl.data.encoded_rows import Batch
from easytransfer_mtl.data.tokenization import MASK_TOKEN, Tokenizer
from easytransfer_mtl.pretraining.electra.masking import GeneratorMasking
from easytransfer_mtl.pretraining.masking import Masking, make_masking
from easytransfer_mtl.pretraining.rows import WordRows


@pytest.fixture
def rows(word_rows: WordRows) -> Batch:
    return word_rows.batch(np.arange(len(word_rows)), np.array([12]))


def masked(rows: Batch, tokenizer: Tokenizer, seed: int = 1, masking: type[Masking] = GeneratorMasking) -> Batch:
    return make_masking("token", 0.3, tokenizer.vocabulary, "test", masking).apply(rows, np.random.default_rng(seed))


def test_every_chosen_token_is_masked(rows: Batch, tokenizer: Tokenizer) -> None:
    batch = masked(rows, tokenizer)
    used = batch["weights"] > 0
    shown = batch["input_ids"].ravel()
    assert used.sum() > 10 and (shown[batch["positions"][used]] == tokenizer.vocabulary.ids[MASK_TOKEN]).all()
    shown[batch["positions"][used]] = batch["labels"][used]
    np.testing.assert_array_equal(shown.reshape(rows["input_ids"].shape), rows["input_ids"])


def test_the_same_tokens_are_chosen_as_by_berts_masking(rows: Batch, tokenizer: Tokenizer) -> None:
    one, other = masked(rows, tokenizer), masked(rows, tokenizer, masking=Masking)
    for name in ("positions", "labels", "weights"):
        np.testing.assert_array_equal(one[name], other[name])


def test_what_there_is_fits_the_signature(rows: Batch, tokenizer: Tokenizer) -> None:
    for masking in (Masking, GeneratorMasking):
        batch = masked(rows, tokenizer, masking=masking)
        assert batch.keys() == masking.signature.keys()
        for name, spec in masking.signature.items():
            assert batch[name].dtype == spec.dtype.as_numpy_dtype and spec.shape.is_compatible_with(batch[name].shape)


def test_draws_are_a_function_of_the_generator(rows: Batch, tokenizer: Tokenizer) -> None:
    one, same, other = (masked(rows, tokenizer, seed)["draws"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).all() and (0 <= one).all() and (one < 1).all() and len(set(one)) == len(one)
