"""Successive halving (Jamieson and Talwalkar 2016, arXiv:1502.07943) of variants within a budget of time.

As in the paper every rung gets an equal part of the time, and the better half goes on; or a smaller part, as in Hyperband
(Li et al. 2018, arXiv:1603.06560), where halves would leave the first rung less time for training than for starting.
Departures: a rung trains anew for a fraction of the length, with a learning rate schedule of its own, since a schedule that
was planned for the whole length says little in its first part; the time of the last rung, which is of the full length, is
set aside first; seeds are added where variants are near the cut; and the plain sum and the best fixed weights go on
whatever they score.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from math import ceil
from typing import Any

from easytransfer_mtl.comparing.contest import Contest, Dropped, Found
from easytransfer_mtl.comparing.costs import UNKNOWN, Costs, makespan
from easytransfer_mtl.comparing.decisions import Decisions
from easytransfer_mtl.comparing.durations import duration_text
from easytransfer_mtl.comparing.ledger import Ledger
from easytransfer_mtl.comparing.trials import (
    SINGLE,
    Outcome,
    RunTrials,
    Scores,
    Trial,
    mean_of,
    near_the_cut,
    pooled_spread,
    ranked,
)
from easytransfer_mtl.errors import UserError

PARTS = 64
"""Lengths are multiples of a 64th of the whole one."""
SHORTEST = 1 / 16
MEASURED = (1 / 4, 1 / 8, 3 / 16, 3 / 32, 5 / 32)
"""Lengths that the reference is measured at: the first two, far apart since starts differ by seconds; the others if one of
these was interrupted."""
FINALISTS = 4
"""The rungs end with at most so many."""
FACTORS = (2, 3, 4, 8, 16)
"""One of so many variants goes on after a rung: half of them, or fewer after fewer rungs, which each have more time then."""
NO_ACCIDENT = 4
"""So many trainings that all fail do so for a reason that is not theirs, such as a full disk; the search stops then."""
FIRST_SEEDS = 0.75
"""Share of a rung's time for the first seed of all; the rest is for further seeds."""
SECOND, FURTHER = 0.8, 0.6
"""Largest share of the time that is set aside for the full length with two seeds, without which there is no margin, and with
more."""


class Halving:
    """One search; ``search`` runs it or goes on with it."""

    def __init__(self, contest: Contest, run: RunTrials, decisions: Decisions) -> None:
        """Takes what is searched, what runs trials, and the decisions so far."""
        self._contest, self._run_trials, self._decisions = contest, run, decisions
        self._costs = Costs(contest.reference)
        self._time = Ledger(contest, self._costs)
        self._scores: dict[float, Scores] = {}
        self._dropped: list[Dropped] = []
        self._failures: list[str] = []
        self._last: tuple[int, float] | None = None

    def search(self) -> Found:
        """Runs the rungs and the trainings of full length.

        Raises:
            UserError: the budget is too short (told after the reference was measured), or the reference cannot be trained.
        """
        self._measure()
        left = list(self._contest.names)
        self._check_budget()
        sizes = rung_sizes(len(left), self._take("one goes on of", _is_factor, self._factor))
        for number, keep in enumerate(sizes, 1):
            length = self._take(
                f"rung {number} length", _is_length, partial(self._length, left, len(sizes) - number + 1, number)
            )
            if length is None:
                left = self._without_lowest(left, FINALISTS)
                break
            left = self._rung(number, length["fraction"], length["seconds"], left, keep)
        return self._final(left)

    def _measure(self) -> None:
        reference, seed, pair = self._contest.reference, self._contest.seeds[0], 2
        # It compiles what all others find, so that its time says nothing of theirs.
        self._run("first training", [Trial(reference, SHORTEST, seed)], is_typical=False)
        # Side by side, as those after them, which take longer where they share the cores.
        for fractions in (MEASURED[:pair], *[[fraction] for fraction in MEASURED[pair:]]):
            if not self._costs.known:
                self._run("measuring", [Trial(reference, fraction, seed) for fraction in fractions])
        if not self._costs.known:
            raise UserError(f"{self._decisions.path.parent}: every short training was interrupted; use another --model_dir.")

    def _check_budget(self) -> None:
        shortest = rung_sizes(len(self._contest.names), FACTORS[-1])
        needed = self._time.spent + self._rungs_at_least(shortest) + self._reserve(1)
        if self._decisions.made("rung 1 length") or self._decisions.made("final variants") or needed <= self._contest.budget:
            return
        whole = self._costs.of(self._contest.reference, 1)
        raise UserError(
            f"--budget: {duration_text(self._contest.budget)} is too short: a training of {self._contest.reference} takes "
            f"about {duration_text(whole)}; short trainings of {len(self._contest.names)} variants and, at full length, the "
            f"best of them, the plain sum, fixed weights and single-task models take {duration_text(needed)}. Give that, "
            "fewer --variants, or a lower --num_epochs; what is finished is kept."
        )

    def _factor(self) -> int:
        """Returns the smallest factor with which the first rung trains for as long as it starts, or, if there is none, the
        one with the longest first rung."""
        names, fractions = self._contest.names, dict.fromkeys(FACTORS, 0.0)
        for factor in FACTORS:
            first = self._length(names, len(rung_sizes(len(names), factor)), 1) if len(names) > FINALISTS else None
            fractions[factor] = first["fraction"] if first else 1.0
            if self._costs.of(self._contest.reference, fractions[factor]) >= 2 * self._costs.start:
                return factor
        return max(FACTORS, key=fractions.__getitem__)

    def _rungs_at_least(self, sizes: list[int]) -> float:
        entering = [len(self._contest.names), *sizes][: len(sizes)]
        one = self._costs.of(self._contest.reference, SHORTEST) * UNKNOWN
        return sum(makespan([one] * size, self._contest.jobs) for size in entering)

    def _reserve(self, num_seeds: int, names: Sequence[str] | None = None) -> float:
        """Returns the time to set aside for the full length: of ``names``, or of as many as can be left by then."""
        reference, fixed = self._contest.reference, self._contest.fixed
        if names is None and len(self._contest.names) <= FINALISTS:
            names = self._contest.names
        if names is None:
            others = [self._costs.of(name, 1) for name in self._contest.names]
            whole = [sum(others) / len(others)] * min(FINALISTS, len(others) - 1)
            # A finalist may be the best of the fixed weights, but need not.
            whole += [self._costs.of(name, 1) for name in (reference, *fixed[:1])]
        else:
            whole = [self._costs.of(name, 1) for name in names]
        return num_seeds * (makespan(whole, self._contest.jobs) + self._time.of_single)

    def _length(self, names: list[str], rungs_left: int, number: int) -> dict[str, float] | None:
        """Returns a rung's length, and its time with that of further seeds; None if the time is better kept for the end."""
        contest, time = self._contest, self._time.left
        rest = self._rungs_at_least([len(names)] * (rungs_left - 1)) if number == 1 else 0.0
        shares = [1.0, SECOND, *[FURTHER] * len(contest.seeds)][: len(contest.seeds)]
        fits = [n for n, share in enumerate(shares, 1) if self._reserve(n) + rest <= share * time]
        seconds = (time - self._reserve(max(fits, default=1))) / rungs_left
        first = seconds * (FIRST_SEEDS if len(contest.seeds) > 1 else 1.0)
        longest = number / (number + rungs_left)  # leaves room for the rungs after it to be longer
        before = self._last[1] if self._last else 0.0
        lengths = [part / PARTS for part in range(round(SHORTEST * PARTS), PARTS) if before < part / PARTS <= longest]
        affordable = [
            fraction
            for fraction in lengths
            if makespan([self._costs.of(name, fraction) for name in names], contest.jobs) <= first
        ]
        if affordable or number == 1:
            return {"fraction": max(affordable, default=SHORTEST), "seconds": seconds}
        return None

    def _rung(self, number: int, fraction: float, seconds: float, names: list[str], keep: int) -> list[str]:
        title, seeds, before = f"rung {number}", self._contest.seeds, self._time.spent
        decided = self._decisions.made(f"{title} cut")
        failed: dict[str, str] = {**decided["failed"]} if decided and self._is_cut(decided) else {}
        what = f"{title}: {fraction:g} of the length"
        self._run(what, [Trial(name, fraction, seeds[0]) for name in names if name not in failed], failed)
        scores = self._scores[fraction]
        for turn in count(1):
            time = seconds - (self._time.spent - before)
            decide = partial(self._further_seeds, scores, keep, fraction, time)
            chosen = self._take(f"{title} seeds {turn}", self._are_names, decide)
            if not chosen:
                break
            trials = [Trial(name, fraction, seeds[len(scores[name])]) for name in chosen if name not in failed]
            self._run(f"{what}, a further seed where it is close", trials, failed)
            if any(name in failed for name in chosen):
                scores = self._scores[fraction] = {name: of for name, of in scores.items() if name not in failed}
        cut = self._take(f"{title} cut", self._is_cut, partial(self._cut, scores, keep, failed))
        reference = mean_of(scores[self._contest.reference])
        for name in [name for name in names if name not in cut["kept"]]:
            seen = scores.get(name)
            score, size = (mean_of(seen), len(seen)) if seen and name not in failed else (None, 0)
            self._dropped.append(Dropped(name, number, fraction, score, size, reference, failed.get(name, "")))
        self._last = number, fraction
        logging.info("%s: %d of %d go on: %s", title, len(cut["kept"]), len(names), ", ".join(cut["kept"]))
        return [name for name in names if name in cut["kept"]]

    def _further_seeds(self, scores: Scores, keep: int, fraction: float, seconds: float) -> list[str]:
        return self._affordable(near_the_cut(scores, keep, len(self._contest.seeds)), fraction, seconds)

    def _affordable(self, names: list[str], fraction: float, seconds: float) -> list[str]:
        """Returns the first of the variants, as many as can be trained in the time."""
        chosen: list[str] = []
        for name in names:
            if makespan([self._costs.of(other, fraction) for other in (*chosen, name)], self._contest.jobs) > seconds:
                break
            chosen.append(name)
        return chosen

    def _cut(self, scores: Scores, keep: int, failed: dict[str, str]) -> dict[str, Any]:
        kept = {*ranked(scores)[:keep], *self._always(scores)}
        return {
            "kept": [name for name in scores if name in kept],
            "scores": {name: mean_of(values) for name, values in scores.items()},
            "spread": pooled_spread(scores),
            "failed": failed,
        }

    def _always(self, scores: Scores) -> list[str]:
        """Returns the variants that go on whatever they score: the reference and the best of the fixed weights."""
        fixed = [name for name in ranked(scores) if name in self._contest.fixed]
        return [self._contest.reference, *fixed[:1]]

    def _without_lowest(self, names: list[str], keep: int) -> list[str]:
        """Drops variants by the last rung, down to ``keep`` beside those that go on in any case."""
        if self._last is None:
            return names
        number, fraction = self._last
        scores = {name: self._scores[fraction][name] for name in names}
        always = self._always(scores)
        kept = {*always, *[name for name in ranked(scores) if name not in always][:keep]}
        reference = mean_of(scores[self._contest.reference])
        for name in names:
            if name not in kept:
                self._dropped.append(Dropped(name, number, fraction, mean_of(scores[name]), len(scores[name]), reference))
        return [name for name in names if name in kept]

    def _final(self, names: list[str]) -> Found:
        finalists = self._without_lowest(names, self._take("final variants", _is_count, partial(self._num_others, names)))
        done: dict[str, list[int]] = {name: [] for name in (*finalists, SINGLE)}
        failed: dict[str, str] = {}
        for place, seed in enumerate(self._contest.seeds):
            full = [name for name, seeds in done.items() if len(seeds) == place and name not in failed]
            chosen = self._take(f"final seed {seed}", self._are_names, partial(self._with_seed, full, place))
            if not chosen:
                break
            trials = [Trial(name, 1.0, seed) for name in chosen if name in full]
            self._run(f"full length, seed {place + 1} of {len(self._contest.seeds)}", trials, failed)
            for name in (trial.name for trial in trials):
                if name not in failed:
                    done[name].append(seed)
        scores = self._scores[1.0]
        shown = {name: seeds for name, seeds in done.items() if seeds}
        fixed = [name for name in ranked(scores) if name in self._contest.fixed and name in shown]
        number = self._last[0] + 1 if self._last else 1
        reference = mean_of(scores[self._contest.reference])
        self._dropped += [
            Dropped(name, number, 1.0, None, 0, reference, failed[name]) for name in finalists if name not in shown
        ]
        return Found(shown, next(iter(fixed), None), self._dropped, self._time.by_part, self._failures)

    def _num_others(self, names: list[str]) -> int:
        """Returns how many variants besides those that go on in any case can be trained at full length, at least one."""
        if self._last is None:
            return len(names)
        scores = {name: self._scores[self._last[1]][name] for name in names}
        always = self._always(scores)
        others = [name for name in ranked(scores) if name not in always]
        time = self._time.left
        fits = [size for size in range(1, len(others) + 1) if self._reserve(1, [*always, *others[:size]]) <= time]
        return max(fits, default=1)

    def _with_seed(self, names: list[str], place: int) -> list[str]:
        """Returns what is trained with the next seed: everything, or what is near the reference, as the time allows."""
        reference, time = self._contest.reference, self._time.left
        variants = [name for name in names if name != SINGLE]
        if place == 0 or self._reserve(1, variants) <= time:
            return names
        scores = {name: self._scores[1.0][name] for name in variants}
        spread, zero = pooled_spread(scores), mean_of(scores.get(reference, {0: 0.0}))
        distances = {name: abs(mean_of(scores[name]) - zero) for name in variants if name != reference}
        near = sorted((name for name in distances if spread is None or distances[name] <= spread), key=distances.__getitem__)
        chosen = self._affordable([reference, *near], 1.0, time)
        return chosen if reference in names and len(chosen) > 1 else []

    def _run(self, what: str, trials: list[Trial], failed: dict[str, str] | None = None, is_typical: bool = True) -> None:
        """Runs trials that were not run yet, and keeps scores and seconds; ``failed`` gets what failed, and why.

        ``is_typical`` is as in ``Ledger.add``.
        """
        trials = [trial for trial in trials if trial.seed not in self._scores.get(trial.fraction, {}).get(trial.name, {})]
        if not trials:
            return
        left, about = duration_text(self._time.left), ""
        if self._costs.known:
            seconds = [self._time.expected(trial) for trial in trials]
            about = f", about {duration_text(makespan(seconds, self._contest.jobs))}"
        logging.info(
            "%s: %d trainings%s; %s of %s left", what, len(trials), about, left, duration_text(self._contest.budget)
        )
        outcomes = self._run_trials(trials, what)
        good = {trial: found for trial, found in outcomes.items() if isinstance(found, Outcome)}
        wrong = {trial: found for trial, found in outcomes.items() if isinstance(found, str)}
        self._failures += wrong.values()
        everything = len(wrong) >= NO_ACCIDENT and not good
        if everything or any(trial.name == self._contest.reference for trial in wrong):
            raise UserError(next(iter(wrong.values())))
        if failed is not None:
            failed.update({trial.name: problem for trial, problem in wrong.items()})
        for trial, found in good.items():
            self._scores.setdefault(trial.fraction, {}).setdefault(trial.name, {})[trial.seed] = found.score
        self._time.add(what.partition(",")[0], good, is_typical)

    def _take(self, name: str, fits: Callable[[Any], bool], decide: Callable[[], Any]) -> Any:
        """Returns a decision, which was perhaps read from a file."""
        found = self._decisions.take(name, decide)
        if not fits(found):
            raise self._decisions.damaged(name)
        return found

    def _are_names(self, value: Any) -> bool:
        known = (*self._contest.names, SINGLE)
        return isinstance(value, list) and all(isinstance(name, str) and name in known for name in value)

    def _is_cut(self, value: Any) -> bool:
        if not isinstance(value, dict) or not isinstance(value.get("failed"), dict):
            return False
        return self._are_names(value.get("kept")) and self._contest.reference in value["kept"]


def _is_length(value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, dict) or not all(type(value.get(key)) in (int, float) for key in ("fraction", "seconds")):
        return False
    return bool(0 < value["fraction"] < 1)


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


def _is_factor(value: Any) -> bool:
    return type(value) is int and value in FACTORS


def rung_sizes(num_variants: int, factor: int) -> list[int]:
    """Returns how many variants go on after each rung: one of ``factor`` each time, until ``FINALISTS`` are left."""
    sizes = []
    while num_variants > FINALISTS:
        num_variants = max(FINALISTS, ceil(num_variants / factor))
        sizes.append(num_variants)
    return sizes
