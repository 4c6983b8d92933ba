"""Invented texts of the contest's tasks, which a tiny encoder can learn to complete, and settings of a run on them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from easytransfer_mtl.config.pretrain_settings import PretrainSettings
from easytransfer_mtl.data.tokenization import Tokenizer, load_vocabulary
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.files import read_json, write_json
from easytransfer_mtl.pretraining.rows import RowBuilder, WordRows
from easytransfer_mtl.pretraining.words import PieceTokenizer

LETTERS = "天地人日月山水火木金土心手口目耳田禾米竹"


def texts(count: int, seed: int) -> list[str]:
    """Texts of one letter each, so that what is masked can be told from the rest."""
    random = np.random.default_rng(seed)
    return [LETTERS[letter] * random.integers(4, 12) for letter in random.integers(0, len(LETTERS), count)]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of contest files: train of every task, dev of TNEWS, a board's files of OCNLI."""
    folder = tmp_path_factory.mktemp("texts")

    def write(name: str, rows: list[list[str]]) -> None:
        (folder / name).write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")

    write("TNEWS_train.csv", [[str(i), text, "115"] for i, text in enumerate(texts(60, 1))])
    write("TNEWS_dev.csv", [[str(i), text, "114"] for i, text in enumerate(texts(20, 2))])
    write("OCEMOTION_train.csv", [[str(i), text, "like"] for i, text in enumerate(texts(60, 3))])
    pairs = list(zip(texts(40, 4), texts(40, 5)))
    write("OCNLI_train.csv", [[str(i), *pair, "0"] for i, pair in enumerate(pairs)])
    write("OCNLI_a.csv", [[str(i), *pair] for i, pair in enumerate(zip(texts(10, 6), texts(10, 7)))])
    return folder


@pytest.fixture
def tokenizer(tiny_encoder: Path) -> Tokenizer:
    """The tiny encoder's."""
    return Tokenizer(load_vocabulary(tiny_encoder / "vocab.txt"))


@pytest.fixture
def settings(tiny_encoder: Path, folder: Path, tmp_path: Path) -> Callable[..., PretrainSettings]:
    """Builds settings of a run from random weights in ``tmp_path/run``; arguments change them."""

    def build(**changes: object) -> PretrainSettings:
        values = {
            "data_dir": str(folder), "pretrain_model_name_or_path": str(tiny_encoder), "random_init": True, "seed": 5,
            "model_dir": str(tmp_path / "run"), "sequence_length": 16, "train_batch_size": 8, "train_steps": 6,
            "held_out": 0.2, "length_buckets": 1, "learning_rate": 1e-2, "save_steps": 4,
        }  # fmt: skip
        return PretrainSettings(**{**values, **changes})

    return build


TYPES: dict[str, dict[str, object]] = {
    "bert": {"model_type": "bert"},
    "electra": {"model_type": "electra", "embedding_size": 8},
    "electra small": {"model_type": "electra", "embedding_size": 4},
    "albert": {"model_type": "albert", "embedding_size": 4},
    "roformer": {"model_type": "roformer", "embedding_size": 8, "rotary_value": True},
    "deberta": {"model_type": "deberta", "relative_attention": True},
}


@pytest.fixture(scope="session")
def encoder_folder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a folder with config and vocabulary of a tiny encoder of a type, a key of ``TYPES``; arguments change it."""

    def make(name: str, **changes: object) -> Path:
        folder = shutil.copytree(tiny_encoder, tmp_path_factory.mktemp("encoder") / "encoder")
        config = read_json(folder / "config.json") | {"initializer_range": 0.2} | TYPES[name] | changes
        write_json(folder / "config.json", config)
        return folder

    return make


@pytest.fixture(scope="session")
def make_encoder(encoder_folder: Callable[..., Path]) -> Callable[..., Encoder]:
    """Builds such an encoder with random weights."""

    def make(name: str, **changes: object) -> Encoder:
        files = find_encoder(str(encoder_folder(name, **changes)), needs_weights=False)
        return load_encoder(files, DropoutClock(4), random_init=True).encoder

    return make


@pytest.fixture
def word_rows(tokenizer: Tokenizer) -> WordRows:
    """Rows of single texts of 1 to 8 tokens and one of a pair."""
    texts = [("天地人日月山水火"[: 1 + place % 8],) for place in range(20)] + [("天地", "日月")]
    return RowBuilder(PieceTokenizer(tokenizer, None), 12, False, 5).build(texts)
