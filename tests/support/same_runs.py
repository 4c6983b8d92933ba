"""Repeats eight short runs and compares every number with a recording of them, bit for bit: for changes of the structure.

    python tests/support/same_runs.py record FOLDER    before the change: runs them and keeps their digests in FOLDER
    python tests/support/same_runs.py compare FOLDER   after it: runs them again; exit status 1 names what differs

A digest is the SHA-256 of every column of metrics.csv that is no time, and of each checkpoint's tensors by name. They hold
on one machine with one set of packages only, which is why no recording is part of the repository.
"""

import csv
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOT_COMPARED = ("examples_per_second",)
TRAINING = [
    "--random_init", "--train_batch_size=16", "--num_epochs=0.5", "--learning_rate=1e-3", "--save_steps=7", "--seed=3",
]  # fmt: skip
RUNS: dict[str, list[str]] = {
    "alternating": ["--weight_decay_ratio=0.01", "--num_accumulated_batches=2", "--class_weights=log"],
    "joint": ["--step_mode=joint", "--loss_weighting=uncertainty", "--layer_lr_decay=0.9"],
    "pcgrad_all": ["--step_mode=joint", "--loss_weighting=pcgrad", "--gram_variables=all"],
    "pcgrad_last_layer": ["--step_mode=joint", "--loss_weighting=pcgrad", "--gram_variables=last_layer"],
    "famo_attacked": [
        "--step_mode=joint", "--loss_weighting=famo", "--adversarial=pgd", "--adversarial_epsilon=0.1",
        "--adversarial_alpha=0.03",
    ],
    "shared_private": [
        "--sharing=shared_private", "--adversarial_weight=0.05", "--rdrop_alpha=1", "--adversarial=fgm",
        "--adversarial_epsilon=0.1",
    ],
    "ngrams": [
        "--features=ocnli=sequence,ocemotion=cls+ngrams,tnews=mean+ngrams", "--part_dropout=ocemotion=0.3,tnews=0.2",
        "--token_dropout=0.1", "--ema_decay=0.9", "--idle_heads=skip", "--heads=ocnli=bilstm:8",
    ],
}  # fmt: skip
"""Name of a training on the sample data -> its flags beyond ``TRAINING``."""
PRETRAINING = ["--random_init", "--train_steps=12", "--train_batch_size=8", "--sequence_length=64", "--save_steps=6"]


def run(words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "easytransfer_mtl", *words], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)


def digests(folder: Path) -> dict[str, str]:
    """Returns name -> SHA-256 of the columns of the run's metrics.csv and of its checkpoints' tensors."""
    import tensorflow as tf

    found = {}
    with open(folder / "metrics.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for column in rows[0]:
        if column not in NOT_COMPARED:
            found[f"metrics.csv {column}"] = _sha256("\n".join(row[column] for row in rows).encode())
    for index in sorted(folder.glob("model.ckpt-*.index")):
        reader = tf.train.load_checkpoint(str(index.with_suffix("")))
        for name in sorted(reader.get_variable_to_shape_map()):
            if "OBJECT_GRAPH" not in name:
                value = reader.get_tensor(name)
                found[f"{index.stem} {name}"] = _sha256(value.tobytes() if hasattr(value, "tobytes") else value)
    return found


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def repeat(folder: Path) -> dict[str, dict[str, str]]:
    """Does all runs in ``folder`` and returns each one's digests."""
    encoder, data = ROOT / "data/tiny_bert_zh", folder / "data"
    run(["convert", f"--data_dir={ROOT / 'data/sample'}", f"--output_dir={data}", f"--tokenizer_name_or_path={encoder}",
         "--sequence_length=40"])  # fmt: skip
    common = [f"--pretrain_model_name_or_path={encoder}", f"--train_input_fp={data / 'train.list_tfrecord'}"]
    found = {}
    for name, flags in RUNS.items():
        print(name, file=sys.stderr)
        run(["train", *common, *TRAINING, *flags, f"--model_dir={folder / name}"])
        found[name] = digests(folder / name)
    print("pretrain", file=sys.stderr)
    run(["pretrain", common[0], f"--data_dir={ROOT / 'data/sample'}", *PRETRAINING, f"--model_dir={folder / 'pretrain'}"])
    return {**found, "pretrain": digests(folder / "pretrain")}


def main(what: str, where: str) -> int:
    """Records or compares; returns the exit status."""
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    os.environ["PYTHONPATH"] = str(ROOT)
    file = Path(where) / "digests.json"
    with tempfile.TemporaryDirectory() as folder:
        found = repeat(Path(folder))
    if what == "record":
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found, indent=1), encoding="utf-8")
        print(f"recorded {sum(map(len, found.values()))} digests of {len(found)} runs in {file}")
        return 0
    recorded = json.loads(file.read_text(encoding="utf-8"))
    lines = []
    for name in sorted({*recorded, *found}):
        before, now = recorded.get(name, {}), found.get(name, {})
        differing = sorted(part for part in {*before, *now} if before.get(part) != now.get(part))
        if differing:
            lines.append(f"{name}: {len(differing)} of {len(before)} differ, for instance {', '.join(differing[:3])}")
    print("\n".join(lines) or f"all {sum(map(len, found.values()))} digests of {len(found)} runs are the recorded ones")
    return 1 if lines else 0


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("record", "compare"):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
