"""A student that was killed, while its teacher computed and between checkpoints, ends as one that never was."""

import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from same_runs import digests
from warm_processes import WarmProcess

Run = Callable[..., subprocess.CompletedProcess[str]]


def killed(words: list[str], folder: Path, moment: str) -> str:
    """Starts a command, kills it as soon as a line of its log matches ``moment``, and returns the log."""
    process, matches = WarmProcess(words, folder), re.compile(moment, re.MULTILINE).search
    try:
        process.wait_until(lambda: matches(process.stderr) is not None, moment)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        return process.stderr
    finally:
        process.kill()


def test_a_killed_student_goes_on_bit_for_bit(
    run: Run,
    run_here: Run,
    train_words: list[str],
    data: Path,
    root: Path,
    encoder: Path,
    finished: tuple[Path, object],
    tmp_path: Path,
) -> None:
    own = Path(shutil.copytree(data, tmp_path / "data"))
    records = own / "OCNLI_test.tfrecord"
    done = run_here(
        "convert", "--task=OCNLI", "--labelled=false", f"--preprocess_input_fp={root / 'data/sample/OCNLI_test.csv'}",
        f"--preprocess_output_fp={records}", f"--tokenizer_name_or_path={encoder}", "--sequence_length=40",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    words = [word.replace(str(data), str(own)) for word in train_words]
    words += [
        f"--teacher={finished[0]},{finished[0]}/model.ckpt-20",
        f"--distillation_unlabelled_fp={records}",
        "--rdrop_alpha=1",
        "--num_epochs=0.15",
        "--save_steps=10",
    ]
    words += ["--length_buckets=1", "--log_step_count_steps=1"]
    interrupted = [*words, f"--model_dir={tmp_path / 'interrupted'}"]
    log = killed(interrupted, tmp_path, "model 2 of 2")
    assert "teacher's probabilities are computed: there is no such file yet" in log
    log = killed(interrupted, tmp_path, r"^Saving checkpoints for 20 into")
    assert log.count("are computed") == 4
    log = killed(interrupted, tmp_path, r"^Going on from step \d+ of \d+\.\n(.*\n)*?progress = ")
    assert log.count("are read") == 4 and "are computed" not in log
    done = run(*interrupted)
    assert done.returncode == 0, done.stderr
    for path in own.glob("*.teacher.safetensors"):
        path.unlink()
    done = run_here(*words, f"--model_dir={tmp_path / 'whole'}")
    assert done.returncode == 0, done.stderr
    assert digests(tmp_path / "interrupted") == digests(tmp_path / "whole")
    assert not list(own.glob("*.tmp")) and not list(own.glob(".*"))
