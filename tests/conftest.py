"""What the tests of encoders, models, training and evaluation share: the golden model, and tiny generated data."""

import contextlib
import ctypes
import gc
import json
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from easytransfer_mtl.compiled_code import FLAGS, FOLDER, name_by_content
from easytransfer_mtl.environment import check_environment, make_deterministic
from easytransfer_mtl.tasks import CONTEST_TASKS, Task

check_environment()  # before any test imports TensorFlow and transformers
ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests/golden"
LETTERS = "天地人日月山水火木金土心手口目耳田禾米竹"
TINY_CONFIG = {
    "model_type": "bert", "vocab_size": 5 + len(LETTERS), "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 16, "max_position_embeddings": 16, "type_vocab_size": 2, "hidden_act": "gelu",
}  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Sets what the tests' many processes inherit: this repository's package, no GPU, no network, and one place for what
    any of them has compiled, which is most of their time."""
    if not hasattr(config, "workerinput"):  # the first process; xdist's others inherit
        paths = [str(ROOT), str(ROOT / "tests/support"), *filter(None, [os.environ.get("PYTHONPATH")])]
        os.environ |= {"PYTHONPATH": os.pathsep.join(paths), "CUDA_VISIBLE_DEVICES": "-1", "HF_HUB_OFFLINE": "1"}
        os.environ[FLAGS] = f"{FOLDER}={tempfile.mkdtemp(prefix='compiled_')}"


def pytest_unconfigure(config: pytest.Config) -> None:
    """Removes what was compiled."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ[FLAGS].partition("=")[2])


@pytest.fixture(autouse=True, scope="session")
def as_in_trainings() -> None:
    """Makes this process compute the same, whatever ran in it before, and find what another one, or another test, has
    compiled."""
    if "tensorflow" in sys.modules:
        name_by_content()
        make_deterministic()


@pytest.fixture(autouse=True, scope="module")
def memory_given_back() -> Iterator[None]:
    """Gives back what a file's models and graphs took, which refer to themselves, before the next file adds its own.

    What is left then stays for good (modules, and what the whole session shares): the collector need not look at it again.
    """
    yield
    gc.collect()
    gc.freeze()
    if sys.platform == "linux":
        ctypes.CDLL("libc.so.6").malloc_trim(0)


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of what the original computed."""
    return GOLDEN


@pytest.fixture(scope="session")
def golden_files(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The original's checkpoint with the config without dropout, as in its runs without dropout."""
    from easytransfer_mtl.encoders.finding import EncoderFiles

    source, folder = GOLDEN / "checkpoint" / "pai-bert-tiny-zh", tmp_path_factory.mktemp("golden_encoder")
    shutil.copyfile(source / "config_nodrop.json", folder / "config.json")
    shutil.copyfile(source / "vocab.txt", folder / "vocab.txt")
    return EncoderFiles(source / "model.ckpt", folder, tanh_gelu=True)


@pytest.fixture(scope="session")
def golden_model(golden_files: Any) -> Callable[..., Any]:
    """Builds the contest's model from the original's checkpoint, without dropout, with heads from an npz below golden."""
    from easytransfer_mtl.encoders.dropout import DropoutClock
    from easytransfer_mtl.encoders.loading import load_encoder
    from easytransfer_mtl.models.architecture import Architecture
    from easytransfer_mtl.models.multitask_model import MultiTaskModel

    def build(heads: str = "checkpoint/heads.npz", **more: Any) -> MultiTaskModel:
        encoder = load_encoder(golden_files, DropoutClock(0)).encoder
        model = MultiTaskModel(encoder, CONTEST_TASKS, **{"architecture": Architecture(head_dropout=0.0), **more})
        with np.load(GOLDEN / heads) as values:
            for task in CONTEST_TASKS:
                model.heads[task.logits_name].set_weights(
                    [values[f"{task.head_name}/{part}"] for part in ("kernel", "bias")]
                )
        return model

    return build


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with config and vocabulary of a tiny BERT, and no weights."""
    return _encoder(tmp_path_factory.mktemp("tiny_encoder"), TINY_CONFIG)


@pytest.fixture(scope="session")
def flat_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with one layer, for which a run takes three quarters of the time.

    A file where depth is no point gives its tests this one: a fixture ``tiny_encoder`` of its own that returns it."""
    return _encoder(tmp_path_factory.mktemp("flat_encoder"), {**TINY_CONFIG, "num_hidden_layers": 1})


def _encoder(folder: Path, config: dict[str, Any]) -> Path:
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def convert_rows(tiny_encoder: Path) -> Callable[..., Path]:
    """Writes invented rows of a task as a TFRecord file with its manifest, converted with the tiny encoder's vocabulary."""
    from easytransfer_mtl.data.conversion import Conversion, convert_file
    from easytransfer_mtl.data.features import FeatureBuilder
    from easytransfer_mtl.data.tokenization import Tokenizer, load_vocabulary

    def convert(
        output: Path,
        task: Task,
        rows: int,
        normalization: str = "none",
        labelled: bool = True,
        length: int = 16,
        vocabulary: Path | None = None,
    ) -> Path:
        random = np.random.default_rng(rows + len(task.name))
        source = output.with_suffix(".csv")
        columns = task.columns if labelled else task.unlabelled_columns
        lines = []
        for row in range(rows):
            values = {column: "".join(random.choice(list(LETTERS), random.integers(1, 7))) for column in columns}
            values |= {task.id_column: str(row), task.label_name: task.label_enumerate_values[row % task.num_labels]}
            lines.append("\t".join(values[column] for column in columns) + "\n")
        source.write_text("".join(lines), encoding="utf-8")
        tokenizer = Tokenizer(load_vocabulary(vocabulary or tiny_encoder / "vocab.txt"), normalization)
        convert_file(Conversion(source, output, task, labelled), FeatureBuilder(tokenizer, length), "error")
        return output

    return convert


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory, convert_rows: Callable[..., Path]) -> Path:
    """A folder with train.list_tfrecord (12 rows a task) and dev.list_tfrecord (5, 6 and 7 rows) of the contest's tasks."""
    folder = tmp_path_factory.mktemp("tiny_data")
    for kind, sizes in (("train", (12, 12, 12)), ("dev", (5, 6, 7))):
        for task, rows in zip(CONTEST_TASKS, sizes, strict=True):
            convert_rows(folder / f"{task.name}_{kind}.tfrecord", task, rows)
        lines = "".join(f"{task.name}_{kind}.tfrecord\n" for task in CONTEST_TASKS)
        (folder / f"{kind}.list_tfrecord").write_text(lines, encoding="utf-8")
    return folder


@pytest.fixture
def tiny_settings(tmp_path: Path, tiny_encoder: Path, tiny_data: Path) -> Callable[..., Any]:
    """Builds settings of a run of the tiny encoder on the tiny data in ``tmp_path/run``; arguments change them."""
    from easytransfer_mtl.config.train_settings import TrainSettings

    def build(**changes: Any) -> TrainSettings:
        values = {
            "pretrain_model_name_or_path": str(tiny_encoder), "random_init": True, "model_dir": str(tmp_path / "run"),
            "train_input_fp": str(tiny_data / "train.list_tfrecord"), "train_batch_size": 4, "num_epochs": 0.6, "seed": 5,
        }  # fmt: skip
        return TrainSettings(**{**values, **changes})

    return build


@contextlib.contextmanager
def without_graphs() -> Iterator[None]:
    """Inside the block, steps run without a graph: making one takes longer than the few steps of a short run."""
    import tensorflow as tf

    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Even though the `tf.config.experimental_run_functions_eagerly`")  # of tf.data
        try:
            yield
        finally:
            tf.config.run_functions_eagerly(before)


@pytest.fixture
def untraced() -> Iterator[None]:
    """Trains without graphs, for tests of what is around the steps: settings, files, messages, going on.

    A graph would compute the same up to rounding."""
    with without_graphs():
        yield


@pytest.fixture(scope="session")
def stored_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Path]]:
    """A folder for finished runs, and those that this process has trained by their settings."""
    return tmp_path_factory.mktemp("stored_runs"), {}


@pytest.fixture
def trained(stored_runs: tuple[Path, dict[str, Path]]) -> Callable[..., Path]:
    """Writes a finished run: trained at the first request for such settings in this process, copied at every other.

    For tests of what is done with a run; those of training itself train."""
    from easytransfer_mtl.training.trainer import run_training

    folder, runs = stored_runs

    def train(settings: Any, model_class: type | None = None) -> Path:
        run = Path(settings.model_dir)
        key = repr((replace(settings, model_dir=""), model_class))
        if key not in runs:
            runs[key] = folder / str(len(runs))
            with without_graphs():
                run_training(replace(settings, model_dir=str(runs[key])), *filter(None, [model_class]))
        return Path(shutil.copytree(runs[key], run))

    return train
