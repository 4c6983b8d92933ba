"""Scores of several models and their combined score, as a table and as files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from easytransfer_mtl.evaluation.metrics import TaskScore, mean_score
from easytransfer_mtl.evaluation.reports import score_json, write_reports
from easytransfer_mtl.evaluation.tables import aligned, csv_text, digits
from easytransfer_mtl.files import write_json, write_text

MODELS = ("models.txt", "models.csv", "models.json")


@dataclass(frozen=True)
class ModelScores:
    """Scores of several models; every list has one score per task, for the same tasks.

    Attributes:
        models: model name -> its scores.
        together: scores of all models combined.
        together_name: name of the combination in tables: ``average`` or ``all folds``.
    """

    models: dict[str, list[TaskScore]]
    together: list[TaskScore]
    together_name: str

    @property
    def rows(self) -> dict[str, list[TaskScore]]:
        """The table's rows by name: the models, then their combination."""
        return {**self.models, self.together_name: self.together}


def models_text(scores: ModelScores) -> str:
    """Returns the table of the models and, in the last row, their combination."""
    header, *rows = _table(scores)
    return aligned([header, *([name, *map(digits, values)] for name, *values in rows)])


def write_model_scores(folder: Path, scores: ModelScores) -> None:
    """Writes models.txt, .csv and .json to ``folder``, and the combination's tables with ``write_reports``."""
    write_reports(folder, scores.together)
    write_text(folder / "models.txt", models_text(scores))
    write_text(folder / "models.csv", csv_text(_table(scores)))
    value = [
        {"model": name, "mean": mean_score(group), "scores": [score_json(score) for score in group]}
        for name, group in scores.rows.items()
    ]
    write_json(folder / "models.json", {"models": value})


def _table(scores: ModelScores) -> list[list[Any]]:
    table: list[list[Any]] = [["model", *(score.task.name for score in scores.together), "mean"]]
    for name, group in scores.rows.items():
        table.append([name, *(score.score for score in group), mean_score(group)])
    return table
