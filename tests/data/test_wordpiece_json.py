"""The tokenizer.json of EasyTransfer's WordPiece: the tokenizers library gives our ids."""

import csv
import json
import random
import sys
import unicodedata
from pathlib import Path

import pytest
import tokenizers

from easytransfer_mtl.data.tokenization import CHUNK, Tokenizer, Vocabulary, basic_words
from easytransfer_mtl.data.wordpiece_json import tokenizer_json

SAMPLE = Path(__file__).parents[2] / "data/sample"
UNLIKE_HERE = {0x1171E, 0x11938, *([0x1734] if sys.version_info < (3, 11) else [])}
"""Marks that the two libraries' Unicode tables know differently."""
ODD = [
    "", " ", "\t\n", "[SEP] [MASK] [UNK]", "Straße ΑΣ ΣΑΣ Σ ΑΣ。Σ ΑΣ天 İstanbul", "é e\u0301 ü", "a\u200bb\x00c\ufffdd\x07e",
    "\ue000x", "天a地b", "，。！", "$a+b=c^d`e|f~", "a" * 200, "a" * 201, "##a #a", "\u3000全角　ＡＢＣ１２３",
    "\u2028a\u2029b\x85c", "\U0002b825天\uf900", "😀🤦\u200d♂️", "한국어 ガギ",
]  # fmt: skip


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    texts = [*ODD]
    for path in SAMPLE.glob("*_train.csv"):
        texts += [
            field for row in csv.reader(path.open(encoding="utf-8"), delimiter="\t", quoting=csv.QUOTE_NONE) for field in row
        ]
    words = {word for text in texts for chunk in CHUNK.findall(text) for word in basic_words(chunk)}
    pieces = {word[:2] for word in words} | {f"##{word[place]}" for word in words for place in range(1, len(word))}
    # Some are left out, so that there are unknown words; one line is there twice.
    return Vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *sorted(pieces)[::2], "[PAD]"])


def ids(library: tokenizers.Tokenizer, text: str) -> list[int]:
    return list(library.encode(text, add_special_tokens=False).ids)


def test_every_text_of_the_sample_has_the_same_ids(vocabulary: Vocabulary) -> None:
    own, library = Tokenizer(vocabulary), tokenizers.Tokenizer.from_str(json.dumps(tokenizer_json(vocabulary)))
    texts = [*ODD]
    for path in sorted(SAMPLE.glob("*.csv")):
        texts += [field for line in path.read_text(encoding="utf-8").splitlines() for field in line.split("\t")]
    assert len(texts) > 4000
    assert [text for text in texts if own.ids(text) != ids(library, text)] == []
    assert any(vocabulary.unknown_id in own.ids(text) for text in texts)


def test_characters_are_dropped_split_and_lower_cased_alike(vocabulary: Vocabulary) -> None:
    library = tokenizers.Tokenizer.from_str(json.dumps(tokenizer_json(vocabulary)))
    every = [chr(code) for code in range(0x30000) if unicodedata.category(chr(code)) not in ("Cs", "Cn", "Co")]
    known = [char for char in every if ord(char) not in UNLIKE_HERE]
    chosen = known[:0x3400] + random.Random(0).sample(known, 2000)
    different = []
    for char in chosen:
        text = f"b{char}d{char}"
        words = library.pre_tokenizer.pre_tokenize_str(library.normalizer.normalize_str(text))
        if [word for word, _ in words] != [word for chunk in CHUNK.findall(text) for word in basic_words(chunk)]:
            different.append(hex(ord(char)))
    assert not different
