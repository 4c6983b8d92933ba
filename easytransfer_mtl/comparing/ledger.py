"""The time that a search has spent, and what is left of its budget."""

from easytransfer_mtl.comparing.contest import Contest
from easytransfer_mtl.comparing.costs import Costs, makespan
from easytransfer_mtl.comparing.trials import SINGLE, Outcome, Trial


class Ledger:
    """Adds up the seconds of trials that ran side by side; it reads no clock, so that a search can be resumed."""

    def __init__(self, contest: Contest, costs: Costs) -> None:
        """Takes what is searched, and the costs, which ``add`` adds to."""
        self._contest, self._costs = contest, costs
        self._batches: list[tuple[str, dict[Trial, float | None]]] = []

    def add(self, part: str, outcomes: dict[Trial, Outcome], is_typical: bool = True) -> None:
        """Adds trials that were started together in a part of the search; others can be expected to cost the same only if
        these are typical."""
        for trial, found in outcomes.items():
            if found.seconds is not None and is_typical:
                self._costs.add(trial.name, trial.fraction, found.seconds)
        self._batches.append((part, {trial: found.seconds for trial, found in outcomes.items()}))

    @property
    def by_part(self) -> dict[str, float]:
        """Part of the search -> seconds; a training that was interrupted counts with those that are to be expected."""
        found: dict[str, float] = {}
        for part, trials in self._batches:
            seconds = [self.expected(trial) if known is None else known for trial, known in trials.items()]
            found[part] = found.get(part, 0.0) + makespan(seconds, self._contest.jobs)
        return found

    @property
    def spent(self) -> float:
        """Seconds of all parts."""
        return sum(self.by_part.values())

    @property
    def left(self) -> float:
        """Seconds that are left of the budget; negative if it is exceeded."""
        return self._contest.budget - self.spent

    @property
    def of_single(self) -> float:
        """Seconds to expect of the single-task models with one seed: each has its part of the steps, and a start."""
        start, tasks = self._costs.start, self._contest.num_tasks
        each = start + (self._costs.of(self._contest.reference, 1) - start) / tasks
        return makespan([each] * tasks, self._contest.jobs)

    def expected(self, trial: Trial) -> float:
        """Returns the seconds to expect of a trial; 0 as long as nothing is known."""
        if not self._costs.known:
            return 0.0
        return self.of_single if trial.name == SINGLE else self._costs.of(trial.name, trial.fraction)
