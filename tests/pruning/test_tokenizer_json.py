"""A tokenizer.json's parts that hold ids follow the pruned vocabulary."""

import json
from typing import Any

import pytest
from published_tokenizers import TEXTS, tokenizer_json

from easytransfer_mtl.data.published_tokenizer import PublishedVocabulary
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.pruning.splitter import NewIds
from easytransfer_mtl.pruning.tokenizer_json import TokenizerJsonSplitter

ROWS: list[tuple[str, ...]] = [("今天 天气",), ("Hello", "看书")]


def splitter(value: dict[str, Any]) -> TokenizerJsonSplitter:
    return TokenizerJsonSplitter(PublishedVocabulary(json.dumps(value).encode(), value, "made"))


def pruned(value: dict[str, Any]) -> tuple[TokenizerJsonSplitter, NewIds, dict[str, Any]]:
    full = splitter(value)
    kept = full.completed(full.always_kept() | full.used(ROWS) | {0})
    new_ids = {old: new for new, old in enumerate(sorted(kept))}
    new = full.pruned(new_ids)
    assert full.first_difference(new, new_ids, ROWS) is None
    return new, new_ids, json.loads(new.vocabulary.content)


@pytest.mark.parametrize("kind", ["BertProcessing", "RobertaProcessing", "Sequence"])
def test_every_post_processor(kind: str) -> None:
    value = tokenizer_json("bpe")
    ids = value["model"]["vocab"]
    names = ("</s>", "<s>")
    # The ends are the last tokens, so that their ids change.
    value["model"]["vocab"] = {token: index for index, token in enumerate(sorted(ids, key=lambda token: token in names))}
    ids = value["model"]["vocab"]
    value["added_tokens"] = [{**token, "id": ids[token["content"]]} for token in value["added_tokens"]]
    ends = {"sep": ["</s>", ids["</s>"]], "cls": ["<s>", ids["<s>"]]}
    more = {"trim_offsets": True, "add_prefix_space": True} if kind != "BertProcessing" else {}
    value["post_processor"] = {"type": "RobertaProcessing" if kind == "Sequence" else kind, **ends, **more}
    if kind == "Sequence":
        bytes_first = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
        value["post_processor"] = {"type": "Sequence", "processors": [bytes_first, value["post_processor"]]}
    _, new_ids, found = pruned(value)
    part = found["post_processor"]["processors"][1] if kind == "Sequence" else found["post_processor"]
    assert part["cls"] == ["<s>", new_ids[ids["<s>"]]] and new_ids[ids["<s>"]] != ids["<s>"]


def test_padding_and_unused_tokens_of_the_template() -> None:
    value = tokenizer_json("unigram")
    value["padding"] = {
        "strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 4, "pad_type_id": 0,
        "pad_token": "<mask>",
    }  # fmt: skip
    value["post_processor"]["special_tokens"]["<other>"] = {"id": "<other>", "ids": [5000], "tokens": ["<other>"]}
    new, new_ids, found = pruned(value)
    assert new.vocabulary.padding_id == found["padding"]["pad_id"] == new_ids[4]
    assert "<other>" not in found["post_processor"]["special_tokens"]


def test_added_tokens_behind_the_model() -> None:
    value = tokenizer_json("unigram")
    last = len(value["model"]["vocab"])
    value["added_tokens"].append({**value["added_tokens"][-1], "id": last, "content": "<own>"})
    new, new_ids, _ = pruned(value)
    assert new.ids["<own>"] == new_ids[last] == len(new.ids) - 1


def test_what_is_not_known_is_refused() -> None:
    value = tokenizer_json("unigram")
    value["model"] = {"type": "WordLevel", "vocab": {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}, "unk_token": "<unk>"}
    value["added_tokens"] = value["added_tokens"][:4]
    with pytest.raises(UserError, match="made: the model is 'WordLevel'; Unigram, BPE, WordPiece can be pruned"):
        splitter(value)


def test_texts_with_special_tokens_in_them() -> None:
    full = splitter(tokenizer_json("unigram"))
    rows: list[tuple[str, ...]] = [(f"{text}<mask></s>",) for text in TEXTS[:3]]
    kept = full.completed(full.always_kept() | full.used(rows) | {0})
    new_ids = {old: new for new, old in enumerate(sorted(kept))}
    assert full.first_difference(full.pruned(new_ids), new_ids, rows) is None
