"""A comparison does not put results on old files beside those on new ones."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from easytransfer_mtl.commands.compare import run as compare
from easytransfer_mtl.comparing.runs import TrainingProcesses
from easytransfer_mtl.config.study_settings import CompareSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import read_json, write_json
from easytransfer_mtl.tasks import OCNLI


def change_rows(kind: str) -> Callable[[Path, Path, Callable[..., Path]], None]:
    return lambda data, encoder, convert: convert(data / f"OCNLI_{kind}.tfrecord", OCNLI, 9)


def change_encoder(data: Path, encoder: Path, convert: Callable[..., Path]) -> None:
    write_json(encoder / "config.json", read_json(encoder / "config.json") | {"hidden_act": "relu"})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (change_rows("train"), "train file 3"),
        (change_rows("dev"), "dev file 3"),
        (change_encoder, "encoder config"),
    ],
)
def test_files_with_another_content_are_refused(
    change: Callable[[Path, Path, Callable[..., Path]], None], named: str, tiny_data: Path, tiny_encoder: Path,
    convert_rows: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def train(self: TrainingProcesses, folder: Path, flags: list[str]) -> float:
        """Writes what a training would leave."""
        rows = [{"step": 3, "scores": dict.fromkeys(("TNEWS", "OCEMOTION", "OCNLI"), 0.5), "mean": 0.5, "best": True}]
        write_json(folder / "model/evaluation/summary.json", {"checkpoints": rows})
        return 1.5

    monkeypatch.setattr(TrainingProcesses, "_train", train)
    data, encoder = shutil.copytree(tiny_data, tmp_path / "data"), shutil.copytree(tiny_encoder, tmp_path / "encoder")
    settings = CompareSettings(
        pretrain_model_name_or_path=str(encoder), random_init=True, train_batch_size=4, model_dir=str(tmp_path / "study"),
        train_input_fp=str(data / "train.list_tfrecord"), predict_input_fp=str(data / "dev.list_tfrecord"), seeds="1",
        variants="equal; dwa", single_task=False,
    )  # fmt: skip
    assert compare(settings) == 0 and compare(settings) == 0
    change(data, encoder, convert_rows)
    with pytest.raises(UserError, match=f"holds a run on files with another content .*{named}"):
        compare(settings)
    shutil.rmtree(tmp_path / "study" / "equal")
    with pytest.raises(UserError, match=f"dwa.* holds a run on files with another content .*{named}"):
        compare(settings)
