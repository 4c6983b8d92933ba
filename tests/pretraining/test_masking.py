"""Masks: the share that was asked for, whole words and runs, 80/10/10, nothing special, and a function of the generator."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from published_tokenizers import tokenizer_json, write_tokenizer

from easytransfer_mtl.data.encoded_rows import Batch
from easytransfer_mtl.data.published_tokenizer import load_published
from easytransfer_mtl.data.tokenization import Vocabulary
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.pretraining.masking import Masking, make_masking
from easytransfer_mtl.pretraining.words import INSIDE, SPECIAL, START

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused1]", *(f"t{number}" for number in range(50))]
FIRST, MASK = 6, 4
XLMR, BERTS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>"), ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def masking(kind: str = "token", share: float = 0.15) -> Masking:
    return make_masking(kind, share, Vocabulary(TOKENS), "test")


def rows(count: int, length: int, seed: int = 0, word_lengths: tuple[int, ...] = (1, 1, 2, 2, 3)) -> Batch:
    """Rows of texts of up to 12 tokens, [CLS] a [SEP] b [SEP], with padding, and words of random lengths."""
    random = np.random.default_rng(seed)
    parts = np.zeros((count, length), np.uint8)
    for row in parts:
        place, end = 1, length - random.integers(0, length // 4)
        while place < end - 1:
            text_end = min(end - 1, place + random.integers(1, 13))
            while place < text_end:
                word = min(int(random.choice(word_lengths)), text_end - place)
                row[place : place + word] = [START] + [INSIDE] * (word - 1)
                place += word
            place += 1
    ids = np.where(parts == SPECIAL, 3, random.integers(FIRST, len(TOKENS), parts.shape))
    return {
        "input_ids": ids.astype(np.int32),
        "input_mask": np.ones_like(ids),
        "segment_ids": np.zeros_like(ids),
        "word_parts": parts,
    }


def chosen_of(masked: Batch) -> np.ndarray:
    """Returns which tokens are to be predicted, bool [B, S]."""
    flat = np.zeros(masked["input_ids"].size, bool)
    flat[masked["positions"][masked["weights"] > 0]] = True
    return flat.reshape(masked["input_ids"].shape)


@pytest.mark.parametrize("kind", ["token", "wwm", "ngram"])
@pytest.mark.parametrize("share", [0.15, 0.4])
def test_the_expected_share_of_every_row_is_chosen(kind: str, share: float) -> None:
    batch = rows(16, 64)
    counts = [chosen_of(masking(kind, share).apply(batch, np.random.default_rng(seed))).sum(axis=1) for seed in range(400)]
    expected = share * (batch["word_parts"] != SPECIAL).sum(axis=1)
    np.testing.assert_allclose(np.mean(counts, axis=0), expected, rtol=0.04)


@pytest.mark.parametrize("kind", ["token", "wwm", "ngram"])
def test_what_is_told_fits_what_is_shown(kind: str) -> None:
    batch = rows(8, 40)
    masked = masking(kind).apply(batch, np.random.default_rng(1))
    chosen = chosen_of(masked)
    assert chosen.any() and not chosen[batch["word_parts"] == SPECIAL].any()
    np.testing.assert_array_equal(masked["input_ids"][~chosen], batch["input_ids"][~chosen])
    used = masked["weights"] > 0
    assert len(set(masked["positions"][used])) == used.sum()
    np.testing.assert_array_equal(masked["labels"][used], batch["input_ids"].ravel()[masked["positions"][used]])
    assert not masked["positions"][~used].any() and not masked["labels"][~used].any()
    assert len(masked["positions"]) == len(masked["labels"]) == len(used) == int(np.ceil(0.15 * 8 * 40))


def test_eighty_ten_ten_and_never_a_special_token() -> None:
    batch, shown = rows(64, 128), Counter()
    replaced: set[int] = set()
    for seed in range(40):
        masked = masking().apply(batch, np.random.default_rng(seed))
        used = masked["weights"] > 0
        now, true = masked["input_ids"].ravel()[masked["positions"][used]], masked["labels"][used]
        shown.update(np.where(now == MASK, "mask", np.where(now == true, "same", "other")).tolist())
        replaced.update(now[(now != MASK) & (now != true)].tolist())
    total = sum(shown.values())
    # A token that is drawn instead is the same one in 1 of 50 cases.
    assert abs(shown["mask"] / total - 0.8) < 0.01
    assert abs(shown["other"] / total - 0.1 * 49 / 50) < 0.01
    assert replaced == set(range(FIRST, len(TOKENS)))


def test_whole_words_are_whole() -> None:
    batch = rows(16, 64)
    parts = batch["word_parts"].ravel()
    for seed in range(20):
        chosen = chosen_of(masking("wwm").apply(batch, np.random.default_rng(seed))).ravel()
        inside = np.flatnonzero(parts == INSIDE)
        np.testing.assert_array_equal(chosen[inside], chosen[inside - 1])


def test_runs_are_of_one_to_three_words_of_one_text() -> None:
    kind = masking("ngram")
    batch = rows(200, 128, word_lengths=(1,))
    parts = batch["word_parts"].ravel()
    tokens = np.flatnonzero(parts)
    units = kind._units(parts[tokens] == START, tokens, np.random.default_rng(3))
    assert (np.diff(units) >= 0).all() and (np.diff(units) <= 1).all()
    assert (np.diff(units)[np.diff(tokens) > 1] == 1).all()
    long_texts = masking("ngram")._units(np.ones(60000, bool), np.arange(60000), np.random.default_rng(3))
    lengths = Counter(np.bincount(long_texts).tolist())
    total = sum(lengths.values())
    assert [lengths[words] / total for words in (1, 2, 3)] == pytest.approx([6 / 11, 3 / 11, 2 / 11], abs=0.01)
    assert set(lengths) == {1, 2, 3}


def test_masks_are_a_function_of_the_generator() -> None:
    batch = rows(8, 40)
    one, same, other = (masking("ngram").apply(batch, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert all((one[name] == same[name]).all() for name in one)
    assert (chosen_of(one) != chosen_of(other)).any()


def test_never_more_than_there_are_places_and_the_shapes_depend_on_the_batchs_alone() -> None:
    batch = rows(2, 24, word_lengths=(9,))
    shapes = set()
    for seed in range(200):
        masked = masking("wwm").apply(batch, np.random.default_rng(seed))
        shapes.add(masked["positions"].shape)
        assert masked["weights"].sum() == chosen_of(masked).sum()
    assert shapes == {(8,)}


def test_a_batch_without_a_token_has_nothing_to_predict() -> None:
    batch = rows(2, 8)
    batch["word_parts"] = np.zeros_like(batch["word_parts"])
    masked = masking("ngram").apply(batch, np.random.default_rng(1))
    assert not masked["weights"].any()
    np.testing.assert_array_equal(masked["input_ids"], batch["input_ids"])


def test_a_vocabulary_without_mask_token_or_text_is_an_error() -> None:
    with pytest.raises(UserError, match=r"x has no token \[MASK\]"):
        make_masking("token", 0.15, Vocabulary(TOKENS[:4]), "x")
    with pytest.raises(UserError, match="special tokens only"):
        make_masking("token", 0.15, Vocabulary(TOKENS[:6]), "x")


@pytest.mark.parametrize("kind", ["unigram", "bpe", "wordpiece"])
def test_of_a_published_tokenizer_every_token_but_its_special_ones_may_be_shown(kind: str, tmp_path: Path) -> None:
    vocabulary = load_published(write_tokenizer(tmp_path, kind))
    special = {index for token, index in vocabulary.ids.items() if token in (*XLMR, *BERTS)}
    assert len(special) == 5
    made = make_masking("token", 0.15, vocabulary, "test")
    assert made.mask_id == vocabulary.mask_id
    assert set(made.others.tolist()) == set(vocabulary.ids.values()) - special


def test_a_published_tokenizer_without_mask_token_is_an_error(tmp_path: Path) -> None:
    added = [token for token in tokenizer_json("unigram")["added_tokens"] if token["content"] != "<mask>"]
    with pytest.raises(UserError, match=r"x has no token \[MASK\] or <mask>"):
        make_masking("token", 0.15, load_published(write_tokenizer(tmp_path, added_tokens=added)), "x")
