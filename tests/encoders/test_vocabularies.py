"""By which rule an encoder's vocab.txt is read: what its folder tells, what is asked for, and what a run wrote."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from transformers.models.bert.tokenization_bert import load_vocab

from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.vocabularies import write_vocabulary
from easytransfer_mtl.errors import UserError

TOKENS = "[PAD] [UNK] [CLS] [SEP] [MASK] 天 $ 地 $ 日".split()
BY_LINE, CLOSED_UP = 9, 8
"""Ids of 日."""


@pytest.fixture
def encoder(tiny_encoder: Path, tmp_path: Path) -> Path:
    """A folder with a vocabulary of which a token stands twice."""
    folder = Path(shutil.copytree(tiny_encoder, tmp_path / "encoder"))
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in TOKENS), encoding="utf-8")
    return folder


def moved(encoder: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return encoder.rename(target)


def write_tf1(prefix: Path, *names: str) -> None:
    import tensorflow as tf

    values = [tf.constant(np.zeros(2, np.float32)) for _ in names]
    tf.raw_ops.SaveV2(prefix=str(prefix), tensor_names=list(names), shape_and_slices=[""] * len(names), tensors=values)


def id_of(name: Path | str, rule: str = "auto", zoo: Path | None = None) -> int:
    return find_encoder(str(name), str(zoo), needs_weights=False, vocabulary_rule=rule).vocabulary.ids["日"]


def test_a_folder_is_read_by_line_numbers_unless_the_other_rule_is_asked_for(encoder: Path) -> None:
    assert (id_of(encoder), id_of(encoder, "lines"), id_of(encoder, "easytransfer")) == (BY_LINE, BY_LINE, CLOSED_UP)


def test_an_encoder_of_easytransfers_zoo_is_read_by_its_rule(encoder: Path, tmp_path: Path) -> None:
    folder = moved(encoder, tmp_path / "zoo/bert/pai-bert-tiny-zh")
    assert id_of("pai-bert-tiny-zh", zoo=tmp_path / "zoo") == CLOSED_UP
    assert id_of(folder) == CLOSED_UP
    (tmp_path / "link").symlink_to(folder)
    assert id_of(tmp_path / "link") == CLOSED_UP
    assert id_of("pai-bert-tiny-zh", "lines", tmp_path / "zoo") == BY_LINE


@pytest.mark.parametrize(
    "names, expected",
    [
        (("bert/embeddings/word_embeddings", "cls/predictions/output_bias", "bert/pooler/dense/bias/adam_m"), BY_LINE),
        (("bert_pre_trained_model/bert/embeddings/word_embeddings", "tnews_dense/bias", "global_step"), CLOSED_UP),
        (("albert_pre_trained_model/bert/embeddings/word_embeddings",), CLOSED_UP),
    ],
)
def test_a_checkpoint_of_easytransfers_training_is_told_from_googles(
    names: tuple[str, ...], expected: int, encoder: Path
) -> None:
    write_tf1(encoder / "model.ckpt-7", *names)
    assert id_of(encoder / "model.ckpt-7") == expected
    assert id_of(encoder) == expected


@pytest.mark.parametrize(
    "name, content",
    [
        ("train_config.json", {"settings": {}, "data": {}, "plan": {}, "versions": {}}),
        ("export.json", {"step": 3, "easytransfer_mtl": "0.1.0"}),
        ("pretraining.json", {"settings": {}, "versions": {}}),
    ],
)
def test_what_was_written_when_there_was_one_rule_alone_keeps_its_ids(
    name: str, content: dict[str, object], encoder: Path
) -> None:
    (encoder / name).write_text(json.dumps(content), encoding="utf-8")
    assert id_of(encoder) == CLOSED_UP


def test_another_programs_files_of_these_names_change_nothing(encoder: Path) -> None:
    (encoder / "train_config.json").write_text('{"learning_rate": 1}', encoding="utf-8")
    assert id_of(encoder) == BY_LINE


@pytest.mark.parametrize("rule, expected", [("lines", BY_LINE), ("easytransfer", CLOSED_UP)])
def test_a_written_vocabulary_gives_the_same_ids_to_everyone(
    rule: str, expected: int, encoder: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    vocabulary = find_encoder(str(encoder), vocabulary_rule=rule).vocabulary
    folder = Path(shutil.copytree(tiny_encoder, tmp_path / "best"))
    (folder / "export.json").write_text('{"easytransfer_mtl": "0.1.0"}', encoding="utf-8")
    write_vocabulary(folder, vocabulary)
    again = find_encoder(str(folder)).vocabulary
    assert load_vocab(str(folder / "vocab.txt")) == again.ids == vocabulary.ids and again.ids["日"] == expected
    assert (again.rule, again.sha256) == (rule, vocabulary.sha256)
    assert id_of(folder, rule) == expected
    # transformers' folder made of it: no file tells the rule, and none needs to.
    for name in ("export.json", "vocabulary.json"):
        (folder / name).unlink()
    assert id_of(folder) == expected


def test_a_written_vocabulary_is_not_read_by_a_rule_that_shifts_its_ids(encoder: Path) -> None:
    write_vocabulary(encoder, find_encoder(str(encoder)).vocabulary)
    with pytest.raises(UserError, match="trained with ids by line numbers, and EasyTransfer's rule gives others"):
        id_of(encoder, "easytransfer")


@pytest.mark.parametrize("content", ["[]", "{}", '{"vocabulary_rule": "lined"}', '{"vocabulary_rule": ["lines"]}'])
def test_a_damaged_rule_is_named(content: str, encoder: Path) -> None:
    (encoder / "vocabulary.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match="vocabulary.json: vocabulary_rule is .*must be lines or easytransfer"):
        id_of(encoder)
