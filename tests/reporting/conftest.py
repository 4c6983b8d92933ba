"""Evaluated runs as evaluate leaves them, with invented rows and no model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from easytransfer_mtl.evaluation.row_table import RowTable, RowTexts, task_rows, write_rows
from easytransfer_mtl.files import write_json, write_text
from easytransfer_mtl.tasks import OCNLI, TNEWS, Task

ROWS = 60


def rows_of(
    tasks: tuple[Task, ...], seed: int, skill: float, source: str = "0" * 64, name: str = "checkpoint 4"
) -> RowTable:
    """Rows that are the same for every ``seed`` and ``skill``; a prediction is right with the probability ``skill``."""
    labels, random = np.random.default_rng(1), np.random.default_rng(seed)
    parts = []
    for task in tasks:
        truth = labels.integers(0, task.num_labels, ROWS)
        logits = random.normal(size=(ROWS, task.num_labels))
        logits[np.arange(ROWS), truth] += np.where(random.random(ROWS) < skill, 4.0, -1.0)
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        texts = [tuple(f"{task.name} 第{row}行" for _ in range(1 + bool(task.second_sequence))) for row in range(ROWS)]
        about = RowTexts([f"i{row}" for row in range(ROWS)], texts, True, f"{task.name}_dev.csv", source)
        parts.append(task_rows(task, about, truth, probabilities.argmax(axis=1), probabilities))
    return RowTable(name, "present", parts)


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Writes the folder of an evaluated run."""

    def make(name: str, seed: int = 2, skill: float = 0.7, tasks: tuple[Task, ...] = (TNEWS, OCNLI), **more: Any) -> Path:
        folder = tmp_path / name
        write_rows(folder / "evaluation/best", rows_of(tasks, seed, skill, **more))
        write_json(folder / "tasks.json", {"tasks": [task.to_json() for task in tasks]})
        settings = {
            "learning_rate": 0.123,
            "train_batch_size": 8,
            "optimizer": "adam",
            "predict_input_fp": "d.list_tfrecord",
        }
        data = {"train": [{"task": "TNEWS", "file": "TNEWS_train.tfrecord", "rows": 1234, "sequence_length": 64}], "dev": 5}
        plan, versions = {"train_steps": 8}, {"python": "3.11"}
        write_json(folder / "train_config.json", {"settings": settings, "data": data, "plan": plan, "versions": versions})
        write_json(folder / "config.json", {"model_type": "bert", "hidden_size": 128})
        lines = [f"{step},{task.name},{3 / step},1,{step / 100},16\n" for step in range(1, 9) for task in tasks]
        write_text(folder / "metrics.csv", "step,task,loss,weight,learning_rate,examples_per_second\n" + "".join(lines))
        scores = [
            {"step": step, "weights": "raw", "scores": {task.name: step / 9 for task in tasks}, "mean": step / 9}
            for step in (0, 4, 8)
        ]
        write_json(folder / "evaluation/summary.json", {"checkpoints": scores})
        return folder

    return make


@pytest.fixture
def make_average(tmp_path: Path) -> Callable[..., Path]:
    """Writes what ``evaluate --checkpoints`` writes, of two models and their average."""

    def make(name: str) -> Path:
        folder, tasks = tmp_path / name, (TNEWS, OCNLI)
        write_rows(folder, rows_of(tasks, 4, 0.9, name="average"))
        for number, seed in ((1, 2), (2, 3)):
            write_rows(folder / f"model_{number}", rows_of(tasks, seed, 0.7, name=f"runs/seed_{number}/best"))
        return folder

    return make
