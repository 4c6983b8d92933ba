"""No command writes over what it reads, whatever the names; what cannot be written is told before the work."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
Finished = tuple[Path, subprocess.CompletedProcess[str]]

TRAIN = "train --random_init --train_batch_size=8 --num_epochs=0.01 --train_input_fp=data/train.list_tfrecord"
PRETRAIN = "pretrain --random_init --train_steps=1 --sequence_length=20 --data_dir=sample"
PREDICT = "predict --predict_checkpoint_path=run --predict_input_fp"
TWO_TASKS = "TNEWS=sample/TNEWS_test.csv,OCNLI=sample/OCNLI_test.csv"
SUBMIT = f"submit --predict_checkpoint_path=run --predict_input_fp={TWO_TASKS},OCEMOTION"
EVALUATE = "evaluate --checkpoints=run,run/model.ckpt-20 --predict_input_fp=data/dev.list_tfrecord"
COMPARE = "compare --pretrain_model_name_or_path=encoder --random_init --train_batch_size=8 --seeds=1 --variants=equal"
SAME = {
    "predict, in place": f"{PREDICT}=TNEWS=out/tnews_predictions.csv --predict_output_fp=out",
    "predict, by another path": f"{PREDICT}=TNEWS=./sample/../out/tnews_predictions.csv --predict_output_fp=out",
    "predict, a symbolic link": f"{PREDICT}=TNEWS=linked.csv --predict_output_fp=out",
    "predict, a hard link": f"{PREDICT}=TNEWS=hard.csv --predict_output_fp=out",
    "predict, a linked folder": f"{PREDICT}=TNEWS=out/tnews_predictions.csv --predict_output_fp=linked_out",
    "predict, its configuration": f"{PREDICT}=TNEWS=sample/TNEWS_test.csv --predict_output_fp=conf --config="
    "conf/tnews_predictions.csv",
    "submit": f"{SUBMIT}=out/ocemotion_predict.json --predict_output_fp=out",
    "convert": "convert --task=TNEWS --preprocess_input_fp=sample/TNEWS_dev.csv --tokenizer_name_or_path=encoder "
    "--preprocess_output_fp=./sample/TNEWS_dev.csv",
    "convert, the vocabulary": "convert --task=TNEWS --preprocess_input_fp=sample/TNEWS_dev.csv "
    "--preprocess_output_fp=encoder/vocab.txt --tokenizer_name_or_path=encoder",
    "convert, a folder": "convert --data_dir=own --output_dir=own --tokenizer_name_or_path=encoder",
    "split": "split --data_dir=own_folds --output_dir=own_folds",
    "train, the encoder's folder": f"{TRAIN} --pretrain_model_name_or_path=encoder --model_dir=encoder",
    "train, the same by a link": f"{TRAIN} --pretrain_model_name_or_path=encoder --model_dir=linked_encoder",
    "train, its own best model": f"{TRAIN} --pretrain_model_name_or_path=run/best --model_dir=run --norandom_init",
    "train, data in best": f"{TRAIN} --pretrain_model_name_or_path=encoder --model_dir=run "
    "--predict_input_fp=run/best/TNEWS_dev.tfrecord",
    "pretrain": f"{PRETRAIN} --pretrain_model_name_or_path=encoder --model_dir=encoder",
    "pretrain, from its own end": f"{PRETRAIN} --pretrain_model_name_or_path=pre/final --model_dir=pre",
    "evaluate, data in best": "evaluate --model_dir=run --predict_input_fp=run/best/TNEWS_dev.tfrecord",
    "evaluate, an average": f"{EVALUATE} --output_dir=tables --config=tables/models.json",
    "plot": "plot run --output=pictures --config=pictures/run.svg",
    "compare": f"{COMPARE} --train_input_fp=data/train.list_tfrecord --predict_input_fp=cmp/compare.csv --model_dir=cmp",
}
UNFIT = {
    "predict": f"{PREDICT}=TNEWS=sample/TNEWS_test.csv --predict_output_fp=folders",
    "predict, a file for a folder": f"{PREDICT}=TNEWS=sample/TNEWS_test.csv --predict_output_fp=hard.csv",
    "submit": f"{SUBMIT}=sample/OCEMOTION_test.csv --predict_output_fp=folders",
    "convert": "convert --data_dir=sample --output_dir=folders --tokenizer_name_or_path=encoder",
    "split": "split --data_dir=sample --output_dir=folders",
    "train": f"{TRAIN} --pretrain_model_name_or_path=encoder --model_dir=files",
    "pretrain": f"{PRETRAIN} --pretrain_model_name_or_path=encoder --model_dir=files",
    "evaluate": f"{EVALUATE} --output_dir=folders",
    "plot": "plot run --output=folders",
    "compare": f"{COMPARE} --train_input_fp=data/train.list_tfrecord --predict_input_fp=data/dev.list_tfrecord "
    "--model_dir=folders",
}
FOLDERS = (
    "tnews_predictions.csv", "result.zip", "TNEWS_train.tfrecord.manifest.json", "folds.json", "models.csv", "run.svg",
    "compare.json",
)  # fmt: skip


@pytest.fixture(scope="module")
def place(root: Path, encoder: Path, data: Path, finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every command of ``SAME`` and ``UNFIT`` meets what it must not write over."""
    folder = tmp_path_factory.mktemp("outputs") / "place"
    folder.mkdir()
    sample = root / "data/sample"
    for source, name in (
        (encoder, "encoder"),
        (data, "data"),
        (sample, "sample"),
        (finished[0], "run"),
        (encoder, "pre/final"),
    ):
        shutil.copytree(source, folder / name)
    for path in data.glob("TNEWS_dev.tfrecord*"):
        shutil.copyfile(path, folder / "run/best" / path.name)
    for name in ("out", "conf", "own", "own_folds", "tables", "pictures", "cmp"):
        (folder / name).mkdir()
    for name in ("tnews_predictions.csv", "ocemotion_predict.json"):
        shutil.copyfile(sample / f"{name.partition('_')[0].upper()}_test.csv", folder / "out" / name)
    for name in ("conf/tnews_predictions.csv", "tables/models.json", "pictures/run.svg"):
        (folder / name).write_text("{}", encoding="utf-8")
    shutil.copyfile(data / "TNEWS_dev.tfrecord", folder / "cmp/compare.csv")
    (folder / "linked.csv").symlink_to("out/tnews_predictions.csv")
    os.link(folder / "out/tnews_predictions.csv", folder / "hard.csv")
    (folder / "linked_out").symlink_to("out")
    (folder / "linked_encoder").symlink_to("encoder")
    for path in sample.glob("*_*.csv"):
        for name in ("own", "own_folds"):
            shutil.copyfile(path, folder / name / path.name)
    for name in ("own/TNEWS_train.tfrecord", "own_folds/folds.json"):
        source = folder / name.partition("/")[0] / "TNEWS_train.csv"
        source.rename(folder / name)
        source.symlink_to(folder / name)
    for name in FOLDERS:
        (folder / "folders" / name).mkdir(parents=True)
    (folder / "files").mkdir()
    for name in ("best", "final"):
        (folder / "files" / name).write_text("mine", encoding="utf-8")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def refusal(run: Run, words: str, place: Path) -> str:
    """Returns the one sentence of a command that must not begin, and must have changed nothing."""
    before = contents(place)
    done = run(*words.split(), cwd=place)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 2 and len(errors) == 1 and "Traceback" not in done.stderr, done.stderr
    assert done.stdout == "" and "Load weights" not in done.stderr and "random start" not in done.stderr
    assert contents(place) == before
    return errors[0]


@pytest.mark.parametrize("case", SAME)
def test_what_is_read_is_not_written_over(run_here: Run, place: Path, case: str) -> None:
    message = refusal(run_here, SAME[case], place)
    assert "which is read. Give another place for the output" in message


@pytest.mark.parametrize("case", UNFIT)
def test_what_cannot_be_written_is_told_before_the_work(run_here: Run, place: Path, case: str) -> None:
    message = refusal(run_here, UNFIT[case], place)
    assert "is a folder" in message or "is no folder" in message


def test_outputs_beside_inputs_are_fine(run_here: Run, place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "sample", tmp_path / "sample")
    for words in (
        f"predict --predict_checkpoint_path={place / 'run'} --data_dir=sample --predict_output_fp=sample",
        f"convert --data_dir=sample --output_dir=sample --tokenizer_name_or_path={place / 'encoder'}",
        "split --data_dir=sample --output_dir=sample",
    ):
        done = run_here(*words.split(), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
