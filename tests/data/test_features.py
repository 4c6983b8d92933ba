"""Texts in BERT's layout, cut as EasyTransfer cut them."""

import json
import random
from pathlib import Path

import pytest

from easytransfer_mtl.data.features import FeatureBuilder, truncated_lengths
from easytransfer_mtl.data.tokenization import Tokenizer, Vocabulary
from easytransfer_mtl.errors import UserError

GOLDEN = Path(__file__).parents[1] / "golden" / "tokenizer" / "truncate_pairs_max125.json"
CLS, SEP = 2, 3
TOKENIZER = Tokenizer(Vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", *"甲乙丙丁戊己庚辛"]))
ID = TOKENIZER.vocabulary.ids


def one_at_a_time(first: int, second: int, limit: int) -> tuple[int, int]:
    while first + second > limit:
        if first > second:
            first -= 1
        else:
            second -= 1
    return first, second


def test_the_golden_truncation_table() -> None:
    table = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert len(table) > 100
    for first, second, kept_first, kept_second in table:
        assert truncated_lengths(first, second, 125) == (kept_first, kept_second)


@pytest.mark.parametrize("limit", [2, 3, 4, 7, 8, 20])
def test_truncation_equals_removing_one_token_at_a_time(limit: int) -> None:
    for first in range(3 * limit):
        for second in range(3 * limit):
            assert truncated_lengths(first, second, limit) == one_at_a_time(first, second, limit)


def test_the_second_text_loses_a_token_on_a_tie() -> None:
    assert truncated_lengths(100, 100, 125) == (63, 62)


def test_one_text() -> None:
    features = FeatureBuilder(TOKENIZER, 8).encode(("甲b",))
    assert features.input_ids == [CLS, ID["甲"], ID["b"], SEP]
    assert features.first_length == 4


def test_one_text_keeps_its_first_tokens() -> None:
    features = FeatureBuilder(TOKENIZER, 5).encode(("甲乙丙丁",))
    assert features.input_ids == [CLS, ID["甲"], ID["乙"], ID["丙"], SEP]
    assert features.first_length == 5


def test_a_pair_has_two_segments() -> None:
    features = FeatureBuilder(TOKENIZER, 10).encode(("甲", "乙丙"))
    assert features.input_ids == [CLS, ID["甲"], SEP, ID["乙"], ID["丙"], SEP]
    assert features.first_length == 3


def test_a_pair_fills_the_length_exactly() -> None:
    builder = FeatureBuilder(TOKENIZER, 8)
    assert builder.encode(("甲乙丙", "丁戊")).input_ids == builder.encode(("甲乙丙己", "丁戊庚辛")).input_ids
    assert len(builder.encode(("甲乙丙己", "丁戊庚辛")).input_ids) == 8


def test_an_empty_second_text_gets_no_separator_but_its_room_is_kept() -> None:
    builder = FeatureBuilder(TOKENIZER, 8)
    features = builder.encode(("甲", ""))
    assert (features.input_ids, features.first_length) == ([CLS, ID["甲"], SEP], 3)
    features = builder.encode(("甲乙丙丁戊己庚", " "))
    assert len(features.input_ids) == features.first_length == 5 + 2


def test_empty_first_texts() -> None:
    builder = FeatureBuilder(TOKENIZER, 8)
    assert builder.encode(("",)).input_ids == [CLS, SEP]
    features = builder.encode(("", "甲"))
    assert (features.input_ids, features.first_length) == ([CLS, SEP, ID["甲"], SEP], 2)
    assert builder.encode(("", "")).input_ids == [CLS, SEP]


@pytest.mark.parametrize("length", [5, 6, 7, 16, 128])
def test_every_row_fits_and_has_the_layout(length: int) -> None:
    source, builder = random.Random(length), FeatureBuilder(TOKENIZER, length)
    for _ in range(200):
        texts = tuple(
            "".join(source.choices("甲乙丙丁", k=source.randint(0, 2 * length))) for _ in range(source.randint(1, 2))
        )
        features = builder.encode(texts)
        ids, first = features.input_ids, features.first_length
        assert len(ids) <= length
        assert ids[0] == CLS and ids[first - 1] == SEP and ids[-1] == SEP
        assert ids.count(CLS) == 1 and ids.count(SEP) == (2 if len(texts) == 2 and texts[1] else 1)
        assert ids[1 : first - 1] == TOKENIZER.ids(texts[0])[: first - 2]
        if first < len(ids):
            assert ids[first:-1] == TOKENIZER.ids(texts[1])[: len(ids) - first - 1]


@pytest.mark.parametrize("length", [-1, 0, 4])
def test_a_length_without_room_is_refused(length: int) -> None:
    with pytest.raises(
        UserError, match=f"sequence_length is {length}; with the 3 special tokens of a pair it must be at least 5"
    ):
        FeatureBuilder(TOKENIZER, length)
