"""The table of variants that were not all trained with the same seeds: differences are of the seeds that two share."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from easytransfer_mtl.comparing.report import aligned_left, comparison_rows, cost_ratio, rows_csv, table_line
from easytransfer_mtl.comparing.runs import RunResult
from easytransfer_mtl.comparing.statistics import spread
from easytransfer_mtl.files import write_json, write_text

COSTS = {"time": "seconds", "memory": "memory_gb"}
NOTES = """Scores: mean and standard deviation over the seeds, each run's checkpoint of the best mean on the dev rows (the
single-task models': of the best score). Differences: by seed, on the seeds that a variant shares with {reference}, with 95 %
confidence (Student's t); where the margin is not exceeded, or one seed leaves it unknown, these runs do not show that the
two differ. Of many variants one in twenty passes by chance. Time and memory: medians against {reference}."""


@dataclass(frozen=True)
class SeededResults:
    """Results of a comparison.

    Attributes:
        variants: name -> seed -> result, the reference first.
        single: task -> seed -> score of the model that was trained on it alone; may be empty.
    """

    variants: dict[str, dict[int, RunResult]]
    single: dict[str, dict[int, float]] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        """The variant that the others are compared with."""
        return next(iter(self.variants))

    @property
    def alone(self) -> dict[str, list[float]]:
        """The single-task scores without their seeds, as ``comparison_rows`` takes them."""
        return {task: list(scores.values()) for task, scores in self.single.items()}


@dataclass(frozen=True)
class More:
    """What else a comparison has to say.

    Attributes:
        texts: paragraphs of compare.txt, between the table and the notes.
        rows: further rows of compare.csv.
        columns: further columns of the variants' rows there.
        values: further keys of compare.json.
    """

    texts: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    columns: dict[str, Any] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


def seeded_rows(results: SeededResults) -> list[dict[str, Any]]:
    """Returns a row per variant, see ``comparison_rows``; ``pairs`` is the number of seeds that a difference is of.

    A variant that shares no seed with the reference has no difference.
    """
    reference = results.variants[results.reference]
    rows = []
    for name, runs in results.variants.items():
        row = comparison_rows({name: [*runs.values()]}, results.alone)[0]
        shared = [seed for seed in runs if seed in reference]
        if runs is not reference and shared:
            pairs = {results.reference: [reference[seed] for seed in shared], name: [runs[seed] for seed in shared]}
            paired = comparison_rows(pairs, {})[1]
            row |= {key: paired[key] for key in ("difference", "margin", "supported")} | {"pairs": len(shared)}
        # The costs that it has are against itself.
        row |= {key: cost_ratio([*runs.values()], [*reference.values()], cost) for key, cost in COSTS.items()}
        rows.append(row)
    return rows


def seeded_text(rows: list[dict[str, Any]], results: SeededResults) -> str:
    """Returns the table of ``seeded_rows``."""
    tasks, reference, alone = list(rows[0]["tasks"]), rows[0]["variant"], results.alone
    table = [["variant", "seeds", *tasks, "mean", f"against {reference}", "", "delta-m", "time", "memory"]]
    for row in rows:
        name, *cells = table_line(row)
        table.append([name, str(row["seeds"]), *cells])
    if alone:
        scores = [f"{np.mean(alone[task]):.4f} +-{spread(alone[task]):.4f}" for task in tasks]
        mean = np.mean([np.mean(alone[task]) for task in tasks])
        table.append(["single-task models", str(len(alone[tasks[0]])), *scores, f"{mean:.4f}", "", "", "0 %", "", ""])
    return aligned_left(table)


def write_seeded(folder: Path, results: SeededResults, more: More | None = None) -> str:
    """Writes compare.txt, .csv and .json; returns the content of compare.txt."""
    more = more or More()
    rows = seeded_rows(results)
    parts = [seeded_text(rows, results), *more.texts, NOTES.format(reference=results.reference)]
    text = "\n".join(f"{part.rstrip()}\n" for part in parts)
    runs = {name: {str(seed): asdict(run) for seed, run in of.items()} for name, of in results.variants.items()}
    single = {task: {str(seed): score for seed, score in scores.items()} for task, scores in results.single.items()}
    write_text(folder / "compare.txt", text)
    write_text(folder / "compare.csv", rows_csv([*({**row, **more.columns} for row in rows), *more.rows]))
    write_json(folder / "compare.json", {"variants": rows, "single_task": single, "runs": runs, **more.values})
    return text
