"""The pretrain command as a process: killed and started again it ends with the same bytes, and train takes its result."""

import csv
import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from warm_processes import WarmProcess

Run = Callable[..., subprocess.CompletedProcess[str]]
STEPS, SAVE_STEPS = 60, 20


@pytest.fixture(scope="module")
def words(encoder: Path, root: Path) -> list[str]:
    """The pretrain command on the sample, with whole-word masking; what is missing is ``--model_dir``."""
    return [
        "pretrain", f"--data_dir={root / 'data/sample'}", f"--pretrain_model_name_or_path={encoder}", "--random_init",
        "--sequence_length=64", "--train_batch_size=8", f"--train_steps={STEPS}", f"--save_steps={SAVE_STEPS}",
        "--masking=wwm", "--learning_rate=3e-3", "--length_buckets=2",
    ]  # fmt: skip


def kill_when(pattern: str, words: list[str], folder: Path) -> None:
    """Starts the command and kills it as soon as the folder holds a file that matches ``pattern``."""
    process = WarmProcess([*words, f"--model_dir={folder}"], folder.parent)
    try:
        process.wait_until(lambda: any(folder.glob(pattern)), pattern)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    finally:
        process.kill()


@pytest.fixture(scope="module")
def runs(run: Run, run_here: Run, words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that was never stopped and one that was killed twice."""
    folder = tmp_path_factory.mktemp("pretraining")
    straight = run_here(*words, f"--model_dir={folder / 'straight'}")
    assert straight.returncode == 0, straight.stderr
    for moment in (f"model.ckpt-{SAVE_STEPS}.index", f"model.ckpt-{2 * SAVE_STEPS}*"):  # the second while it saves
        kill_when(moment, words, folder / "killed")
    killed = run(*words, f"--model_dir={folder / 'killed'}")
    assert killed.returncode == 0 and "Going on from step" in killed.stderr, killed.stderr
    (folder / "printed").write_text(straight.stdout, encoding="utf-8")
    return folder


def metrics(folder: Path) -> list[list[str]]:
    """Returns metrics.csv without the column that tells the speed."""
    with open(folder / "metrics.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows[0][-1] == "examples_per_second"
    return [row[:-1] for row in rows]


def test_a_killed_run_ends_with_the_same_weights_and_metrics(runs: Path) -> None:
    straight, killed = runs / "straight", runs / "killed"
    assert (straight / "final/model.safetensors").read_bytes() == (killed / "final/model.safetensors").read_bytes()
    assert metrics(straight) == metrics(killed)
    assert len(metrics(straight)) == 1 + STEPS + 1 + STEPS // SAVE_STEPS
    reports = [json.loads((folder / "final/pretraining.json").read_text(encoding="utf-8")) for folder in (straight, killed)]
    assert reports[0]["held_out"] == reports[1]["held_out"]
    names = [{path.name for path in folder.iterdir() if not path.name.startswith(".")} for folder in (straight, killed)]
    assert names[0] == names[1]


def test_it_prints_what_was_learned(runs: Path) -> None:
    printed = (runs / "printed").read_text(encoding="utf-8")
    assert "held out, before: perplexity" in printed and f"held out, after {STEPS} steps: perplexity" in printed
    about = json.loads((runs / "straight/final/pretraining.json").read_text(encoding="utf-8"))["held_out"]
    assert about["after"]["perplexity"] < about["before"]["perplexity"]


def test_train_starts_from_the_result_without_another_flag(runs: Path, run_here: Run, data: Path, tmp_path: Path) -> None:
    done = run_here(
        "train", f"--pretrain_model_name_or_path={runs / 'straight/final'}", "--train_batch_size=8", "--num_epochs=0.01",
        f"--train_input_fp={data / 'train.list_tfrecord'}", f"--model_dir={tmp_path / 'model'}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"Load weights from {runs / 'straight/final'}" in done.stderr


MISTAKES = {
    "--mask_share=1.5": "mask_share: '1.5' is too large",
    "--sequence_length=9999": "max_position_embeddings",
    "--masking=words": "'words' is not allowed; allowed: token, wwm, ngram",
    "--data_dir=/nowhere": "is not a folder",
}


def test_a_mistake_is_one_line_and_leaves_nothing(words: list[str], run_here: Run, tmp_path: Path) -> None:
    for flag, message in MISTAKES.items():
        done = run_here(*words, flag, f"--model_dir={tmp_path / 'run'}")
        assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()
