"""Every file of docs/extending.md: trained from the command line, killed and resumed bit for bit, evaluated, submitted."""

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from warm_processes import WarmProcess

Run = Callable[..., subprocess.CompletedProcess[str]]
FILES = {
    "weighting": ["--loss_weighting=docs/extending/weighting.py:HardestFirst", "--hardest_power=2", "--step_mode=joint"],
    "elements": ["--loss_weighting=docs/extending/elements.py:SignMajority", "--step_mode=joint"],
    "head": ["--heads=tnews=docs/extending/head.py:CosineHead,ocnli=mlp:8", "--cosine_scale=8"],
    "feature": ["--features=tnews=cls+docs/extending/feature.py:Spread"],
    "sharing": ["--sharing=docs/extending/sharing.py:ScaledStates", "--states_scale=1.5"],
    "sampling": ["--task_sampling=docs/extending/sampling.py:SmallestFirst", "--even_after=3"],
    "application": ["--config=docs/extending/application.json"],
}
OF_TRAINING = ("weighting", "elements", "sampling")
STEPS = 12


@pytest.fixture(scope="module")
def place(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files, where their paths begin."""
    folder = tmp_path_factory.mktemp("place")
    shutil.copytree(root / "docs/extending", folder / "docs/extending")
    return folder


@pytest.fixture(scope="module")
def sessions(new_session: Callable[[], Run]) -> tuple[Run, Run]:
    """Two processes: one trains each file's run that is never stopped, the other goes on with those that were killed."""
    return new_session(), new_session()


@pytest.fixture(scope="module", params=FILES)
def trained(
    request: pytest.FixtureRequest, sessions: tuple[Run, Run], place: Path, train_words: list[str], data: Path
) -> tuple[str, Path, Path]:
    """A file's name, the run that was never stopped, and the one that was killed and went on."""
    train, go_on = sessions
    whole, killed = (place / f"{request.param}_{name}" for name in ("whole", "killed"))
    words = [*train_words, *FILES[request.param], f"--predict_input_fp={data / 'dev.list_tfrecord'}", "--save_steps=4"]
    words += [f"--num_epochs={_epochs(request.param)}", "--log_step_count_steps=1", "--length_buckets=1"]
    done = train(*words, f"--model_dir={whole}", cwd=place)
    assert done.returncode == 0, done.stderr
    process = WarmProcess([*words, f"--model_dir={killed}"], place)
    try:
        process.wait_until(lambda: "Saving checkpoints for 4 into" in process.stderr, "a checkpoint")
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    finally:
        process.kill()
    again = go_on(*words, f"--model_dir={killed}", cwd=place)
    assert again.returncode == 0 and re.search("Going on from step [48] of", again.stderr), again.stderr
    return request.param, whole, killed


def _epochs(name: str) -> float:
    """Returns epochs of the sample's rows that are ``STEPS`` - 1 steps, of three batches each with joint ones."""
    return 8 * (STEPS - 1) * (3 if name in ("weighting", "elements") else 1) / 1620 + 1e-6


def tensors(folder: Path) -> dict[str, np.ndarray]:
    last = tf.train.latest_checkpoint(str(folder))
    assert last.endswith(f"-{STEPS}")
    reader = tf.train.load_checkpoint(last)
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def test_a_killed_run_ends_with_the_same_numbers(trained: tuple[str, Path, Path]) -> None:
    _, whole, killed = trained
    one, two = tensors(whole), tensors(killed)
    assert one.keys() == two.keys()
    assert not [name for name in one if np.asarray(one[name]).tobytes() != np.asarray(two[name]).tobytes()]


def test_the_class_and_its_options_are_stored_and_honoured(
    trained: tuple[str, Path, Path], run_here: Run, place: Path, data: Path, root: Path
) -> None:
    name, whole, _ = trained
    about = json.loads((whole / "best/tasks.json").read_text(encoding="utf-8"))["own_code"]
    assert [own.rsplit(":", 1)[0] for own in about] == [f"docs/extending/{name}.py"]
    assert {"file", "sha256", "started_from", "setting"} == set(*about.values())
    dev = [f"--model_dir={whole}", f"--predict_input_fp={data / 'dev.list_tfrecord'}"]
    refused = run_here("evaluate", *dev, cwd=place)
    assert (refused.returncode == 0) == (name in OF_TRAINING)
    assert name in OF_TRAINING or "Nothing of it is imported unless you say so" in refused.stderr
    before = (whole / "evaluation/summary.json").read_text(encoding="utf-8")
    done = run_here("evaluate", *dev, "--trust_own_code", cwd=place)
    assert done.returncode == 0, done.stderr
    assert (whole / "evaluation/summary.json").read_text(encoding="utf-8") == before
    words = [f"--predict_checkpoint_path={whole}", f"--data_dir={root / 'data/sample'}", "--trust_own_code"]
    submitted = run_here("submit", *words, f"--predict_output_fp={place / name}", cwd=place)
    assert submitted.returncode == 0 and (place / name / "result.zip").is_file(), submitted.stderr


def test_where_it_was_trained_is_told_where_its_file_is_missing(
    trained: tuple[str, Path, Path], run_here: Run, place: Path, root: Path, tmp_path: Path
) -> None:
    name, whole, _ = trained
    words = [f"--predict_checkpoint_path={whole}", f"--data_dir={root / 'data/sample'}", "--trust_own_code"]
    done = run_here("predict", *words, f"--predict_output_fp={tmp_path / 'out'}", cwd=tmp_path)
    assert (done.returncode == 0) == (name in OF_TRAINING)
    if name not in OF_TRAINING:
        assert f"there is no file docs/extending/{name}.py here" in done.stderr and f"trained in {place}" in done.stderr


def test_the_page_shows_the_files(root: Path) -> None:
    page = (root / "docs/extending.md").read_text(encoding="utf-8")
    for path in (root / "docs/extending").iterdir():
        if path.suffix in (".py", ".json"):
            assert path.read_text(encoding="utf-8") in page, path.name
    assert len((root / "docs/extending/weighting.py").read_text(encoding="utf-8").rstrip().splitlines()) <= 15
