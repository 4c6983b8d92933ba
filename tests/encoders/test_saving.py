"""A saved encoder is transformers' again, and ours."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.kinds import kind_of, transformers_class
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.encoders.saving import save_encoder


def test_transformers_class_of_the_type_and_our_own_loading_give_the_same_outputs(
    saved_type: Any, rows: Any, tmp_path: Path
) -> None:
    loaded = load_encoder(find_encoder(str(saved_type.folder / "h5")), DropoutClock(9), random_init=True)
    encoder = loaded.encoder
    save_encoder(encoder, tmp_path / "best")
    shutil.copyfile(saved_type.folder / "h5" / "vocab.txt", tmp_path / "best" / "vocab.txt")
    sequence, pooled = encoder.encode(*rows)
    written = json.loads((tmp_path / "best" / "config.json").read_text(encoding="utf-8"))
    assert written["model_type"] == saved_type.model_type
    model = transformers_class(kind_of(encoder.config).tf_class).from_pretrained(tmp_path / "best")
    outputs = rows.outputs(model)
    np.testing.assert_allclose(outputs.last_hidden_state, sequence, atol=1e-5)
    if kind_of(encoder.config).has_pooler:
        np.testing.assert_allclose(outputs.pooler_output, pooled, atol=1e-5)
    again = load_encoder(find_encoder(str(tmp_path / "best")), DropoutClock(10)).encoder
    for found, expected in zip(again.encode(*rows), (sequence, pooled), strict=True):
        np.testing.assert_array_equal(found, expected)
