"""What a search within a budget found, as a table: the full lengths, what was dropped where, and the time spent."""

from dataclasses import asdict
from typing import Any

from easytransfer_mtl.comparing.by_seed import More, SeededResults
from easytransfer_mtl.comparing.contest import Contest, Dropped, Found
from easytransfer_mtl.comparing.durations import duration_text
from easytransfer_mtl.comparing.job_trials import JobTrials
from easytransfer_mtl.comparing.report import aligned_left
from easytransfer_mtl.comparing.runs import RunResult
from easytransfer_mtl.comparing.trials import SINGLE, Trial

TUNED = "fixed, tuned"
NOTE = """Dropped: trained for the given fraction of the length, with a learning rate schedule of its own, and worse there
than what went on; what would have come late was not seen. Variants of the table above were chosen by dev scores too, of
short trainings, and the fixed weights by those of the table, which flatters them a little."""


def results_of(found: Found, contest: Contest, trials: JobTrials) -> SeededResults:
    """Returns the results of full length: the reference, the best fixed weights, then the others, the best first."""
    variants: dict[str, dict[int, RunResult]] = {}
    for name, seeds in found.seeds.items():
        if name != SINGLE:
            variants[name] = {seed: trials.results(Trial(name, 1.0, seed))[0] for seed in seeds}
    first = [contest.reference, *([found.tuned] if found.tuned else [])]
    others = sorted((name for name in variants if name not in first), key=lambda name: -_mean(variants[name]))
    single: dict[str, dict[int, float]] = {}
    for seed in found.seeds.get(SINGLE, []):
        for result in trials.results(Trial(SINGLE, 1.0, seed)):
            for task, score in result.scores.items():
                single.setdefault(task, {})[seed] = score
    return SeededResults({_shown(name, found): variants[name] for name in (*first, *others)}, single)


def more_of(found: Found, contest: Contest, left_out: dict[str, str]) -> More:
    """Returns what there is to say beside the table.

    Args:
        found: the result of the search.
        contest: what was searched.
        left_out: variant -> why it was not tried at all.
    """
    spent = sum(found.seconds.values())
    time = [[part, duration_text(seconds)] for part, seconds in found.seconds.items()]
    time.append(["together", f"{duration_text(spent)} of {duration_text(contest.budget)}"])
    texts = [aligned_left([["rung", "length", "dropped", "seeds", "mean", f"{contest.reference} there"], *_lines(found)])]
    if left_out:
        texts.append("".join(f"not tried: {name}: {why}\n" for name, why in left_out.items()))
    texts += [aligned_left([["time", ""], *time]), NOTE]
    if not found.dropped:
        texts = texts[1:]
    values = {
        "budget_seconds": contest.budget,
        "spent_seconds": found.seconds,
        "tuned_fixed_weights": found.tuned,
        "dropped": [asdict(item) for item in found.dropped],
        "not_tried": left_out,
    }
    return More(texts, [_row(item) for item in found.dropped], {"rung": "full length", "length": 1.0}, values)


def _mean(runs: dict[int, RunResult]) -> float:
    scores = [score for run in runs.values() for score in run.scores.values()]
    return sum(scores) / len(scores)


def _shown(name: str, found: Found) -> str:
    return f"{TUNED}: {name.partition(' ')[2].replace('task_weights=', '')}" if name == found.tuned else name


def _lines(found: Found) -> list[list[str]]:
    return [
        [
            str(item.rung),
            f"{item.fraction:g}",
            item.name,
            str(item.seeds or "-"),
            "failed" if item.score is None else f"{item.score:.4f}",
            f"{item.reference:.4f}",
        ]
        for item in found.dropped
    ]


def _row(item: Dropped) -> dict[str, Any]:
    row = {"variant": item.name, "seeds": item.seeds, "mean": item.score, "rung": item.rung, "length": item.fraction}
    if item.score is not None:
        row["difference"] = item.score - item.reference
    return row
