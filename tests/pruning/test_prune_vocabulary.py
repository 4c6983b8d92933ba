"""A pruned encoder splits the given texts and computes their states as the full one, and is refused beside other data."""

import errno
import importlib.util
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from published_tokenizers import tokenizer_json
from transformers import AutoTokenizer

from easytransfer_mtl.commands import convert, train
from easytransfer_mtl.config.base import load_settings
from easytransfer_mtl.config.convert_settings import ConvertSettings
from easytransfer_mtl.data.features import Features
from easytransfer_mtl.data.published_features import feature_builder
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.encoders.weight_files import read_weights
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.pruning import weights as pruning_weights
from easytransfer_mtl.pruning.vocabulary import splitters_of

KINDS = ("unigram", "bpe", "wordpiece", "vocab.txt")
WORDS = "embeddings.word_embeddings.weight"
KEPT = ["今天天气好", "明天天气不好，看书", "Hello, world", "ＡＢＣ１２３", "今天天气", "明天天气不好", "看书", "world"]
ROWS: list[tuple[str, ...]] = [*((text,) for text in KEPT), *itertools.permutations(KEPT, 2)]


def config_of(folder: Path) -> dict[str, Any]:
    value = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert isinstance(value, dict)
    return value


def tokens_of(folder: Path) -> dict[int, str]:
    ids = splitters_of(find_encoder(str(folder)))[0].ids
    return {index: token for token, index in sorted(ids.items(), key=lambda item: item[1])}


def rows_of(folder: Path, length: int, normalization: str = "none") -> list[Features]:
    builder = feature_builder(find_encoder(str(folder)).vocabulary, normalization, length)
    return [builder.encode(row) for row in ROWS]


def states_of(folder: Path, rows: list[Features]) -> list[np.ndarray]:
    encoder = load_encoder(find_encoder(str(folder)), DropoutClock(0)).encoder
    found = []
    for row in rows:
        ids = tf.constant([row.input_ids])
        types = tf.cast(tf.range(ids.shape[1])[None] >= row.first_length, tf.int32)
        found.append(encoder.encode(ids, tf.ones_like(ids), types)[0].numpy())
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_texts_keep_their_tokens_and_states(kind: str, encoder: Callable[[str], Path], prune: Callable[..., Path]) -> None:
    full = encoder(kind)
    pruned = prune(full)
    before, after = tokens_of(full), tokens_of(pruned)
    assert len(after) < len(before) and list(after) == list(range(len(after)))
    for normalization, length in (("none", 7), ("none", 16), ("nfkc", 9)):
        rows = [rows_of(folder, length, normalization) for folder in (full, pruned)]
        for old, new in zip(*rows, strict=True):
            assert [before[index] for index in old.input_ids] == [after[index] for index in new.input_ids]
            assert old.first_length == new.first_length
        if length == 9:
            states = [states_of(folder, found[::4]) for folder, found in zip((full, pruned), rows, strict=True)]
            for old_states, new_states in zip(*states, strict=True):
                np.testing.assert_array_equal(old_states, new_states)
    assert {token for token in before.values() if len(token) == 1} <= set(after.values())
    special = [token for token in before.values() if token in ("[PAD]", "[UNK]", "[MASK]", "<s>", "<pad>", "<mask>")]
    assert special and set(special) <= set(after.values())


@pytest.mark.parametrize("kind", KINDS)
def test_other_tensors_are_the_same_bytes_and_rows_are_taken(
    kind: str, encoder: Callable[[str], Path], prune: Callable[..., Path]
) -> None:
    full = encoder(kind)
    pruned = prune(full)
    before, after = (read_weights(folder).arrays for folder in (full, pruned))
    assert before.keys() == after.keys()
    assert all(before[name].tobytes() == after[name].tobytes() for name in before.keys() - {WORDS})
    old_ids = {token: index for index, token in tokens_of(full).items()}
    kept = [old_ids[token] for token in tokens_of(pruned).values()]
    np.testing.assert_array_equal(before[WORDS][kept], after[WORDS])
    assert config_of(pruned) == {**config_of(full), "vocab_size": len(kept)}


def test_the_same_texts_give_the_same_bytes(
    encoder: Callable[[str], Path], prune: Callable[..., Path], tmp_path: Path
) -> None:
    full = encoder("unigram")
    first, second = prune(full), prune(full, output_dir=tmp_path / "again")
    assert {path.name: path.read_bytes() for path in first.iterdir()} == {
        path.name: path.read_bytes() for path in second.iterdir()
    }


def test_a_pruned_encoder_pruned_again_is_the_same(
    encoder: Callable[[str], Path], prune: Callable[..., Path], tmp_path: Path
) -> None:
    once = prune(encoder("bpe"))
    again = prune(once, output_dir=tmp_path / "again")
    assert (once / "tokenizer.json").read_bytes() == (again / "tokenizer.json").read_bytes()
    assert (once / "model.safetensors").read_bytes() == (again / "model.safetensors").read_bytes()


def test_report(encoder: Callable[[str], Path], prune: Callable[..., Path], tmp_path: Path) -> None:
    full = encoder("wordpiece")
    other = tmp_path / "other.txt"
    other.write_text("今天 天气\n我们去看书 Hello\n龘 world\n", encoding="utf-8")
    told = json.loads((prune(full, report_fps=other) / "pruning.json").read_text(encoding="utf-8"))
    assert told["before"]["embeddings"] == 320 and told["after"]["embeddings"] == told["after"]["tokens"]
    assert told["texts"] == {"OCNLI_train.csv": 2, "texts.txt": 6}  # two of which nfkc changes
    loss = told["losses"]["other.txt"]
    assert loss["texts"] == 3 and loss["unknown"] >= 1 and loss["lost_share"] == loss["lost"] / loss["before"]
    with_text = (tmp_path / "pruned/pruning.txt").read_text(encoding="utf-8")
    assert "are split as before" in with_text and "other.txt" in with_text


def test_lost_tokens_are_counted(encoder: Callable[[str], Path], prune: Callable[..., Path], tmp_path: Path) -> None:
    """``xy`` and ``book`` cannot be made of the characters that the vocabulary has."""
    full = encoder("vocab.txt")
    other = tmp_path / "other.txt"
    other.write_text("xy 天 book\n竹 qq\n", encoding="utf-8")
    told = json.loads((prune(full, report_fps=other) / "pruning.json").read_text(encoding="utf-8"))
    loss = told["losses"]["other.txt"]
    assert {key: loss[key] for key in ("texts", "before", "after", "removed", "lost", "unknown")} == {
        "texts": 2, "before": 5, "after": 5, "removed": 2, "lost": 2, "unknown": 1,
    }  # fmt: skip


def test_ids_in_the_small_files_are_renumbered(encoder: Callable[[str], Path], prune: Callable[..., Path]) -> None:
    full = encoder("unigram")
    before = {token: index for index, token in tokens_of(full).items()}
    last = max(before, key=lambda token: before[token])
    assert len(last) > 1
    config = {**config_of(full), "pad_token_id": 1, "eos_token_id": [2, before[last]], "sep_token_id": None}
    (full / "config.json").write_text(json.dumps({**config, "bos_token_id": 5000}), encoding="utf-8")
    decoder = {str(before[token]): {"content": token, "special": True} for token in ("<s>", "<mask>")}
    settings = {**json.loads((full / "tokenizer_config.json").read_text(encoding="utf-8")), "added_tokens_decoder": decoder}
    (full / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    (full / "added_tokens.json").write_text(json.dumps({"<mask>": before["<mask>"]}), encoding="utf-8")
    (full / "special_tokens_map.json").write_text(json.dumps({"mask_token": {"content": "<mask>"}}), encoding="utf-8")
    pruned = prune(full)
    after = {token: index for index, token in tokens_of(pruned).items()}
    found = config_of(pruned)
    assert (found["pad_token_id"], found["eos_token_id"]) == (1, [2, after[last]])
    assert (found["sep_token_id"], found["bos_token_id"]) == (None, 5000)
    numbered = json.loads((pruned / "tokenizer_config.json").read_text(encoding="utf-8"))["added_tokens_decoder"]
    assert {index: token["content"] for index, token in numbered.items()} == {"0": "<s>", str(after["<mask>"]): "<mask>"}
    assert json.loads((pruned / "added_tokens.json").read_text(encoding="utf-8")) == {"<mask>": after["<mask>"]}
    assert AutoTokenizer.from_pretrained(pruned).mask_token_id == after["<mask>"]


def both(folder: Path) -> list[str]:
    """Adds a vocab.txt of the same ids to a folder with a WordPiece tokenizer.json, and returns its lines."""
    ids = tokenizer_json("wordpiece")["model"]["vocab"]
    lines = sorted(ids, key=lambda token: ids[token])
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in lines), encoding="utf-8")
    return lines


def test_a_folder_with_both_tokenizers_keeps_both(
    encoder: Callable[[str], Path], prune: Callable[..., Path], tmp_path: Path
) -> None:
    full = encoder("wordpiece")
    lines = both(full)
    pruned = prune(full)
    ids = json.loads((pruned / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    assert (pruned / "vocab.txt").read_text(encoding="utf-8").splitlines() == sorted(ids, key=lambda token: ids[token])
    (full / "vocab.txt").write_text("".join(f"{token}\n" for token in [*lines[:5], *lines[:4:-1]]), encoding="utf-8")
    with pytest.raises(UserError, match="do not belong together. Say which one is the weights'.*--tokenizer=published"):
        prune(full, output_dir=tmp_path / "no")
    chosen = prune(full, output_dir=tmp_path / "one", tokenizer="published")
    assert (chosen / "tokenizer.json").is_file() and not (chosen / "vocab.txt").exists()


def test_easytransfers_rule_becomes_line_numbers(
    encoder: Callable[[str], Path], prune: Callable[..., Path], tmp_path: Path
) -> None:
    """A repeated line shifts what follows by EasyTransfer's rule; the pruned file reads alike by both."""
    full = encoder("vocab.txt")
    path = full / "vocab.txt"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines[:7], lines[6], *lines[7:-1]]) + "\n", encoding="utf-8")
    rows = read_weights(full).arrays[WORDS]
    for rule, place in (("lines", 9), ("easytransfer", 8)):
        pruned = prune(full, output_dir=tmp_path / rule, vocabulary_rule=rule)
        kept = (pruned / "vocab.txt").read_text(encoding="utf-8").splitlines()
        assert len(set(kept)) == len(kept) and find_encoder(str(pruned)).vocabulary.is_read_alike
        np.testing.assert_array_equal(read_weights(pruned).arrays[WORDS][kept.index(lines[8])], rows[place])


def test_records_of_the_full_vocabulary_are_refused(
    encoder: Callable[[str], Path],
    prune: Callable[..., Path],
    texts: Path,
    tmp_path: Path,
    tiny_settings: Callable[..., Any],
) -> None:
    full = encoder("unigram")
    pruned, data = prune(full), tmp_path / "data"
    for task, label in (("TNEWS", "100"), ("OCEMOTION", "like")):
        (texts / f"{task}_train.csv").write_text(f"1\t今天\t{label}\n2\t看书\t{label}\n", encoding="utf-8")
    flags = [f"--data_dir={texts}", f"--output_dir={data}", f"--tokenizer_name_or_path={full}", "--sequence_length=16"]
    assert convert.run(load_settings(ConvertSettings, [*flags, "--dev_share=0.5"], "convert")) == 0
    given = {"train_input_fp": str(data / "train.list_tfrecord"), "predict_input_fp": str(data / "dev.list_tfrecord")}
    with pytest.raises(UserError, match="was made with another vocabulary"):
        train.run(tiny_settings(pretrain_model_name_or_path=str(pruned), random_init=False, **given))


def no_weights(folder: Path, texts: Path) -> dict[str, Any]:
    (folder / "model.safetensors").unlink()
    return {}


def cut_weights(folder: Path, texts: Path) -> dict[str, Any]:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    return {}


def other_size(folder: Path, texts: Path) -> dict[str, Any]:
    (folder / "config.json").write_text(json.dumps({**config_of(folder), "vocab_size": 321}), encoding="utf-8")
    return {}


def word_level(folder: Path, texts: Path) -> dict[str, Any]:
    value = tokenizer_json("wordpiece")
    value["model"] = {"type": "WordLevel", "vocab": value["model"]["vocab"], "unk_token": "[UNK]"}
    (folder / "tokenizer.json").write_text(json.dumps(value), encoding="utf-8")
    return {}


def missing_text(folder: Path, texts: Path) -> dict[str, Any]:
    return {"input_fps": texts / "nothing.txt"}


def made(content: bytes, name: str = "made.txt") -> Callable[[Path, Path], dict[str, Any]]:
    def change(folder: Path, texts: Path) -> dict[str, Any]:
        (texts / name).write_bytes(content)
        return {"input_fps": texts / name}

    return change


def no_contest_file(folder: Path, texts: Path) -> dict[str, Any]:
    (texts / "OCNLI_train.csv").unlink()
    return {}


def own_folder(folder: Path, texts: Path) -> dict[str, Any]:
    return {"output_dir": folder}


def taken(folder: Path, texts: Path) -> dict[str, Any]:
    return {"output_dir": texts}


def a_file(folder: Path, texts: Path) -> dict[str, Any]:
    return {"output_dir": texts / "texts.txt"}


def missing_report(folder: Path, texts: Path) -> dict[str, Any]:
    return {"report_fps": texts / "nothing.txt"}


@pytest.mark.parametrize(
    "change, message",
    [
        (no_weights, "has no weights"),
        (cut_weights, "cannot be read"),
        (other_size, "has 320 embeddings, and .*says vocab_size 321"),
        (word_level, "the model is 'WordLevel'; Unigram, BPE, WordPiece can be pruned"),
        (missing_text, "--input_fps: .*nothing.txt does not exist"),
        (missing_report, "--report_fps: .*nothing.txt does not exist"),
        (made(b""), "made.txt is empty"),
        (made(b"\n \n"), "made.txt has no text"),
        (made("好\n".encode() + b"ab\xff\n"), r"line 2 is not UTF-8 \(byte 2 of the line\)"),
        (made("今天天气\n".encode("utf-16")), "UTF-16 text, not UTF-8 text"),
        (made(b"a" * (1 << 20) + b"b"), "line 1 has more than 1,048,576 bytes"),
        (made(b"PK\x03\x04"), "a zip archive"),
        (made("1\t今天\tnonsense\n".encode(), "TNEWS_train.csv"), "TNEWS_train.csv: 1 bad rows"),
        (no_contest_file, "has no contest file of"),
        (own_folder, "is the encoder's own folder"),
        (taken, "exists and is not empty"),
        (a_file, "cannot be written"),
    ],
)
def test_bad_input_is_an_error_and_nothing_is_written(
    change: Callable[[Path, Path], dict[str, Any]],
    message: str,
    encoder: Callable[[str], Path],
    prune: Callable[..., Path],
    texts: Path,
    tmp_path: Path,
) -> None:
    full = encoder("unigram")
    given = change(full, texts)
    there = sorted(path for path in tmp_path.rglob("*"))
    with pytest.raises(UserError, match=message):
        prune(full, **given)
    assert sorted(path for path in tmp_path.rglob("*")) == there


def test_a_full_disk_leaves_nothing(
    encoder: Callable[[str], Path], prune: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = encoder("unigram")
    there = sorted(path for path in tmp_path.rglob("*"))

    def fail(path: Path, tensors: object) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(pruning_weights, "copy_tensors", fail)
    with pytest.raises(OSError, match="No space left"):
        prune(full)
    assert sorted(path for path in tmp_path.rglob("*")) == there


def test_a_text_that_is_split_otherwise_is_refused(
    encoder: Callable[[str], Path], prune: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if a token in use had not been found."""
    from easytransfer_mtl.pruning.tokenizer_json import TokenizerJsonSplitter

    monkeypatch.setattr(TokenizerJsonSplitter, "used", lambda self, rows: set())
    with pytest.raises(UserError, match="is not split into the same tokens, so nothing was written"):
        prune(encoder("unigram"))
    assert not (tmp_path / "pruned").exists()


PYTORCH = """
import sys, torch
from transformers import AutoModel, AutoTokenizer
full, pruned, *texts = sys.argv[1:]
tokenizers = [AutoTokenizer.from_pretrained(folder) for folder in (full, pruned)]
models = [AutoModel.from_pretrained(folder).eval() for folder in (full, pruned)]
for first in texts:
    for rest in ([], [texts[0]]):
        rows = [each(first, *rest, truncation="longest_first", max_length=9, return_tensors="pt") for each in tokenizers]
        tokens = [each.convert_ids_to_tokens(row["input_ids"][0]) for each, row in zip(tokenizers, rows)]
        assert tokens[0] == tokens[1], tokens
        with torch.no_grad():
            states = [model(**row).last_hidden_state for model, row in zip(models, rows)]
        assert torch.equal(*states)
"""


def pytorch_agrees(full: Path, pruned: Path) -> None:
    settings = {**os.environ, "USE_TF": "0", "USE_TORCH": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PYTORCH, str(full), str(pruned), *KEPT], env=settings, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", ["unigram", "bpe", "wordpiece"])
def test_pytorch_and_its_tokenizer_agree(kind: str, encoder: Callable[[str], Path], prune: Callable[..., Path]) -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed")
    full = encoder(kind)
    pytorch_agrees(full, prune(full))


@pytest.mark.parametrize("name", ["multilingual-e5-small", "all-MiniLM-L6-v2"])
def test_published_encoders(name: str, encoders_dir: Path, prune: Callable[..., Path]) -> None:
    pruned = prune(encoders_dir / name)
    full = AutoTokenizer.from_pretrained(encoders_dir / name)
    new = AutoTokenizer.from_pretrained(pruned)
    assert len(new) < len(full) / 5
    for row in ROWS:
        tokens = [each(*row, truncation="longest_first", max_length=9).tokens() for each in (full, new)]
        assert tokens[0] == tokens[1]
    rows = [rows_of(folder, 12)[:4] for folder in (encoders_dir / name, pruned)]
    if name == "all-MiniLM-L6-v2":  # the other has no pooler
        for old, expected in zip(*(states_of(*each) for each in zip((encoders_dir / name, pruned), rows, strict=True))):
            np.testing.assert_array_equal(old, expected)
    if importlib.util.find_spec("torch") is not None:
        pytorch_agrees(encoders_dir / name, pruned)
    shutil.rmtree(pruned)
