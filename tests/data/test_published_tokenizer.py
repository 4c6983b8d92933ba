"""Published tokenizers give transformers' ids, know the roles of their tokens, and refuse bad files by name."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from encoder_files import published_folder
from published_tokenizers import ODD, TEXTS, tokenizer_json, write_tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from easytransfer_mtl.data import published_tokenizer
from easytransfer_mtl.data.features import FeatureBuilder, Features
from easytransfer_mtl.data.published_features import feature_builder
from easytransfer_mtl.data.published_tokenizer import AnyVocabulary, load_published
from easytransfer_mtl.data.tfrecords import read_tfrecords, serialize, write_tfrecords
from easytransfer_mtl.data.tokenization import Vocabulary
from easytransfer_mtl.errors import UserError

KINDS = ("unigram", "bpe", "wordpiece")
LENGTHS = (6, 7, 8, 9, 16, 64)
SINGLE = [*TEXTS[:6], *ODD]


def transformers_rows(tokenizer: Any, rows: list[tuple[str, ...]], length: int) -> list[tuple[list[int], list[int]]]:
    """Returns ids and token types of rows that all have one text or all have two."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    found = tokenizer(*columns, truncation="longest_first", max_length=length, return_token_type_ids=True)
    return list(zip(found["input_ids"], found["token_type_ids"], strict=True))


def segments(row: Features) -> list[int]:
    return [0] * row.first_length + [1] * (len(row.input_ids) - row.first_length)


def assert_alike(vocabulary: AnyVocabulary, tokenizer: Any, length: int) -> None:
    builder = feature_builder(vocabulary, "none", length)
    singles: list[tuple[str, ...]] = [(text,) for text in SINGLE]
    pairs: list[tuple[str, ...]] = list(itertools.product(SINGLE, SINGLE))
    for rows in (singles, pairs):
        encoded = [builder.encode(row) for row in rows]
        # An encoder whose tokenizer has no types gets zeros, see Encoder.token_types.
        found = [(row.input_ids, segments(row) if vocabulary.has_types else [0] * len(row.input_ids)) for row in encoded]
        assert found == transformers_rows(tokenizer, rows, length)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_ids_and_types_are_transformers(kind: str, length: int, tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path, kind)
    vocabulary = load_published(path)
    assert ("add_prefix_space" in vocabulary.settings) == (kind == "bpe")
    assert_alike(vocabulary, PreTrainedTokenizerFast(tokenizer_file=str(path), **vocabulary.settings), length)


def test_truncation_and_padding_in_the_file_count_only_by_direction(tmp_path: Path) -> None:
    plain = load_published(write_tokenizer(tmp_path / "plain"))
    truncation = {"max_length": 3, "strategy": "LongestFirst", "stride": 1, "direction": "Right"}
    padding = {
        "strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 4, "pad_type_id": 0,
        "pad_token": "<mask>",
    }  # fmt: skip
    path = write_tokenizer(tmp_path / "right", truncation=truncation, padding=padding)
    right = load_published(path)
    assert right.sha256 == plain.sha256 and (plain.padding_id, right.padding_id) == (1, 4)
    assert_alike(right, PreTrainedTokenizerFast(tokenizer_file=str(path)), 8)
    path = write_tokenizer(tmp_path / "left", truncation={**truncation, "direction": "Left"})
    left = load_published(path)
    assert left.sha256 != plain.sha256
    assert_alike(left, PreTrainedTokenizerFast(tokenizer_file=str(path)), 8)


@pytest.mark.parametrize("kind", KINDS)
def test_segments_tell_the_texts_apart_whatever_the_template(kind: str, tmp_path: Path) -> None:
    """The second text's own tokens, and what the template puts behind them, have segment 1."""
    vocabulary = load_published(write_tokenizer(tmp_path, kind))
    separators = 1 if kind == "wordpiece" else 2
    for length in (16, 64):
        builder = feature_builder(vocabulary, "none", length)
        for first, second in (("今天天气好", "看书"), ("", "好"), ("看书" * 40, "天气" * 40)):
            row = builder.encode((first, second))
            alone = [len(builder.tokenizer.encode((text,), 999).ids) - 2 for text in (first, second)]
            if sum(alone) + separators + 2 <= length:
                assert row.first_length == 1 + alone[0] + separators
            assert row.input_ids[row.first_length - 1] == vocabulary.frame_ids[1] == row.input_ids[-1]
            assert row.first_length < len(row.input_ids) - 1
        for texts in (("今天天气好",), ("今天", "")):
            row = builder.encode(texts)
            assert vocabulary.has_types or row.first_length == len(row.input_ids)


@pytest.mark.published_weights
@pytest.mark.parametrize("name", ["multilingual-e5-small", "all-MiniLM-L6-v2"])
@pytest.mark.parametrize("length", [8, 15, 64])
def test_published_encoders(name: str, length: int) -> None:
    folder = published_folder(name)
    assert_alike(load_published(folder / "tokenizer.json"), AutoTokenizer.from_pretrained(folder), length)


@pytest.mark.parametrize(
    "kind, frame, mask, padding, unknown, has_types",
    [
        ("unigram", (0, 2), 4, 1, 3, False),
        ("bpe", (0, 2), 4, 1, None, False),
        ("wordpiece", (2, 3), 4, 0, 1, True),
    ],
)
def test_roles(
    kind: str, frame: tuple[int, int], mask: int, padding: int, unknown: int | None, has_types: bool, tmp_path: Path
) -> None:
    found = load_published(write_tokenizer(tmp_path, kind))
    assert (found.frame_ids, found.mask_id, found.padding_id, found.unknown_id) == (frame, mask, padding, unknown)
    assert found.has_types == has_types
    names = ("[CLS]", "[SEP]", "[MASK]", "[PAD]") if has_types else ("<s>", "</s>", "<mask>", "<pad>")
    assert tuple(found.settings[f"{role}_token"] for role in ("cls", "sep", "mask", "pad")) == names


def test_equal_roles_of_a_vocab_txt() -> None:
    found = Vocabulary(["[PAD]", "[UNK]", "[SEP]", "[CLS]"])
    assert (found.frame_ids, found.mask_id, found.padding_id, found.unknown_id) == ((3, 2), None, 0, 1)
    assert isinstance(feature_builder(found, "none", 8), FeatureBuilder)


def test_hash_is_that_of_the_content_not_of_its_form(tmp_path: Path) -> None:
    value = tokenizer_json("unigram")
    path = write_tokenizer(tmp_path)
    before = load_published(path).sha256
    path.write_text(json.dumps(dict(reversed(value.items())), indent=3), encoding="utf-8")
    assert load_published(path).sha256 == before
    value["model"]["vocab"][9][1] -= 0.5
    path.write_text(json.dumps(value), encoding="utf-8")
    assert load_published(path).sha256 != before


def test_normalization_comes_before_the_tokenizer(tmp_path: Path) -> None:
    vocabulary = load_published(write_tokenizer(tmp_path, "bpe"))
    plain, nfkc = (feature_builder(vocabulary, how, 64) for how in ("none", "nfkc"))
    assert nfkc.encode(("ＡＢ１",)) == plain.encode(("AB1",)) != plain.encode(("ＡＢ１",))


def test_half_a_character_pair_is_the_replacement_character(tmp_path: Path) -> None:
    builder = feature_builder(load_published(write_tokenizer(tmp_path, "bpe")), "none", 16)
    assert builder.encode(("a\ud83d",)) == builder.encode(("a\ufffd",))


def test_mask_comes_from_lengths_and_padding_is_the_tokenizers(tmp_path: Path) -> None:
    """<s> has the id 0, and a text may hold <pad>."""
    vocabulary = load_published(write_tokenizer(tmp_path))
    row = feature_builder(vocabulary, "none", 16).encode(("<pad>今天<s>",))
    assert {0, 1} <= set(row.input_ids[1:])
    write_tfrecords(tmp_path / "rows", [serialize(row, 0, 16, vocabulary.padding_id)])
    rows = read_tfrecords(tmp_path / "rows", 1, len(vocabulary))
    assert rows.input_ids.tolist() == row.input_ids
    assert serialize(row, 0, 16, 1) != serialize(row, 0, 16)


def test_too_short_a_length(tmp_path: Path) -> None:
    vocabulary = load_published(write_tokenizer(tmp_path))
    with pytest.raises(UserError, match="sequence_length is 5; with the 4 special tokens of a pair it must be at least 6"):
        feature_builder(vocabulary, "none", 5)


def test_a_string_is_no_pair(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a tuple of one or two texts is wanted"):
        feature_builder(load_published(write_tokenizer(tmp_path)), "none", 8).encode("今天")  # type: ignore[arg-type]


def without_template() -> dict[str, Any]:
    return {**tokenizer_json("unigram"), "post_processor": None}


def after_the_text() -> dict[str, Any]:
    value = tokenizer_json("unigram")
    value["post_processor"]["single"] = value["post_processor"]["single"][1:]
    return value


def nothing_behind_the_text() -> dict[str, Any]:
    value = tokenizer_json("unigram")
    for kind in ("single", "pair"):
        value["post_processor"][kind] = value["post_processor"][kind][:-1]
    return value


def nothing_between_two_texts() -> dict[str, Any]:
    value = tokenizer_json("wordpiece")
    cls, first, _, second, sep = value["post_processor"]["pair"]
    value["post_processor"]["pair"] = [cls, first, second, sep]
    return value


def with_part(name: str, part: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    return lambda: {**tokenizer_json("bpe"), name: part}


def with_third_type() -> dict[str, Any]:
    value = tokenizer_json("wordpiece")
    value["post_processor"]["pair"][-1]["SpecialToken"]["type_id"] = 2
    return value


def with_unknown_id() -> dict[str, Any]:
    value = tokenizer_json("wordpiece")
    value["post_processor"]["special_tokens"]["[CLS]"]["ids"] = [99_999]
    return value


def with_dropout() -> dict[str, Any]:
    value = tokenizer_json("bpe")
    value["model"]["dropout"] = 0.1
    return value


def without_unknown() -> dict[str, Any]:
    value = tokenizer_json("unigram")
    value["model"]["unk_id"] = None
    return value


def without_unknown_word() -> dict[str, Any]:
    value = tokenizer_json("wordpiece")
    value["model"]["unk_token"] = "[NONE]"
    return value


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "is empty"),
        ("{", "not JSON|no JSON|JSON"),
        ("[1]", "is no tokenizer.json: it must be a JSON object with a model"),
        ("{}", "is no tokenizer.json"),
        ('{"model": {"type": "Unigram"}}', "is refused by the tokenizers library"),
        ('{"version": "9.0", "model": {"type": "Nonsense"}}', "is refused by the tokenizers library"),
        (without_template, "lacks a template"),
        (after_the_text, "lacks a template"),
        (nothing_behind_the_text, r"puts no special token behind every text, as \[SEP\] or </s>"),
        (nothing_between_two_texts, "puts no special token behind every text"),
        (
            with_part("pre_tokenizer", {"type": "Custom"}),
            r"refuses is the pre_tokenizer \(type 'Custom'\).*no code",
        ),
        (with_part("normalizer", {"type": "Jieba"}), r"What it refuses is the normalizer \(type 'Jieba'\)"),
        (with_part("decoder", {"type": "Custom"}), r"What it refuses is the decoder \(type 'Custom'\)"),
        (with_third_type, "token types are .*2"),
        (with_unknown_id, r"the template .* has the ids \[99999\], which are no token's"),
        (with_dropout, "dropout of 0.1, so a text's ids would be random"),
        (without_unknown, "cannot encode every text"),
        (without_unknown_word, "cannot encode every text"),
    ],
)
def test_bad_files_are_refused_by_name(content: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content()), encoding="utf-8")
    with pytest.raises(UserError, match=message) as error:
        load_published(path)
    assert str(path) in str(error.value)


def test_size_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tokenizer(tmp_path)
    monkeypatch.setattr(published_tokenizer, "MOST_BYTES", 1000)
    with pytest.raises(UserError, match="too large: at most 1,000 bytes"):
        load_published(path)


def test_a_tokenizer_without_latin_letters_has_a_template_too(tmp_path: Path) -> None:
    """BPE without a token for unknown text leaves out what it does not know."""
    special = {"<s>": 0, "<pad>": 1, "</s>": 2, "<mask>": 3}
    model = {"type": "BPE", "vocab": {**special, "天": 4, "气": 5}, "merges": [], "unk_token": None, "fuse_unk": False}
    value = tokenizer_json("unigram")
    added = [{**token, "id": special[token["content"]]} for token in value["added_tokens"] if token["content"] in special]
    vocabulary = load_published(write_tokenizer(tmp_path, model=model, added_tokens=added, normalizer=None))
    assert vocabulary.library_tokenizer.encode("a", "a").ids == [0, 2, 2, 2]
    assert vocabulary.template == ((0,), (2, 2), (2,))
