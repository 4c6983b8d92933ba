"""Trains with several settings, loss weightings first of all, over several seeds and tells which differences hold."""

import dataclasses
import logging
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm
from transformers import PretrainedConfig

from easytransfer_mtl.comparing.report import TABLES, write_comparison
from easytransfer_mtl.comparing.runs import Job, RunResult, TrainingProcesses
from easytransfer_mtl.comparing.variants import Variant, parse_seeds, parse_variants, training_of
from easytransfer_mtl.config.options import options_of
from easytransfer_mtl.config.settings import TrainSettings
from easytransfer_mtl.config.study_settings import CompareSettings
from easytransfer_mtl.config.weighting_settings import WeightingSettings
from easytransfer_mtl.data.list_files import TaskFile, task_files
from easytransfer_mtl.data.tfrecords import count_records
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.loading import load_config
from easytransfer_mtl.errors import Stopped, UserError
from easytransfer_mtl.files import check_outputs
from easytransfer_mtl.runs.callbacks import stopping_signals
from easytransfer_mtl.runs.lock import run_lock
from easytransfer_mtl.tasks import CONTEST_TASKS, load_tasks
from easytransfer_mtl.training.architecture_choice import choose_part_dropout
from easytransfer_mtl.training.choices import Choices, choose
from easytransfer_mtl.training.learning_rates import choose_rate_shares
from easytransfer_mtl.training.model_choice import check_encoder, checked_architecture
from easytransfer_mtl.weighting.task_values import task_part

SINGLE = "single"
PER_TASK = (
    "features", "heads", "head_dropout", "part_dropout", "head_lr", "class_weights", "label_smoothing", "focal_gamma",
    "token_dropout",
)  # fmt: skip
"""Settings that may have a value for each task."""
KEPT_ALONE = ("config", "on_nonfinite")
"""Settings of a weighting that mean the same for one task."""


def run(settings: CompareSettings) -> int:
    """Trains what is not trained yet, writes and prints the table; returns the exit status: 1 if a training failed."""
    if not settings.predict_input_fp or settings.tables:
        raise UserError("compare needs --predict_input_fp, the dev files that scores are taken on, and takes no --tables.")
    with run_lock(Path(settings.model_dir or "")):
        return _compare(settings)


def _compare(settings: CompareSettings) -> int:
    seeds, variants, output = parse_seeds(settings.seeds), parse_variants(settings.variants), Path(settings.model_dir or "")
    tasks = load_tasks(settings.tasks_file) if settings.tasks_file else CONTEST_TASKS
    train, dev = (task_files(path, tasks) for path in (settings.train_input_fp, settings.predict_input_fp))
    read = [file.path for file in (*train, *dev)]
    check_outputs([output / name for name in TABLES], [*read, *settings.named_files])
    rows = [count_records(file.path) for file in train] if settings.single_task else []
    jobs = []
    for seed in seeds:
        of_variants = [_variant_job(settings, variant, output, seed) for variant in variants]
        jobs += [*of_variants, *(_single_task_jobs(of_variants[0], train, dev, rows) if settings.single_task else [])]
    _check_jobs(jobs, train)
    results, failures = _run_all(jobs, settings)
    for failure in failures:
        logging.error("%s", failure)
    complete = {name: group for name, group in results.items() if len(group) == len(seeds)}
    by_variant = {variant.name: complete[variant.name] for variant in variants if variant.name in complete}
    single = {name.removeprefix(f"{SINGLE} "): group for name, group in complete.items() if name.startswith(f"{SINGLE} ")}
    if variants[0].name not in by_variant:
        raise UserError(f"There is nothing to compare with: {variants[0].name} was not trained with every seed.")
    alone = {task: [result.scores[task] for result in group] for task, group in single.items()}
    print(write_comparison(output, by_variant, alone if len(alone) == len(train) else {}))
    print(f"{output / 'compare.txt'}, .csv, .json")
    return 1 if failures else 0


def _variant_job(settings: CompareSettings, variant: Variant, output: Path, seed: int) -> Job:
    folder = output / variant.folder / f"seed_{seed}"
    return Job(variant.name, folder, training_of(settings, variant, seed, str(folder / "model")))


def _check_jobs(jobs: list[Job], train: list[TaskFile]) -> None:
    """Raises UserError before the first training if one of them cannot begin."""
    configs: dict[tuple[str | None, ...], PretrainedConfig] = {}
    for job in jobs:
        own, settings = [file for file in train if str(file.path) == job.settings.train_input_fp] or train, job.settings
        tasks = [file.task for file in own]
        names = settings.pretrain_model_name_or_path, settings.modelZooBasePath, settings.gelu
        if names not in configs:
            configs[names] = load_config(find_encoder(*names[:2], needs_weights=False), settings.gelu)
        check_encoder(settings, configs[names])
        choose_rate_shares(settings, [task.name for task in tasks])
        weighting = choose(settings, tasks, [1] * len(own)).weighting
        choose_part_dropout(settings, checked_architecture(settings, tasks, configs[names], weighting), tasks)
        job.check_folder()


def _single_task_jobs(like: Job, train: list[TaskFile], dev: list[TaskFile], rows: list[int]) -> list[Job]:
    """Returns a training of each task alone, on as many batches of it, as large and as often evaluated as in ``like``."""
    dev_of = {file.task.name: file for file in dev}
    missing = [file.task.name for file in train if file.task.name not in dev_of]
    if missing:
        raise UserError(
            f"compare needs dev rows of every task; {like.settings.predict_input_fp} has none of {', '.join(missing)}."
        )
    choices = choose(like.settings, [file.task for file in train], rows)
    weighting = [field.name for field in dataclasses.fields(WeightingSettings) if field.name not in KEPT_ALONE]
    plain = {name: options_of(WeightingSettings)[name].default for name in weighting}
    jobs = []
    for place, file in enumerate(train):
        size, batches = choices.sizes[place], _batches_of(choices, place)
        folder = like.folder.parent.parent / SINGLE / file.task.name / like.folder.name
        saves = choices.plan.save_steps
        more = {
            "adversarial_weight": 0.0,  # one task has no others to be told from
            "train_input_fp": str(file.path),
            "predict_input_fp": str(dev_of[file.task.name].path),
            "train_batch_size": size // like.settings.num_accumulated_batches,
            "num_epochs": (batches - 0.5) * size / rows[place],
            "save_steps": saves and max(1, batches * saves // choices.plan.train_steps),
            "model_dir": str(folder / "model"),
            **_own_part(like.settings, file.task.name),
        }
        jobs.append(Job(f"{SINGLE} {file.task.name}", folder, dataclasses.replace(like.settings, **{**plain, **more})))
    return jobs


def _own_part(settings: TrainSettings, task_name: str) -> dict[str, str | None]:
    """Returns what settings of one value a task are for a task alone."""
    options = options_of(TrainSettings)
    values = {name: getattr(settings, name) for name in PER_TASK}
    return {name: value and (task_part(str(value), task_name) or options[name].default) for name, value in values.items()}


def _batches_of(choices: Choices, task: int) -> int:
    """Returns how many batches of a task the run has."""
    steps = choices.plan.train_steps
    if choices.order is None:
        return steps
    return max(1, sum(choices.order.place(step)[0] == task for step in range(steps)))


def _run_all(jobs: list[Job], settings: CompareSettings) -> tuple[dict[str, list[RunResult]], list[str]]:
    """Runs the trainings, some at a time; returns name -> results in the order of the seeds, and what failed."""
    threads = max(1, (os.cpu_count() or 1) // settings.jobs) if settings.jobs > 1 else 0
    trainings = TrainingProcesses(threads, settings.keep_runs)
    results: dict[str, list[RunResult]] = {}
    failures: list[str] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Stopped("stopped; start the same command again to go on.", number)

    caught = [number for number in stopping_signals() if number != signal.SIGINT]
    before = {number: signal.signal(number, interrupt) for number in caught}
    with ThreadPoolExecutor(settings.jobs) as pool, tqdm(total=len(jobs), desc="compare", unit=" runs", disable=None) as bar:
        try:
            futures = [pool.submit(trainings.run, job) for job in jobs]
            with logging_redirect_tqdm():
                for job, future in zip(jobs, futures, strict=True):
                    try:
                        results.setdefault(job.name, []).append(future.result())
                    except UserError as error:
                        failures.append(str(error))
                    bar.update()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            trainings.stop()
            raise
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    return results, failures
