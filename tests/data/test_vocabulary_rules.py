"""Ids of a vocab.txt: line numbers as transformers counts them, or EasyTransfer's closed-up ones, and which is which."""

import logging
from pathlib import Path

import pytest
from transformers.models.bert.tokenization_bert import load_vocab

from easytransfer_mtl.data.tokenization import Tokenizer, Vocabulary, load_vocabulary
from easytransfer_mtl.data.vocabulary_rules import warn_of_rules
from easytransfer_mtl.errors import UserError

HEAD = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n"
CRAFTED = {
    "plain": HEAD + "天\n地\n",
    "repeated": HEAD + "天\n$\n地\n人\n$\n日\n月\n",
    "repeated three times": HEAD + "天\n天\n地\n天\n日\n",
    "special repeated": HEAD + "天\n[UNK]\n地\n[SEP]\n日\n",
    "blank lines": HEAD + "天\n\n地\n\n\n日\n",
    "lines of white space": HEAD + "天\n \n地\n\t\n\u3000\n日\n",
    "trailing blank lines": HEAD + "天\n地\n\n\n\n",
    "no last line end": HEAD + "天\n地",
    "crlf": (HEAD + "天\n地\n天\n日\n").replace("\n", "\r\n"),
    "lone carriage return": HEAD + "天\r地\n日\n",
    "inner spaces": HEAD + "天 地\n天\n日 \n 月\n人\n",
    "separators that are no line ends": HEAD + "a\u2028b\nc\u2029d\n\u0085\ne\x0bf\ng\x0ch\ni\x1cj\n\x1d\n天\n\u2028\n地\n",
    "byte order mark inside": HEAD + "\ufeff天\n地\n",
    "a mark alone": HEAD + "天\n##\u2028\n地\n",
    "nothing separates": HEAD + "\u200b\n\u200d\n天\n",
}
TEXTS = ["天地日月人$", "天 地", "x天", "", "日[UNK]月"]


def written(folder: Path, text: str) -> Path:
    path = folder / "vocab.txt"
    path.write_bytes(text.encode("utf-8"))
    return path


@pytest.mark.parametrize("text", CRAFTED.values(), ids=CRAFTED)
def test_line_numbers_are_transformers_ids(text: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    expected = dict(load_vocab(str(path)))
    vocabulary = load_vocabulary(path)
    assert vocabulary.ids == expected
    tokenizer = Tokenizer(vocabulary)
    for row in TEXTS:
        assert tokenizer.ids(row) == [expected[token] for token in tokenizer.tokenize(row)]


def test_a_byte_order_mark_is_no_reason_to_miss_the_first_token(tmp_path: Path) -> None:
    plain = load_vocabulary(written(tmp_path, HEAD + "天\n"))
    marked = written(tmp_path, "\ufeff" + HEAD + "天\n")
    for rule in ("lines", "easytransfer"):
        assert load_vocabulary(marked, rule).ids == plain.ids
        assert load_vocabulary(marked, rule).sha256 == plain.sha256


def test_of_equal_lines_the_last_is_valid_and_the_other_rule_closes_gaps(tmp_path: Path) -> None:
    path = written(tmp_path, CRAFTED["repeated"])
    by_line, closed_up = load_vocabulary(path), load_vocabulary(path, "easytransfer")
    assert {token: by_line.ids[token] for token in "天$地人日月"} == dict(zip("天地人$日月", (4, 6, 7, 8, 9, 10)))
    assert {token: closed_up.ids[token] for token in "天$地人日月"} == dict(zip("天$地人日月", (4, 5, 6, 7, 8, 9)))
    assert (len(by_line), len(closed_up)) == (11, 10)
    assert Tokenizer(by_line).tokenize("天$日") == ["天", "$", "日"]


@pytest.mark.parametrize("text", CRAFTED.values(), ids=CRAFTED)
def test_the_hashes_of_both_rules_are_equal_just_where_texts_get_the_same_ids(text: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    vocabularies = [load_vocabulary(path, rule) for rule in ("lines", "easytransfer")]
    words = [{t: i for t, i in item.ids.items() if t.split() == [t] and t != "##"} for item in vocabularies]
    assert (vocabularies[0].sha256 == vocabularies[1].sha256) == (words[0] == words[1])


def test_the_hash_of_a_vocabulary_without_such_lines_is_what_older_manifests_hold(tmp_path: Path) -> None:
    import hashlib

    for text, tokens in (
        (HEAD + "天\n地\n", [*HEAD.split(), "天", "地"]),
        (HEAD + "天\n\n地\n", [*HEAD.split(), "天", " ", "地"]),
        (HEAD + "天\n\n\n", [*HEAD.split(), "天", " "]),
        (HEAD + "天\n##\u2028\n地\n", [*HEAD.split(), "天", "##", "地"]),  # as in bert-base-chinese
    ):
        expected = hashlib.sha256("\n".join(tokens).encode()).hexdigest()
        assert load_vocabulary(written(tmp_path, text)).sha256 == expected


def test_a_difference_is_counted_and_the_rule_that_is_taken_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path, CRAFTED["repeated"])
    for rule, name in (("lines", "line numbers"), ("easytransfer", "EasyTransfer's rule")):
        caplog.clear()
        warn_of_rules(load_vocabulary(path, rule), path)
        (record,) = caplog.records
        # "$" itself, and what stands behind its second line; 地 and 人 between the two have the same ids by both.
        assert record.levelno == logging.WARNING and ": 3 of its" in record.getMessage()
        assert f"Taken: {name}" in record.getMessage() and "'$': 8 and 5" in record.getMessage()


@pytest.mark.parametrize(
    "name", ["plain", "a mark alone", "no last line end", "trailing blank lines", "byte order mark inside"]
)
def test_nothing_is_said_where_the_rules_agree(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path, CRAFTED[name])
    warn_of_rules(load_vocabulary(path), path)
    assert not caplog.records


def test_trailing_lines_without_a_token_do_not_count() -> None:
    assert len(Vocabulary([*HEAD.split(), "天", "", " ", ""])) == 5


def test_columns_behind_the_tokens_are_named(tmp_path: Path) -> None:
    path = written(tmp_path, "".join(f"{token}\t{index}\n" for index, token in enumerate([*HEAD.split(), "天"])))
    with pytest.raises(UserError, match=r"\[PAD\].* are missing.*A line is '\[PAD\]\\t0'; it must be the token"):
        load_vocabulary(path)
    assert load_vocabulary(path, "easytransfer").ids["天"] == 4
