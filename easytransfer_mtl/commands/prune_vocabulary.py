"""Prunes an encoder's vocabulary: writes the encoder without the tokens that given texts do not use."""

import logging
import re
from pathlib import Path

import numpy as np

from easytransfer_mtl.config.prune_settings import PruneVocabularySettings
from easytransfer_mtl.encoders.finding import EncoderFiles, find_encoder
from easytransfer_mtl.encoders.loading import check_embeddings, load_config
from easytransfer_mtl.encoders.weight_files.find import FORMATS_BY_SUFFIX
from easytransfer_mtl.encoders.weight_files.sharded import INDEX_SUFFIX
from easytransfer_mtl.errors import UserError, listed
from easytransfer_mtl.files import check_outputs, files_in, replacing_folder
from easytransfer_mtl.pruning.companions import read_companions
from easytransfer_mtl.pruning.report import PruningReport, Size
from easytransfer_mtl.pruning.texts import TextFile, find_text_files, names_of
from easytransfer_mtl.pruning.vocabulary import check_texts_alike, kept_ids, loss_of, splitters_of
from easytransfer_mtl.pruning.weights import open_weights
from easytransfer_mtl.tasks import CONTEST_TASKS, load_tasks


def run(settings: PruneVocabularySettings) -> int:
    """Prunes, prints the report and writes the folder; returns the exit status."""
    tasks = load_tasks(settings.tasks_file) if settings.tasks_file else CONTEST_TASKS
    texts = find_text_files(settings.input_fps, tasks, "input_fps")
    others = find_text_files(settings.report_fps, tasks, "report_fps") if settings.report_fps else []
    files = find_encoder(
        settings.pretrain_model_name_or_path,
        settings.modelZooBasePath,
        vocabulary_rule=settings.vocabulary_rule,
        tokenizer=settings.tokenizer,
    )
    output = Path(settings.output_dir)
    _check_output(output, files, [*texts, *others], settings)
    config = load_config(files)
    check_embeddings(files, config)
    weights = open_weights(files.location)
    if weights.rows != config.vocab_size:
        raise UserError(
            f"{weights.path} has {weights.rows} embeddings, and {files.config_file} says vocab_size {config.vocab_size}; "
            "they do not belong together."
        )
    splitters, companions = splitters_of(files), read_companions(files.config_file, config.model_type)
    new_ids, rows = kept_ids(splitters, companions, texts, weights.rows, settings)
    pruned = [splitter.pruned(new_ids) for splitter in splitters]
    check_texts_alike(splitters, pruned, new_ids, texts, settings)
    losses = {name: loss_of(splitters[0], pruned[0], new_ids, file, settings) for file, name in names_of(others).items()}
    smaller = weights.pruned(np.array(sorted(new_ids), np.int64))
    with replacing_folder(output) as folder:
        folder.mkdir(parents=True)
        smaller.write(folder)
        companions.renumbered(new_ids).write(folder)
        for splitter in pruned:
            splitter.write(folder)
        names = tuple(splitter.file_name for splitter in splitters)
        tokens = len(set().union(*(splitter.ids for splitter in splitters)))
        before = Size(tokens, weights.rows, weights.parameters, weights.size, _bytes(files.folder, names))
        kept = len(set().union(*(splitter.ids for splitter in pruned)))
        after = Size(kept, smaller.rows, smaller.parameters, smaller.size, _bytes(folder, names))
        encoder = Path(settings.pretrain_model_name_or_path).name or files.folder.resolve().name
        report = PruningReport(encoder, names, before, after, rows, losses)
        report.write(folder)
        _log_left_aside(files, folder)
    print(report.text(), end="")
    print(f"wrote {output}")
    return 0


def _check_output(output: Path, files: EncoderFiles, texts: list[TextFile], settings: PruneVocabularySettings) -> None:
    if output.exists() and files.folder.exists() and output.samefile(files.folder):
        raise UserError(f"--output_dir {output} is the encoder's own folder; give a new one.")
    if output.is_dir() and any(output.iterdir()):
        raise UserError(f"--output_dir {output} exists and is not empty; give a new one, or remove it.")
    read = [*files_in(files.folder), *(file.path for file in texts), *settings.named_files]
    check_outputs([], read, [output])


def _bytes(folder: Path, names: tuple[str, ...]) -> int:
    return sum((folder / name).stat().st_size for name in names if (folder / name).is_file())


def _log_left_aside(files: EncoderFiles, folder: Path) -> None:
    """Logs the files of the encoder that the pruned one does not have, such as the model of a slow tokenizer."""
    names = [path.name for path in files_in(files.folder) if not (folder / path.name).exists()]
    is_weights = re.compile(rf".*({'|'.join(map(re.escape, FORMATS_BY_SUFFIX))})({re.escape(INDEX_SUFFIX)})?")
    if aside := [name for name in names if name != files.config_file.name and not is_weights.fullmatch(name)]:
        logging.info("Left aside, since they are not the pruned encoder's: %s", listed(aside))
