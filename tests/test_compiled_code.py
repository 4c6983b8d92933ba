"""Code that XLA compiled is found by other processes, whatever these traced before, and is deleted in the end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from easytransfer_mtl.compiled_code import FLAGS, FOLDER, sharing_compiled

PROGRAM = """
import sys
from easytransfer_mtl.environment import check_environment, import_tensorflow
check_environment()
import_tensorflow(with_bert=False)
import tensorflow as tf

def doubled(x): return tf.reduce_sum(tf.tanh(x) * x)
def other(x): return tf.reduce_sum(tf.exp(x) / (1.0 + x))

x = tf.range(7, dtype=tf.float32)
for name in sys.argv[1:]:
    print(name, float(tf.function(globals()[name], jit_compile=True, autograph=False)(x)).hex())
"""


def run(folder: Path, *functions: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *functions],
        env={**os.environ, FLAGS: f"{FOLDER}={folder}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_what_another_process_compiled_is_found_in_another_order(tmp_path: Path) -> None:
    first = run(tmp_path, "other", "doubled")
    kept = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(kept) == 2
    assert run(tmp_path, "doubled") == first[1:]
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == kept
    # A second one of the same graph has its own name and code.
    assert run(tmp_path, "doubled", "doubled") == [first[1]] * 2 and len(list(tmp_path.iterdir())) == 3


def test_it_is_shared_within_the_block_and_deleted_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FLAGS, "--tf_xla_clustering_debug=false")
    with sharing_compiled():
        others, _, folder = os.environ[FLAGS].rpartition(f" {FOLDER}=")
        assert others == "--tf_xla_clustering_debug=false" and Path(folder).is_dir()
        (Path(folder) / "code").write_bytes(b"code")
    assert os.environ[FLAGS] == others and not Path(folder).exists()
    monkeypatch.delenv(FLAGS)
    with pytest.raises(KeyboardInterrupt), sharing_compiled():
        assert os.environ[FLAGS].startswith(f"{FOLDER}=")
        raise KeyboardInterrupt
    assert FLAGS not in os.environ


def test_a_folder_that_the_user_names_is_used_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FLAGS, f"{FOLDER}={tmp_path}")
    with sharing_compiled():
        assert os.environ[FLAGS] == f"{FOLDER}={tmp_path}"
    assert tmp_path.is_dir()
