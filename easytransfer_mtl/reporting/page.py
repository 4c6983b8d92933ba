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
from easytransfer_mtl.evaluation.metrics import ClassScore, LabelScore, TaskScore, mean_score
from easytransfer_mtl.evaluation.row_table import RowTable, TaskRows
from easytransfer_mtl.evaluation.run_metrics import Panel, has_news
from easytransfer_mtl.reporting.bootstrap import REPLICATES, Interval, interval_of, resampled_scores
from easytransfer_mtl.reporting.charts import Chart, curves
from easytransfer_mtl.reporting.class_figures import ClassFigures, class_figures
from easytransfer_mtl.reporting.entities import VERDICTS
from easytransfer_mtl.reporting.number_figures import NumberFigures, number_figures
from easytransfer_mtl.reporting.row_list import LONGEST_TEXT
from easytransfer_mtl.reporting.set_figures import SetFigures, set_figures
from easytransfer_mtl.reporting.sources import Source, Training, same_rows
from easytransfer_mtl.reporting.tag_figures import TagFigures, tag_figures
from easytransfer_mtl.tasks import METRIC_NAMES, MULTI_LABEL, SCORE, TAGS, Task

TITLES = {
    "loss": "Training loss (dotted: guessing)",
    "score": "Score on the dev rows",
    "learning_rate": "Learning rate",
    "weight": "Weight in the objective",
    "grad_share": "Share of the weighted gradient norms",
    "cosine": "Cosine of the task gradients",
}


@dataclass(frozen=True)
class TaskPart:
    """One task's part of a run's section: its score, the other metrics, and the figures of its type."""

    task: Task
    metric: str
    rows: TaskRows
    interval: Interval
    others: list[tuple[str, float]]
    mean_loss: float
    figures: ClassFigures | SetFigures | NumberFigures | TagFigures


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
    every = [(entry, _Scored.of(entry.table)) for source in sources for entry in (source, *source.members)]
    together = len(every) > 1
    scored = {id(entry): scores for entry, scores in every}
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
        verdicts=VERDICTS,
        scores=[_score_line(*entry, names, id(entry[0]) in members) for entry in every] if together else [],
        differences=[_difference(*((part, scored[id(part)]) for part in pair)) for pair in _pairs(sources)],
        runs=[_run_part(source, scored[id(source)]) for source in sources],
    )


def _pairs(sources: Sequence[Source]) -> list[tuple[Source, Source]]:
    """Returns what to compare: every two of the given ones, and each average with its models."""
    pairs = list(itertools.combinations(sources, 2))
    return pairs + [(source, member) for source in sources for member in source.members]


@dataclass(frozen=True)
class _Scored:
    """A model's scores by task, and those of the resampled rows, [B]."""

    scores: dict[str, TaskScore]
    replicates: dict[str, np.ndarray]

    @classmethod
    def of(cls, table: RowTable) -> "_Scored":
        scores = {score.task.name: score for score in table.scores()}
        return cls(scores, {item.task.name: resampled_scores(item, table.f1_labels) for item in table.tasks})

    def interval(self, name: str) -> Interval:
        return interval_of(self.scores[name].score, self.replicates[name])

    @property
    def mean(self) -> Interval:
        return interval_of(mean_score([*self.scores.values()]), np.mean([*self.replicates.values()], axis=0))


def _score_line(source: Source, scored: _Scored, names: list[str], is_member: bool) -> ScoreLine:
    path = source.table.name if is_member else str(source.path)
    each = [scored.interval(name) if name in scored.scores else None for name in names]
    return ScoreLine(source.name, path, is_member, each, scored.mean)


def _difference(first: tuple[Source, _Scored], second: tuple[Source, _Scored]) -> Difference:
    """Compares two models by the paired bootstrap; the second's score minus the first's."""
    (source, before), (other_source, after) = first, second
    names = (source.name, other_source.name)
    one, other = ({item.task.name: item for item in part.table.tasks} for part in (source, other_source))
    if one.keys() != other.keys():
        return Difference(*names, [], None, "not compared: they have different tasks")
    unlike = [name for name in one if not same_rows(one[name], other[name])]
    if unlike or source.table.f1_labels != other_source.table.f1_labels:
        why = f"other dev rows or labels of {', '.join(unlike)}" if unlike else "macro-F1 is over other labels (f1_labels)"
        return Difference(*names, [], None, f"not compared row by row: {why}")
    values = [after.scores[name].score - before.scores[name].score for name in one]
    replicates = [after.replicates[name] - before.replicates[name] for name in one]
    each = [interval_of(value, drawn) for value, drawn in zip(values, replicates)]
    mean = interval_of(float(np.mean(values)), np.mean(replicates, axis=0))
    better = names[mean.value > 0]
    verdict = "no difference shown: the interval holds 0" if mean.holds_zero else f"{better} is better on these rows"
    return Difference(*names, each, mean, verdict)


def _run_part(source: Source, scored: _Scored) -> RunPart:
    tasks = [_task_part(item, scored) for item in source.table.tasks]
    training = source.training
    charts, seconds, rate = [], None, None
    if training:
        guessing = {item.task.name: _guessing(item.task) for item in source.table.tasks if item.task.type != SCORE}
        charts = _charts(training.panels, guessing)
        seconds = _clock(training.seconds) if training.seconds else None
        rates = [value for series in training.panels.get("rows_per_second", {}).values() for value in series.values]
        rate = float(np.median(rates)) if rates else None
    return RunPart(source, training, seconds, rate, charts, tasks, scored.mean)


def _guessing(task: Task) -> float:
    """Returns the loss of guessing every label with the same probability."""
    return math.log(2 if task.type == MULTI_LABEL else task.num_labels)


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


def _task_part(rows: TaskRows, scored: _Scored) -> TaskPart:
    score = scored.scores[rows.task.name]
    return TaskPart(
        task=rows.task,
        metric=METRIC_NAMES[rows.task.metric],
        rows=rows,
        interval=scored.interval(rows.task.name),
        others=[(METRIC_NAMES[name], value) for name, value in score.values.items() if name != rows.task.metric],
        mean_loss=float(rows.loss.mean()),
        figures=_figures(rows, score),
    )


def _figures(rows: TaskRows, score: TaskScore) -> ClassFigures | SetFigures | NumberFigures | TagFigures:
    if isinstance(score, ClassScore):
        return class_figures(rows, score)
    if isinstance(score, LabelScore):
        return tag_figures(rows, score) if rows.task.type == TAGS else set_figures(rows, score)
    return number_figures(rows)
