"""The table of a comparison, as text, CSV and JSON."""

import csv
import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from easytransfer_mtl.comparing.runs import RunResult
from easytransfer_mtl.comparing.statistics import delta_m, paired_difference, spread
from easytransfer_mtl.files import write_json, write_text

TABLES = ("compare.txt", "compare.csv", "compare.json")
NOTES = """Scores: mean and standard deviation over {seeds}, each run's checkpoint of the best mean on the dev rows (the
single-task models': of the best score). Differences: by seed, with 95 % confidence (Student's t); where the margin is
not exceeded these runs do not show that the two differ. Of many variants one in twenty passes by chance.
Time and memory: medians against {reference}."""
Results = dict[str, list[RunResult]]


def comparison_rows(results: Results, single: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Returns a row per variant, with differences and costs relative to the first variant.

    Args:
        results: variant -> one result per seed.
        single: task -> scores of the single-task models, one per seed; may be empty.
    """
    first = next(iter(results.values()))
    reference = [_mean(result) for result in first]
    alone = {task: float(np.mean(scores)) for task, scores in single.items()}
    rows = []
    for name, runs in results.items():
        means = [_mean(result) for result in runs]
        tasks = {task: [run.scores[task] for run in runs] for task in runs[0].scores}
        row: dict[str, Any] = {"variant": name, "seeds": len(runs), "mean": float(np.mean(means)), "spread": spread(means)}
        row["tasks"] = {task: {"mean": float(np.mean(scores)), "spread": spread(scores)} for task, scores in tasks.items()}
        if runs is not first:
            difference = paired_difference(means, reference)
            row |= {"difference": difference.mean, "margin": difference.margin, "supported": difference.supported}
        if alone and min(alone.values()) > 0:  # a share of nothing, or of a negative correlation, says nothing
            row["delta_m"] = delta_m({task: value["mean"] for task, value in row["tasks"].items()}, alone)
        row |= {"time": cost_ratio(runs, first, "seconds"), "memory": cost_ratio(runs, first, "memory_gb")}
        rows.append(row)
    return rows


def _mean(result: RunResult) -> float:
    return float(np.mean(list(result.scores.values())))


def cost_ratio(runs: list[RunResult], first: list[RunResult], name: str) -> float | None:
    """Returns the ratio of the medians of ``seconds`` or ``memory_gb``; None if a cost is unknown."""
    values, reference = ([getattr(run, name) for run in part if getattr(run, name) is not None] for part in (runs, first))
    return float(np.median(values) / np.median(reference)) if values and reference else None


def comparison_text(rows: list[dict[str, Any]], single: dict[str, list[float]]) -> str:
    """Returns the table, followed by notes on what it does not show."""
    tasks, reference, seeds = list(rows[0]["tasks"]), rows[0]["variant"], rows[0]["seeds"]
    table = [["variant", *tasks, "mean", f"against {reference}", "", "delta-m", "time", "memory"]]
    table += [table_line(row) for row in rows]
    if single:
        alone = [_shown(float(np.mean(single[task])), spread(single[task])) for task in tasks]
        mean = np.mean([np.mean(single[task]) for task in tasks])
        table.append(["single-task models", *alone, f"{mean:.4f}", "", "", "0 %", "", ""])
    notes = NOTES.format(seeds=f"{seeds} seed{'s' if seeds > 1 else ''}", reference=reference)
    return "\n".join([aligned_left(table), notes]) + "\n"


def aligned_left(table: list[list[str]]) -> str:
    """Returns the table as lines, every column left-aligned."""
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    return "".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() + "\n" for line in table)


def table_line(row: dict[str, Any]) -> list[str]:
    """Returns a row as the cells of the text table."""
    scores = [_shown(value["mean"], value["spread"]) for value in row["tasks"].values()]
    versus, mark = "", ""
    if "difference" in row:
        margin = "" if row["margin"] is None else f" +-{row['margin']:.4f}"
        versus, mark = f"{row['difference']:+.4f}{margin}", "" if row["supported"] else "not supported"
    gain = f"{row['delta_m']:+.2f} %" if "delta_m" in row else "-"
    costs = [f"{row[name]:.2f}x" if row[name] else "-" for name in ("time", "memory")]
    return [row["variant"], *scores, _shown(row["mean"], row["spread"]), versus, mark, gain, *costs]


def _shown(mean: float, deviation: float) -> str:
    return f"{mean:.4f} +-{deviation:.4f}"


def rows_csv(rows: list[dict[str, Any]]) -> str:
    """Returns the rows as CSV, with two columns for each task."""
    flat = [
        {key: value for key, value in row.items() if key != "tasks"}
        | {f"{task} {part}": value for task, values in row.get("tasks", {}).items() for part, value in values.items()}
        for row in rows
    ]
    columns = list(dict.fromkeys(name for row in flat for name in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return stream.getvalue()


def write_comparison(folder: Path, results: Results, single: dict[str, list[float]]) -> str:
    """Writes compare.txt, .csv and .json; returns the content of compare.txt."""
    rows = comparison_rows(results, single)
    text = comparison_text(rows, single)
    write_text(folder / "compare.txt", text)
    write_text(folder / "compare.csv", rows_csv(rows))
    runs = {name: [asdict(run) for run in group] for name, group in results.items()}
    write_json(folder / "compare.json", {"variants": rows, "single_task": single, "runs": runs})
    return text
