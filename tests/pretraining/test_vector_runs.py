"""Runs whose embeddings start from vectors: of a file, and of the texts, which are worked out once."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from easytransfer_mtl.config.pretrain_settings import PretrainSettings
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.pretraining import trainer
from easytransfer_mtl.pretraining.text_vectors import text_vectors
from easytransfer_mtl.pretraining.trainer import run_pretraining
from easytransfer_mtl.pretraining.words import SPECIAL

Settings = Callable[..., PretrainSettings]


def test_embeddings_start_from_word_vectors(settings: Settings, tiny_encoder: Path, tmp_path: Path) -> None:
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("天 1 2 3 4\n地 4 3 2 1\n人 1 1 1 9\n", encoding="utf-8")
    started = run_pretraining(settings(train_steps=1, learning_rate=0.0, word_vectors=str(vectors)))
    plain = load_encoder(find_encoder(str(tiny_encoder), needs_weights=False), DropoutClock(5), random_init=True)
    tables = [encoder.word_embeddings.numpy() for encoder in (plain.encoder, started.model.encoder)]
    differ = (tables[0] != tables[1]).any(axis=1)
    assert np.flatnonzero(differ).tolist() == [5, 6, 7]
    assert tables[1][5:8].std() == pytest.approx(0.02, rel=1e-4)


def test_embeddings_start_from_the_texts_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    started = run_pretraining(settings(train_steps=1, learning_rate=0.0, word_vectors="texts"))
    rows = started.prepared.batches.rows
    expected = text_vectors(rows, *started.model.encoder.word_embeddings.shape, 5)
    assert set(expected.ids) == set(rows.rows.input_ids[rows.parts != SPECIAL])
    table = started.model.encoder.word_embeddings.numpy()
    np.testing.assert_array_equal(table[expected.ids], expected.rows(table.shape[1], 0.02, 5))
    monkeypatch.setattr(trainer, "text_vectors", None)  # would be called
    gone_on = run_pretraining(settings(train_steps=2, learning_rate=0.0, word_vectors="texts"))
    np.testing.assert_array_equal(gone_on.model.encoder.word_embeddings.numpy(), table)
