"""Splits labelled files into folds: writes a fold file for training, and prints how even the folds are."""

from pathlib import Path

import numpy as np

from easytransfer_mtl.config.convert_settings import SplitSettings
from easytransfer_mtl.data.contest_files import find_labelled, require_files
from easytransfer_mtl.data.fold_assignment import group_numbers
from easytransfer_mtl.data.folds import NAME as FOLDS
from easytransfer_mtl.data.folds import Folds, FoldSource, TaskFolds, fold_file_name, write_folds
from easytransfer_mtl.data.learned_labels import with_labels
from easytransfer_mtl.data.rows import Row
from easytransfer_mtl.data.strata import Strata, strata_of
from easytransfer_mtl.data.table_reader import check_rows, read_table, require_rows
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.tables import aligned
from easytransfer_mtl.files import check_outputs, sha256_of
from easytransfer_mtl.seeding import generator
from easytransfer_mtl.tasks import CONTEST_TASKS, Task, load_tasks


def run(settings: SplitSettings) -> int:
    """Splits every task's rows, writes the folds and prints a table per task; returns the exit status."""
    tasks = load_tasks(settings.tasks_file) if settings.tasks_file else CONTEST_TASKS
    tasks = with_labels(tasks, settings.data_dir, settings.header)
    if settings.include_dev:
        train, dev = find_labelled(settings.data_dir, tasks)
    else:
        train, dev = require_files(settings.data_dir, "train", tasks), {}
    _check_outputs(settings, tasks, [*train.values(), *dev.values()])
    split, reports = {}, []
    for task in tasks:
        paths = [found[task.name] for found in (train, dev) if task.name in found]
        split[task.name], report = _split_task(task, paths, settings)
        reports.append(report)
    path = write_folds(settings.output_dir, Folds(settings.folds, settings.seed, split))
    print("\n".join(reports))
    print(f"folds: {path}")
    return 0


def _check_outputs(settings: SplitSettings, tasks: tuple[Task, ...], sources: list[Path]) -> None:
    names = [fold_file_name(task.name) for task in tasks]
    check_outputs([Path(settings.output_dir) / name for name in (*names, FOLDS)], [*sources, *settings.named_files])


def _split_task(task: Task, paths: list[Path], settings: SplitSettings) -> tuple[TaskFolds, str]:
    """Returns the folds of a task's rows, and the table to print."""
    rows: list[Row] = []
    sources = []
    for path in paths:
        content = read_table(path, task, labelled=True, header=settings.header)
        # Skipped rows are left out here; convert writes them to a file of their own.
        check_rows(content, settings.on_bad_row, max_bad_share=settings.max_bad_share)
        require_rows(content)
        rows += content.rows
        sources.append(FoldSource(path.name, sha256_of(path), len(content.rows)))
    if len({source.sha256 for source in sources}) < len(sources):
        raise UserError(f"{' and '.join(map(str, paths))} are the same file twice; take --include_dev away.")
    strata = strata_of(task, rows)
    groups = group_numbers(row.texts[0] for row in rows)
    folds = strata.assign(groups, settings.folds, generator(settings.seed, "folds", task.name))
    if len(set(folds.tolist())) < settings.folds:
        raise UserError(
            f"{task.name}: {len(rows)} rows with {len(set(groups.tolist()))} different first texts do not fill "
            f"{settings.folds} folds; rows of one text stay together. Give fewer --folds."
        )
    return TaskFolds(tuple(sources), [row.row_id for row in rows], folds), _report(task, strata, groups, folds)


def _report(task: Task, strata: Strata, groups: np.ndarray, folds: np.ndarray) -> str:
    """Returns the report on a task's folds: sizes, the share of each part of the rows in each fold, warnings."""
    num_folds = int(folds.max()) + 1
    counts = np.stack([strata.members[folds == fold].sum(axis=0) for fold in range(num_folds)], axis=1)
    of_part, of_fold = counts.sum(axis=1), np.bincount(folds, minlength=num_folds)
    overall, shares = of_part / len(folds), counts / of_fold
    off = np.abs(shares - overall[:, None])
    part, fold = np.unravel_index(off.argmax(), off.shape)
    sizes = np.bincount(groups)
    text = "premise" if task.second_sequence else "text"
    table = [[task.name, "rows", "share", *(f"fold {number}" for number in range(num_folds))]]
    for name, total, share, values in zip(strata.names, of_part, overall, shares):
        table.append([name, str(total), f"{share:.2%}", *(f"{value:.2%}" for value in values)])
    table.append(["rows", str(len(folds)), "", *map(str, of_fold)])
    lines = [
        aligned(table)
        + f"{len(sizes)} groups of one {text}, the largest of {sizes.max()} rows; {sizes[sizes > 1].sum()} rows share "
        f"theirs with another and stay together\nlargest deviation of a {strata.what}'s share: "
        f"{100 * off[part, fold]:.2f} points ({strata.names[part]} in fold {fold})"
    ]
    for name, values in zip(strata.names, counts):
        if values.any() and not values.all():
            without = ", ".join(map(str, np.flatnonzero(values == 0)))
            lines.append(f"warning: {task.name}: no row of {name} ({values.sum()} rows in all) is in fold {without}")
    return "\n".join(lines) + "\n"
