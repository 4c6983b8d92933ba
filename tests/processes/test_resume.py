"""A run that was killed and stopped many times ends with the same numbers as one that never was."""

import csv
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from warm_processes import WarmProcess

Run = Callable[..., subprocess.CompletedProcess[str]]
STEPS, SAVE_STEPS = 203, 40
SETTINGS = ["--num_epochs=1", f"--save_steps={SAVE_STEPS}", "--weight_decay_ratio=0.01", "--length_grouping=4"]
SETTINGS += ["--length_buckets=3"]  # each length is compiled for in every process


class End(NamedTuple):
    """How a process ended: exit code, log, and the step that its log says it had gone on from (0 if it does not)."""

    code: int
    log: str

    @property
    def start(self) -> int:
        """The step that it went on from."""
        found = re.search(r"Going on from step (\d+) of", self.log)
        return int(found.group(1)) if found else 0


class Interrupter:
    """Starts the train command and sends it a signal at a moment of its log or of its folder."""

    def __init__(self, words: list[str], folder: Path) -> None:
        self.words = [*words, f"--model_dir={folder}", "--log_step_count_steps=1"]
        self.folder = folder

    def until(self, moment: str, number: signal.Signals) -> End:
        """Sends ``number`` as soon as a line matches ``moment``; waits for the end."""
        matches = re.compile(moment, re.MULTILINE).search
        return self._go(lambda process: process.wait_until(lambda: matches(process.stderr) is not None, moment), number)

    def until_file(self, pattern: str, number: signal.Signals) -> End:
        """Sends ``number`` as soon as the folder holds a file that matches ``pattern``."""
        return self._go(lambda process: process.wait_until(lambda: any(self.folder.glob(pattern)), pattern), number)

    def _go(self, wait: Callable[[WarmProcess], None], number: signal.Signals) -> End:
        process = WarmProcess(self.words, self.folder.parent)
        try:
            wait(process)
            process.send_signal(number)
            return End(process.wait(), process.stderr)
        finally:
            process.kill()


def progress(step: int) -> str:
    """Returns a pattern of the progress line of ``step`` (printed after it, counted before it)."""
    return rf"^progress = {re.escape(f'{100 * (step - 1) / STEPS:.2f}')}%"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the module's runs."""
    return tmp_path_factory.mktemp("resume")


@pytest.fixture(scope="module")
def words(train_words: list[str]) -> list[str]:
    """The train command with everything random switched on."""
    return [*train_words, *SETTINGS]


@pytest.fixture(scope="module")
def ended(run_here: Run, words: list[str], folders: Path) -> dict[str, End]:
    """Two runs never stopped, of two seeds, and beside them one that is killed and stopped: how they ended."""
    extra = {"first": [], "other_seed": ["--seed=5"]}
    with ThreadPoolExecutor(1) as pool:
        jobs = {name: pool.submit(run_here, *words, *more, f"--model_dir={folders / name}") for name, more in extra.items()}
        ends = interrupt(Interrupter(words, folders / "interrupted_run"))
    return ends | {name: End(job.result().returncode, job.result().stderr) for name, job in jobs.items()}


def interrupt(process: Interrupter) -> dict[str, End]:
    """Kills a run four times at different moments, stops it twice, and lets it end."""
    kill = signal.SIGKILL
    return {
        "after a checkpoint": process.until(f"^Saving checkpoints for {SAVE_STEPS} into", kill),
        "going on": process.until("^Going on from step", kill),
        "between checkpoints": process.until(progress(SAVE_STEPS + 20), kill),
        "SIGTERM": process.until(progress(SAVE_STEPS + 10), signal.SIGTERM),
        "saving": process.until_file(f"model.ckpt-{3 * SAVE_STEPS}*", kill),
        "SIGINT": process.until(progress(3 * SAVE_STEPS + 10), signal.SIGINT),
        "last": process.until("^Going on from step", signal.SIGCONT),
    }


@pytest.fixture(scope="module")
def runs(ended: dict[str, End], folders: Path) -> dict[str, Path]:
    """The folders of the three runs, all of them finished."""
    names = {"first": "first", "other_seed": "other_seed", "last": "interrupted_run"}
    for name in names:
        assert ended[name].code == 0, ended[name].log
    return {folder: folders / folder for folder in names.values()}


@pytest.fixture(scope="module")
def started_again(
    new_session: Callable[[], Run], words: list[str], runs: dict[str, Path], folders: Path, data: Path
) -> dict[str, End]:
    """Two finished runs started again: one as it is, and one whose newest checkpoint is damaged."""
    finished, damaged = (shutil.copytree(runs["first"], folders / name) for name in ("finished", "damaged"))
    newest = damaged / f"model.ckpt-{STEPS}.data-00000-of-00001"
    newest.write_bytes(newest.read_bytes()[:1000])
    dev = f"--predict_input_fp={data / 'dev.list_tfrecord'}"
    run = new_session()
    ends = {folder.name: run(*words, dev, f"--model_dir={folder}") for folder in (finished, damaged)}
    return {name: End(done.returncode, done.stderr + done.stdout) for name, done in ends.items()}


def tensors(folder: Path, step: int = STEPS) -> dict[str, np.ndarray]:
    """Returns everything in a checkpoint: weights, optimizer slots, step, saved objects' graph."""
    reader = tf.train.load_checkpoint(str(folder / f"model.ckpt-{step}"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def different(first: Path, second: Path) -> list[str]:
    """Returns the names of the final checkpoint's tensors that are not equal bit for bit."""
    one, two = tensors(first), tensors(second)
    assert one.keys() == two.keys()
    assert sum("optimizer" in name for name in one) > 40
    return [name for name in one if np.asarray(one[name]).tobytes() != np.asarray(two[name]).tobytes()]


def metrics(folder: Path) -> list[list[str]]:
    """Returns metrics.csv without the column that tells the speed."""
    with open(folder / "metrics.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows[0][-1] == "examples_per_second"
    return [row[:-1] for row in rows]


def stopped_step(end: End) -> int:
    """Returns the step that the last line says it stopped after."""
    return int(re.search(r"stopped after step (\d+), saved in .* Start the same command again to go on", end.log).group(1))


def test_kills_hit_a_working_process_and_the_next_start_goes_on(ended: dict[str, End]) -> None:
    kills = ["after a checkpoint", "going on", "between checkpoints", "saving"]
    assert [ended[name].code for name in kills] == [-signal.SIGKILL] * len(kills)
    assert [ended[name].start for name in ("going on", "between checkpoints", "SIGTERM")] == [SAVE_STEPS] * 3
    assert ended["SIGINT"].start >= 2 * SAVE_STEPS


@pytest.mark.parametrize(("name", "code", "after"), [("SIGTERM", 143, "saving"), ("SIGINT", 130, "last")])
def test_a_signal_stops_after_a_step_from_which_the_next_start_goes_on(
    ended: dict[str, End], name: str, code: int, after: str
) -> None:
    assert ended[name].code == code
    assert f"{name}: stopped after step" in ended[name].log
    assert "Traceback" not in ended[name].log
    assert ended[after].start == stopped_step(ended[name]) > SAVE_STEPS


def test_an_interrupted_run_equals_one_never_stopped_bit_for_bit(runs: dict[str, Path]) -> None:
    assert different(runs["first"], runs["interrupted_run"]) == []


def test_an_interrupted_run_has_the_same_metrics(runs: dict[str, Path]) -> None:
    expected = metrics(runs["first"])
    assert len(expected) == 1 + STEPS
    assert metrics(runs["interrupted_run"]) == expected


def test_an_interrupted_run_leaves_the_same_files(runs: dict[str, Path]) -> None:
    assert _names(runs["interrupted_run"]) == _names(runs["first"])


def test_another_seed_gives_other_numbers(runs: dict[str, Path]) -> None:
    changed = different(runs["first"], runs["other_seed"])
    assert any("kernel" in name for name in changed)
    assert metrics(runs["first"])[1:] != metrics(runs["other_seed"])[1:]


def test_a_finished_run_trains_nothing_and_evaluates(
    started_again: dict[str, End], runs: dict[str, Path], folders: Path
) -> None:
    end, folder = started_again["finished"], folders / "finished"
    assert end.code == 0, end.log
    assert "finished already" in end.log and "loss = " not in end.log
    assert "best checkpoint: " in end.log
    for path in [*runs["first"].glob("model.ckpt-*"), runs["first"] / "metrics.csv"]:
        assert (folder / path.name).read_bytes() == path.read_bytes()
    assert _names(folder) == _names(runs["first"]) | {"best", "evaluation"}


def test_a_damaged_newest_checkpoint_is_trained_and_written_again(
    started_again: dict[str, End], runs: dict[str, Path], folders: Path
) -> None:
    end, folder = started_again["damaged"], folders / "damaged"
    assert end.code == 0, end.log
    assert f"model.ckpt-{STEPS} cannot be used" in end.log
    assert end.start == STEPS // SAVE_STEPS * SAVE_STEPS
    assert different(runs["first"], folder) == []
    assert metrics(folder) == metrics(runs["first"])


def _names(folder: Path) -> set[str]:
    """Returns the names in a folder; a kill may leave a hidden temporary file."""
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}
