"""Tokens equal EasyTransfer's: golden cases, and a slow reference that follows its steps over the whole text."""

import json
import random
import string
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from easytransfer_mtl.data import tokenization
from easytransfer_mtl.data.tokenization import (
    Tokenizer,
    Vocabulary,
    load_vocabulary,
    read_vocabulary_tokens,
    warn_of_words,
)
from easytransfer_mtl.errors import UserError

GOLDEN = Path(__file__).parents[1] / "golden"
VOCABULARY = load_vocabulary(GOLDEN / "checkpoint" / "pai-bert-tiny-zh" / "vocab.txt")
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
CJK_RANGES = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
RANGES = CJK_RANGES + (
    (0x00, 0x7F),
    (0x20, 0x7E),
    (0x30, 0x7A),
    (0x80, 0xFF),
    (0x100, 0x24F),
    (0x300, 0x36F),
    (0x370, 0x3FF),
    (0x400, 0x52F),
    (0x590, 0x6FF),
    (0x900, 0x97F),
    (0xE00, 0xE7F),
    (0x1100, 0x11FF),
    (0x1E00, 0x1FFF),
    (0x2000, 0x206F),
    (0x20A0, 0x214F),
    (0x2460, 0x27BF),
    (0x2FF0, 0x30FF),
    (0x3130, 0x318F),
    (0xAC00, 0xD7A3),
    (0xE000, 0xE0FF),
    (0xFE00, 0xFE6F),
    (0xFF00, 0xFFFF),
    (0x1F300, 0x1FAFF),
    (0xE0000, 0xE01EF),
    (0x9F00, 0xA100),
    (0x2F700, 0x2FB00),
)


def golden(name: str) -> Any:
    return json.loads((GOLDEN / "tokenizer" / name).read_text(encoding="utf-8"))


def reference_words(text: str) -> list[str]:
    """EasyTransfer's BasicTokenizer, one step after another over the whole text."""
    clean = []
    for char in text:
        category = unicodedata.category(char)
        if char in " \t\n\r" or category == "Zs":
            clean.append(" ")
        elif char not in "\0\ufffd" and category not in ("Cc", "Cf"):
            clean.append(char)
    spaced = "".join(f" {char} " if any(low <= ord(char) <= high for low, high in CJK_RANGES) else char for char in clean)
    words = []
    for word in spaced.split():
        plain = [char for char in unicodedata.normalize("NFD", word.lower()) if unicodedata.category(char) != "Mn"]
        current = ""
        for char in plain:
            if char in string.punctuation or unicodedata.category(char).startswith("P"):
                words += [current, char]
                current = ""
            else:
                current += char
        words.append(current)
    return " ".join(words).split()


def reference_pieces(word: str, vocabulary: set[str]) -> list[str]:
    """EasyTransfer's WordpieceTokenizer for one word."""
    pieces, rest = [], word
    while rest and len(word) <= 200:
        mark = "##" if pieces else ""
        end = next((end for end in range(len(rest), 0, -1) if mark + rest[:end] in vocabulary), 0)
        if not end:
            return ["[UNK]"]
        pieces.append(mark + rest[:end])
        rest = rest[end:]
    return pieces or ["[UNK]"]


def reference(text: str, vocabulary: set[str]) -> list[str]:
    return [piece for word in reference_words(text) for piece in reference_pieces(word, vocabulary)]


def character(source: random.Random) -> str:
    while True:
        char = chr(source.randint(*source.choice(RANGES)))
        if unicodedata.category(char) != "Cs":
            return char


def random_texts(seed: int, count: int) -> list[str]:
    source = random.Random(seed)
    usual = "今天气的是吗abcXYZ019 　\t,.!，。！[]\"'-#\u00e9\u0130\u03a3\u00df\u200b\ufe0f"
    return [
        "".join(source.choice(usual) if source.random() < share else character(source) for _ in range(source.randint(0, 40)))
        for share in (0.0, 0.5, 0.9)
        for _ in range(count)
    ]


def rich_vocabulary() -> Vocabulary:
    """Single characters of every range, continuations and some longer pieces, so that few words are unknown."""
    source = random.Random(5)
    usual = f"{string.ascii_lowercase}{string.digits}{string.punctuation}今天气的是吗σςßı"
    characters = {character(source) for _ in range(6000)} | set(usual)
    plain = sorted({part for char in characters for part in unicodedata.normalize("NFD", char.lower())} - set(" \n\r\t"))
    pairs = ["".join(source.sample(plain, 2)) for _ in range(500)] + ["ab", "abc", "##bc", "xyz", "01"]
    return Vocabulary(list(dict.fromkeys([*SPECIAL, *plain, *(f"##{char}" for char in plain), *pairs])))


@pytest.mark.parametrize("vocabulary", [VOCABULARY, rich_vocabulary()], ids=["golden", "rich"])
def test_random_texts_equal_the_reference(vocabulary: Vocabulary) -> None:
    tokenizer, known = Tokenizer(vocabulary), set(vocabulary.ids)
    unknown = pieces = 0
    for text in random_texts(11, 1500):
        tokens = tokenizer.tokenize(text)
        assert tokens == reference(text, known), repr(text)
        assert tokenizer.ids(text) == [vocabulary.ids[token] for token in tokens]
        unknown += tokens.count("[UNK]")
        pieces += len(tokens)
    if vocabulary is not VOCABULARY:
        assert unknown < 0.6 * pieces  # else the test would compare [UNK] with [UNK]


def test_every_character_by_itself_and_within_a_word() -> None:
    vocabulary = rich_vocabulary()
    tokenizer, known = Tokenizer(vocabulary), set(vocabulary.ids)
    for code in (*range(0x3400), *range(0xA000, 0xAC80), *range(0xF8F0, 0x10000), *range(0x1F000, 0x1F100)):
        for text in (chr(code), f"a{chr(code)}b"):
            assert tokenizer.tokenize(text) == reference(text, known), hex(code)


def test_every_golden_case() -> None:
    tokenizer = Tokenizer(VOCABULARY)
    cases = golden("tokens.json")
    assert len(cases) == 314
    for case in cases:
        assert tokenizer.tokenize(case["text"]) == case["tokens"], repr(case["text"])
        assert tokenizer.ids(case["text"]) == case["ids"], repr(case["text"])


def test_the_reference_itself_meets_the_golden_cases() -> None:
    for case in golden("tokens.json"):
        assert reference(case["text"], set(VOCABULARY.ids)) == case["tokens"], repr(case["text"])


def test_an_odd_vocabulary_has_easytransfers_ids() -> None:
    tokens = read_vocabulary_tokens(GOLDEN / "tokenizer" / "vocab_awkward.txt", "easytransfer")
    assert [[token, index] for index, token in enumerate(tokens)] == golden("vocab_awkward.json")


def test_line_ends_do_not_change_vocabulary_and_hash(tmp_path: Path) -> None:
    text = "\n".join([*SPECIAL, "今", "", "##今", ""])
    for name, end in (("lf.txt", "\n"), ("crlf.txt", "\r\n")):
        (tmp_path / name).write_bytes(text.replace("\n", end).encode())
    lf, crlf = load_vocabulary(tmp_path / "lf.txt"), load_vocabulary(tmp_path / "crlf.txt")
    assert lf.ids == crlf.ids and len(lf) == 7
    assert lf.sha256 == crlf.sha256


def test_the_hash_depends_on_tokens_and_order() -> None:
    hashes = {Vocabulary(tokens).sha256 for tokens in ([*SPECIAL, "a", "b"], [*SPECIAL, "b", "a"], [*SPECIAL, "a"])}
    assert len(hashes) == 3


def test_refused_vocabularies(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_bytes(b"[PAD]\n[UNK]\nx\xff\n")
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "empty.txt").write_bytes(b"")
    with pytest.raises(UserError, match="none.txt does not exist"):
        load_vocabulary(tmp_path / "none.txt")
    with pytest.raises(UserError, match=r"bad.txt is not UTF-8 \(byte 13\)"):
        load_vocabulary(tmp_path / "bad.txt")
    for name in ("config.json", "empty.txt"):
        with pytest.raises(UserError, match=rf"{name}: the tokens \['\[PAD\]', '\[UNK\]', .*\] are missing"):
            load_vocabulary(tmp_path / name)


def test_a_word_of_200_characters_is_split_and_one_of_201_is_unknown() -> None:
    tokenizer = Tokenizer(Vocabulary([*SPECIAL, "a", "##a"]))
    assert tokenizer.tokenize("a" * 200) == ["a"] + ["##a"] * 199
    assert tokenizer.tokenize("a" * 201) == ["[UNK]"]
    assert tokenizer.tokenize("a" * 201 + " a") == ["[UNK]", "a"]


def test_characters_are_counted_after_accents_are_dropped() -> None:
    tokenizer = Tokenizer(Vocabulary([*SPECIAL, "a", "##a"]))
    assert tokenizer.tokenize("a\u0301" * 200) == ["a"] + ["##a"] * 199


def test_a_word_with_one_unmatched_part_is_one_unknown() -> None:
    tokenizer = Tokenizer(Vocabulary([*SPECIAL, "ab", "##c", "a"]))
    assert tokenizer.tokenize("abc abx ac aab") == ["ab", "##c", "[UNK]", "a", "##c", "[UNK]"]


def test_the_longest_piece_wins_even_if_the_rest_then_fails() -> None:
    tokenizer = Tokenizer(Vocabulary([*SPECIAL, "a", "ab", "##bc"]))
    assert tokenizer.tokenize("abc") == ["[UNK]"]


def test_literal_special_tokens_are_ordinary_characters() -> None:
    tokenizer = Tokenizer(Vocabulary([*SPECIAL, "[MASK]", "[", "]", "sep", "mask", "cls"]))
    assert tokenizer.tokenize("a[SEP][MASK]") == ["[UNK]", "[", "sep", "]", "[", "mask", "]"]
    assert not {2, 3, 4} & set(tokenizer.ids("[CLS][SEP][MASK]"))


def test_nfkc_folds_full_width_characters_and_none_does_not() -> None:
    vocabulary = Vocabulary([*SPECIAL, ",", "!", "，", "a", "##1", "ａ", "今"])
    text = "今，Ａ１！"
    assert Tokenizer(vocabulary).tokenize(text) == ["今", "，", "[UNK]", "[UNK]"]
    assert Tokenizer(vocabulary, "nfkc").tokenize(text) == ["今", ",", "a", "##1", "!"]


def test_nfkc_equals_normalizing_the_text_first() -> None:
    vocabulary = rich_vocabulary()
    folding, plain = Tokenizer(vocabulary, "nfkc"), Tokenizer(vocabulary)
    for text in random_texts(3, 200):
        assert folding.ids(text) == plain.ids(unicodedata.normalize("NFKC", text))


def test_forgetting_remembered_chunks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = random_texts(7, 300)
    kept = [Tokenizer(VOCABULARY).ids(text) for text in texts]
    monkeypatch.setattr(tokenization, "MAX_REMEMBERED_CHUNKS", 3)
    forgetful = Tokenizer(VOCABULARY)
    assert [forgetful.ids(text) for text in texts] == kept
    assert len(forgetful._remembered) <= 3
    assert [forgetful.ids(text) for text in reversed(texts)] == kept[::-1]


def test_a_vocabulary_of_chinese_words_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "##天", "2017年"]
    characters = special + [chr(0x4E00 + number) for number in range(94)]
    warn_of_words(Vocabulary([*characters, "今天", "天气"]), "characters")
    assert not caplog.records
    warn_of_words(Vocabulary(characters + ["今天", "天气", "阳光", "公园", "我们", "心情"]), "words/vocab.txt")
    assert "words/vocab.txt: 6 of its 106 tokens are Chinese words" in caplog.text
