"""Tags of characters and words: read from tables, put on tokens, and decoded back to the same characters and words."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer as LibraryTokenizer
from tokenizers import models, normalizers, pre_tokenizers, processors

from easytransfer_mtl.data.conversion import Conversion, convert_file
from easytransfer_mtl.data.encoded_rows import concatenate, encoded_labels, from_units
from easytransfer_mtl.data.features import FeatureBuilder, RowEncoder
from easytransfer_mtl.data.learned_labels import with_labels
from easytransfer_mtl.data.published_features import check_units, feature_builder
from easytransfer_mtl.data.published_tokenizer import PublishedVocabulary
from easytransfer_mtl.data.table_reader import check_rows, read_table
from easytransfer_mtl.data.tag_units import NO_TAG, padded_tags, unit_spans, units_of, widened
from easytransfer_mtl.data.tfrecords import read_tfrecords
from easytransfer_mtl.data.tokenization import Tokenizer, Vocabulary
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.tasks import Task, task_from_json

TAGS = ("O", "B-LOC", "I-LOC")
TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"天地人山水abc", *(f"##{letter}" for letter in "abc")]
VOCABULARY = Vocabulary(TOKENS)
PIECES = ["天", "地", "山水", "abc", "ab", "c", " ", "\u3000", "e\u0301", "😀", "，", "\u200b", "A"]


def of(**more: Any) -> Task:
    value = {
        "name": "NER",
        "type": "tags",
        "first_sequence": "text",
        "label_name": "tags",
        "label_enumerate_values": [*TAGS],
    }
    return task_from_json(value | more)


CHARACTERS, WORDS = of(), of(unit="word")


def drawn_text(drawn: random.Random) -> str:
    return "".join(drawn.choices(PIECES, k=drawn.randint(0, 9)))


def builder(length: int = 64) -> FeatureBuilder:
    return FeatureBuilder(Tokenizer(VOCABULARY), length)


def published(pre_tokenizer: Any) -> RowEncoder:
    made = LibraryTokenizer(models.WordPiece({token: index for index, token in enumerate(TOKENS)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(handle_chinese_chars=False)
    made.pre_tokenizer = pre_tokenizer
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    content = made.to_str().encode()
    return feature_builder(PublishedVocabulary(content, json.loads(content), "made"), "none", 12)


@pytest.mark.parametrize("unit", ["character", "word"])
def test_units_are_what_their_spans_hold(unit: str) -> None:
    drawn = random.Random(1)
    for text in (drawn_text(drawn) for _ in range(200)):
        assert [text[start:end] for start, end in unit_spans(text, unit)] == units_of(text, unit)
        assert units_of(text, unit) == (list(text) if unit == "character" else text.split())


@pytest.mark.parametrize("unit", ["character", "word"])
@pytest.mark.parametrize("length", [6, 64])
def test_tags_on_tokens_decode_back_to_the_units_that_have_tokens(unit: str, length: int) -> None:
    drawn, encoder = random.Random(2), builder(length)
    for text in (drawn_text(drawn) for _ in range(300)):
        units = units_of(text, unit)
        found = encoder.encode_units(units)
        ids = found.features.input_ids
        assert len(ids) <= length and len(found.starts) == len(units)
        own = [encoder.tokenizer.ids(piece) for piece in units]
        whole = [2, *(index for part in own for index in part)]
        assert ids[:-1] == whole[: length - 1] and ids[-1] == 3
        places = [1 + sum(map(len, own[:number])) for number in range(len(units))]
        fits = [bool(part) and place < length - 1 for part, place in zip(own, places, strict=True)]
        assert found.starts == [place if fit else -1 for place, fit in zip(places, fits, strict=True)]
        assert found.cut == sum(map(bool, own)) - sum(fits)
        tags = drawn.choices(range(3), k=len(units))
        on_tokens = found.of_tokens(tags)
        assert [tag for tag in on_tokens if tag >= 0] == [tag for tag, fit in zip(tags, fits, strict=True) if fit]


def test_words_and_chinese_characters_have_the_ids_of_the_usual_encoding() -> None:
    drawn, encoder = random.Random(3), builder()
    for text in (drawn_text(drawn) for _ in range(200)):
        assert encoder.encode_units(text.split()).features == encoder.encode((text,))
    for text in ("天地山水", "山 水，天", "", "天a地"):
        assert encoder.encode_units(list(text)).features == encoder.encode((text,))
    assert encoder.encode_units(list("abc")).features != encoder.encode(("abc",))  # letters alone are other tokens


def test_a_published_tokenizer_is_taken_where_its_ids_are_the_usual_ones() -> None:
    splitting = pre_tokenizers.Sequence([pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Split("", "isolated")])
    whole_words = published(pre_tokenizers.BertPreTokenizer())
    check_units(whole_words, [WORDS])
    with pytest.raises(UserError, match="NER is of the type tags, so each character is tokenized by itself"):
        check_units(whole_words, [CHARACTERS])
    check_units(published(splitting), [CHARACTERS])
    check_units(builder(), [CHARACTERS, WORDS])
    found = whole_words.encode_units(["abc", "\u200b", "zz", "ab"])
    assert found.features == whole_words.encode(("abc zz ab",))
    assert found.starts == [1, -1, 4, 5] and found.cut == 0
    cut = whole_words.encode_units(["abc"] * 6)
    assert cut.starts == [1, 4, 7, 10, -1, -1] and len(cut.features.input_ids) == 12 and cut.cut == 2


def written(folder: Path, name: str, rows: list[Any]) -> Path:
    path = folder / name
    if name.endswith(".jsonl"):
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    else:
        path.write_text("".join("\t".join(row) + "\n" for row in [["text", "tags"], *rows]), encoding="utf-8")
    return path


def test_every_way_to_write_tags_is_the_same_row(tmp_path: Path) -> None:
    tags, words = ["B-LOC", "I-LOC", "O"], ["天地", "ab", "c"]
    paths = [
        written(tmp_path, "a.tsv", [["天地 ab c", "B-LOC I-LOC O"]]),
        written(tmp_path, "b.tsv", [["天地 ab c", json.dumps(tags)]]),
        written(tmp_path, "c.jsonl", [{"text": words, "tags": tags}]),
        written(tmp_path, "d.jsonl", [{"text": "天地 ab c", "tags": " B-LOC  I-LOC O "}]),
    ]
    for path in paths:
        (row,) = read_table(path, WORDS, labelled=True).rows
        assert (row.texts, row.label) == (("天地 ab c",), "B-LOC I-LOC O")
    own = written(tmp_path, "e.jsonl", [{"text": list("天地人"), "tags": tags}, {"text": "", "tags": []}])
    assert [(row.texts, row.label) for row in read_table(own, CHARACTERS, labelled=True).rows] == [
        (("天地人",), "B-LOC I-LOC O"),
        (("",), ""),
    ]


@pytest.mark.parametrize(
    ("task", "row", "message"),
    [
        (CHARACTERS, {"text": "天地", "tags": ["O"]}, "1 tags for 2 characters of the text '天地'"),
        (CHARACTERS, {"text": "天地 人", "tags": ["O", "O"]}, 'is it one tag a word? the task says "unit": "word" then'),
        (CHARACTERS, {"text": "天 地 人", "tags": "O O O"}, 'is it one tag a word?'),
        (CHARACTERS, {"text": "天 地人", "tags": "O O O"}, "white space within the text is a character too"),
        (WORDS, {"text": "天地", "tags": ["O", "O"]}, 'is it one tag a character? the task says "unit": "character" then'),
        (WORDS, {"text": "天地", "tags": ""}, "0 tags for 1 words"),
        (WORDS, {"text": "天地", "tags": "B-PER"}, "unknown tag 'B-PER'; allowed: O,B-LOC,I-LOC, one a word"),
        (WORDS, {"text": ["天 地"], "tags": ["O"]}, "text is a list with '天 地', which is not one word"),
        (WORDS, {"text": ["天", 5], "tags": ["O", "O"]}, "text is a list with 5, which is not one word"),
        (CHARACTERS, {"text": ["天地"], "tags": ["O"]}, "text is a list with '天地', which is not one character"),
        (WORDS, {"text": "天", "tags": [{"a": 1}]}, "the label is"),
    ],
)  # fmt: skip
def test_bad_rows_say_what_is_wrong(tmp_path: Path, task: Task, row: dict[str, Any], message: str) -> None:
    good = {"text": "天", "tags": ["O"]}
    with pytest.raises(UserError) as found:
        check_rows(read_table(written(tmp_path, "a.jsonl", [good, row]), task, labelled=True))
    assert message in str(found.value) and "line 2" in str(found.value)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"label_enumerate_values": ["B-LOC", "I-LOC"]}, "lacks O; the tags of a task of the type tags are O and"),
        ({"label_enumerate_values": ["O", "LOC"]}, "has 'LOC'; the tags of a task of the type tags are O and"),
        ({"label_enumerate_values": ["O"]}, "needs at least two different labels"),
        ({"unit": "token"}, "unit 'token' is not one of ['character', 'word']"),
        ({"second_sequence": "other"}, "a task of the type tags has one text, whose characters are tagged"),
        ({"type": "classify", "unit": "word"}, "unit is for tasks of the type tags only"),
        ({"metrics": ["auc"]}, "metric 'auc' is not one of ['entity_f1'"),
    ],
)
def test_tasks_that_cannot_be(more: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as found:
        of(**more)
    assert message in str(found.value)


def test_a_task_with_tags_survives_json() -> None:
    assert task_from_json(WORDS.to_json()) == WORDS and WORDS.to_json()["unit"] == "word"
    assert "unit" not in CHARACTERS.to_json() and CHARACTERS.metric == "entity_f1"
    assert WORDS.label_text(WORDS.target("O B-LOC")) == "O B-LOC" and WORDS.label_text([0, 2, -1]) == "O I-LOC"


def test_tags_are_learned_from_the_train_file(tmp_path: Path) -> None:
    written(tmp_path, "NER_train.jsonl", [{"text": "天地", "tags": ["O", "B-X"]}, {"text": "人", "tags": ["I-X"]}])
    (task,) = with_labels((of(label_enumerate_values="from data"),), str(tmp_path))
    assert task.label_enumerate_values == ("B-X", "I-X", "O")


@pytest.mark.parametrize("length", [6, 16])
def test_records_hold_the_tags_of_tokens(tmp_path: Path, length: int) -> None:
    rows = [("天地 山 水 abc", "B-LOC I-LOC O B-LOC"), ("abc 人", "B-LOC O"), ("", "")]
    rows += [("天 ab c 水 地 人", "O O O O I-LOC O")]
    source = written(tmp_path, "a.tsv", [[*row] for row in rows])
    report = convert_file(Conversion(source, tmp_path / "a.tfrecord", WORDS), builder(length), "error")
    found = read_tfrecords(tmp_path / "a.tfrecord", 3, len(VOCABULARY), "tags")
    assert len(found) == 4 and found.label_rank == 2
    whole = [builder(length).encode_units(text.split()) for text, _ in rows]
    kept = [
        [tag for tag, start in zip(WORDS.target(tags), row.starts, strict=True) if start >= 0]  # type: ignore[arg-type]
        for (_, tags), row in zip(rows, whole, strict=True)
    ]
    np.testing.assert_array_equal(found.targets, padded_tags(kept))
    assert report.cut_tags == sum(row.cut for row in whole) == (0 if length == 16 else 4)
    assert any("behind the cut" in line for line in report.lines()) == (length == 6)
    batch = found.batch(np.array([3, 0]))
    assert batch["label_ids"].shape == batch["input_ids"].shape and batch["label_ids"].dtype == np.int32
    for row, number in zip(batch["label_ids"], (3, 0), strict=True):
        assert [tag for tag in row if tag != NO_TAG] == kept[number]
    assert (batch["label_ids"][batch["input_mask"] == 0] == NO_TAG).all() and (batch["label_ids"][:, 0] == NO_TAG).all()
    twice = concatenate([found.take(np.array([3, 1])), found.first(2)])
    np.testing.assert_array_equal(twice.targets, padded_tags([kept[3], kept[1], kept[0], kept[1]])[:, : twice.most_units])


def test_a_tag_that_is_none_is_named_by_its_record(tmp_path: Path) -> None:
    source = written(tmp_path, "a.tsv", [["天", "O"], ["地 天", "O I-LOC"]])
    convert_file(Conversion(source, tmp_path / "a.tfrecord", WORDS), builder(8), "error")
    with pytest.raises(UserError, match=r"record 1 \(counted from 0\): label_id is not in -1..1, the task's tags"):
        read_tfrecords(tmp_path / "a.tfrecord", 2, len(VOCABULARY), "tags")
    with pytest.raises(UserError, match="label_id of length 1, found"):
        read_tfrecords(tmp_path / "a.tfrecord", 3, len(VOCABULARY))


def test_rows_of_texts_number_their_units() -> None:
    rows = from_units(builder().encode_units(list(text)) for text in ("天 ab", "", " 人"))
    assert rows.most_units == 4 and len(rows) == 3
    assert rows.units.tolist() == [-1, 0, 2, 3, -1, -1, -1, -1, 1, -1]


def test_labels_of_rows_are_filled_up_to_the_longest() -> None:
    np.testing.assert_array_equal(encoded_labels(WORDS, ["O B-LOC", "", "I-LOC"]), [[0, 1], [-1, -1], [2, -1]])
    assert widened(np.ones((2, 3, 4)), 5).shape == (2, 5, 4) and widened(np.ones((2, 3)), 2).shape == (2, 3)
