"""Bad input ends in one clear sentence and exit code 2, before anything was written."""

import json
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
Finished = tuple[Path, subprocess.CompletedProcess[str]]

TRAIN = (
    "train --random_init --pretrain_model_name_or_path=encoder --train_input_fp=data/train.list_tfrecord "
    "--train_batch_size=8 --num_epochs=0.01 --model_dir=model"
)
EVALUATE = "evaluate --model_dir=run --predict_input_fp"
FROM_BEST = "--predict_checkpoint_path=run/best --predict_output_fp=out --predict_input_fp"
CASES: dict[str, tuple[str, tuple[str, ...]]] = {
    "encoder folder missing": (f"{TRAIN} --pretrain_model_name_or_path=./nowhere", ("./nowhere", "is not a folder")),
    "encoder name unknown": (
        f"{TRAIN} --pretrain_model_name_or_path=gogle-bert-base-zh",
        ("gogle-bert-base-zh", "google-bert-base-zh"),
    ),
    "encoder without weights": (f"{TRAIN} --norandom_init", ("encoder", "no weights")),
    "data of another vocabulary": (
        f"{TRAIN} --pretrain_model_name_or_path=other_vocabulary",
        ("another vocabulary", "--tokenizer_name_or_path"),
    ),
    "TFRecord cut off": (
        f"{TRAIN} --train_input_fp=cut/TNEWS_train.tfrecord",
        ("truncated", "TNEWS_train.tfrecord", "record 599"),
    ),
    "TFRecord damaged": (f"{TRAIN} --train_input_fp=damaged/TNEWS_train.tfrecord", ("corrupt", "TNEWS_train.tfrecord")),
    "list names a missing file": (
        f"{TRAIN} --train_input_fp=missing.list_tfrecord",
        ("missing.list_tfrecord", "gone.tfrecord", "does not exist"),
    ),
    "list missing": (f"{TRAIN} --train_input_fp=nothing.list_tfrecord", ("nothing.list_tfrecord", "does not exist")),
    "list empty": (f"{TRAIN} --train_input_fp=empty.list_tfrecord", ("empty.list_tfrecord", "empty")),
    "weight of an unknown task": (
        f"{TRAIN} --loss_weighting=fixed --task_weights=cmnli=2",
        ("cmnli", "tnews, ocemotion, ocnli"),
    ),
    "train file without rows": (f"{TRAIN} --train_input_fp=no_rows.tfrecord", ("no_rows.tfrecord", "no rows")),
    "dev file without rows": (f"{TRAIN} --predict_input_fp=no_rows.tfrecord", ("no_rows.tfrecord", "no rows")),
    "rows too long": (
        f"{TRAIN} --pretrain_model_name_or_path=short_encoder",
        ("40 tokens", "max_position_embeddings", "--sequence_length"),
    ),
    "folder of another model": (
        f"{TRAIN} --pretrain_model_name_or_path=wide_encoder --model_dir=run",
        ("run", "--model_dir"),
    ),
    "unlabelled data": (f"{TRAIN} --train_input_fp=TNEWS_unlabelled.tfrecord", ("TNEWS_unlabelled.tfrecord", "no labels")),
    "setting misspelt": (f"{TRAIN} --warmup_ration=0.1", ("warmup_ration", "--help")),
    "config key misspelt": (f"{TRAIN} --config=misspelt.json", ("num_epoch", "num_epochs")),
    "evaluation on no rows": (f"{EVALUATE}=no_rows.tfrecord", ("no_rows.tfrecord", "no rows")),
    "evaluation of a checkpoint on no rows": (
        f"{EVALUATE}=no_rows.tfrecord --eval_checkpoint_path=run/model.ckpt-20",
        ("no_rows.tfrecord", "no rows"),
    ),
    "checkpoint missing": (
        f"{EVALUATE}=data/dev.list_tfrecord --eval_checkpoint_path=run/model.ckpt-7",
        ("run/model.ckpt-7",),
    ),
    "model_dir is no run": ("evaluate --model_dir=data --predict_input_fp=data/dev.list_tfrecord", ("data", "tasks.json")),
    "prediction of a labelled file": (
        f"predict {FROM_BEST}=TNEWS=sample/TNEWS_test.csv,OCNLI=sample/OCNLI_dev.csv",
        ("OCNLI_dev.csv", "line 1"),
    ),
    "prediction by a folder without a model": (
        "predict --predict_checkpoint_path=data --data_dir=sample --predict_output_fp=out",
        ("data is not an exported model", "model.ckpt-STEP"),
    ),
    "prediction by a checkpoint that is not there": (
        "predict --checkpoints=run,run/model.ckpt-7 --data_dir=sample --predict_output_fp=out",
        ("no run/model.ckpt-7.index",),
    ),
    "prediction by no model": (
        "predict --data_dir=sample --predict_output_fp=out",
        ("--predict_checkpoint_path", "--checkpoints"),
    ),
    "one model twice": (
        "submit --checkpoints=run,run/best --data_dir=sample --predict_output_fp=out",
        ("more than once: run/best",),
    ),
    "pattern that fits nothing": (
        "evaluate --checkpoints=fold_* --predict_input_fp=data/dev.list_tfrecord --output_dir=out",
        ("fold_*", "fits no folder"),
    ),
    "fold of a missing file": (
        f"{TRAIN} --folds_file=nowhere/folds.json --fold=0",
        ("nowhere/folds.json", "does not exist"),
    ),
    "fold and dev files": (
        f"{TRAIN} --folds_file=folds.json --fold=0 --predict_input_fp=data/dev.list_tfrecord",
        ("--fold", "--predict_input_fp"),
    ),
    "submission with a labelled file": (
        f"submit {FROM_BEST}=TNEWS=sample/TNEWS_test.csv,OCEMOTION=sample/OCEMOTION_test.csv,OCNLI=sample/OCNLI_dev.csv",
        ("OCNLI_dev.csv", "line 1"),
    ),
    "submission without a task": (f"submit {FROM_BEST}=TNEWS=sample/TNEWS_test.csv", ("OCEMOTION, OCNLI",)),
    "checked submission missing": ("check_submission --submission=nothing.zip", ("nothing.zip", "does not exist")),
}


@pytest.fixture(scope="module")
def place(
    root: Path,
    encoder: Path,
    data: Path,
    finished: Finished,
    make_encoder: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A folder with good and bad things, under the names that ``CASES`` has."""
    folder = tmp_path_factory.mktemp("bad") / "place"
    folder.mkdir()
    shutil.copytree(encoder, folder / "encoder")
    make_encoder(folder / "short_encoder", max_position_embeddings=39)
    make_encoder(folder / "wide_encoder", hidden_size=32)
    other = make_encoder(folder / "other_vocabulary") / "vocab.txt"
    other.write_text(other.read_text(encoding="utf-8").replace("\n我\n", "\n某某\n"), encoding="utf-8")
    shutil.copytree(data, folder / "data")
    shutil.copytree(root / "data/sample", folder / "sample")
    shutil.copytree(finished[0], folder / "run")
    for name in ("cut", "damaged"):
        shutil.copytree(data, folder / name)
    _cut(folder / "cut/TNEWS_train.tfrecord")
    _damage(folder / "damaged/TNEWS_train.tfrecord")
    (folder / "no_rows.tfrecord").write_bytes(b"")
    (folder / "missing.list_tfrecord").write_text("data/TNEWS_train.tfrecord\ngone.tfrecord\n", encoding="utf-8")
    (folder / "empty.list_tfrecord").write_text("\n", encoding="utf-8")
    (folder / "misspelt.json").write_text('{"train_config": {"num_epoch": 1}}', encoding="utf-8")
    shutil.copyfile(data / "TNEWS_dev.tfrecord", folder / "TNEWS_unlabelled.tfrecord")
    manifest = json.loads((data / "TNEWS_dev.tfrecord.manifest.json").read_text(encoding="utf-8"))
    unlabelled = json.dumps({**manifest, "labelled": False})
    (folder / "TNEWS_unlabelled.tfrecord.manifest.json").write_text(unlabelled, encoding="utf-8")
    return folder


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def _damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    (length,) = struct.unpack("<Q", content[:8])
    content[length + 40] ^= 0xFF
    path.write_bytes(content)


@pytest.fixture(scope="module")
def contents(place: Path) -> dict[str, bytes]:
    """Every file of the place before the first command."""
    return _contents(place)


def _contents(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def results(place: Path, contents: dict[str, bytes], run_here: Run) -> dict[str, subprocess.CompletedProcess[str]]:
    """What became of every case."""
    return {name: run_here(*words.split(), cwd=place) for name, (words, _) in CASES.items()}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_named_and_exits_2(results: dict[str, subprocess.CompletedProcess[str]], case: str) -> None:
    errors = [line for line in results[case].stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in results[case].stderr
    assert len(errors) == 1, results[case].stderr
    message = results[case].stderr[results[case].stderr.index("error: ") :]
    for word in CASES[case][1]:
        assert word in message
    assert results[case].returncode == 2


def test_bad_input_writes_nothing_and_changes_nothing(
    place: Path, contents: dict[str, bytes], results: dict[str, subprocess.CompletedProcess[str]]
) -> None:
    after = _contents(place)
    assert sorted(after.keys() ^ contents.keys()) == []
    assert [name for name in after if after[name] != contents[name]] == []


def test_a_process_exits_2_with_nothing_but_the_error(run: Run, place: Path) -> None:
    done = run(*TRAIN.split(), "--train_input_fp=empty.list_tfrecord", cwd=place)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("error: list file empty.list_tfrecord is empty")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", ["tran", "train", "train words", "convert --data_dir=x --tokenizer_name_or_path=x"])
def test_a_wrong_command_line_exits_2(run_here: Run, words: str) -> None:
    done = run_here(*words.split())
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr
