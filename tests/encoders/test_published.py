"""Which tokenizer an encoder's folder gets, how a run's folder and an export keep it, and that padding ids do not matter."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from published_tokenizers import TEXTS, published_encoder, write_tokenizer
from transformers import AutoTokenizer

from easytransfer_mtl.data.published_tokenizer import load_published
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.encoders.saving import save_encoder
from easytransfer_mtl.encoders.vocabularies import write_vocabulary
from easytransfer_mtl.errors import UserError


@pytest.fixture
def published(tiny_encoder: Path, tmp_path: Path) -> Path:
    """A folder with a tokenizer.json and no vocab.txt."""
    return published_encoder(tmp_path / "published", tiny_encoder)


@pytest.fixture
def both(published: Path, tiny_encoder: Path) -> Path:
    """A folder with both files, of different ids."""
    shutil.copyfile(tiny_encoder / "vocab.txt", published / "vocab.txt")
    return published


def file_of(folder: Path, tokenizer: str = "auto") -> str:
    files = find_encoder(str(folder), needs_weights=False, tokenizer=tokenizer)
    assert files.vocabulary.tokenizer == files.tokenizer
    return files.vocabulary_file.name


def test_tokenizer_json_alone_is_used(published: Path) -> None:
    assert file_of(published) == file_of(published, "published") == "tokenizer.json"


def test_missing_files_are_named(published: Path, tiny_encoder: Path) -> None:
    with pytest.raises(UserError, match=r"vocab.txt does not exist.*Found: config.json, tokenizer.json"):
        file_of(published, "easytransfer")
    with pytest.raises(
        UserError, match=r"tokenizer.json does not exist, which --tokenizer=published reads. Found: config.json, vocab.txt"
    ):
        file_of(tiny_encoder, "published")


def test_a_rule_for_vocab_txt_has_no_meaning(published: Path) -> None:
    files = find_encoder(str(published), needs_weights=False, vocabulary_rule="lines")
    with pytest.raises(UserError, match="--vocabulary_rule=lines concerns vocab.txt, not .*tokenizer.json"):
        _ = files.vocabulary


def test_a_written_folder_keeps_its_tokenizer(both: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    for tokenizer, other in (("published", "easytransfer"), ("easytransfer", "published")):
        vocabulary = find_encoder(str(both), needs_weights=False, tokenizer=tokenizer).vocabulary
        folder = run / tokenizer
        folder.mkdir(parents=True)
        for name in ("config.json", "vocab.txt", "tokenizer.json"):
            shutil.copyfile(both / name, folder / name)
        write_vocabulary(folder, vocabulary)
        found = find_encoder(str(folder), needs_weights=False)
        assert (found.tokenizer, found.vocabulary.sha256) == (tokenizer, vocabulary.sha256)
        with pytest.raises(UserError, match=f"trained with the tokenizer {tokenizer}, not {other}"):
            file_of(folder, other)
    (folder / "vocabulary.json").write_text('{"tokenizer": "other"}', encoding="utf-8")
    with pytest.raises(UserError, match="tokenizer is 'other'; it must be easytransfer or published"):
        file_of(folder)


@pytest.mark.parametrize("kind", ["unigram", "bpe", "wordpiece"])
def test_transformers_reads_the_export_alike(kind: str, tiny_encoder: Path, tmp_path: Path) -> None:
    folder = published_encoder(tmp_path / "encoder", tiny_encoder, kind)
    loaded = load_encoder(find_encoder(str(folder), needs_weights=False), DropoutClock(3), random_init=True)
    best = tmp_path / "best"
    save_encoder(loaded.encoder, loaded.vocabulary, best)
    assert (best / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()
    assert not (best / "vocab.txt").exists()
    found = AutoTokenizer.from_pretrained(best)
    vocabulary = load_published(best / "tokenizer.json")
    assert (found.cls_token_id, found.sep_token_id) == vocabulary.frame_ids
    assert (found.mask_token_id, found.pad_token_id) == (vocabulary.mask_id, vocabulary.padding_id)
    assert [found(text)["input_ids"] for text in TEXTS] == [vocabulary.truncating(64).encode(text).ids for text in TEXTS]


def test_more_tokens_than_embeddings(tiny_encoder: Path, tmp_path: Path) -> None:
    folder = published_encoder(tmp_path / "encoder", tiny_encoder, vocab_size=20)
    with pytest.raises(UserError, match=r"tokenizer.json has \d+ tokens, more than vocab_size 20 of .*config.json"):
        load_encoder(find_encoder(str(folder), needs_weights=False), DropoutClock(3), random_init=True)


def test_a_bad_file_is_named(published: Path) -> None:
    write_tokenizer(published, post_processor=None)
    with pytest.raises(UserError, match="tokenizer.json lacks a template"):
        file_of(published)


def test_the_id_in_padding_does_not_matter(saved_type: Any, rows: Any) -> None:
    encoder = load_encoder(find_encoder(str(saved_type.folder / "h5")), DropoutClock(0)).encoder
    mask = rows.input_mask
    outputs = []
    for padding in (0, 1):
        ids = rows.input_ids * mask + padding * (1 - mask)
        with tf.GradientTape() as tape:
            sequence, pooled = encoder.encode(ids, mask, rows.segment_ids)
            loss = tf.reduce_sum(pooled**2) + tf.reduce_sum((sequence * tf.cast(mask, tf.float32)[..., tf.newaxis]) ** 2)
        gradient = tf.convert_to_tensor(tape.gradient(loss, encoder.word_embeddings))
        outputs.append((pooled.numpy(), gradient.numpy()))
    for left, right in zip(*outputs, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-5)


def test_downloads_take_it(monkeypatch: pytest.MonkeyPatch, published: Path) -> None:
    asked: list[str] = []

    def snapshot_download(name: str, allow_patterns: list[str]) -> str:
        asked.extend(allow_patterns)
        return str(published)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    assert find_encoder("owner/some-encoder", needs_weights=False).tokenizer == "published"
    assert json.dumps(asked) == '["config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json"]'
