"""Scores of several models and their combined score, as a table and as files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from easytransfer_mtl.evaluation.metrics import TaskScore, mean_score
from easytransfer_mtl.evaluation.reports import score_json, write_reports
from easytransfer_mtl.evaluation.row_table import ROW_FILES, RowTable, write_rows
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
        tables: what each model says of every row, and last what the combination says.
    """

    models: dict[str, list[TaskScore]]
    together: list[TaskScore]
    together_name: str
    tables: list[RowTable]

    @classmethod
    def of(cls, models: list[RowTable], together: RowTable) -> "ModelScores":
        """Scores what the models and their combination say of every row."""
        scores = {table.name: table.scores() for table in models}
        return cls(scores, together.scores(), together.name, [*models, together])

    @property
    def rows(self) -> dict[str, list[TaskScore]]:
        """The table's rows by name: the models, then their combination."""
        return {**self.models, self.together_name: self.together}


def models_text(scores: ModelScores) -> str:
    """Returns the table of the models and, in the last row, their combination."""
    header, *rows = _table(scores)
    return aligned([header, *([name, *map(digits, values)] for name, *values in rows)])


def write_model_scores(folder: Path, scores: ModelScores) -> None:
    """Writes models.txt, .csv and .json to ``folder``, and the combination's tables with ``write_reports``.

    Rows of the combination go to ``folder`` too, those of the models to subfolders, see ``model_files``.
    """
    write_reports(folder, scores.together)
    *models, together = scores.tables
    for number, table in enumerate(models, start=1):
        write_rows(folder / model_folder(number), table)
    write_rows(folder, together)
    write_text(folder / "models.txt", models_text(scores))
    write_text(folder / "models.csv", csv_text(_table(scores)))
    value = [
        {"model": name, "mean": mean_score(group), "scores": [score_json(score) for score in group]}
        for name, group in scores.rows.items()
    ]
    write_json(folder / "models.json", {"models": value})


def model_folder(number: int) -> str:
    """Returns the subfolder for the rows of a model, which are numbered from 1 in the order of the tables."""
    return f"model_{number}"


def model_files(models: int) -> list[str]:
    """Returns the paths of all files with rows that ``write_model_scores`` writes for a number of models."""
    folders = ["", *(f"{model_folder(number)}/" for number in range(1, models + 1))]
    return [f"{folder}{name}" for folder in folders for name in ROW_FILES]


def _table(scores: ModelScores) -> list[list[Any]]:
    table: list[list[Any]] = [["model", *(score.task.name for score in scores.together), "mean"]]
    for name, group in scores.rows.items():
        table.append([name, *(score.score for score in group), mean_score(group)])
    return table
