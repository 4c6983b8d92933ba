"""Pre-training in folders that were copied, whose encoder was changed, or that something else is in."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from easytransfer_mtl.config.pretrain_settings import PretrainSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import read_json, write_json
from easytransfer_mtl.pretraining.trainer import run_pretraining
from easytransfer_mtl.runs.checkpoints import checkpoint_steps
from easytransfer_mtl.runs.lock import run_lock

LETTERS = "天地人日月山水火木金土心手口目耳田禾米竹"
Settings = Callable[..., PretrainSettings]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_going_on_in_a_copy_leaves_the_original_alone(settings: Settings, tmp_path: Path) -> None:
    few = {"keep_checkpoint_max": 1, "save_steps": 1}
    run_pretraining(settings(train_steps=2, **few))
    copy = shutil.copytree(tmp_path / "run", tmp_path / "copy")
    (copy / "checkpoint").write_text(
        f'model_checkpoint_path: "{tmp_path}/run/model.ckpt-2"\nall_model_checkpoint_paths: "{tmp_path}/run/model.ckpt-2"\n'
        "all_model_checkpoint_timestamps: 2e9\nlast_preserved_timestamp: 1.0\n",
        encoding="utf-8",
    )
    before = contents(tmp_path / "run")
    run_pretraining(settings(train_steps=4, model_dir=str(copy), **few))
    assert contents(tmp_path / "run") == before and list(checkpoint_steps(copy)) == [4]
    assert [path.name for path in copy.glob("model.ckpt-*.index")] == ["model.ckpt-4.index"]


def test_a_folder_that_looks_like_a_pattern_is_a_folder(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "a[1]" / "run"
    run_pretraining(settings(train_steps=2, model_dir=str(folder), save_steps=1))
    done = run_pretraining(settings(train_steps=4, model_dir=str(folder), save_steps=1))
    assert list(checkpoint_steps(folder)) == [3, 4] and done.final.is_dir()


def test_an_encoder_with_another_config_of_the_same_shapes_is_refused(
    settings: Settings, tiny_encoder: Path, tmp_path: Path
) -> None:
    encoder = shutil.copytree(tiny_encoder, tmp_path / "encoder")
    run_pretraining(settings(train_steps=1, pretrain_model_name_or_path=str(encoder)))
    write_json(encoder / "config.json", read_json(encoder / "config.json") | {"num_attention_heads": 4})
    before = contents(tmp_path / "run")
    with pytest.raises(UserError, match="num_attention_heads: 2 -> 4"):
        run_pretraining(settings(train_steps=2, pretrain_model_name_or_path=str(encoder)))
    assert contents(tmp_path / "run") == before


def test_a_run_that_had_only_begun_starts_from_the_vectors_as_they_are_now(settings: Settings, tmp_path: Path) -> None:
    vectors = tmp_path / "vectors.txt"
    options = {"word_vectors": str(vectors), "train_steps": 1}

    def write(seed: int) -> None:
        rows = np.random.default_rng(seed).normal(size=(len(LETTERS), 8)).tolist()
        lines = [f"{letter} {' '.join(map(str, row))}\n" for letter, row in zip(LETTERS, rows)]
        vectors.write_text("".join(lines), encoding="utf-8")

    write(1)
    run_pretraining(settings(**options))
    begun = tmp_path / "begun"
    begun.mkdir()
    for path in (*(tmp_path / "run").glob("model.ckpt-0.*"), *(tmp_path / "run").glob("*.*t*")):
        if not path.name.startswith("model.ckpt-1"):
            shutil.copyfile(path, begun / path.name)
    write(2)
    gone_on = run_pretraining(settings(**options, model_dir=str(begun)))
    fresh = run_pretraining(settings(**options, model_dir=str(tmp_path / "fresh")))
    weights = [(run.final / "model.safetensors").read_bytes() for run in (gone_on, fresh)]
    assert weights[0] == weights[1]


def test_a_folder_that_another_process_holds_or_that_is_a_file_is_told_before_the_texts_are_read(
    settings: Settings, tmp_path: Path
) -> None:
    pytest.importorskip("fcntl")
    with run_lock(tmp_path / "run"), pytest.raises(UserError, match="run is in use by process"):
        run_pretraining(settings(data_dir="nowhere"))
    (tmp_path / "run").touch()
    with pytest.raises(UserError, match="run is a file"):
        run_pretraining(settings(data_dir="nowhere"))
