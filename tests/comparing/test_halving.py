"""Successive halving within a budget: lengths, cuts, seeds and going on after a stop, with a runner that trains nothing."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from easytransfer_mtl.comparing import halving
from easytransfer_mtl.comparing.contest import Contest, Found
from easytransfer_mtl.comparing.costs import Costs, makespan
from easytransfer_mtl.comparing.decisions import Decisions
from easytransfer_mtl.comparing.durations import duration_text, parse_duration
from easytransfer_mtl.comparing.halving import SHORTEST, Halving, rung_sizes
from easytransfer_mtl.comparing.trials import SINGLE, Outcome, Trial, near_the_cut, pooled_spread
from easytransfer_mtl.errors import UserError

START, RATE = 10.0, 100.0
"""Seconds of a training: its start, and those of the whole length."""
NAMES = ["equal", "fixed a", "fixed b", *(f"m{number}" for number in range(1, 14))]


class Killed(Exception):
    """Stands for kill -9."""


class Runner:
    """Takes scores and seconds from functions; what it has run once is finished, as a folder with a result is."""

    def __init__(
        self, score: Callable[[Trial], float], slow: Callable[[str], float] = lambda name: 1.0, start: float = START
    ) -> None:
        self.score, self.slow, self.start = score, slow, start
        self.finished: dict[Trial, Outcome] = {}
        self.started: list[Trial] = []
        self.kill_after: int | None = None
        self.broken: set[str] = set()
        self.interrupted: set[Trial] = set()

    def __call__(self, trials: list[Trial], what: str) -> dict[Trial, Outcome | str]:
        found: dict[Trial, Outcome | str] = {}
        for trial in trials:
            if trial.name in self.broken:
                found[trial] = f"{trial.name} failed"
                continue
            if trial not in self.finished:
                if len(self.started) == self.kill_after:
                    raise Killed
                self.started.append(trial)
                seconds = (self.start + RATE * trial.fraction) * self.slow(trial.name)
                self.finished[trial] = Outcome(self.score(trial), None if trial in self.interrupted else seconds)
            found[trial] = self.finished[trial]
        return found

    @property
    def seconds(self) -> float:
        return sum(outcome.seconds or 0 for outcome in self.finished.values())


def quality(trial: Trial) -> float:
    """m13 is the best, the plain sum and the fixed weights are the worst; seeds differ by less than variants do."""
    return 0.5 + 0.01 * NAMES.index(trial.name) + 0.001 * trial.seed if trial.name != SINGLE else 0.4


def contest(budget: float = 4500.0, jobs: int = 1, names: list[str] = NAMES) -> Contest:
    return Contest(names, [name for name in names if name.startswith("fixed")], 3, [1, 2, 3], budget, jobs)


def search(folder: Path, runner: Runner, of: Contest | None = None) -> Found:
    of = of or contest()
    return Halving(of, runner, Decisions(folder / "budget.json", {"variants": of.names, "budget": of.budget})).search()


def test_times_are_read_and_written() -> None:
    given = {"2h": 7200, "90m": 5400, "3600s": 3600, "1h30m": 5400, " 1.5 H ": 5400, "1h 5s": 3605}
    assert {text: parse_duration(text, "budget") for text in given} == given
    shown = {59.4: "59 s", 90: "1 min 30 s", 5400: "1 h 30 min", 1500: "25 min", 7199: "2 h 00 min", -3: "0 s"}
    assert {seconds: duration_text(seconds) for seconds in shown} == shown


@pytest.mark.parametrize("text", ["", "2", "h", "2 hours", "0m", "-1h", "1m2h", "nan", "9999999h", "٢h", "1e3s"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="--budget: .*is no time; give hours, minutes or seconds"):
        parse_duration(text, "budget")


def test_seconds_are_expected_from_those_that_were_measured() -> None:
    costs = Costs("equal")
    costs.add("equal", 1 / 16, 15.0)
    assert not costs.known
    costs.add("equal", 1 / 8, 20.0)
    assert costs.known and costs.start == 10.0 and costs.of("equal", 1) == 90.0
    assert costs.of("mgda", 1) == 1.25 * 90.0  # never seen
    costs.add("mgda", 1 / 8, 30.0)
    assert costs.of("mgda", 1) == 10 + 8 * 20.0
    costs.add("mgda", 1 / 4, 40.0)
    assert costs.of("mgda", 1) == 20 + 80.0
    costs.add("faster", 1 / 8, 20.0)
    costs.add("faster", 1 / 4, 10.0)
    costs.add("steeper", 1 / 8, 1.0)
    costs.add("steeper", 1 / 4, 20.0)
    assert costs.of("faster", 1) == 10.0 and costs.of("steeper", 1) == 80.0  # starts that differ, not rates
    costs.add("noise", 1 / 8, 5.0)
    assert costs.of("noise", 1) == 5.0  # less than a start
    assert makespan([3, 3, 2, 2], 2) == 5 and makespan([], 2) == 0 and makespan([4, 1], 1) == 5


def test_half_of_the_variants_go_on_until_few_are_left() -> None:
    assert rung_sizes(42, 2) == [21, 11, 6, 4] and rung_sizes(5, 2) == [4] and rung_sizes(4, 2) == []
    assert rung_sizes(42, 4) == [11, 4] and rung_sizes(42, 16) == [4] == rung_sizes(5, 16)


def test_seeds_are_spent_where_the_spread_could_turn_the_cut() -> None:
    scores = {"a": {1: 0.9}, "b": {1: 0.62}, "c": {1: 0.60}, "d": {1: 0.1}}
    assert pooled_spread(scores) is None and set(near_the_cut(scores, 2, 3)) == {"b", "c"}
    scores["b"][2], scores["c"][2] = 0.66, 0.56
    assert pooled_spread(scores) == pytest.approx(0.0283, abs=1e-4)
    assert near_the_cut(scores, 2, 3) == []  # now further apart than seeds are
    scores["b"][2], scores["c"][2] = 0.60, 0.64
    assert set(near_the_cut(scores, 2, 3)) == {"b", "c"} and near_the_cut(scores, 2, 2) == []
    assert near_the_cut(scores, 4, 3) == []


def test_the_best_goes_through_and_the_baselines_are_always_there(tmp_path: Path) -> None:
    runner = Runner(quality)
    found = search(tmp_path, runner)
    assert {"equal", "m13", SINGLE} < found.seeds.keys() and list(found.seeds)[0] == "equal"
    assert found.tuned == "fixed b" and "fixed a" not in found.seeds
    assert found.seeds["equal"] == found.seeds["m13"] == found.seeds[SINGLE] == [1, 2, 3]
    assert {item.name for item in found.dropped} | found.seeds.keys() == {*NAMES, SINGLE}
    assert sum(found.seconds.values()) == pytest.approx(runner.seconds) and runner.seconds <= 4500
    lengths = [trial.fraction for trial in runner.started]
    rungs = sorted({item.fraction for item in found.dropped})
    assert rungs[0] >= SHORTEST and len(rungs) >= 2 and max(lengths) == 1.0
    dropped = {item.name: item for item in found.dropped}
    assert dropped["m1"].rung == 1 and dropped["m1"].score == pytest.approx(0.531, abs=2e-3)
    assert dropped["m1"].reference == pytest.approx(0.501, abs=2e-3)
    assert len(runner.started) == len(set(runner.started))


def test_where_starts_take_most_of_the_time_fewer_rungs_are_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def first_rung(start: float, budget: float) -> tuple[int, int, float]:
        folder = tmp_path / f"{start}_{budget}_{len(halving.FACTORS)}"
        folder.mkdir()
        found = search(folder, Runner(quality, start=start), contest(budget))
        decisions = json.loads((folder / "budget.json").read_text(encoding="utf-8"))["decisions"]
        assert "m13" in found.seeds and sum(found.seconds.values()) <= budget * 1.02
        return decisions["one goes on of"], max(item.rung for item in found.dropped), decisions["rung 1 length"]["fraction"]

    factor, rungs, fraction = first_rung(10.0, 3500.0)
    assert factor == 2 and rungs == 2 and fraction * RATE >= 10.0
    factor, rungs, fraction = first_rung(20.0, 3500.0)
    assert factor == 4 and rungs == 1 and fraction * RATE >= 20.0
    monkeypatch.setattr(halving, "FACTORS", (2,))
    _, more_rungs, shorter = first_rung(20.0, 3500.0)
    assert more_rungs == 2 and shorter * RATE < 20.0


@pytest.mark.parametrize("budget", [1700.0, 2500.0, 6000.0, 20000.0])
@pytest.mark.parametrize("jobs", [1, 2])
def test_the_time_is_kept_also_if_some_are_slow(budget: float, jobs: int, tmp_path: Path) -> None:
    runner = Runner(quality, lambda name: 1.4 if name in ("m5", "m7", "m12") else 1.0)
    found = search(tmp_path, runner, contest(budget, jobs))
    assert sum(found.seconds.values()) <= budget * 1.02
    assert {"equal", found.tuned, SINGLE} <= found.seeds.keys()


def test_more_time_means_longer_rungs_and_more_seeds(tmp_path: Path) -> None:
    found = []
    for budget in (1700.0, 20000.0):
        folder = tmp_path / str(budget)
        folder.mkdir()
        found.append(search(folder, Runner(quality), contest(budget)))
    little, much = found
    assert min(item.fraction for item in little.dropped) < min(item.fraction for item in much.dropped)
    assert len(little.seeds["equal"]) <= len(much.seeds["equal"]) == 3


def test_too_little_time_is_told_once_the_plain_sum_was_measured(tmp_path: Path) -> None:
    runner = Runner(quality)
    with pytest.raises(UserError, match=r"--budget: 10 min is too short: a training of equal takes about 1 min 50 s; "):
        search(tmp_path, runner, contest(600))
    assert runner.started == [Trial("equal", fraction, 1) for fraction in (1 / 16, 1 / 4, 1 / 8)]


def test_the_first_training_compiles_for_all_and_its_time_is_not_expected_of_others(tmp_path: Path) -> None:
    runner = Runner(quality)
    runner.finished[Trial("equal", SHORTEST, 1)] = Outcome(0.5, 80.0)
    with pytest.raises(UserError, match="a training of equal takes about 1 min 50 s"):
        search(tmp_path, runner, contest(600))
    runner.finished[Trial("equal", SHORTEST, 1)] = Outcome(0.5, 2000.0)
    found = search(tmp_path, runner, contest())
    assert found.seconds["first training"] == 2000.0 and sum(found.seconds.values()) <= 4500


def test_few_variants_are_trained_at_full_length_at_once(tmp_path: Path) -> None:
    runner = Runner(quality)
    found = search(tmp_path, runner, contest(names=["equal", "fixed a", "m1"]))
    assert not found.dropped and found.seeds == {name: [1, 2, 3] for name in ("equal", "fixed a", "m1", SINGLE)}


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_search_that_is_killed_anywhere_goes_on_and_repeats_nothing(jobs: int, tmp_path: Path) -> None:
    def score(trial: Trial) -> float:
        """Close enough that further seeds are spent."""
        return quality(trial) + 0.03 * ((trial.seed * 7 + len(trial.name) * trial.seed) % 3)

    (tmp_path / "whole").mkdir()
    whole = Runner(score)
    expected = search(tmp_path / "whole", whole, contest(jobs=jobs))
    plan = (tmp_path / "whole/budget.json").read_bytes()
    assert any(seeds for name, seeds in json.loads(plan)["decisions"].items() if " seeds " in name)
    for stop in range(len(whole.started)):
        folder = tmp_path / f"stopped_{stop}"
        folder.mkdir()
        runner = Runner(score)
        runner.kill_after = stop
        with pytest.raises(Killed):
            search(folder, runner, contest(jobs=jobs))
        runner.kill_after = None
        assert search(folder, runner, contest(jobs=jobs)) == expected
        assert runner.started == whole.started and (folder / "budget.json").read_bytes() == plan
        assert search(folder, runner, contest(jobs=jobs)) == expected and runner.started == whole.started


def test_decisions_hold_whatever_is_measured_later(tmp_path: Path) -> None:
    runner = Runner(quality)
    first = search(tmp_path, runner)
    number = len(runner.started)
    runner.finished = {trial: Outcome(found.score, 3 * (found.seconds or 0)) for trial, found in runner.finished.items()}
    again = search(tmp_path, runner)
    assert len(runner.started) == number and again.seeds == first.seeds and again.dropped == first.dropped


def test_the_time_of_an_interrupted_training_is_estimated(tmp_path: Path) -> None:
    runner = Runner(quality)
    runner.interrupted = {Trial("equal", 1 / 4, 1), Trial("m13", 1.0, 1)}
    found = search(tmp_path, runner)
    assert Trial("equal", 3 / 16, 1) in runner.started  # measured at another length
    assert sum(found.seconds.values()) == pytest.approx(runner.seconds + (START + RATE / 4) + (START + RATE))


def test_what_fails_is_dropped_and_not_tried_again_once_that_is_decided(tmp_path: Path) -> None:
    runner = Runner(quality)
    runner.broken = {"m2", "m13"}
    found = search(tmp_path, runner)
    why = {item.name: (item.score, item.why) for item in found.dropped if item.why}
    assert why == {"m2": (None, "m2 failed"), "m13": (None, "m13 failed")} and sorted(found.failures)[0] == "m13 failed"
    runner.broken = set()
    assert search(tmp_path, runner).seeds == found.seeds and not any(trial.name == "m2" for trial in runner.started)


def test_without_the_plain_sum_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    runner = Runner(quality)
    runner.broken = {"equal"}
    with pytest.raises(UserError, match="equal failed"):
        search(tmp_path, runner)


def test_if_everything_fails_it_is_not_the_variants_fault(tmp_path: Path) -> None:
    runner = Runner(quality)

    def run(trials: list[Trial], what: str) -> dict[Trial, Outcome | str]:
        return {**runner(trials, what), **{trial: "No space left." for trial in trials if len(trials) > 1}}

    of = contest()
    with pytest.raises(UserError, match="No space left"):
        Halving(of, run, Decisions(tmp_path / "budget.json", {"variants": of.names, "budget": of.budget})).search()
    assert search(tmp_path, runner).seeds["m13"] == [1, 2, 3]


def test_a_plan_of_another_comparison_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    runner = Runner(quality)
    search(tmp_path, runner)
    with pytest.raises(UserError, match=r"is the plan of another comparison \(budget: 4500.0 -> 5000.0\)"):
        search(tmp_path, runner, contest(5000.0))
    path = tmp_path / "budget.json"
    plan = json.loads(path.read_text(encoding="utf-8"))
    for name, wrong in (
        ("rung 1 cut", {"kept": ["nobody"], "failed": {}}),
        ("rung 1 length", {"fraction": 2}),
        ("final seed 2", 3),
    ):
        path.write_text(json.dumps({**plan, "decisions": {**plan["decisions"], name: wrong}}), encoding="utf-8")
        with pytest.raises(UserError, match=rf"is damaged \({name}\); delete it"):
            search(tmp_path, runner)
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match="is damaged"):
        search(tmp_path, runner)
