"""The program that imports TensorFlow and measures; a process of its own, since a broken TensorFlow may end its process.

Writes JSON lines to standard output: ``{"stage": ...}`` before each part, so that a process that ended shows where, and each
part's result after it.
"""

import ctypes
import gc
import json
import math
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from easytransfer_mtl.environment import check_environment, import_tensorflow, make_deterministic
from easytransfer_mtl.machine import GB

LAYERS, WIDTH, VOCABULARY = 4, 256, 2000
ROWS, LENGTH = 16, 32
STEPS, REPEATED, ROUNDS = 5, 2, 4
SEED = 1
PEAK, NOW = "VmHWM", "VmRSS"


def main() -> None:
    """Measures every precision on every device."""
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what else is printed goes to standard error
    _say(output, stage="TensorFlow's import")
    check_environment()
    import_tensorflow(with_bert=True)
    import tensorflow as tf

    build = tf.sysconfig.get_build_info()
    gpus = tf.config.list_physical_devices("GPU")
    names = [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    cuda = str(build.get("cuda_version") or "unknown") if build.get("is_cuda_build") else None
    _say(output, tensorflow={"version": tf.__version__, "gpus": names, "cuda": cuda})
    make_deterministic()
    devices = ["/CPU:0", *(f"/GPU:{index}" for index in range(len(gpus)))]
    for device in devices:
        _say(output, stage=f"XLA on {device[1:]}")
        _try_compiler(device)
        _say(output, compiler=device[1:])
    _measure(output, devices)
    output.close()


def _say(output: TextIO, **message: Any) -> None:
    output.write(json.dumps(message, allow_nan=False) + "\n")
    output.flush()


def _try_compiler(device: str) -> None:
    """Raises an error unless XLA compiles a function of the layers' kind, and computes what is right."""
    import tensorflow as tf

    compiled = tf.function(lambda values: tf.reduce_sum(tf.tanh(values) * values, axis=-1), jit_compile=True)
    with tf.device(device):
        found = compiled(tf.constant([[0.5, -1.0], [2.0, 0.0]])).numpy().tolist()
    expected = [0.992652, 1.928055]
    if max(abs(one - other) for one, other in zip(found, expected)) > 1e-3:
        raise ArithmeticError(f"XLA computes {found} on {device[1:]} where {expected} is right")


def _measure(output: TextIO, devices: list[str]) -> None:
    """Says how training and prediction go in every precision on every device, from the same weights and rows."""
    from easytransfer_mtl.config.sections import PRECISIONS

    weights: list[Any] = []
    for device in devices:
        trials, results = [], []
        for precision in PRECISIONS:
            where = f"{precision} on {device[1:]}"
            _say(output, stage=f"{where}: building the model")
            trial = _Trial(device, precision, weights)
            weights = weights or trial.weights
            _say(output, stage=f"{where}: training")
            training = trial.train()
            _say(output, stage=f"{where}: prediction")
            results.append({"device": device[1:], "precision": precision, **training, "logits": trial.logits()})
            trials.append(trial)
        _say(output, stage=f"speed on {device[1:]}")
        seconds: list[list[tuple[float, float]]] = [[] for _ in trials]
        for _ in range(ROUNDS):  # in turn, so that what else runs takes its share of all
            for trial, taken in zip(trials, seconds):
                taken.append((trial.step_seconds(), trial.prediction_seconds()))
        for result, taken in zip(results, seconds):
            step, prediction = map(min, zip(*taken))
            _say(output, measured={**result, "steps_per_s": 1 / step, "predictions_per_s": 1 / prediction})
        del trial, trials
        gc.collect()


class _Trial:
    """A small model on a device, with its train step in a precision."""

    def __init__(self, device: str, precision: str, weights: list[Any]) -> None:
        """Builds it; ``weights`` are those to start from, empty for random ones."""
        import tensorflow as tf
        import tf_keras
        from transformers import BertConfig

        from easytransfer_mtl.config.train_settings import StepSettings
        from easytransfer_mtl.encoders.bert import BertEncoder
        from easytransfer_mtl.encoders.dropout import DropoutClock
        from easytransfer_mtl.models.architecture import Architecture
        from easytransfer_mtl.models.multitask_model import MultiTaskModel
        from easytransfer_mtl.models.variables import build_variables
        from easytransfer_mtl.runs.optimizers import make_optimizer
        from easytransfer_mtl.tasks import CONTEST_TASKS
        from easytransfer_mtl.training.distribution import BATCH_SIGNATURE
        from easytransfer_mtl.training.step import TrainStep
        from easytransfer_mtl.weighting import Equal

        self.device, self.precision = device, precision
        tf_keras.utils.set_random_seed(SEED)
        config = BertConfig(
            vocab_size=VOCABULARY,
            hidden_size=WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=WIDTH // 64,
            intermediate_size=4 * WIDTH,
            max_position_embeddings=LENGTH,
            hidden_act="gelu_new",
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
        with tf.device(device):
            encoder = BertEncoder(config, DropoutClock(SEED))
            self.model = MultiTaskModel(encoder, CONTEST_TASKS, architecture=Architecture(head_dropout=0.0))
            build_variables(self.model)
            self.optimizer = make_optimizer("adam", 1e-3, 0.01)
            self.optimizer.build(self.model.trainable_variables)
        settings = StepSettings(precision=precision)
        self.step = TrainStep(self.model, Equal(len(CONTEST_TASKS)), self.optimizer, settings)
        self.variables = [*self.model.variables, *self.optimizer.variables]
        for variable, value in zip(self.variables, weights):
            variable.assign(value)
        self.weights = [variable.numpy() for variable in self.variables]
        self._train = tf.function(lambda batch: self.step(batch), input_signature=[BATCH_SIGNATURE], autograph=False)
        inputs = {name: BATCH_SIGNATURE[name] for name in ("input_ids", "input_mask", "segment_ids")}
        self._logits = tf.function(
            lambda batch: self.model.build_logits(batch, training=False), input_signature=[inputs], autograph=False
        )
        self.batch = _batch(CONTEST_TASKS[0].num_labels)

    @contextmanager
    def _computing(self) -> Iterator[None]:
        import tensorflow as tf

        with tf.device(self.device), self.model.encoder.computing_in(self.precision):
            yield

    def _reset(self) -> None:
        for variable, value in zip(self.variables, self.weights):
            variable.assign(value)

    def _steps(self, count: int) -> list[tuple[float, float]]:
        """Returns the loss and the gradient's norm of each of the first steps."""
        self._reset()
        with self._computing():
            logs = [self._train(self.batch) for _ in range(count)]
            return [(float(log["losses"][0]), float(log["grad_norm"])) for log in logs]

    def train(self) -> dict[str, Any]:
        """Trains, and then again from the same weights, with the memory measured."""
        first = self._steps(STEPS)
        with _Memory(self.device) as memory:
            again = self._steps(REPEATED)
        return {
            "steps": [[_finite(value) for value in step] for step in first],
            "repeats": first[:REPEATED] == again,
            "step_mb": memory.megabytes,
        }

    def logits(self) -> list[float | None]:
        """Returns the first task's logits by the first weights."""
        self._reset()
        return [_finite(float(value)) for value in self._predict().reshape(-1)]

    def _predict(self) -> Any:
        inputs = {name: self.batch[name] for name in ("input_ids", "input_mask", "segment_ids")}
        with self._computing():
            return self._logits(inputs)[self.model.tasks[0].logits_name].numpy()

    def step_seconds(self) -> float:
        """Returns the time of one more training step."""
        with self._computing():
            started = time.perf_counter()
            self._train(self.batch)["losses"].numpy()
            return time.perf_counter() - started

    def prediction_seconds(self) -> float:
        """Returns the time of one prediction."""
        started = time.perf_counter()
        self._predict()
        return time.perf_counter() - started


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _batch(num_labels: int) -> dict[str, Any]:
    """Returns the batch that every trial has: rows of different lengths of the first task."""
    import numpy as np
    import tensorflow as tf

    random = np.random.default_rng(SEED)
    lengths = random.integers(LENGTH // 2, LENGTH + 1, ROWS)
    mask = np.arange(LENGTH) < lengths[:, None]
    values = {
        "input_ids": random.integers(1, VOCABULARY, (ROWS, LENGTH)) * mask,
        "input_mask": mask,
        "segment_ids": np.zeros((ROWS, LENGTH)),
        "label_ids": random.integers(0, num_labels, ROWS),
        "task_id": 0,
    }
    return {name: tf.constant(np.asarray(value, np.int32)) for name, value in values.items()}


class _Memory:
    """Measures what is taken inside a block beyond what was taken before it.

    Attributes:
        megabytes: the result, 10^6 bytes; None where it cannot be measured.
    """

    megabytes: float | None = None

    def __init__(self, device: str) -> None:
        self._gpu = device[1:] if device.startswith("/GPU") else None

    def __enter__(self) -> "_Memory":
        if self._gpu:
            import tensorflow as tf

            tf.config.experimental.reset_memory_stats(self._gpu)
            self._before: float | None = tf.config.experimental.get_memory_info(self._gpu)["current"]
            return self
        gc.collect()
        if sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(0)
        try:
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        except OSError:
            self._before = None
        else:
            self._before = _own_bytes(NOW)
        return self

    def __exit__(self, *error: object) -> None:
        if self._gpu:
            import tensorflow as tf

            peak: float | None = tf.config.experimental.get_memory_info(self._gpu)["peak"]
        else:
            peak = _own_bytes(PEAK)
        if self._before is not None and peak is not None:
            self.megabytes = max(0.0, peak - self._before) / GB * 1000


def _own_bytes(name: str) -> float | None:
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"), re.MULTILINE)
    return int(found[1]) * 1024.0 if found else None


if __name__ == "__main__":
    main()
