"""Small published tokenizers, made on the spot with the tokenizers library."""

import json
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from easytransfer_mtl.files import read_json

TEXTS = [
    *("今天 天气 好", "明天天气不好，我们去看书", "Hello world, hello!"),
    *("看 书 好 天 气", "我们明天看天气", "ＡＢＣ１２３"),
] * 4
ODD = [
    *("", " ", "今", "今天天气好" * 40, "\U0010fffd龘\u0dff", "Ａ１，a1", "x\u200by\t\n z"),
    *("<mask> [MASK] </s>", "\x00", "é e\u0301"),
]
FRAMES = {"unigram": ("<s>", "</s>"), "bpe": ("<s>", "</s>"), "wordpiece": ("[CLS]", "[SEP]")}


def _template(kind: str, tokenizer: Tokenizer) -> Any:
    cls, sep = FRAMES[kind]
    special = [(token, tokenizer.token_to_id(token)) for token in (cls, sep)]
    pair = f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1" if kind == "wordpiece" else f"{cls} $A {sep} {sep} $B {sep}"
    return processors.TemplateProcessing(single=f"{cls} $A {sep}", pair=pair, special_tokens=special)


def tokenizer_json(kind: str) -> dict[str, Any]:
    """Returns a tokenizer.json: ``unigram`` as XLM-R's, ``bpe`` on bytes as RoBERTa's, ``wordpiece`` as BERT's.

    The first two have <pad> with id 1, <s> with id 0, and token types that are all 0.
    """
    return deepcopy(_trained(kind))


@cache
def _trained(kind: str) -> dict[str, Any]:
    xlmr = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    made: Tokenizer
    trainer: Any
    if kind == "unigram":
        made = Tokenizer(models.Unigram())
        made.normalizer, made.pre_tokenizer = normalizers.NFKC(), pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(vocab_size=60, special_tokens=xlmr, unk_token="<unk>", show_progress=False)
    elif kind == "bpe":
        made = Tokenizer(models.BPE())
        made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=300, special_tokens=xlmr, initial_alphabet=alphabet, show_progress=False
        )  # fmt: skip
    else:
        made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        trainer = trainers.WordPieceTrainer(vocab_size=60, special_tokens=special, show_progress=False)
    made.train_from_iterator(TEXTS, trainer)
    made.post_processor = _template(kind, made)
    value = json.loads(made.to_str())
    assert isinstance(value, dict)
    return value


def write_tokenizer(folder: Path, kind: str = "unigram", **changes: Any) -> Path:
    """Writes a tokenizer.json into a folder and returns its path; ``changes`` replace keys of the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tokenizer.json"
    path.write_text(json.dumps({**tokenizer_json(kind), **changes}, ensure_ascii=False), encoding="utf-8")
    return path


def published_encoder(folder: Path, like: Path, kind: str = "unigram", vocab_size: int = 320) -> Path:
    """Writes an encoder's folder with the config of ``like`` and a tokenizer.json, and no vocab.txt."""
    write_tokenizer(folder, kind)
    config = {**read_json(like / "config.json"), "vocab_size": vocab_size}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder
