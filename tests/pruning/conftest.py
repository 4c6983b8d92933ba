"""Tiny encoders with random weights and every kind of tokenizer, and texts to prune them for."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from published_tokenizers import published_encoder

from easytransfer_mtl.commands import prune_vocabulary
from easytransfer_mtl.config.base import load_settings
from easytransfer_mtl.config.prune_settings import PruneVocabularySettings

KEPT = ("今天天气好", "明天天气不好，看书", "Hello, world", "ＡＢＣ１２３")
PAIRS = (("今天天气", "明天天气不好"), ("看书", "world"))


TOKENS = (
    *(
        "[PAD]",
        "[unused1]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        ",",
        "今",
        "天",
        "气",
        "好",
        "明",
        "不",
        "看",
        "书",
        "竹",
        "##天",
    ),
    *("h", "he", "hello", "##llo", "world", "##ld", "abc", "##123", "a", "##b", "xy", "book", "##s"),
)


def _with_vocab_txt(folder: Path, like: Path) -> Path:
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(TOKENS) + "\n", encoding="utf-8")
    config = {**json.loads((like / "config.json").read_text(encoding="utf-8")), "vocab_size": len(TOKENS)}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.fixture
def encoder(tiny_encoder: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Returns a function that makes a folder with random weights and a tokenizer: a kind of tokenizer.json, or vocab.txt."""
    from easytransfer_mtl.encoders.dropout import DropoutClock
    from easytransfer_mtl.encoders.finding import find_encoder
    from easytransfer_mtl.encoders.loading import load_encoder
    from easytransfer_mtl.encoders.saving import save_encoder

    def make(kind: str) -> Path:
        source = tmp_path / "source"
        if kind == "vocab.txt":
            _with_vocab_txt(source, tiny_encoder)
        else:
            published_encoder(source, tiny_encoder, kind)
        loaded = load_encoder(find_encoder(str(source), needs_weights=False), DropoutClock(1), random_init=True)
        folder = tmp_path / f"full_{kind}"
        save_encoder(loaded.encoder, loaded.vocabulary, folder)
        (folder / "vocabulary.json").unlink()
        return folder

    return make


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A folder with a contest file of pairs, and texts.txt."""
    folder = tmp_path / "texts"
    folder.mkdir()
    rows = [f"{row}\t{first}\t{second}\t{row % 3}\n" for row, (first, second) in enumerate(PAIRS)]
    (folder / "OCNLI_train.csv").write_text("".join(rows), encoding="utf-8")
    (folder / "texts.txt").write_text("\n".join(KEPT) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def prune(texts: Path, tmp_path: Path) -> Callable[..., Path]:
    """Returns a function that prunes an encoder for the texts, or for ``input_fps``, and returns the new folder."""

    def run(folder: Path, **given: Any) -> Path:
        output = Path(given.pop("output_dir", tmp_path / "pruned"))
        chosen = {"input_fps": f"{texts},{texts / 'texts.txt'}", **given}
        flags = [f"--{name}={value}" for name, value in chosen.items()]
        flags += [f"--pretrain_model_name_or_path={folder}", f"--output_dir={output}"]
        assert prune_vocabulary.run(load_settings(PruneVocabularySettings, flags, "prune_vocabulary")) == 0
        return output

    return run


@pytest.fixture(scope="session")
def encoders_dir() -> Path:
    """The folder of published encoders; skips without."""
    folder = os.environ.get("ENCODERS_DIR")
    if not folder or not Path(folder).is_dir():
        pytest.skip("ENCODERS_DIR names no folder of published encoders")
    return Path(folder)
