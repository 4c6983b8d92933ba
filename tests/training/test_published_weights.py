"""Published weights: every layer's states are PyTorch's, and so are those of best/ after a short training."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from encoder_files import ENCODERS, published_folder
from published_tokenizers import ODD
from pytorch_process import need_pytorch, pytorch_outputs
from transformers import AutoTokenizer

from easytransfer_mtl.commands import convert, train
from easytransfer_mtl.config.base import load_settings
from easytransfer_mtl.config.convert_settings import ConvertSettings
from easytransfer_mtl.data.encoded_rows import from_features
from easytransfer_mtl.data.published_features import feature_builder
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.interface import POOLER
from easytransfer_mtl.encoders.loading import LoadedEncoder, load_encoder
from easytransfer_mtl.encoders.name_map import canonical_weights
from easytransfer_mtl.encoders.weight_files import read_weights

pytestmark = pytest.mark.published_weights
SAMPLE = Path(__file__).parents[2] / "data" / "sample"
LENGTH, TOLERANCE = 96, 1e-4
ENGLISH = ["Is it raining?", "A man, 37, eats 2 apples; isn't he hungry?", "query: how much protein should a female eat"]


def sample_texts() -> list[tuple[str, ...]]:
    """Returns 50 single texts, then pairs, of 1 to LENGTH tokens, Chinese and English, also odd ones."""
    columns = {"TNEWS": 10, "OCEMOTION": 5, "OCNLI": 22}
    texts: list[tuple[str, ...]] = [(text,) for text in [*ENGLISH, *ODD]]
    for task, count in columns.items():
        with open(SAMPLE / f"{task}_train.csv", encoding="utf-8", newline="") as stream:
            rows = list(csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
        texts += [tuple(row[1:3] if task == "OCNLI" else row[1:2]) for row in rows[1 : count + 1]]
    assert len(texts) == 50
    return texts


def loaded_from(folder: Path, tokenizer: str = "auto") -> LoadedEncoder:
    return load_encoder(find_encoder(str(folder), tokenizer=tokenizer), DropoutClock(0), random_pooler=True)


def encoder_inputs(loaded: LoadedEncoder) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns ids with the tokenizer's padding, mask and token types of the texts."""
    builder = feature_builder(loaded.vocabulary, "none", LENGTH)
    batch = from_features(builder.encode(texts) for texts in sample_texts()).batch(np.arange(50))
    ids = np.where(batch["input_mask"], batch["input_ids"], loaded.vocabulary.padding_id)
    return ids, batch["input_mask"], loaded.encoder.token_types(tf.constant(batch["segment_ids"]))


def largest_differences(folder: Path, work: Path, tokenizer: str = "auto") -> dict[str, float]:
    """Returns the largest differences between PyTorch's and ours: tokens' states in all layers, in the last, the pooler."""
    loaded = loaded_from(folder, tokenizer)
    inputs = encoder_inputs(loaded)
    work.mkdir()
    for path in folder.iterdir():
        (work / path.name).symlink_to(path)
    ((_, theirs),) = pytorch_outputs("AutoModel", {work: inputs})
    tokens, states = np.asarray(inputs[1], bool), loaded.encoder.hidden_states(*inputs)
    sequence, pooled = loaded.encoder.encode(*inputs)
    layers = [np.abs(theirs[f"hidden_{number}"] - found)[tokens].max() for number, found in enumerate(states)]
    found = {"layers": max(layers), "last": np.abs(theirs["last_hidden_state"] - sequence)[tokens].max()}
    assert len(layers) == loaded.encoder.config.num_hidden_layers + 1
    if set(POOLER) <= canonical_weights(read_weights(folder)).encoder.keys():
        found["pooler"] = np.abs(theirs["pooler_output"] - pooled).max()
    print(f"largest differences of {folder}: {found}")
    return {name: float(value) for name, value in found.items()}


@pytest.mark.parametrize("name", ENCODERS)
def test_states_are_pytorchs(name: str, tmp_path: Path) -> None:
    folder = published_folder(name)
    need_pytorch()
    found = largest_differences(folder, tmp_path / "work")
    assert max(found.values()) < TOLERANCE, found
    assert ("pooler" in found) == (name != "multilingual-e5-small")


@pytest.mark.parametrize("name", ENCODERS)
def test_best_is_pytorchs_after_training(name: str, tmp_path: Path, tiny_settings: Callable[..., Any]) -> None:
    folder, data, run = published_folder(name), tmp_path / "data", tmp_path / "run"
    need_pytorch()
    flags = [f"--data_dir={SAMPLE}", f"--output_dir={data}", f"--tokenizer_name_or_path={folder}", "--sequence_length=32"]
    assert convert.run(load_settings(ConvertSettings, flags, "convert")) == 0
    settings = tiny_settings(
        pretrain_model_name_or_path=str(folder),
        random_init=False,
        random_pooler=name == "multilingual-e5-small",
        train_input_fp=str(data / "train.list_tfrecord"),
        predict_input_fp=str(data / "dev.list_tfrecord"),
        features="ocnli=pooled+pair",
        learning_rate=1e-4,
        num_epochs=0.02,
        keep_checkpoint_max=1,  # not the start, whose score may be the highest
    )
    assert train.run(settings) == 0
    found = largest_differences(run / "best", tmp_path / "work")
    assert max(found.values()) < TOLERANCE and "pooler" in found, found
    before, after = (canonical_weights(read_weights(place)).encoder for place in (folder, run / "best"))
    assert any(not np.array_equal(before[key], after[key]) for key in before)
    exported, tokenizer = loaded_from(run / "best"), AutoTokenizer.from_pretrained(run / "best")
    if exported.vocabulary.tokenizer == "published":
        given = encoder_inputs(exported)
        texts = [text for text in sample_texts() if len(text) == 1]
        theirs = tokenizer([text[0] for text in texts], truncation="longest_first", max_length=LENGTH)["input_ids"]
        assert theirs == [ids[mask == 1].tolist() for ids, mask in zip(given[0][: len(texts)], given[1])]
