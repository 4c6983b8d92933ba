"""By which rule an encoder's vocab.txt is read: what its folder tells, what is asked for, and what a run wrote."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from published_tokenizers import published_encoder, tokenizer_json, write_tokenizer
from transformers.models.bert.tokenization_bert import load_vocab

from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.loading import check_embeddings, load_config
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


def choice_of(folder: Path, tokenizer: str = "auto") -> str:
    return find_encoder(str(folder), needs_weights=False, tokenizer=tokenizer).vocabulary.tokenizer


@pytest.fixture
def both(tiny_encoder: Path, tmp_path: Path) -> Path:
    """A folder with a tokenizer.json and a vocab.txt of the same ids."""
    folder = published_encoder(tmp_path / "both", tiny_encoder, "wordpiece")
    ids = tokenizer_json("wordpiece")["model"]["vocab"]
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in sorted(ids, key=ids.__getitem__)), encoding="utf-8")
    return folder


def test_both_files_with_the_same_ids_are_easytransfers_unless_asked(both: Path) -> None:
    assert (choice_of(both), choice_of(both, "published")) == ("easytransfer", "published")
    with (both / "vocab.txt").open("a", encoding="utf-8") as stream:  # one more token in either file is no contradiction
        stream.write("多\n")
    assert choice_of(both) == "easytransfer"


@pytest.mark.parametrize("kind", ["unigram", "bpe", "shifted"])
def test_both_files_with_other_ids_need_a_choice(kind: str, both: Path) -> None:
    if kind == "shifted":
        lines = (both / "vocab.txt").read_text(encoding="utf-8").splitlines()
        (both / "vocab.txt").write_text("\n".join([*lines[:9], "多", *lines[9:]]) + "\n", encoding="utf-8")
    else:
        write_tokenizer(both, kind)
    with pytest.raises(UserError) as error:
        choice_of(both)
    text = str(error.value)
    assert "--tokenizer=easytransfer (vocab.txt) or --tokenizer=published (tokenizer.json)" in text and str(both) in text
    for name in ("easytransfer", "published"):
        assert choice_of(both, name) == name
    write_vocabulary(both, find_encoder(str(both), needs_weights=False, tokenizer="easytransfer").vocabulary)
    assert choice_of(both) == "easytransfer"  # a run's folder says what it was trained with


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"model": {"vocab": {"a": []}}}', '{"model": {"vocab": [["[CLS]"]]}}', '{"model": 1}']
)
def test_a_damaged_tokenizer_json_beside_a_vocab_txt_is_passed_over(content: str, both: Path) -> None:
    (both / "tokenizer.json").write_text(content, encoding="utf-8")
    assert choice_of(both) == "easytransfer"


@pytest.mark.parametrize("names", [("vocab_chinese.txt",), ("vocab_a.txt", "vocab_b.txt")])
def test_a_text_file_of_another_name_does_not_win_over_tokenizer_json(names: tuple[str, ...], both: Path) -> None:
    content = (both / "vocab.txt").read_bytes()
    (both / "vocab.txt").unlink()
    for name in names:
        (both / name).write_bytes(content)
    assert choice_of(both) == "published"
    assert find_encoder(str(both), needs_weights=False).vocabulary_file == both / "tokenizer.json"
    if len(names) == 1:
        assert choice_of(both, "easytransfer") == "easytransfer"


CODE = {"auto_map": {"AutoTokenizer": ["tokenization_mine.MyTokenizer", None]}}


@pytest.mark.parametrize("name", ["tokenizer_config.json", "config.json"])
def test_a_tokenizer_that_needs_code_is_refused(name: str, both: Path) -> None:
    value = json.loads((both / name).read_text(encoding="utf-8")) if (both / name).is_file() else {}
    (both / name).write_text(json.dumps({**value, **CODE}), encoding="utf-8")
    message = f"needs code .auto_map in {name}: .*MyTokenizer.*not run.*give --tokenizer=easytransfer"
    for tokenizer in ("auto", "published"):
        with pytest.raises(UserError, match=message):
            choice_of(both, tokenizer)
    assert choice_of(both, "easytransfer") == "easytransfer"
    (both / "vocab.txt").unlink()
    with pytest.raises(UserError, match="its tokenizer.json alone gives the same ids, remove this entry; else take another"):
        choice_of(both)


def test_a_tokenizer_json_with_a_stopgap_for_code_is_refused(both: Path) -> None:
    (both / "tokenizer_config.json").write_text('{"tokenizer_class": "RoFormerTokenizer"}', encoding="utf-8")
    assert choice_of(both) == "easytransfer"
    with pytest.raises(UserError, match="needs code .tokenizer_class in tokenizer_config.json: RoFormerTokenizer"):
        choice_of(both, "published")


@pytest.mark.parametrize("content", ["{", "[]", '{"auto_map": {"AutoModel": "modeling_mine.Mine"}}', '{"auto_map": 3}'])
def test_other_entries_of_tokenizer_config_say_nothing(content: str, both: Path) -> None:
    (both / "tokenizer_config.json").write_text(content, encoding="utf-8")
    assert choice_of(both, "published") == "published"


def test_positions_begin_behind_a_padding_token(tiny_encoder: Path, tmp_path: Path) -> None:
    folder = published_encoder(tmp_path / "roberta", tiny_encoder)
    config = {**json.loads((folder / "config.json").read_text(encoding="utf-8")), "model_type": "xlm-roberta"}
    for padding_id, fits in ((1, True), (0, False), (9, False)):
        (folder / "config.json").write_text(json.dumps({**config, "pad_token_id": padding_id}), encoding="utf-8")
        files = find_encoder(str(folder), needs_weights=False)
        if fits:
            check_embeddings(files, load_config(files))
        else:
            with pytest.raises(UserError, match=f"the id {padding_id}, which is pad_token_id in .*, is '.*no padding"):
                check_embeddings(files, load_config(files))
