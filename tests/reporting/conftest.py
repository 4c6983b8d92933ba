"""Evaluated runs as evaluate leaves them, with invented rows and no model."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from easytransfer_mtl.data.encoded_rows import bits_of, encoded_labels
from easytransfer_mtl.evaluation.row_table import RowTable, RowTexts, TaskRows, task_rows, write_rows
from easytransfer_mtl.files import write_json, write_text
from easytransfer_mtl.tasks import CLASSIFY, MULTI_LABEL, OCNLI, SCORE, TAGS, TNEWS, Task

ROWS = 60


def rows_of(
    tasks: tuple[Task, ...], seed: int, skill: float, source: str = "0" * 64, name: str = "checkpoint 4"
) -> RowTable:
    """Rows that are the same for every ``seed`` and ``skill``; a prediction is right with the probability ``skill``."""
    labels, random = np.random.default_rng(1), np.random.default_rng(seed)
    parts = []
    for task in tasks:
        texts = [tuple(f"{task.name} 第{row}行" for _ in range(1 + bool(task.second_sequence))) for row in range(ROWS)]
        about = RowTexts([f"i{row}" for row in range(ROWS)], texts, True, f"{task.name}_dev.csv", source)
        parts.append(_INVENTED[task.type](task, about, skill, labels, random))
    return RowTable(name, "present", parts)


def _classes(
    task: Task, about: RowTexts, skill: float, labels: np.random.Generator, random: np.random.Generator
) -> TaskRows:
    truth = labels.integers(0, task.num_labels, ROWS)
    logits = random.normal(size=(ROWS, task.num_labels))
    logits[np.arange(ROWS), truth] += np.where(random.random(ROWS) < skill, 4.0, -1.0)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return task_rows(task, about, truth, probabilities.argmax(axis=1), probabilities)


def _sets(task: Task, about: RowTexts, skill: float, labels: np.random.Generator, random: np.random.Generator) -> TaskRows:
    truth = labels.integers(0, 2, (ROWS, task.num_labels))
    probabilities = np.clip(random.normal(0.5 + skill * (truth - 0.5), 0.2), 0.001, 0.999)
    return task_rows(task, about, truth, (probabilities >= task.threshold).astype(int), probabilities)


def _numbers(
    task: Task, about: RowTexts, skill: float, labels: np.random.Generator, random: np.random.Generator
) -> TaskRows:
    truth = labels.integers(0, 11, ROWS).astype(np.float32) / 2
    predicted = (truth + random.normal(0, 4 * (1 - skill), ROWS)).astype(np.float32)
    return task_rows(task, about, bits_of(truth), predicted, predicted[:, np.newaxis])


def _tags(task: Task, about: RowTexts, skill: float, labels: np.random.Generator, random: np.random.Generator) -> TaskRows:
    """Texts of a word, a space and a word; the space has no tag, as in TFRecords."""
    words = {"东京城": "B-LOC I-LOC I-LOC", "李四": "B-PER I-PER", "今天好": "O O O", "山": "B-LOC", "喝水": "O O"}
    chosen = [[[*words][place] for place in labels.integers(0, len(words), 2)] for _ in range(ROWS)]
    truth = encoded_labels(task, [" ".join(words[word] for word in row) for row in chosen])
    other = random.integers(0, task.num_labels, truth.shape)
    predicted = np.where(random.random(truth.shape) < skill, truth, other)
    probabilities = 0.05 + 0.8 * np.eye(task.num_labels)[predicted]
    about = replace(about, texts=[(" ".join(row),) for row in chosen])
    return task_rows(task, about, truth, predicted, probabilities / probabilities.sum(axis=2, keepdims=True))


_INVENTED = {CLASSIFY: _classes, MULTI_LABEL: _sets, SCORE: _numbers, TAGS: _tags}


@pytest.fixture
def all_tasks() -> tuple[Task, ...]:
    """A task of each type, with several first metrics."""
    return (
        Task("SPAM", (), "t", ("no", "yes"), metric="auc"),
        Task("TOPICS", (), "t", ("城市", "food", "travel", "x"), type=MULTI_LABEL, threshold=0.4, metric="micro_f1"),
        Task("GRADES", (), "t", (), type=SCORE, metric="spearman"),
        Task("PLACES", (), "t", ("O", "B-LOC", "I-LOC", "B-PER", "I-PER"), type=TAGS),
    )


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
