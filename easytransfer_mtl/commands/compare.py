"""Trains with several settings, above all loss weightings, over several seeds; reports which differences hold."""

import dataclasses
import logging
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import FrameType

from tqdm.contrib.logging import logging_redirect_tqdm
from transformers import PretrainedConfig

from easytransfer_mtl.comparing.budget_report import more_of, results_of
from easytransfer_mtl.comparing.by_seed import SeededResults, write_seeded
from easytransfer_mtl.comparing.contest import Contest
from easytransfer_mtl.comparing.decisions import BUDGET, Decisions
from easytransfer_mtl.comparing.durations import parse_duration
from easytransfer_mtl.comparing.finished_runs import FinishedRun, as_variants, check_dev_files, read_runs, run_files
from easytransfer_mtl.comparing.grid import all_weightings, with_baselines
from easytransfer_mtl.comparing.halving import Halving
from easytransfer_mtl.comparing.job_trials import JobTrials
from easytransfer_mtl.comparing.report import TABLES, write_comparison
from easytransfer_mtl.comparing.runs import Job, RunResult, TrainingProcesses
from easytransfer_mtl.comparing.trials import SINGLE, Trial
from easytransfer_mtl.comparing.variants import Variant, check_common, parse_seeds, parse_variants, training_of
from easytransfer_mtl.compiled_code import sharing_compiled
from easytransfer_mtl.config.by_task import task_part
from easytransfer_mtl.config.options import options_of
from easytransfer_mtl.config.study_settings import VARIANTS, CompareSettings
from easytransfer_mtl.config.train_settings import TrainSettings, WeightingSettings
from easytransfer_mtl.data.list_files import TaskFile, task_files
from easytransfer_mtl.data.tfrecords import count_records
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.loading import load_config
from easytransfer_mtl.errors import Stopped, UserError
from easytransfer_mtl.files import check_outputs
from easytransfer_mtl.progress import progress_bar
from easytransfer_mtl.runs.callbacks import stopping_signals
from easytransfer_mtl.runs.lock import run_lock
from easytransfer_mtl.tasks import CONTEST_TASKS, load_tasks
from easytransfer_mtl.training.plan import RunPlan, plan_run

OF_SEVERAL_TASKS = {field.name for field in dataclasses.fields(WeightingSettings)} | {
    "joint_batch_sizes", "task_sampling", "sampling_temperature", "task_rates", "scale_heads", "gram_variables",
    "log_gradients_every",
}  # fmt: skip
"""Settings that have no meaning for a single task."""


def run(settings: CompareSettings) -> int:
    """Runs the trainings that are missing, writes and prints the table; returns the exit status: 1 if a training failed."""
    if settings.trains and (not settings.predict_input_fp or settings.tables):
        raise UserError("compare needs --predict_input_fp, the dev files that scores are taken on, and takes no --tables.")
    compare = (_search if settings.budget else _compare) if settings.trains else _compare_finished
    with run_lock(Path(settings.model_dir or "")), sharing_compiled():
        return compare(settings)


def _compare(settings: CompareSettings) -> int:
    seeds, variants = parse_seeds(settings.seeds), parse_variants(settings.variants or VARIANTS)
    output = Path(settings.model_dir or "")
    check_common(settings, variants)
    train, dev = _files(settings)
    finished = _finished(settings, dev)
    unlabelled = [_unlabelled(_variant_job(settings, variant, output, seeds[0]).settings, train) for variant in variants]
    read = [file.path for files in (train, dev, *unlabelled) for file in files]
    check_outputs([output / name for name in TABLES], [*read, *settings.named_files, *run_files(finished)])
    rows = _num_rows(train, unlabelled[0]) if settings.single_task else []
    jobs = []
    for seed in seeds:
        of_variants = [_variant_job(settings, variant, output, seed) for variant in variants]
        jobs += of_variants
        if settings.single_task:
            jobs += _single_task_jobs(of_variants[0], train, dev, unlabelled[0], rows)
    _check_jobs(jobs, train)
    results, failures = _run_all(jobs, settings)
    for _, failure in failures:
        logging.error("%s", failure)
    complete = {name: group for name, group in results.items() if len(group) == len(seeds)}
    by_variant = {variant.name: complete[variant.name] for variant in variants if variant.name in complete}
    single = {name.removeprefix(f"{SINGLE} "): group for name, group in complete.items() if name.startswith(f"{SINGLE} ")}
    if variants[0].name not in by_variant:
        raise UserError(f"There is nothing to compare with: {variants[0].name} was not trained with every seed.")
    alone = {task: [result.scores[task] for result in group] for task, group in single.items()}
    alone = alone if len(alone) == len(train) else {}
    if finished:
        of_seeds = {name: dict(zip(seeds, group)) for name, group in by_variant.items()}
        single_by_seed = {task: dict(zip(seeds, scores)) for task, scores in alone.items()}
        print(write_seeded(output, SeededResults(_beside(of_seeds, finished), single_by_seed)))
    else:
        print(write_comparison(output, by_variant, alone))
    print(f"{output / 'compare.txt'}, .csv, .json")
    return 1 if failures else 0


def _compare_finished(settings: CompareSettings) -> int:
    """Writes and prints the table of finished runs."""
    output, finished = Path(settings.model_dir or ""), read_runs(settings.runs or "")
    check_outputs([output / name for name in TABLES], [*settings.named_files, *run_files(finished)])
    print(write_seeded(output, SeededResults(as_variants(finished))))
    print(f"{output / 'compare.txt'}, .csv, .json")
    return 0


def _search(settings: CompareSettings) -> int:
    """Finds the variants that are worth their full length within a budget of time; writes and prints the table."""
    budget, seeds, output = (
        parse_duration(settings.budget or "", "budget"),
        parse_seeds(settings.seeds),
        Path(settings.model_dir),
    )
    if not settings.single_task:
        raise UserError("--budget: single-task models are always in its table; leave --nosingle_task out.")
    train, dev = _files(settings)
    if len(train) < 2:
        raise UserError(f"--budget is for several tasks; {settings.train_input_fp} has only {train[0].task.name}.")
    finished = _finished(settings, dev)
    named = parse_variants(settings.variants) if settings.variants else all_weightings(settings.step_mode)
    variants, fixed = with_baselines(named, [file.task for file in train])
    left_out = {} if settings.variants else _unfit(settings, variants, output, train)
    variants = [variant for variant in variants if variant.name not in left_out]
    for name, why in left_out.items():
        logging.warning("%s is not tried: %s", name, why)
    check_common(settings, variants)
    whole = [_variant_job(settings, variant, output, seeds[0]) for variant in variants]
    unlabelled = [_unlabelled(job.settings, train) for job in whole]
    read = [file.path for files in (train, dev, *unlabelled) for file in files]
    outputs = [output / name for name in (*TABLES, BUDGET)]
    check_outputs(outputs, [*read, *settings.named_files, *run_files(finished)])
    rows, by_name = _num_rows(train, unlabelled[0]), {variant.name: variant for variant in variants}

    def jobs_of(trial: Trial) -> list[Job]:
        if trial.name == SINGLE:
            like = _variant_job(settings, variants[0], output, trial.seed)
            return _single_task_jobs(like, train, dev, unlabelled[0], rows)
        return [_variant_job(settings, by_name[trial.name], output, trial.seed, trial.fraction)]

    _check_jobs([*whole, *jobs_of(Trial(SINGLE, 1.0, seeds[0]))], train)
    contest = Contest(
        [*by_name], [variant.name for variant in fixed if variant.name in by_name], len(train), seeds, budget, settings.jobs
    )
    about = {"variants": contest.names, "seeds": seeds, "budget": budget, "num_epochs": settings.num_epochs}
    trials = JobTrials(jobs_of, lambda jobs, what: _run_all(jobs, settings, what, waits=True))
    found = Halving(contest, trials, Decisions(output / BUDGET, about)).search()
    for failure in found.failures:
        logging.error("%s", failure)
    results = results_of(found, contest, trials)
    results = replace(results, variants=_beside(results.variants, finished))
    print(write_seeded(output, results, more_of(found, contest, left_out)))
    print(f"{output / 'compare.txt'}, .csv, .json")
    return 1 if found.failures else 0


def _unfit(settings: CompareSettings, variants: list[Variant], output: Path, train: list[TaskFile]) -> dict[str, str]:
    """Returns the variants that these tasks or settings do not allow, all but the first, and why."""
    found = {}
    for variant in variants[1:]:
        try:
            _plan(_variant_job(settings, variant, output, 1).settings, train, [1] * len(train))
        except UserError as error:
            found[variant.name] = str(error)
    return found


def _files(settings: CompareSettings) -> tuple[list[TaskFile], list[TaskFile]]:
    """Returns the training and the dev files."""
    tasks = load_tasks(settings.tasks_file) if settings.tasks_file else CONTEST_TASKS
    return task_files(settings.train_input_fp, tasks), task_files(str(settings.predict_input_fp), tasks)


def _finished(settings: CompareSettings, dev: list[TaskFile]) -> list[FinishedRun]:
    """Returns the finished runs that stand beside the variants, after checking that they were scored on the same rows."""
    finished = read_runs(settings.runs) if settings.runs else []
    if finished:
        check_dev_files(finished, dev)
    return finished


def _beside(variants: dict[str, dict[int, RunResult]], finished: list[FinishedRun]) -> dict[str, dict[int, RunResult]]:
    """Returns the variants followed by finished runs, whose names say so if a variant has the same."""
    return variants | {f"{name} (run)" if name in variants else name: runs for name, runs in as_variants(finished).items()}


def _variant_job(settings: CompareSettings, variant: Variant, output: Path, seed: int, fraction: float = 1.0) -> Job:
    """Returns the training of a variant, or that of a fraction of its length."""
    part = f"length_{fraction:g}/" if fraction < 1 else ""
    folder = output / variant.folder / f"{part}seed_{seed}"
    more = {"num_epochs": fraction * variant.settings.get("num_epochs", settings.num_epochs)} if part else {}
    return Job(variant.name, folder, training_of(settings, variant, seed, str(folder / "model"), **more))


def _unlabelled(settings: TrainSettings, train: list[TaskFile]) -> list[TaskFile]:
    """Returns the files of training rows without labels."""
    path = settings.distillation_unlabelled_fp
    return task_files(path, tuple(file.task for file in train)) if path else []


def _num_rows(train: list[TaskFile], unlabelled: list[TaskFile]) -> list[int]:
    """Returns the number of rows that each task is trained on, with or without labels."""
    files = [[file, *(more for more in unlabelled if more.task == file.task)] for file in train]
    return [sum(count_records(file.path) for file in of_task) for of_task in files]


def _check_jobs(jobs: list[Job], train: list[TaskFile]) -> None:
    """Raises UserError, before the first training, if one of the trainings cannot start."""
    for job in jobs:
        own = [file for file in train if str(file.path) == job.settings.train_input_fp] or train
        _plan(job.settings, own, [1] * len(own))
        job.check_folder()


def _plan(settings: TrainSettings, train: list[TaskFile], rows: list[int]) -> RunPlan:
    config = _config(settings.pretrain_model_name_or_path, settings.modelZooBasePath, settings.gelu)
    return plan_run(settings, [file.task for file in train], rows, config)


@cache
def _config(name: str, model_zoo: str | None, gelu: str) -> PretrainedConfig:
    return load_config(find_encoder(name, model_zoo, needs_weights=False), gelu)


def _single_task_jobs(
    like: Job, train: list[TaskFile], dev: list[TaskFile], unlabelled: list[TaskFile], rows: list[int]
) -> list[Job]:
    """Returns a training of each task alone, with as many, equally large batches and as many evaluations as in ``like``."""
    dev_of, more_of = ({file.task.name: file for file in files} for files in (dev, unlabelled))
    missing = [file.task.name for file in train if file.task.name not in dev_of]
    if missing:
        raise UserError(
            f"compare needs dev rows of every task; {like.settings.predict_input_fp} has none of {', '.join(missing)}."
        )
    plan = _plan(like.settings, train, rows)
    options = options_of(TrainSettings)
    plain = {name: options[name].default for name in OF_SEVERAL_TASKS}
    jobs = []
    for place, file in enumerate(train):
        size, batches = plan.sizes[place], _batches_of(plan, place)
        folder = like.folder.parent.parent / SINGLE / file.task.file_name / like.folder.name
        saves = plan.steps.save_steps
        more = {
            "adversarial_weight": 0.0,  # there are no other tasks to be distinguished from
            "train_input_fp": str(file.path),
            "predict_input_fp": str(dev_of[file.task.name].path),
            "distillation_unlabelled_fp": str(more_of[file.task.name].path) if file.task.name in more_of else None,
            "train_batch_size": size // like.settings.num_accumulated_batches,
            "num_epochs": (batches - 0.5) * size / rows[place],
            "save_steps": saves and max(1, batches * saves // plan.steps.train_steps),
            "model_dir": str(folder / "model"),
            **_own_part(like.settings, file.task.name),
        }
        jobs.append(Job(f"{SINGLE} {file.task.name}", folder, dataclasses.replace(like.settings, **{**plain, **more})))
    return jobs


def _own_part(settings: TrainSettings, task_name: str) -> dict[str, str | None]:
    """Returns the values for a single task in the settings that have one value per task."""
    found: dict[str, str | None] = {}
    for name, item in options_of(TrainSettings).items():
        if item.by_task and name not in OF_SEVERAL_TASKS:
            value = getattr(settings, name)
            found[name] = value and (task_part(value, task_name) or item.default)
    return found


def _batches_of(plan: RunPlan, task: int) -> int:
    steps = plan.steps.train_steps
    if plan.order is None:
        return steps
    return max(1, sum(plan.order.place(step)[0] == task for step in range(steps)))


def _run_all(
    jobs: list[Job], settings: CompareSettings, what: str = "compare", waits: bool = False
) -> tuple[dict[str, list[RunResult]], list[tuple[Job, str]]]:
    """Runs the trainings, several at a time.

    Args:
        jobs: the trainings.
        settings: the command's.
        what: title of the progress bar.
        waits: see ``TrainingProcesses``.

    Returns:
        Name -> results in the order of the seeds, and the failures.
    """
    threads = max(1, (os.cpu_count() or 1) // settings.jobs) if settings.jobs > 1 else 0
    trainings = TrainingProcesses(threads, settings.keep_runs, waits)
    results: dict[str, list[RunResult]] = {}
    failures: list[tuple[Job, str]] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Stopped("stopped; start the same command again to go on.", number)

    caught = [number for number in stopping_signals() if number != signal.SIGINT]
    before = {number: signal.signal(number, interrupt) for number in caught}
    with ThreadPoolExecutor(settings.jobs) as pool, progress_bar(len(jobs), what, " runs") as bar:
        try:
            futures = [pool.submit(trainings.run, job) for job in jobs]
            with logging_redirect_tqdm():
                for job, future in zip(jobs, futures, strict=True):
                    try:
                        results.setdefault(job.name, []).append(future.result())
                    except UserError as error:
                        failures.append((job, str(error)))
                    bar.update()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            trainings.stop()
            raise
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    return results, failures
