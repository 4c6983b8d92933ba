"""Runs the trials of a search as trainings, each in its own process and folder."""

from collections.abc import Callable

import numpy as np

from easytransfer_mtl.comparing.runs import Job, RunResult
from easytransfer_mtl.comparing.trials import Outcome, Trial

JobsOf = Callable[[Trial], list[Job]]
"""The trainings of a trial: one, or of the single-task models one for each task."""
RunJobs = Callable[[list[Job], str], tuple[dict[str, list[RunResult]], list[tuple[Job, str]]]]
"""Runs trainings under a title; returns name -> results, and the failures."""


class JobTrials:
    """Runs trials; those that are finished are read."""

    def __init__(self, jobs_of: JobsOf, run_jobs: RunJobs) -> None:
        """Takes what makes a trial's trainings, and what runs them."""
        self._jobs_of, self._run_jobs = jobs_of, run_jobs

    def __call__(self, trials: list[Trial], what: str) -> dict[Trial, Outcome | str]:
        """See ``RunTrials``.

        Raises:
            UserError: a folder holds a training with other settings or of other files.
        """
        jobs = {trial: self._jobs_of(trial) for trial in trials}
        every = [job for of_trial in jobs.values() for job in of_trial]
        for job in every:
            job.check_folder()
        _, failures = self._run_jobs(every, what)
        why = {job.folder: problem for job, problem in failures}
        return {trial: _outcome(of_trial, [why.get(job.folder) for job in of_trial]) for trial, of_trial in jobs.items()}

    def results(self, trial: Trial) -> list[RunResult]:
        """Returns the results of a finished trial, one for each of its trainings."""
        found = [job.result() for job in self._jobs_of(trial)]
        return [result for result in found if result is not None]


def _outcome(jobs: list[Job], problems: list[str | None]) -> Outcome | str:
    results = [job.result() for job in jobs]
    done = [result for result in results if result is not None]
    if len(done) < len(jobs):
        return next(filter(None, problems), f"The training in {jobs[0].folder} has no result.")
    seconds = [result.seconds for result in done if result.seconds is not None]
    score = float(np.mean([np.mean(list(result.scores.values())) for result in done]))
    return Outcome(score, sum(seconds) if len(seconds) == len(done) else None)
