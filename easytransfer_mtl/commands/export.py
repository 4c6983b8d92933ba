"""Exports a trained model as a SavedModel or an ONNX file, with its tokenizer and a client."""

from dataclasses import replace
from pathlib import Path

from easytransfer_mtl import __version__
from easytransfer_mtl.config.export_settings import ONNX, ExportSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.model_class import model_class_of
from easytransfer_mtl.evaluation.stored_models import stored_model_at
from easytransfer_mtl.evaluation.text_encoder import TextEncoder
from easytransfer_mtl.exporting.companions import write_companions
from easytransfer_mtl.exporting.onnx_model import check_onnx, write_onnx
from easytransfer_mtl.exporting.saved_model import write_saved_model
from easytransfer_mtl.files import PATTERN_SIGNS, check_outputs, files_in, replacing_folder
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.tasks import CONTEST_TASKS, load_tasks


def run(settings: ExportSettings, model_class: type[MultiTaskModel] | None = None) -> int:
    """Exports, and prints where to; returns the exit status."""
    output = Path(settings.export_dir_base)
    if output.is_dir() and any(output.iterdir()):
        raise UserError(f"--export_dir_base {output} exists and is not empty; give a new one, or remove it.")
    if settings.export_format == ONNX:
        check_onnx()
    elif found := [sign for sign in PATTERN_SIGNS if sign in str(output.absolute())]:
        raise UserError(
            f"TensorFlow loads no SavedModel from a path with {found[0]} in it; give another place than {output}."
        )
    tasks = load_tasks(settings.tasks_file) if settings.tasks_file else CONTEST_TASKS
    member = stored_model_at(settings.checkpoint_path, tasks)
    check_outputs([], [*files_in(member.folder.path), *settings.named_files], [output])
    encoder = TextEncoder(member)
    inputs = {
        name: replace(how, sequence_length=encoder.length_of(name)) for name, how in member.folder.read_tasks()[1].items()
    }
    model = member.load(model_class_of(settings, model_class))
    with replacing_folder(output) as folder:
        folder.mkdir(parents=True)
        if settings.export_format == ONNX:
            write_onnx(model, folder)
        else:
            write_saved_model(model, folder)
        about = {"exported_from": settings.checkpoint_path, "easytransfer_mtl": __version__}
        write_companions(folder, member.folder.encoder_files.vocabulary, model.tasks, inputs, about)
    print(f"{settings.checkpoint_path} -> {output} ({settings.export_format}); try: python {output / 'client.py'} TASK TEXT")
    return 0
