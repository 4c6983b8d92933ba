"""Scores as aligned text, CSV and JSON: classes, confusion matrix, all checkpoints, final table."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from easytransfer_mtl.evaluation.metrics import ClassScore, LabelScore, TaskScore, best_of, mean_score
from easytransfer_mtl.evaluation.tables import aligned, csv_text, digits
from easytransfer_mtl.evaluation.weights import Weights
from easytransfer_mtl.files import write_json, write_text
from easytransfer_mtl.tasks import CLASSIFY, METRIC_NAMES, MULTI_LABEL, TAGS, Task

BOARD_ORDER = ("OCNLI", "OCEMOTION", "TNEWS")
SUMMARIES = ("summary.txt", "summary.csv", "summary.json")
UNTRAINED = "(the run's start, untrained)"


def class_report_text(score: TaskScore) -> str:
    """Returns an aligned table of precision, recall, F1 and support of a task's labels, and of their averages.

    Labels that macro-F1 leaves out, since they occur in neither truth nor prediction, are marked with ``-``. For a task with
    numbers it is one line.
    """
    if not isinstance(score, LabelScore):
        return f"{score.task.name}: {_values_text(score)}, {score.rows} rows\n"
    table = [["label", "precision", "recall", "F1", "support"]]
    for label, p, r, f1, support, counted in _classes(score):
        table.append([score.task.named(label), *(map(digits, (p, r, f1)) if counted else ["-"] * 3), str(support)])
    for name, p, r, f1 in _averages(score):
        table.append([name, digits(p), digits(r), digits(f1), str(score.rows)])
    others = {name: value for name, value in score.values.items() if name not in ("macro_f1", "accuracy")}
    more = "".join(f", {METRIC_NAMES[name]} {digits(value)}" for name, value in others.items())
    accuracy = (
        "accuracy"
        if isinstance(score, ClassScore)
        else "accuracy of tags"
        if score.task.type == TAGS
        else f"labels from a probability of {score.task.threshold:g}, accuracy of whole rows"
    )
    return (
        f"{score.task.name}: macro-F1 {digits(score.macro_f1)} over {score.counted.sum()} of {score.task.num_labels} "
        f"labels, {accuracy} {digits(score.accuracy)}{more}, {score.rows} rows\n{aligned(table)}"
    )


def _values_text(score: TaskScore) -> str:
    return ", ".join(f"{METRIC_NAMES[name]} {digits(value)}" for name, value in score.values.items())


def class_report_csv(scores: Sequence[TaskScore]) -> str:
    """Returns CSV with a row per label (``kind`` is class) and two for averages (``average``) of each task with labels."""
    table: list[list[Any]] = [["task", "kind", "label", "precision", "recall", "f1", "support", "name"]]
    for score in scores:
        if not isinstance(score, LabelScore):
            continue
        task, names = score.task.name, score.task.label_names
        for label, p, r, f1, support, _ in _classes(score):
            table.append([task, "class", label, p, r, f1, support, names.get(label, "")])
        table += [[task, "average", label, p, r, f1, score.rows, ""] for label, p, r, f1 in _averages(score)]
    return csv_text(table)


def score_json(score: TaskScore) -> dict[str, Any]:
    """Returns all values of a task's score as a JSON object."""
    found: dict[str, Any] = {
        "task": score.task.name,
        "rows": score.rows,
        "metric": score.task.metric,
        "score": score.score,
        **score.values,
        "chance": score.chance,
    }
    if isinstance(score, LabelScore):
        found |= _labels_json(score)
    if isinstance(score, ClassScore):
        found["confusion_rows_are_truth"] = score.confusion.tolist()
    elif score.task.type == MULTI_LABEL:
        found["threshold"] = score.task.threshold
    return found


def _labels_json(score: LabelScore) -> dict[str, Any]:
    return {
        "classes": [
            {"label": label, "name": score.task.label_names.get(label, "")}
            | {"precision": p, "recall": r, "f1": f1, "support": support, "counted": counted}
            for label, p, r, f1, support, counted in _classes(score)
        ],
        "averages": [{"average": name, "precision": p, "recall": r, "f1": f1} for name, p, r, f1 in _averages(score)],
    }


def confusion_text(score: ClassScore) -> str:
    """Returns the confusion matrix as an aligned table: rows are true labels, with their names, columns predicted ones."""
    labels, counts = score.task.label_enumerate_values, score.confusion.tolist()
    rows = [[score.task.named(label), *map(str, row)] for label, row in zip(labels, counts, strict=True)]
    return f"{score.task.name}: rows are the truth, columns the prediction\n{aligned([['', *labels], *rows])}"


def confusion_csv(score: ClassScore) -> str:
    """Returns the confusion matrix as CSV: rows are true labels, columns predicted ones; the last column is the names."""
    labels, names = score.task.label_enumerate_values, score.task.label_names
    rows = zip(labels, score.confusion.tolist(), strict=True)
    return csv_text([["", *labels, "name"], *([label, *counts, names.get(label, "")] for label, counts in rows)])


def report_files(tasks: Sequence[Task]) -> list[str]:
    """Returns the names of the files that ``write_reports`` writes."""
    one_label = [task for task in tasks if task.type == CLASSIFY]
    confusions = [f"confusion_{task.scope}.{kind}" for task in one_label for kind in ("txt", "csv")]
    return ["classes.txt", "classes.csv", "classes.json", *confusions]


def write_reports(folder: str | os.PathLike[str], scores: Sequence[TaskScore]) -> None:
    """Writes ``classes.txt``, ``.csv`` and ``.json`` to ``folder``, and ``confusion_<task>.txt`` and ``.csv``.

    Only tasks with one label a row have a confusion matrix.
    """
    folder = Path(folder)
    write_text(folder / "classes.txt", "\n".join(class_report_text(score) for score in scores))
    write_text(folder / "classes.csv", class_report_csv(scores))
    write_json(folder / "classes.json", {"tasks": [score_json(score) for score in scores]})
    for score in scores:
        if isinstance(score, ClassScore):
            write_text(folder / f"confusion_{score.task.scope}.txt", confusion_text(score))
            write_text(folder / f"confusion_{score.task.scope}.csv", confusion_csv(score))


def summary_json(scores: Mapping[Weights, Sequence[TaskScore]]) -> dict[str, Any]:
    """Returns the best weights' step and kind, and each task's score and the mean for all weights, as a JSON object.

    Args:
        scores: one score per task, for the same tasks every time.

    Raises:
        UserError: ``scores`` is empty, or there are weights without a score.
    """
    means = {weights: mean_score(scores[weights]) for weights in sorted(scores)}
    best = best_of(means)
    rows = [
        {
            "step": weights.step,
            "weights": weights.kind,
            "name": str(weights),
            "scores": {score.task.name: score.score for score in scores[weights]},
            "mean": mean,
            "best": weights == best,
        }
        for weights, mean in means.items()
    ]
    return {"best_step": best.step, "best_weights": best.kind, "best_mean": means[best], "checkpoints": rows}


def summary_text(scores: Mapping[Weights, Sequence[TaskScore]]) -> str:
    """Returns the table of all weights, one line each, with the best one marked (the last of equal ones)."""
    rows = summary_json(scores)["checkpoints"]
    table = [["step", *rows[0]["scores"], "mean", ""]]
    for row in rows:
        values = [*row["scores"].values(), row["mean"]]
        mark = "best" if row["step"] else f"best {UNTRAINED}"
        table.append([row["name"], *map(digits, values), mark if row["best"] else ""])
    return aligned(table)


def best_line(best: Weights) -> str:
    """Returns the line of terminal output that names the best checkpoint."""
    return f"best checkpoint: {best}" if best.is_trained else f"best checkpoint: {best} {UNTRAINED}"


def summary_csv(scores: Mapping[Weights, Sequence[TaskScore]]) -> str:
    """Returns the scores of all weights as CSV: step, weights (raw, ema or swa), scores, mean, best (1 or 0)."""
    rows = summary_json(scores)["checkpoints"]
    table = [["step", "weights", *rows[0]["scores"], "mean", "best"]]
    values = [[row["step"], row["weights"], *row["scores"].values(), row["mean"], int(row["best"])] for row in rows]
    return csv_text(table + values)


def write_summary(folder: str | os.PathLike[str], scores: Mapping[Weights, Sequence[TaskScore]]) -> None:
    """Writes ``summary.txt``, ``summary.csv`` and ``summary.json`` to ``folder``."""
    write_text(Path(folder) / "summary.txt", summary_text(scores))
    write_text(Path(folder) / "summary.csv", summary_csv(scores))
    write_json(Path(folder) / "summary.json", summary_json(scores))


def final_table(scores: Sequence[TaskScore]) -> str:
    """Returns the table for the terminal: each task's metrics and the score of chance, and the means of the first metrics.

    The contest's tasks come in the order of its board, then the others as given.

    Raises:
        UserError: there is no task.
    """
    mean = mean_score(scores)
    board = [score for name in BOARD_ORDER for score in scores if score.task.name == name]
    table = [["task", "rows", "metric", "score", "chance"]]
    for score in board + [score for score in scores if score not in board]:
        metric = METRIC_NAMES[score.task.metric]
        table.append([score.task.name, str(score.rows), metric, digits(score.score), digits(score.chance)])
        table += [["", "", METRIC_NAMES[name], digits(score.values[name]), ""] for name in score.task.more_metrics]
    metrics = {METRIC_NAMES[score.task.metric] for score in scores}
    chance = sum(score.chance for score in scores) / len(scores)
    table.append(["mean", "", metrics.pop() if len(metrics) == 1 else "", digits(mean), digits(chance)])
    return aligned(table)


def _classes(score: LabelScore) -> list[tuple[str, float, float, float, int, bool]]:
    columns = (score.precision, score.recall, score.f1, score.support, score.counted)
    return list(zip(score.task.label_enumerate_values, *(column.tolist() for column in columns), strict=True))


def _averages(score: LabelScore) -> list[tuple[str, float, float, float]]:
    values = np.stack([score.precision, score.recall, score.f1])
    macro = values[:, score.counted].mean(axis=1)
    weighted = values @ score.support / max(1, score.support.sum())
    return [("macro avg", *macro.tolist()), ("weighted avg", *weighted.tolist())]
