"""The page: everything about the evaluated runs in one HTML file, which asks for nothing from anywhere."""

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import jinja2
import numpy as np

from easytransfer_mtl import __version__
from easytransfer_mtl.errors import clipped
from easytransfer_mtl.evaluation.confusions import largest_confusions
from easytransfer_mtl.evaluation.metrics import ClassScore, mean_score
from easytransfer_mtl.evaluation.row_table import RowTable, TaskRows
from easytransfer_mtl.evaluation.run_metrics import Panel, has_news
from easytransfer_mtl.reporting.bootstrap import REPLICATES, Interval, interval_of, resampled_scores
from easytransfer_mtl.reporting.calibration import Calibration, calibration_of
from easytransfer_mtl.reporting.charts import Chart, curves, reliability
from easytransfer_mtl.reporting.sources import Source, Training, same_rows
from easytransfer_mtl.tasks import Task

WORST_ROWS = 50
MOST_LABELS = 30
"""Labels in a matrix; of more, those with the most confusions."""
LONGEST_TEXT = 600
TITLES = {
    "loss": "Training loss (dotted: guessing)",
    "score": "Score on the dev rows",
    "learning_rate": "Learning rate",
    "weight": "Weight in the objective",
    "grad_share": "Share of the weighted gradient norms",
    "cosine": "Cosine of the task gradients",
}
METRIC_NAMES = {"macro_f1": "macro-F1", "accuracy": "accuracy"}


@dataclass(frozen=True)
class Label:
    """A label's line: its code and name, precision, recall, F1 and number of rows; whether macro-F1 counts it."""

    code: str
    name: str
    precision: float
    recall: float
    f1: float
    support: int
    counted: bool


@dataclass(frozen=True)
class Cell:
    """A number of rows, their share of the true label's, and whether they are right."""

    rows: int
    share: float
    right: bool


@dataclass(frozen=True)
class Mistake:
    """A row with a high loss; ``label`` is the label's id, ``truth`` and ``predicted`` are labels with their names."""

    row_id: str
    texts: list[str]
    label: int
    truth: str
    predicted: str
    right: bool
    p_label: float
    p_prediction: float
    loss: float


@dataclass(frozen=True)
class TaskPart:
    """One task's part of a run's section."""

    task: Task
    metric: str
    rows: TaskRows
    interval: Interval
    labels: list[Label]
    matrix: list[tuple[Label, list[Cell]]]
    confusions: list[str]
    worst: list[Mistake]
    filters: list[tuple[int, str, int]]
    calibration: Calibration
    diagram: Chart
    mean_loss: float


@dataclass(frozen=True)
class RunPart:
    """One run's section."""

    source: Source
    training: Training | None
    time: str | None
    rows_per_second: float | None
    charts: list[Chart]
    tasks: list[TaskPart]
    mean: Interval


@dataclass(frozen=True)
class ScoreLine:
    """A line of the table of scores; a task that the model does not have has no score."""

    name: str
    path: str
    is_member: bool
    scores: list[Interval | None]
    mean: Interval


@dataclass(frozen=True)
class Difference:
    """The differences of two models' scores on the same rows, or why there are none."""

    first: str
    second: str
    tasks: list[Interval]
    mean: Interval | None
    verdict: str


def render(sources: Sequence[Source]) -> str:
    """Returns the page of one or several evaluations as HTML.

    Args:
        sources: the results of ``read_source``.
    """
    shared = Counter(source.name for source in sources)
    sources = [source if shared[source.name] == 1 else replace(source, name=str(source.path)) for source in sources]
    names = list(dict.fromkeys(item.task.name for source in sources for item in source.table.tasks))
    every = [entry for source in sources for entry in (source, *source.members)]
    together = len(every) > 1
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    members = {id(member) for source in sources for member in source.members}
    return environment.get_template("page.html.j2").render(
        title=" · ".join(source.name for source in sources),
        version=__version__,
        replicates=REPLICATES,
        longest_text=LONGEST_TEXT,
        task_names=names,
        scores=[_score_line(entry, names, id(entry) in members) for entry in every] if together else [],
        differences=[_difference(*pair) for pair in _pairs(sources)],
        runs=[_run_part(source) for source in sources],
    )


def _pairs(sources: Sequence[Source]) -> list[tuple[Source, Source]]:
    """Returns what to compare: every two of the given ones, and each average with its models."""
    pairs = list(itertools.combinations(sources, 2))
    return pairs + [(source, member) for source in sources for member in source.members]


def _replicates(table: RowTable) -> list[np.ndarray]:
    return [resampled_scores(item.task, item.truth, [item.predicted], table.f1_labels)[0] for item in table.tasks]


def _intervals(table: RowTable) -> tuple[list[ClassScore], list[Interval], Interval]:
    """Returns the tasks' scores, their intervals, and that of the mean."""
    scores = [score for score in table.scores() if isinstance(score, ClassScore)]
    replicates = _replicates(table)
    each = [interval_of(score.score, values) for score, values in zip(scores, replicates, strict=True)]
    return scores, each, interval_of(mean_score(scores), np.mean(replicates, axis=0))


def _score_line(source: Source, names: list[str], is_member: bool) -> ScoreLine:
    scores, each, mean = _intervals(source.table)
    found = {score.task.name: interval for score, interval in zip(scores, each)}
    path = source.table.name if is_member else str(source.path)
    return ScoreLine(source.name, path, is_member, [found.get(name) for name in names], mean)


def _difference(first: Source, second: Source) -> Difference:
    """Compares two models by the paired bootstrap; the second's score minus the first's."""
    one, other = ({item.task.name: item for item in source.table.tasks} for source in (first, second))
    if one.keys() != other.keys():
        return Difference(first.name, second.name, [], None, "not compared: they have different tasks")
    unlike = [name for name in one if not same_rows(one[name], other[name])]
    if unlike or first.table.f1_labels != second.table.f1_labels:
        why = f"other dev rows or labels of {', '.join(unlike)}" if unlike else "macro-F1 is over other labels (f1_labels)"
        return Difference(first.name, second.name, [], None, f"not compared row by row: {why}")
    values, replicates = [], []
    before, after = ({score.task.name: score.score for score in source.table.scores()} for source in (first, second))
    for name, item in one.items():
        drawn = resampled_scores(item.task, item.truth, [item.predicted, other[name].predicted], first.table.f1_labels)
        values.append(after[name] - before[name])
        replicates.append(drawn[1] - drawn[0])
    each = [interval_of(value, drawn) for value, drawn in zip(values, replicates)]
    mean = interval_of(float(np.mean(values)), np.mean(replicates, axis=0))
    better = second.name if mean.value > 0 else first.name
    verdict = "no difference shown: the interval holds 0" if mean.holds_zero else f"{better} is better on these rows"
    return Difference(first.name, second.name, each, mean, verdict)


def _run_part(source: Source) -> RunPart:
    scores, each, mean = _intervals(source.table)
    tasks = [_task_part(*part) for part in zip(source.table.tasks, scores, each, strict=True)]
    training = source.training
    charts, seconds, rate = [], None, None
    if training:
        guessing = {item.task.name: math.log(item.task.num_labels) for item in source.table.tasks}
        charts = _charts(training.panels, guessing)
        seconds = _clock(training.seconds) if training.seconds else None
        rates = [value for series in training.panels.get("rows_per_second", {}).values() for value in series.values]
        rate = float(np.median(rates)) if rates else None
    return RunPart(source, training, seconds, rate, charts, tasks, mean)


def _charts(panels: dict[str, Panel], guessing: dict[str, float]) -> list[Chart]:
    """Returns the charts of what changes during training."""
    found = []
    for name, title in TITLES.items():
        panel = panels.get(name, {})
        if has_news(name, panel):
            found.append(curves(title, panel, guessing if name == "loss" else None, name == "score"))
    return found


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _task_part(rows: TaskRows, score: ClassScore, interval: Interval) -> TaskPart:
    labels = _labels(score)
    worst = _worst(rows)
    counts = np.bincount([row.label for row in worst], minlength=rows.task.num_labels)
    named = [rows.task.named(label) for label in rows.task.label_enumerate_values]
    calibration = calibration_of(rows.p_prediction, rows.truth == rows.predicted)
    return TaskPart(
        task=rows.task,
        metric=METRIC_NAMES[rows.task.metric],
        rows=rows,
        interval=interval,
        labels=sorted(labels, key=lambda label: (not label.counted, label.f1)),
        matrix=_matrix(score, labels),
        confusions=largest_confusions(score, 5),
        worst=worst,
        filters=[(place, named[place], int(count)) for place, count in enumerate(counts) if count],
        calibration=calibration,
        diagram=reliability(f"Reliability of {rows.task.name}", calibration),
        mean_loss=float(rows.loss.mean()),
    )


def _labels(score: ClassScore) -> list[Label]:
    task = score.task
    columns = (score.precision, score.recall, score.f1, score.support, score.counted)
    values = zip(task.label_enumerate_values, *(column.tolist() for column in columns), strict=True)
    return [Label(code, task.label_names.get(code, ""), *numbers) for code, *numbers in values]


def _matrix(score: ClassScore, labels: list[Label]) -> list[tuple[Label, list[Cell]]]:
    wrong = score.confusion - np.diag(np.diag(score.confusion))
    most = np.argsort(-(wrong.sum(axis=0) + wrong.sum(axis=1)), kind="stable")[:MOST_LABELS]
    shown = sorted(most.tolist()) if len(labels) > MOST_LABELS else range(len(labels))
    return [
        (
            labels[truth],
            [
                Cell(rows := int(score.confusion[truth, column]), rows / max(1, labels[truth].support), truth == column)
                for column in shown
            ],
        )
        for truth in shown
    ]


def _worst(rows: TaskRows) -> list[Mistake]:
    loss, named = rows.loss, [rows.task.named(label) for label in rows.task.label_enumerate_values]
    return [
        Mistake(
            row_id=rows.about.ids[place],
            texts=[clipped(text, LONGEST_TEXT) for text in rows.about.texts[place]],
            label=int(rows.truth[place]),
            truth=named[rows.truth[place]],
            predicted=named[rows.predicted[place]],
            right=bool(rows.truth[place] == rows.predicted[place]),
            p_label=float(rows.p_label[place]),
            p_prediction=float(rows.p_prediction[place]),
            loss=float(loss[place]),
        )
        for place in np.argsort(-loss, kind="stable")[:WORST_ROWS].tolist()
    ]
