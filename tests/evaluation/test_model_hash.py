"""The hash of a stored model: the same wherever it lies, another with every file that its predictions depend on."""

import shutil
from pathlib import Path

import pytest

from easytransfer_mtl.evaluation.model_hash import files_of_model, model_sha256
from easytransfer_mtl.evaluation.stored_models import stored_model_at


@pytest.mark.parametrize("name", ["best", "model.ckpt-3"])
def test_hash_is_of_the_content(name: str, runs: Path, tmp_path: Path) -> None:
    original = model_sha256(stored_model_at(str(runs / "fold_1" / name)))
    run = Path(shutil.copytree(runs / "fold_1", tmp_path / "moved"))
    member = stored_model_at(str(run / name))
    assert model_sha256(member) == original != model_sha256(stored_model_at(str(runs / "fold_2" / name)))
    (member.folder.path / "notes.txt").write_text("mine", encoding="utf-8")
    assert model_sha256(member) == original
    files = files_of_model(member)
    weights = {"heads.safetensors", "model.safetensors"}
    if name != "best":
        weights = {"model.ckpt-3.index", "model.ckpt-3.data-00000-of-00001"}
    assert {path.name for path in files} >= {"config.json", "vocab.txt", "tasks.json", *weights}
    for path in files:
        content = path.read_bytes()
        path.write_bytes(content + b" ")
        assert model_sha256(member) != original, path
        path.write_bytes(content)
    assert model_sha256(member) == original
