"""Writes the build context of an image for the contest, and prints how to build and push it."""

from pathlib import Path

from easytransfer_mtl.config.docker_settings import DockerSettings
from easytransfer_mtl.data.contest_files import find_test_files
from easytransfer_mtl.data.table_form import BY_TASK
from easytransfer_mtl.data.text_files import TextFile
from easytransfer_mtl.encoders.recorded_hashes import check_hashes
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.model_class import OF_TRAINING
from easytransfer_mtl.evaluation.stored_models import StoredModel, check_alike, find_models
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.submission.checker import check_submission, report_text
from easytransfer_mtl.submission.image import ImageContent, check_names, next_commands, write_context
from easytransfer_mtl.tasks import Task, task_named


def run(settings: DockerSettings) -> int:
    """Checks models, test files and result, writes the context, and prints the commands; returns the exit status."""
    check_names(settings.base_image, settings.registry)
    members = find_models(settings.predict_checkpoint_path, setting="--predict_checkpoint_path")
    for member in members:
        _check_model(member)
    tasks = check_alike(members)
    files = find_test_files(settings.data_dir, settings.board, tasks) if settings.data_dir else {}
    for name, path in files.items():
        TextFile(path, task_named(name, tasks), BY_TASK, settings.header).check()
    result = Path(settings.submission) if settings.submission else None
    if result:
        _check_result(result, tasks, files, settings.header)
    content = ImageContent(
        [member.folder.path for member in members], files, settings.board, settings.header, result, settings.base_image
    )
    output = Path(settings.output_dir)
    tag = write_context(output, content)
    print(f"context: {output} (tag {tag})")
    print("\n".join(next_commands(output, tag, settings.registry)))
    return 0


def _check_model(member: StoredModel) -> None:
    if member.weights is not None:
        raise UserError(
            f"{member.name} is a checkpoint; an image holds exported models. Give the run, or its best/ (evaluate exports "
            "the best checkpoint)."
        )
    check_hashes(member.folder.path)
    own = [name for name, about in member.folder.own_code().items() if about.get("setting") not in OF_TRAINING]
    try:
        member.folder.check_class(MultiTaskModel)
    except UserError:
        own.append("its model class")
    if own:
        raise UserError(
            f"{member.name} was trained with its user's own code ({', '.join(own)}), which this command puts into no image."
        )


def _check_result(result: Path, tasks: tuple[Task, ...], files: dict[str, Path], header: bool) -> None:
    if result.is_dir():
        raise UserError(f"--submission: {result} is a folder; give the result.zip.")
    report = check_submission(result, tasks, files or None, header)
    if not report.ok:
        raise UserError(f"--submission: {report_text(report).strip()}")
