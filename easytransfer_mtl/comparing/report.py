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

Results = dict[str, list[RunResult]]


def comparison_rows(results: Results, single: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Returns a row per variant, differences and costs against the first.

    Args:
        results: variant -> a result a seed.
        single: task -> the single-task models' scores, one a seed; may be empty.
    """
    first = next(iter(results.values()))
    reference = [_mean(result) for result in first]
    alone = {task: float(np.mean(scores)) for task, scores in single.items()}
    rows = []
    for name, runs in results.items():
        means = [_mean(result) for result in runs]
        tasks = {task: [run.scores[task] for run in runs] for task in runs[0].scores}
        row: dict[str, Any] = {"variant": name, "seeds": len(runs), "mean": float(np.mean(means)), "spread": spread(means)}
        for task, scores in tasks.items():
            row |= {task: float(np.mean(scores)), f"{task} spread": spread(scores)}
        difference = paired_difference(means, reference)
        if runs is not first:
            row |= {"difference": difference.mean, "margin": difference.margin, "supported": difference.supported}
        if alone:
            row["delta_m"] = delta_m({task: float(np.mean(scores)) for task, scores in tasks.items()}, alone)
        row |= {"time": _ratio(runs, first, "seconds"), "memory": _ratio(runs, first, "memory_gb")}
        rows.append(row)
    return rows


def _mean(result: RunResult) -> float:
    return float(np.mean(list(result.scores.values())))


def _ratio(runs: list[RunResult], first: list[RunResult], name: str) -> float | None:
    """Returns the ratio of medians; None where a time is unknown."""
    values, reference = ([getattr(run, name) for run in part if getattr(run, name) is not None] for part in (runs, first))
    return float(np.median(values) / np.median(reference)) if values and reference else None


def comparison_text(rows: list[dict[str, Any]], tasks: list[str], single: dict[str, list[float]]) -> str:
    """Returns the table with what it does not show said below it."""
    reference = rows[0]["variant"]
    table = [["variant", *tasks, "mean", f"against {reference}", "", "delta-m", "time", "memory"]]
    for row in rows:
        scores = [f"{row[task]:.4f} +-{row[f'{task} spread']:.4f}" for task in tasks]
        versus, mark = "", ""
        if "difference" in row:
            versus = f"{row['difference']:+.4f} +-{row['margin']:.4f}"
            mark = "" if row["supported"] else "not supported"
        gain = f"{row['delta_m']:+.2f} %" if "delta_m" in row else "-"
        costs = [f"{row[name]:.2f}x" if row[name] else "-" for name in ("time", "memory")]
        table.append([row["variant"], *scores, f"{row['mean']:.4f} +-{row['spread']:.4f}", versus, mark, gain, *costs])
    if single:
        alone = [f"{np.mean(single[task]):.4f} +-{spread(single[task]):.4f}" for task in tasks]
        mean = np.mean([np.mean(single[task]) for task in tasks])
        table.append(["single-task models", *alone, f"{mean:.4f}", "", "", "0 %", "", ""])
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in table]
    seeds = rows[0]["seeds"]
    lines += [
        "",
        f"Scores: mean and standard deviation over {seeds} seed{'s' if seeds > 1 else ''}, each run's best checkpoint",
    ]
    lines += [
        "on the dev rows. Differences: by seed, with 95 % confidence (Student's t); a difference that its margin does not"
    ]
    lines += [
        "exceed is marked: these runs do not show that the two differ. Time and memory: medians against " + reference + "."
    ]
    return "\n".join(lines) + "\n"


def write_comparison(folder: Path, results: Results, single: dict[str, list[float]]) -> str:
    """Writes compare.txt, .csv and .json; returns the text."""
    rows = comparison_rows(results, single)
    tasks = list(next(iter(results.values()))[0].scores)
    text = comparison_text(rows, tasks, single)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / "compare.txt", text)
    write_text(folder / "compare.csv", stream.getvalue())
    runs = {name: [asdict(run) for run in group] for name, group in results.items()}
    write_json(folder / "compare.json", {"variants": rows, "single_task": single, "runs": runs})
    return text
