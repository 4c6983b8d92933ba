"""Rows: every token once, pairs as in training, bins that are nearly full."""

from pathlib import Path

import numpy as np
import pytest
from published_tokenizers import write_tokenizer

from easytransfer_mtl.data.features import FeatureBuilder
from easytransfer_mtl.data.published_features import PublishedFeatureBuilder
from easytransfer_mtl.data.published_tokenizer import PublishedTokenizer, load_published
from easytransfer_mtl.data.tokenization import Tokenizer, load_vocabulary
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.pretraining.rows import RowBuilder, WordRows, pack
from easytransfer_mtl.pretraining.texts import Text
from easytransfer_mtl.pretraining.words import INSIDE, SPECIAL, START, PieceTokenizer, PublishedWordTokenizer

CLS, SEP = 2, 3


def two_by_two(text: str) -> list[str]:
    return [text[start : start + 2] for start in range(0, len(text), 2)]


def builder(tokenizer: Tokenizer, length: int = 12, packs: bool = True) -> RowBuilder:
    return RowBuilder(PieceTokenizer(tokenizer, two_by_two), length, packs, seed=5)


def as_lists(rows: WordRows) -> list[tuple[list[int], list[int], list[int]]]:
    """Returns ids, segments and parts of every row."""
    offsets = rows.rows.offsets
    slices = [slice(offsets[row], offsets[row + 1]) for row in range(len(rows))]
    return [
        tuple(array[part].tolist() for array in (rows.rows.input_ids, rows.rows.segment_ids, rows.parts)) for part in slices
    ]


def test_pack_fills_bins_and_loses_nothing() -> None:
    sizes = np.random.default_rng(1).integers(1, 40, 3000).tolist()
    bins = pack(sizes, 127)
    assert sorted(item for items in bins for item in items) == list(range(3000))
    loads = [sum(sizes[item] for item in items) for items in bins]
    assert max(loads) <= 127 and sum(loads) / (127 * len(bins)) > 0.97


def test_pack_takes_the_fullest_bin_that_has_room() -> None:
    assert pack([6, 5, 4, 3, 9, 1], 10) == [[0, 2], [1, 3], [4, 5]]
    assert pack([], 10) == []


def test_single_texts_share_rows_and_every_token_is_there_once(tokenizer: Tokenizer) -> None:
    texts = [("天地人",), ("日月",), ("山水火木",), ("金",)]
    rows = as_lists(builder(tokenizer).build(texts))
    assert len(rows) == 2
    for ids, segments, parts in rows:
        assert ids[0] == CLS and ids[-1] == SEP and len(ids) <= 12
        assert set(segments) == {0}
        assert [part == SPECIAL for part in parts] == [index in (CLS, SEP) for index in ids]
    found = sorted("".join(chr(index) for index in ids[1:-1]).split(chr(SEP)) for ids, _, _ in rows)
    expected = ["".join(chr(index) for index in tokenizer.ids(text)) for (text,) in texts]
    assert sorted(text for row in found for text in row) == sorted(expected)


def test_without_packing_every_text_has_a_row(tokenizer: Tokenizer) -> None:
    rows = as_lists(builder(tokenizer, packs=False).build([("天地人",), ("日月",)]))
    assert [ids for ids, _, _ in rows] == [[CLS, *tokenizer.ids(text), SEP] for text in ("天地人", "日月")]
    assert rows[0][2] == [SPECIAL, START, INSIDE, START, SPECIAL]


def test_a_long_text_becomes_several_pieces(tokenizer: Tokenizer) -> None:
    text = "天地人日月山水火木金土心手"
    rows = as_lists(builder(tokenizer, length=7, packs=False).build([(text,)]))
    assert [len(ids) for ids, _, _ in rows] == [7, 7, 5]
    assert [index for ids, _, _ in rows for index in ids[1:-1]] == tokenizer.ids(text)
    assert all(parts[1] == START for _, _, parts in rows)


@pytest.mark.parametrize(
    "pair", [("天地人", "日月"), ("天地人日月山水火", "木金土心手口目耳"), ("天" * 30, "地"), ("地", "天" * 30)]
)
def test_pairs_are_as_in_training(pair: tuple[str, str], tokenizer: Tokenizer) -> None:
    ((ids, segments, parts),) = as_lists(builder(tokenizer).build([pair]))
    expected = FeatureBuilder(tokenizer, 12).encode(pair)
    assert ids == expected.input_ids
    assert segments == [int(place >= expected.first_length) for place in range(len(ids))]
    assert [part == SPECIAL for part in parts] == [index in (CLS, SEP) for index in ids]


@pytest.mark.parametrize("kind", ["unigram", "bpe", "wordpiece"])
def test_rows_of_a_published_tokenizer_have_its_template(kind: str, tmp_path: Path) -> None:
    tokenizer = PublishedTokenizer(load_published(write_tokenizer(tmp_path, kind)))
    builder = RowBuilder(PublishedWordTokenizer(tokenizer, None), 64, True, seed=5)
    texts: list[Text] = [("今天天气好",), ("hello",), ("明天", "天气不好")]
    pair, singles = as_lists(builder.build(texts))
    expected = PublishedFeatureBuilder(tokenizer, 64).encode(texts[2])
    assert pair[0] == expected.input_ids
    assert pair[1] == [int(place >= expected.first_length) for place in range(len(pair[0]))]
    for ids, _, parts in (pair, singles):
        assert [part == SPECIAL for part in parts] == [index in tokenizer.vocabulary.frame_ids for index in ids]
    one, other = (tokenizer.encode(text, 64).ids for text in texts[:2])
    assert singles[0] in ([*one, *other[1:]], [*other, *one[1:]])
    assert set(singles[1]) == {0}


def test_rows_have_room_for_two_texts(tmp_path: Path) -> None:
    tokenizer = PublishedTokenizer(load_published(write_tokenizer(tmp_path)))
    with pytest.raises(UserError, match="sequence_length is 5; with the 4 special tokens of a pair it must be at least 6"):
        RowBuilder(PublishedWordTokenizer(tokenizer, None), 5, True, seed=5)
    ((ids, _, _),) = as_lists(RowBuilder(PublishedWordTokenizer(tokenizer, None), 6, True, seed=5).build([("好天", "看书")]))
    assert len(ids) == 6


def test_a_pair_with_one_text_is_a_single_one_and_none_has_no_row(tokenizer: Tokenizer) -> None:
    rows = builder(tokenizer).build([("", "天地"), ("\u200b",), ("", " ")])
    assert [ids for ids, _, _ in as_lists(rows)] == [[CLS, *tokenizer.ids("天地"), SEP]]
    assert len(builder(tokenizer).build([("",)])) == 0


def test_packing_is_a_function_of_the_seed(tiny_encoder: Path) -> None:
    tokenizer = PieceTokenizer(Tokenizer(load_vocabulary(tiny_encoder / "vocab.txt")), None)
    texts = [("天地人日月山水"[: 1 + place % 7],) for place in range(40)]
    one, same, other = (as_lists(RowBuilder(tokenizer, 16, True, seed).build(texts)) for seed in (1, 1, 2))
    assert one == same != other


def test_a_batch_has_parts_where_it_has_tokens(tokenizer: Tokenizer) -> None:
    rows = builder(tokenizer, packs=False).build([("天地人",), ("日",), ("天地", "日月")])
    batch = rows.batch(np.array([2, 1]), np.array([6, 9]))
    assert batch["word_parts"].shape == batch["input_ids"].shape == (2, 6)
    lists = as_lists(rows)
    for row, number in enumerate([2, 1]):
        length = len(lists[number][0])
        assert batch["word_parts"][row, :length].tolist() == lists[number][2]
        assert not batch["word_parts"][row, length:].any()
