"""Trains several loss weightings over several seeds and tells which differences hold."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType

from tqdm import tqdm

from easytransfer_mtl.comparing.report import write_comparison
from easytransfer_mtl.comparing.runs import RunResult, TrainingProcesses
from easytransfer_mtl.comparing.variants import Variant, parse_seeds, parse_variants, training_of
from easytransfer_mtl.config.settings import TrainSettings
from easytransfer_mtl.config.study_settings import CompareSettings
from easytransfer_mtl.data.list_files import TaskFile, task_files
from easytransfer_mtl.data.tfrecords import count_records
from easytransfer_mtl.errors import Stopped, UserError
from easytransfer_mtl.tasks import CONTEST_TASKS, load_tasks
from easytransfer_mtl.weighting import RunFacts, make_weighting

SINGLE = "single"


def run(settings: CompareSettings) -> int:
    """Trains what is not trained yet, writes and prints the table; returns the exit status."""
    if not settings.predict_input_fp:
        raise UserError("compare needs --predict_input_fp: the dev files that scores are taken on.")
    seeds, variants = parse_seeds(settings.seeds), parse_variants(settings.variants)
    output = Path(settings.model_dir or "")
    tasks = load_tasks(settings.tasks_file) if settings.tasks_file else CONTEST_TASKS
    train, dev = (task_files(path, tasks) for path in (settings.train_input_fp, settings.predict_input_fp))
    run_tasks = [file.task for file in train]
    facts = RunFacts([task.name for task in run_tasks], [task.num_labels for task in run_tasks])
    for variant in variants:  # what does not fit is told before the first training
        make_weighting(training_of(settings, variant, seeds[0], ""), facts)
    jobs: list[tuple[str, Path, TrainSettings]] = []
    for seed in seeds:
        for variant in variants:
            folder = output / variant.folder / f"seed_{seed}"
            jobs.append((variant.name, folder, training_of(settings, variant, seed, str(folder / "model"))))
        jobs += _single_task_jobs(settings, train, dev, output, seed) if settings.single_task else []
    results = _run_all(jobs, settings)
    by_variant = {variant.name: results[variant.name] for variant in variants}
    single = {
        task: [result.scores[task] for result in group]
        for name, group in results.items()
        if name.startswith(f"{SINGLE} ")
        for task in group[0].scores
    }
    print(write_comparison(output, by_variant, single))
    print(f"{output / 'compare.txt'}, .csv, .json")
    return 0


def _single_task_jobs(
    settings: CompareSettings, train: list[TaskFile], dev: list[TaskFile], output: Path, seed: int
) -> list[tuple[str, Path, TrainSettings]]:
    """Returns a training of each task alone that sees as many of its batches as with the other tasks."""
    dev_of = {file.task.name: file for file in dev}
    missing = [file.task.name for file in train if file.task.name not in dev_of]
    if missing:
        raise UserError(
            f"compare needs dev rows of every task; {settings.predict_input_fp} has none of {', '.join(missing)}."
        )
    rows = {file.task.name: count_records(file.path) for file in train}
    share = sum(rows.values()) / len(rows)
    plain = Variant(SINGLE, {"loss_weighting": "equal", "step_mode": "alternating", "joint_batch_sizes": None})
    plain.settings.update(task_sampling="round_robin", task_rates=None, log_gradients_every=0)

    def job(file: TaskFile) -> tuple[str, Path, TrainSettings]:
        name = file.task.name
        folder = output / SINGLE / name / f"seed_{seed}"
        more = {
            "train_input_fp": str(file.path),
            "predict_input_fp": str(dev_of[name].path),
            "num_epochs": settings.num_epochs * share / rows[name],
            "save_steps": settings.save_steps and max(1, settings.save_steps // _steps_per_batch(settings, len(rows))),
        }
        return f"{SINGLE} {name}", folder, training_of(settings, plain, seed, str(folder / "model"), **more)

    return [job(file) for file in train]


def _steps_per_batch(settings: CompareSettings, num_tasks: int) -> int:
    """Returns how many steps a task waits for its next batch."""
    return 1 if settings.step_mode == "joint" else num_tasks


def _run_all(jobs: list[tuple[str, Path, TrainSettings]], settings: CompareSettings) -> dict[str, list[RunResult]]:
    """Runs the trainings, some at a time; returns name -> results in the order of the seeds."""
    threads = max(1, (os.cpu_count() or 1) // settings.jobs) if settings.jobs > 1 else 0
    trainings = TrainingProcesses(threads, settings.keep_runs)
    results: dict[str, list[RunResult]] = {}

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Stopped("stopped; start the same command again to go on.", number)

    before = signal.signal(signal.SIGTERM, interrupt)
    with ThreadPoolExecutor(settings.jobs) as pool, tqdm(total=len(jobs), desc="compare", unit=" runs") as bar:
        futures = [pool.submit(trainings.run, folder, training) for _, folder, training in jobs]
        try:
            for (name, _, _), future in zip(jobs, futures, strict=True):
                results.setdefault(name, []).append(future.result())
                bar.update()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            trainings.stop()
            raise
        finally:
            signal.signal(signal.SIGTERM, before)
    return results
