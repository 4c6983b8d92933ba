"""Several devices and several workers: the weights of one process with the whole batch, whatever is killed on the way."""

import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from warm_processes import WarmProcess

Run = Callable[..., subprocess.CompletedProcess[str]]
STEPS = 10
TEN_STEPS = ("--num_epochs=0.0925", "--save_steps=4")
"""Of 1,600 rows, 16 a step."""


def weights_of(folder: Path) -> dict[str, np.ndarray]:
    """Returns everything in a run's last checkpoint that training changes, optimizer state included."""
    reader = tf.train.load_checkpoint(str(folder / f"model.ckpt-{STEPS}"))
    names = [name for name in reader.get_variable_to_shape_map() if name.startswith(("model/", "averages/"))]
    return {name: reader.get_tensor(name) for name in names}


@pytest.fixture(scope="module")
def two_devices(new_session: Callable[[], Run]) -> Run:
    """Runs commands in one process, whose TensorFlow takes the processor for two devices."""
    run, flags = new_session(), ("--distribution_strategy=MirroredStrategy", "--workerGPU=2")
    return lambda *words: run(*words, *flags)


@pytest.fixture(scope="module")
def one_process(run_here: Run, train_words: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """The weights of one process on one device with batches of 16 rows."""
    folder = tmp_path_factory.mktemp("one") / "model"
    done = run_here(*train_words, "--train_batch_size=16", *TEN_STEPS, f"--model_dir={folder}")
    assert done.returncode == 0, done.stderr
    return weights_of(folder)


def assert_same_weights(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys() and len(found) > 30
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=2e-6, err_msg=name)


def test_two_devices_train_as_one(
    two_devices: Run, train_words: list[str], one_process: dict[str, np.ndarray], tmp_path: Path
) -> None:
    done = two_devices(*train_words, *TEN_STEPS, f"--model_dir={tmp_path / 'model'}")
    assert done.returncode == 0, done.stderr
    assert_same_weights(weights_of(tmp_path / "model"), one_process)


@pytest.mark.parametrize("weighting", ["upgrad", "uncertainty", "moco"])
def test_joint_steps_of_two_devices_are_those_of_one(
    weighting: str, run_here: Run, two_devices: Run, train_words: list[str], tmp_path: Path
) -> None:
    joint = ("--step_mode=joint", f"--loss_weighting={weighting}", "--num_epochs=0.28", "--save_steps=0", "--ema_decay=0.9")
    one = run_here(*train_words, "--train_batch_size=16", *joint, f"--model_dir={tmp_path / 'one'}")
    assert one.returncode == 0, one.stderr
    two = two_devices(*train_words, *joint, f"--model_dir={tmp_path / 'two'}")
    assert two.returncode == 0, two.stderr
    assert_same_weights(weights_of(tmp_path / "two"), weights_of(tmp_path / "one"))


def test_two_devices_pass_over_idle_heads_as_one(
    run_here: Run, two_devices: Run, train_words: list[str], tmp_path: Path
) -> None:
    skip = ("--idle_heads=skip", *TEN_STEPS)
    one = run_here(*train_words, "--train_batch_size=16", *skip, f"--model_dir={tmp_path / 'one'}")
    assert one.returncode == 0, one.stderr
    two = two_devices(*train_words, *skip, f"--model_dir={tmp_path / 'two'}")
    assert two.returncode == 0, two.stderr
    assert_same_weights(weights_of(tmp_path / "two"), weights_of(tmp_path / "one"))


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for item in sockets:
        item.bind(("localhost", 0))
    ports = [item.getsockname()[1] for item in sockets]
    for item in sockets:
        item.close()
    return ports


class Cluster:
    """Two worker processes on this machine."""

    def __init__(self, words: list[str], folder: Path) -> None:
        hosts = ",".join(f"localhost:{port}" for port in free_ports(2))
        flags = [f"--worker_hosts={hosts}", "--workerCount=2", "--distribution_strategy=CollectiveAllReduceStrategy"]
        self.workers = [WarmProcess([*words, *flags, f"--task_index={index}"], folder) for index in range(2)]

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *unused: object) -> None:
        for worker in self.workers:
            worker.kill()

    def finish(self) -> list[tuple[int, str]]:
        """Waits for both workers; returns status and output of each."""
        ends = [worker.finish() for worker in self.workers]
        return [(end.returncode, end.stderr + end.stdout) for end in ends]


def test_two_workers_train_as_one_and_go_on_after_one_was_killed(
    train_words: list[str],
    data: Path,
    one_process: dict[str, np.ndarray],
    tmp_path: Path,
) -> None:
    folder = tmp_path / "model"
    dev = f"--predict_input_fp={data / 'dev.list_tfrecord'}"
    words = [*train_words, *TEN_STEPS, dev, f"--model_dir={folder}"]
    with Cluster(words, tmp_path) as cluster:
        cluster.workers[0].wait_until((folder / "model.ckpt-4.index").exists, "the checkpoint of step 4")
        cluster.workers[1].kill()
        (status, output), _ = cluster.finish()
    assert status == 2 and "Another worker was lost" in output and "they go on from the last checkpoint" in output
    assert not (folder / f"model.ckpt-{STEPS}.index").exists()
    with Cluster(words, tmp_path) as cluster:
        (status, output), (other_status, other_output) = cluster.finish()
    assert (status, other_status) == (0, 0), output + other_output
    assert "Going on from step" in output and "best model: " in output
    assert "best model" not in other_output
    assert_same_weights(weights_of(folder), one_process)
    rows = (folder / "metrics.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert [int(row.split(",")[0]) for row in rows] == list(range(1, STEPS + 1))
