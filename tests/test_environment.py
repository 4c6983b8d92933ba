"""Packages that cannot work together are refused with the command that mends it."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from warm_processes import WarmProcess

from easytransfer_mtl import environment
from easytransfer_mtl.environment import YNNPACK_OPTION, check_environment
from easytransfer_mtl.errors import UserError

SETUP = Path(__file__).parents[1] / "setup.py"
GOOD = {"tensorflow": "2.20.0", "tf-keras": "2.20.1", "transformers": "4.57.6"}


def warm(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a program in a process of its own that begins with TensorFlow imported."""
    (folder / "program.py").write_text(program, encoding="utf-8")
    return WarmProcess([], folder, script=folder / "program.py").finish()


def pretend(monkeypatch: pytest.MonkeyPatch, **versions: str | None) -> None:
    found = {**GOOD, **{name.replace("_", "-"): version for name, version in versions.items()}}
    monkeypatch.setattr(environment, "installed_version", found.__getitem__)
    monkeypatch.delenv("TF_USE_LEGACY_KERAS", raising=False)


def refusal() -> str:
    with pytest.raises(UserError) as caught:
        check_environment()
    return str(caught.value)


def test_good_versions_select_tf_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch)
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "true")
    check_environment()
    assert environment.os.environ["TF_USE_LEGACY_KERAS"] == "1"


def test_this_environment_is_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_USE_LEGACY_KERAS", raising=False)
    check_environment()
    assert environment.os.environ["TF_USE_LEGACY_KERAS"] == "1"


@pytest.mark.parametrize(
    ("version", "given", "expected"),
    [
        ("2.21.0", None, f"{YNNPACK_OPTION}="),
        ("2.21.0", "--xla_dump_to=/x", f"--xla_dump_to=/x {YNNPACK_OPTION}="),
        ("2.21.0", f"{YNNPACK_OPTION}=+dot", f"{YNNPACK_OPTION}=+dot"),
        ("2.20.0", "", ""),  # may not know the option, and ends the process then
    ],
)
def test_xla_keeps_its_sums_where_it_would_give_them_away(
    monkeypatch: pytest.MonkeyPatch, version: str, given: str | None, expected: str
) -> None:
    pretend(monkeypatch, tensorflow=version, tf_keras=version)
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    if given is not None:
        monkeypatch.setenv("XLA_FLAGS", given)
    check_environment()
    assert os.environ["XLA_FLAGS"] == expected


@pytest.mark.parametrize("kept", [True, False])
def test_no_sum_is_computed_by_ynnpack(kept: bool, tmp_path: Path) -> None:
    given = "" if kept else f"{YNNPACK_OPTION}=reduce"
    program = f"""
import os
os.environ["XLA_FLAGS"] = "{given}"  # XLA reads it when it is first needed
from easytransfer_mtl.environment import check_environment
check_environment()
import tensorflow as tf
means = tf.function(lambda values: tf.reduce_mean(values + 1.0, -1), jit_compile=True)
print(means.experimental_get_compiler_ir(tf.ones([2048, 128]))(stage="optimized_hlo"))
"""
    done = warm(program, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "reduce(" in done.stdout and ("ynn" in done.stdout) != kept


@pytest.mark.parametrize("version", ["5.0.0", "5.0.0rc1", "10.1"])
def test_transformers_5_is_refused(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    pretend(monkeypatch, transformers=version)
    message = refusal()
    assert f"transformers {version} has no TensorFlow models" in message
    assert f"{sys.executable} -m pip install" in message and "'transformers>=" in message


def test_tf_keras_of_another_tensorflow_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, tf_keras="2.21.0")
    message = refusal()
    assert "tf-keras 2.21.0 does not belong to tensorflow 2.20.0" in message
    assert f"{sys.executable} -m pip install 'tf-keras==2.20.*'" in message


def test_missing_packages_are_named_together(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, tf_keras=None, transformers=None)
    message = refusal()
    assert "Not installed: tf-keras, transformers" in message
    assert environment.MEND in message


@pytest.mark.parametrize("value", ["0", "false", "False", ""])
def test_keras_3_by_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    pretend(monkeypatch)
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", value)
    message = refusal()
    assert f"TF_USE_LEGACY_KERAS is {value!r}" in message
    assert "unset TF_USE_LEGACY_KERAS" in message


def test_the_mending_command_asks_for_what_setup_asks_for() -> None:
    wanted = re.findall(r'"((?:tensorflow|tf-keras|transformers)>=[^"]+)"', SETUP.read_text(encoding="utf-8"))
    assert len(wanted) == 3
    for requirement in wanted:
        assert f"'{requirement}'" in environment.MEND


def test_versions_are_found_under_the_names_of_other_builds(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "tensorflow-cpu":
            return "2.20.0"
        raise environment.PackageNotFoundError(name)

    monkeypatch.setattr(environment, "version", version)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert environment.installed_version("tensorflow") == "2.20.0"
    assert environment.installed_version("transformers") is None


def test_pytorch_beside_tensorflow_is_not_imported(tmp_path: Path) -> None:
    package, metadata = tmp_path / "torch", tmp_path / "torch-9.9.9.dist-info"
    package.mkdir()
    metadata.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('torch was imported')\n", encoding="utf-8")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 9.9.9\n", encoding="utf-8")
    code = (
        "from easytransfer_mtl.environment import YNNPACK_OPTION, check_environment, import_tensorflow\n"
        "check_environment(); import_tensorflow(with_bert=True)\n"
        "from transformers import TFBertModel\n"
    )
    env = {name: value for name, value in os.environ.items() if name not in ("USE_TF", "USE_TORCH")}
    path = os.pathsep.join([str(tmp_path), str(SETUP.parent)])
    run = subprocess.run([sys.executable, "-c", code], env=env | {"PYTHONPATH": path}, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_keras_does_not_call_saving_and_scoring_slow(tmp_path: Path) -> None:
    code = """
import time

import easytransfer_mtl
easytransfer_mtl.MultiTaskModel
import numpy
import tensorflow
import tf_keras

class Slow(tf_keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        time.sleep(0.25)

model = tf_keras.Sequential([tf_keras.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(numpy.ones((8, 2)), numpy.ones((8, 1)), batch_size=1, verbose=0, callbacks=[Slow()])
tensorflow.get_logger().warning("others stay")
"""
    done = warm(code, tmp_path)
    assert done.returncode == 0 and "others stay" in done.stderr and "is slow" not in done.stderr, done.stderr
