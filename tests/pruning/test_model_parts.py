"""Random small vocabularies of every model: what texts use is enough for the same split, unknown characters and ties too."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from published_tokenizers import tokenizer_json

from easytransfer_mtl.data.published_tokenizer import PublishedVocabulary
from easytransfer_mtl.data.tokenization import Vocabulary
from easytransfer_mtl.pruning.model_parts import needed_pieces, with_parts
from easytransfer_mtl.pruning.splitter import NewIds, Splitter, is_single_character, pieces_before_unknown
from easytransfer_mtl.pruning.tokenizer_json import TokenizerJsonSplitter
from easytransfer_mtl.pruning.vocab_txt import VocabTxtSplitter

LETTERS = "abcd"
WORDPIECE = {
    "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
}  # fmt: skip
CASES = 40


def words(random: np.random.Generator, letters: str, count: int, longest: int) -> list[str]:
    return ["".join(random.choice(list(letters), random.integers(1, longest + 1))) for _ in range(count)]


def unigram(random: np.random.Generator) -> dict[str, Any]:
    """Few scores, so that many paths are equally good; one letter without a piece of its own."""
    pieces = dict.fromkeys(["▁", *LETTERS[:-1], *words(random, LETTERS, 14, 4)])
    special = [[token, 0.0] for token in ("<s>", "<pad>", "</s>", "<unk>", "<mask>")]
    scored = [[piece, -float(random.integers(1, 5))] for piece in pieces]
    return {"type": "Unigram", "unk_id": 3, "vocab": [*special, *scored]}


def bpe(random: np.random.Generator) -> dict[str, Any]:
    vocab = {token: index for index, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>", "▁", *LETTERS[:-1]])}
    merges: list[list[str]] = []
    for _ in range(14):
        first, second = (str(random.choice(list(vocab)[5:])) for _ in range(2))
        if [first, second] not in merges and len(first + second) <= 5:
            merges.append([first, second])
            vocab.setdefault(first + second, len(vocab))
    return {"type": "BPE", "unk_token": "<unk>", "vocab": vocab, "merges": merges}


def wordpiece(random: np.random.Generator) -> dict[str, Any]:
    """Two letters without a piece of their own in the middle of a word, so that many words are unknown."""
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS[:-1], *(f"##{letter}" for letter in LETTERS[:-2])]
    tokens += words(random, LETTERS, 8, 3) + [f"##{word}" for word in words(random, LETTERS, 8, 3)]
    vocab = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    return {**WORDPIECE, "vocab": vocab}


def published(kind: str, model: dict[str, Any]) -> TokenizerJsonSplitter:
    value = tokenizer_json("wordpiece" if kind == "wordpiece" else "unigram")
    value["model"] = model
    ids = dict(model["vocab"]) if isinstance(model["vocab"], dict) else {p: i for i, (p, _) in enumerate(model["vocab"])}
    value["added_tokens"] = [{**token, "id": ids[token["content"]]} for token in value["added_tokens"]]
    for token in value["post_processor"]["special_tokens"].values():
        token["ids"] = [ids[token["id"]]]
    return TokenizerJsonSplitter(PublishedVocabulary(json.dumps(value).encode(), value, "made"))


def vocab_txt(random: np.random.Generator) -> VocabTxtSplitter:
    return VocabTxtSplitter(Vocabulary(list(wordpiece(random)["vocab"])))


MAKERS: dict[str, Callable[[np.random.Generator], Splitter]] = {
    "unigram": lambda random: published("unigram", unigram(random)),
    "bpe": lambda random: published("bpe", bpe(random)),
    "wordpiece": lambda random: published("wordpiece", wordpiece(random)),
    "vocab.txt": vocab_txt,
}


def pruned_for(full: Splitter, rows: list[tuple[str, ...]]) -> tuple[Splitter, NewIds]:
    kept = full.completed(full.always_kept() | full.used(rows) | {0})
    new_ids = {old: new for new, old in enumerate(sorted(kept))}
    return full.pruned(new_ids), new_ids


@pytest.mark.parametrize("kind", MAKERS)
def test_texts_are_split_as_before(kind: str) -> None:
    removed = 0
    for seed in range(CASES):
        random = np.random.default_rng(seed)
        full = MAKERS[kind](random)
        rows = [(text,) for text in [*words(random, LETTERS + "e ", 4, 9), "龘a", ""]]
        new, new_ids = pruned_for(full, rows)
        assert full.first_difference(new, new_ids, rows) is None
        removed += len(full.ids) - len(new.ids)
    assert removed > 2 * CASES


@pytest.mark.parametrize("kind", MAKERS)
def test_other_texts_may_be_split_otherwise_and_that_is_seen(kind: str) -> None:
    differences = 0
    for seed in range(CASES):
        random = np.random.default_rng(seed)
        full = MAKERS[kind](random)
        new, new_ids = pruned_for(full, [("a",)])
        others = [(text,) for text in words(random, LETTERS, 20, 9)]
        differences += full.first_difference(new, new_ids, others) is not None
        loss = full.loss(new, new_ids, others)
        assert (loss.texts, full.loss(new, new_ids, [("a",)]).removed) == (20, 0)
        assert loss.lost <= loss.before - loss.unknown
    assert differences


def test_the_lowest_score_stays() -> None:
    """A character without a piece costs the lowest score less 10: with a higher one, unknown text would win over pieces."""
    vocab = [["<s>", 0.0], ["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0], ["<mask>", 0.0], ["▁", -1.0], ["a", -1.0]]
    vocab += [["bb", -30.0], ["cc", -100.0]]
    full = published("unigram", {"type": "Unigram", "unk_id": 3, "vocab": vocab})
    new, new_ids = pruned_for(full, [("bba",)])
    assert "cc" in new.ids and full.first_difference(new, new_ids, [("bba",), ("bbcca",)]) is None


def test_merges_stay_with_their_parts() -> None:
    model = {
        "type": "BPE",
        "vocab": {token: index for index, token in enumerate(["a", "b", "c", "ab", "bc", "abc", "ca"])},
        "merges": ["a b", "b c", "ab c", "a bc", "c a"],
    }
    assert with_parts(model, {5}) == {0, 1, 2, 3, 4, 5}  # abc is made in two ways
    assert with_parts(model, {6}) == {0, 2, 6}


def test_bytes_and_characters_written_as_bytes_stay() -> None:
    letters = [chr(code) for code in range(0x100, 0x144)]
    tian = "å¤©"  # 天 in GPT-2's letters
    vocab = {token: index for index, token in enumerate(["å", "¤", "©", "å¤", tian, tian * 2, "<0x41>", "ab", *letters])}
    model = {"type": "BPE", "vocab": vocab, "merges": [["å", "¤"], ["å¤", "©"], [tian, tian]]}
    of_bytes, plain = (needed_pieces(model, kind) for kind in (True, False))
    assert vocab[tian] in of_bytes and vocab[tian] not in plain
    assert vocab["<0x41>"] in plain and vocab["ab"] not in of_bytes and vocab[tian * 2] not in of_bytes


@pytest.mark.parametrize(
    "token, is_one", [("天", True), ("##天", True), ("##", False), ("#", True), ("天天", False), ("##天天", False)]
)
def test_single_characters(token: str, is_one: bool) -> None:
    assert is_single_character(token, "##") == is_one


def test_pieces_before_unknown() -> None:
    pieces = {"ab": 1, "##c": 2, "a": 3, "##bcx": 4}
    assert pieces_before_unknown("abcx", pieces, "##") == [1, 2]
    assert pieces_before_unknown("abc", pieces, "##") == []
    assert pieces_before_unknown("x", pieces, "##") == []


def test_later_pieces_of_chinese_characters_go() -> None:
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "天", "##天", "a", "##a", "##の", "##天a"]
    kept = VocabTxtSplitter(Vocabulary(tokens)).always_kept()
    assert {tokens[index] for index in kept} == {*tokens[:5], "a", "##a", "##の"}
    full = published("wordpiece", {**WORDPIECE, "vocab": {token: index for index, token in enumerate([*tokens, "[MASK]"])}})
    assert {token for token, index in full.ids.items() if index in full.always_kept()} == {
        *tokens[:5], "a", "##a", "##の", "[MASK]",
    }  # fmt: skip
