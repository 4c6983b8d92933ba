"""Words of a segmenter, brought to tokens: the ids stay the tokenizer's, pieces stay with their word."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from published_tokenizers import ODD, TEXTS, tokenizer_json, write_tokenizer

from easytransfer_mtl.data.published_tokenizer import PublishedTokenizer, load_published
from easytransfer_mtl.data.tokenization import Tokenizer, load_vocabulary
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.pretraining.words import (
    INSIDE,
    START,
    EncodedText,
    PieceTokenizer,
    PublishedWordTokenizer,
    Segmenter,
    chinese_segmenter,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def jieba() -> Segmenter:
    return chinese_segmenter()


@pytest.fixture
def latin(tmp_path: Path) -> Tokenizer:
    """A vocabulary with pieces of words."""
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"天地人日,#", "ab", "##cd", "##e", "t", "12"]
    (tmp_path / "vocab.txt").write_text("\n".join(tokens), encoding="utf-8")
    return Tokenizer(load_vocabulary(tmp_path / "vocab.txt"))


def by_word(encoded: EncodedText, tokens: list[str]) -> list[list[str]]:
    """Returns the tokens word by word."""
    result: list[list[str]] = []
    for index, part in zip(*encoded, strict=True):
        if part == START:
            result.append([])
        result[-1].append(tokens[index])
    return result


def words(tokenizer: Tokenizer, segments: list[str], normalization: str = "none") -> list[list[str]]:
    """Returns the tokens of the joined segments, word by word."""
    tokenizer.text_normalization = normalization
    encoded = PieceTokenizer(tokenizer, lambda text: segments).encode("".join(segments))
    return by_word(encoded, list(tokenizer.vocabulary.ids))


def test_characters_of_a_word_are_together(latin: Tokenizer) -> None:
    assert words(latin, ["天地", "人", "日天地"]) == [["天", "地"], ["人"], ["日", "天", "地"]]


def test_pieces_are_with_their_word_and_punctuation_is_a_word(latin: Tokenizer) -> None:
    assert words(latin, ["abcde", ",", "ab"]) == [["ab", "##cd", "##e"], [","], ["ab"]]
    assert words(latin, ["#", "#", "天"]) == [["#"], ["#"], ["天"]]


def test_a_word_of_letters_and_characters_is_one(latin: Tokenizer) -> None:
    assert words(latin, ["t天", "地", "人ab"]) == [["t", "天"], ["地"], ["人", "ab"]]
    assert words(latin, ["天", "t", "地"]) == [["天"], ["t"], ["地"]]


def test_space_and_dropped_characters_separate(latin: Tokenizer) -> None:
    assert words(latin, ["天 地", "人"]) == [["天"], ["地"], ["人"]]
    assert words(latin, ["天\u200b地"]) == [["天"], ["地"]]
    assert words(latin, [" ", "\u0000", ""]) == []


def test_without_a_segmenter_every_token_is_a_word(latin: Tokenizer) -> None:
    encoded = PieceTokenizer(latin, None).encode("abcde天地")
    assert encoded.parts == [START] * 5 and encoded.ids == latin.ids("abcde天地")


def test_a_cut_text_starts_with_a_word() -> None:
    text = EncodedText([1, 2, 3, 4], [START, INSIDE, INSIDE, START])
    assert text.cut(1, 4) == EncodedText([2, 3, 4], [START, INSIDE, START])
    assert text.cut(4, 9) == EncodedText([], [])


def sample_texts() -> Iterator[str]:
    for path in sorted((ROOT / "data" / "sample").glob("*.csv")):
        for line in path.read_bytes().decode("utf-8").split("\n"):
            yield from line.split("\t")[1:]


@pytest.mark.parametrize("normalization", ["none", "nfkc"])
def test_ids_are_the_tokenizers_and_pieces_never_start_a_word(normalization: str, jieba: Segmenter) -> None:
    tokenizer = Tokenizer(load_vocabulary(ROOT / "data/tiny_bert_zh/vocab.txt"), normalization)
    tokens = list(tokenizer.vocabulary.ids)
    encoder = PieceTokenizer(tokenizer, jieba)
    inside = 0
    for text in sample_texts():
        ids, parts = encoder.encode(text)
        assert ids == tokenizer.ids(text)
        assert len(parts) == len(ids) and (not parts or parts[0] == START)
        assert all(part == INSIDE for index, part in zip(ids, parts) if tokens[index].startswith("##"))
        inside += sum(part == INSIDE for part in parts)
    assert inside > 1000


@pytest.fixture(params=["unigram", "bpe", "wordpiece"])
def published(request: pytest.FixtureRequest, tmp_path: Path) -> PublishedTokenizer:
    return PublishedTokenizer(load_published(write_tokenizer(tmp_path, request.param)))


def test_published_ids_are_those_of_a_row_and_words_come_together(published: PublishedTokenizer, jieba: Segmenter) -> None:
    encoder = PublishedWordTokenizer(published, jieba)
    for text in [*TEXTS, *ODD, *list(sample_texts())[:200]]:
        row = published.encode((text,), 100_000)
        ids, parts = encoder.encode(text)
        assert ids == [index for index, special in zip(row.ids, row.special_tokens_mask) if not special]
        assert len(parts) == len(ids) and (not parts or parts[0] == START) and not set(parts) - {START, INSIDE}
        assert PublishedWordTokenizer(published, None).encode(text) == (ids, [START] * len(ids))


def test_a_published_token_that_begins_within_a_word_belongs_to_it(tmp_path: Path) -> None:
    tokens = "<s> <pad> </s> <unk> \u2581 今天 天 气好 好 h ello \u2581w or ld k g".split(" ")
    model = {**tokenizer_json("unigram")["model"], "vocab": [[token, -1.0] for token in tokens], "unk_id": 3}
    vocabulary = load_published(write_tokenizer(tmp_path, model=model))

    def words(segments: list[str]) -> list[list[str]]:
        encoded = PublishedWordTokenizer(PublishedTokenizer(vocabulary), lambda text: segments).encode("".join(segments))
        return by_word(encoded, tokens)

    assert words(["今天", "天气", "好"]) == [["\u2581", "今天"], ["天", "气好"]]
    assert words(["今天", "天", "气", "好", "好"]) == [["\u2581", "今天"], ["天"], ["气好"], ["好"]]
    assert words(["hello", " ", "world"]) == [["\u2581", "h", "ello"], ["\u2581w", "or", "ld"]]
    assert words(["天", "\u338f", "天"]) == [["\u2581", "天"], ["k", "g"], ["天"]]  # the sign of kg, one character


def test_the_bytes_of_a_character_stay_together(tmp_path: Path) -> None:
    tokenizer = PublishedTokenizer(load_published(write_tokenizer(tmp_path, "bpe")))
    ids, parts = PublishedWordTokenizer(tokenizer, list).encode("龘鑫")
    assert len(ids) == 7 and parts == [START, INSIDE, INSIDE, INSIDE, START, INSIDE, INSIDE]  # with the space before


def test_jieba_cuts_words_and_keeps_every_character(jieba: Segmenter) -> None:
    assert list(jieba("我们明天去北京大学")) == ["我们", "明天", "去", "北京大学"]
    for text in ["", " \t ", "a  b\u3000c\r", "天,。!#@\u0000\U0001f600", *list(sample_texts())[:300]]:
        assert "".join(jieba(text)) == text


def test_jieba_prints_nothing_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    chinese_segmenter()("天地")
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_without_jieba_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jieba", None)
    with pytest.raises(UserError, match=r"pip install 'easytransfer_mtl\[pretrain\]'"):
        chinese_segmenter()
