"""Texts from token ids: what the ids still tell, and nothing of the frame around it."""

from pathlib import Path

import numpy as np
from published_tokenizers import write_tokenizer

from easytransfer_mtl.data.decoding import decode_rows, decode_units
from easytransfer_mtl.data.encoded_rows import EncodedRows, from_features, from_units
from easytransfer_mtl.data.features import FeatureBuilder
from easytransfer_mtl.data.published_features import feature_builder
from easytransfer_mtl.data.published_tokenizer import load_published
from easytransfer_mtl.data.tokenization import Tokenizer, Vocabulary

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"天气很好,!", "play", "##ing", "##s", "a", "b", "3"]
VOCABULARY = Vocabulary(TOKENS)


def rows_of(*texts: tuple[str, ...], length: int = 16) -> EncodedRows:
    builder = FeatureBuilder(Tokenizer(VOCABULARY), length)
    return from_features(builder.encode(item) for item in texts)


def test_chinese_stays_together_and_words_apart() -> None:
    texts = ["天气很好,好!", "Playing plays a 3", "天a b气", "a,b", ""]
    found = decode_rows(rows_of(*((text,) for text in texts)), VOCABULARY, False)
    assert found == [("天气很好,好!",), ("playing plays a 3",), ("天a b气",), ("a,b",), ("",)]


def test_what_the_vocabulary_lacks_and_what_was_cut_is_gone() -> None:
    assert decode_rows(rows_of(("天龘气很好",), length=5), VOCABULARY, False) == [("天[UNK]气",)]


def test_both_texts_of_a_pair() -> None:
    rows = rows_of(("天气", "很好"), ("好", ""), ("a b", "b a"))
    assert decode_rows(rows, VOCABULARY, True) == [("天气", "很好"), ("好", ""), ("a b", "b a")]


def test_a_pair_without_marks_is_all_in_the_first_text() -> None:
    rows = rows_of(("天气", "很好"))
    unmarked = EncodedRows(rows.input_ids, np.zeros_like(rows.segment_ids), rows.offsets, rows.label_ids)
    assert decode_rows(unmarked, VOCABULARY, True) == [("天气很好", "")]


def test_a_published_tokenizer_decodes_its_own_ids(tmp_path: Path) -> None:
    vocabulary = load_published(write_tokenizer(tmp_path, "bpe"))
    builder = feature_builder(vocabulary, "none", 16)
    rows = from_features([builder.encode(("天气 好", "a"))])
    assert [text.replace(" ", "") for text in decode_rows(rows, vocabulary, True)[0]] == ["天气好", "a"]


def test_texts_with_tags_have_one_unit_for_each_tag() -> None:
    builder = FeatureBuilder(Tokenizer(VOCABULARY), 8)
    characters = from_units(builder.encode_units(list(text)) for text in ("天a 龘B", "好好好好好好好", ""))
    assert decode_units(characters, VOCABULARY, "character") == [("天a\ufffdb",), ("好" * 6,), ("",)]
    words = from_units([builder.encode_units(["Playing", "\u200b", "龘", "天气", "plays"])])
    assert decode_units(words, VOCABULARY, "word") == [("playing [UNK] 天气 play",)]  # the last one is cut
