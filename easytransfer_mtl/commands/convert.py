"""Converts CSV to TFRecord: one file (EasyTransfer's preprocess mode), or all contest files of a folder."""

import itertools
from dataclasses import replace
from pathlib import Path

from easytransfer_mtl.config.convert_settings import ConvertSettings
from easytransfer_mtl.data.contest_files import find_labelled, report_boards
from easytransfer_mtl.data.conversion import (
    Conversion,
    ConversionReport,
    check_sources,
    convert_file,
    rejects_path,
    shared_texts,
)
from easytransfer_mtl.data.learned_labels import with_labels
from easytransfer_mtl.data.manifest import manifest_path
from easytransfer_mtl.data.published_features import check_units, feature_builder
from easytransfer_mtl.data.splitting import split_tail, tail_paths
from easytransfer_mtl.data.table_reader import TableTally
from easytransfer_mtl.data.tokenization import Vocabulary, warn_of_words
from easytransfer_mtl.data.vocabulary_rules import warn_of_rules
from easytransfer_mtl.encoders.config_checks import AFTER_PADDING, check_config, model_type_of, most_tokens
from easytransfer_mtl.encoders.finding import EncoderFiles, find_encoder
from easytransfer_mtl.encoders.vocabularies import check_padding_token, check_size
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import check_outputs, files_in, read_json, write_text
from easytransfer_mtl.tasks import CONTEST_TASKS, Task, load_tasks, require_labels, task_named

MODES = (None, "preprocess")
FEATURES = "input_ids,input_mask,segment_ids,label_id"


def run(settings: ConvertSettings) -> int:
    """Converts and prints a report for each file; returns the exit status."""
    if settings.mode not in MODES:
        raise UserError(f"--mode={settings.mode} is not convert's; it is preprocess (training is the train command).")
    if settings.output_schema.replace(" ", "") not in (FEATURES, "bert_finetune"):
        raise UserError(f"output_schema {settings.output_schema!r} is not supported; use {FEATURES} (or bert_finetune).")
    tasks = load_tasks(settings.tasks_file) if settings.tasks_file else CONTEST_TASKS
    if settings.data_dir:
        tasks = with_labels(tasks, settings.data_dir, settings.header)
    conversions = _folder(settings, tasks) if settings.data_dir else [_single(settings, tasks)]
    files = find_encoder(
        settings.tokenizer_name_or_path, settings.modelZooBasePath, False, settings.vocabulary_rule, settings.tokenizer
    )
    _check_outputs(settings, conversions, files_in(files.folder))
    _check_encoder(settings.sequence_length, files)
    vocabulary = files.vocabulary
    if isinstance(vocabulary, Vocabulary):
        warn_of_rules(vocabulary, files.vocabulary_file)
        warn_of_words(vocabulary, files.vocabulary_file)
    builder = feature_builder(vocabulary, settings.text_normalization, settings.sequence_length)
    check_units(builder, [item.task for item in conversions])
    max_bad_share = settings.max_bad_share
    if settings.data_dir:
        check_sources(conversions, settings.on_bad_row, settings.header, max_bad_share)
        conversions = _with_dev(settings, conversions)
        max_bad_share = 1.0  # the whole file was checked; a part of it may have more
    reports = []
    for conversion in conversions:
        report = convert_file(conversion, builder, settings.on_bad_row, settings.header, max_bad_share)
        print("\n".join(report.lines()), flush=True)
        reports.append(report)
    _print_shared(reports)
    if settings.data_dir and settings.output_dir:
        _write_lists(Path(settings.output_dir), conversions)
    return 0


def _print_shared(reports: list[ConversionReport]) -> None:
    for train, dev in itertools.pairwise(reports):
        if train.conversion.task == dev.conversion.task:
            line = shared_texts(train, dev)
            if line:
                print(line, flush=True)


def _check_encoder(sequence_length: int, files: EncoderFiles) -> None:
    """Raises UserError if rows can be longer than the encoder takes, or ids can lack an embedding. Needs a config."""
    try:
        config_file = files.config_file
        value = read_json(config_file, "encoder config")
    except UserError:  # convert works without a config
        return
    if not isinstance(value, dict):
        return
    value["model_type"] = model_type_of(value, files.tanh_gelu)
    size = value.get("vocab_size")
    if type(size) is int and size > 0:
        check_size(files.vocabulary, files.vocabulary_file, size, config_file)
    if value["model_type"] in AFTER_PADDING:
        check_config(value, value["model_type"], str(config_file))
        check_padding_token(files.vocabulary, files.vocabulary_file, value["pad_token_id"], config_file)
    most = most_tokens(value)
    if most and sequence_length > most:
        raise UserError(
            f"sequence_length is {sequence_length}; the encoder's config {config_file} allows {most} "
            f"(max_position_embeddings). Give --sequence_length={most} or less."
        )


def _folder(settings: ConvertSettings, tasks: tuple[Task, ...]) -> list[Conversion]:
    """Plans the conversion of every task's train file and, if there is one, its dev file."""
    assert settings.data_dir
    if not settings.output_dir:
        raise UserError("convert with --data_dir needs --output_dir.")
    found = dict(zip(("train", "dev"), find_labelled(settings.data_dir, tasks)))
    report_boards(settings.data_dir, tasks)
    return [
        Conversion(found[kind][task.name], Path(settings.output_dir) / f"{task.file_name}_{kind}.tfrecord", task)
        for task in tasks
        for kind in found
        if task.name in found[kind]
    ]


def _with_dev(settings: ConvertSettings, conversions: list[Conversion]) -> list[Conversion]:
    """Splits dev rows off the end of the train file of each task without a dev file, unless dev_share is 0."""
    tasks = [item.task for item in conversions]
    result = []
    for item in conversions:
        if tasks.count(item.task) == 2 or not settings.dev_share:
            result.append(item)
            continue
        form = TableTally(item.source, item.task, item.labelled, settings.header).table_form()
        parts = split_tail(item.source, settings.dev_share, _split_folder(item), settings.header, form)
        print(f"{item.task.name}: no dev file; the last {settings.dev_share:.0%} of {item.source.name} is dev ({parts[1]})")
        outputs = (item.output, _dev_output(item))
        result += [Conversion(source, output, item.task) for source, output in zip(parts, outputs)]
    return result


def _split_folder(train: Conversion) -> Path:
    return train.output.parent / "split" / train.task.file_name


def _dev_output(train: Conversion) -> Path:
    return train.output.with_name(f"{train.task.file_name}_dev.tfrecord")


def _check_outputs(settings: ConvertSettings, conversions: list[Conversion], encoder: list[Path]) -> None:
    outputs = [item.output for item in conversions]
    outputs = [*outputs, *map(manifest_path, outputs), *map(rejects_path, outputs)]
    if settings.data_dir and settings.output_dir:
        tasks = [item.task for item in conversions]
        for item in conversions:
            if tasks.count(item.task) == 1 and settings.dev_share:  # the end of the train file becomes dev rows
                dev = _dev_output(item)
                outputs += [*tail_paths(item.source, _split_folder(item)), dev, manifest_path(dev), rejects_path(dev)]
        outputs += [Path(settings.output_dir) / f"{kind}.list_tfrecord" for kind in ("train", "dev")]
    check_outputs(outputs, [*(item.source for item in conversions), *encoder, *settings.named_files])


def _write_lists(output: Path, conversions: list[Conversion]) -> None:
    for kind in ("train", "dev"):
        path = output / f"{kind}.list_tfrecord"
        names = [item.output.name for item in conversions if item.output.name == f"{item.task.file_name}_{kind}.tfrecord"]
        if names:
            write_text(path, "".join(f"{name}\n" for name in names))
            print(f"wrote {path}")
        else:
            path.unlink(missing_ok=True)  # from an earlier conversion; its dev rows are train rows now


def _single(settings: ConvertSettings, tasks: tuple[Task, ...]) -> Conversion:
    source, output = settings.preprocess_input_fp, settings.preprocess_output_fp
    source = settings.tables.split(",")[0] if settings.tables else source
    output = settings.outputs.split(",")[0] if settings.outputs else output
    if not source or not output:
        raise UserError("convert needs --data_dir and --output_dir, or --preprocess_input_fp and --preprocess_output_fp.")
    labelled = settings.labelled and not (settings.input_schema and settings.label_name is None)
    return Conversion(Path(source), Path(output), _task(settings, tasks), labelled)


def _task(settings: ConvertSettings, tasks: tuple[Task, ...]) -> Task:
    """Finds the task by name or by EasyTransfer's label list; takes the columns from ``input_schema`` if given."""
    labels = tuple(settings.label_enumerate_values.split(",")) if settings.label_enumerate_values else None
    if settings.task:
        task = task_named(settings.task, tasks)
    else:
        fitting = [task for task in tasks if task.label_enumerate_values == labels]
        if len(fitting) != 1:
            known = "; ".join(f"{task.name}: {','.join(task.label_enumerate_values)}" for task in tasks)
            given = settings.label_enumerate_values
            raise UserError(f"Which task is it? Its label list is {given!r}. Give --task ({known}).")
        task = fitting[0]
    if labels and task.learns_labels:
        task = replace(task, label_enumerate_values=labels)
    require_labels((task,))
    if labels and labels != task.label_enumerate_values:
        raise UserError(f"{task.name} has the labels {','.join(task.label_enumerate_values)}, not {','.join(labels)}.")
    if not settings.input_schema:
        return task
    columns = _columns(settings.input_schema)
    # Without label_name no column is the label, whatever its name.
    label = settings.label_name or "(no label)"
    return replace(
        task,
        columns=columns if label in columns else (*columns, label),
        first_sequence=settings.first_sequence or task.first_sequence,
        second_sequence=settings.second_sequence if settings.second_sequence in columns else None,
        label_name=label,
        id_column=task.id_column if task.id_column in columns else _first_but(label, columns),
    )


def _first_but(label: str, columns: tuple[str, ...]) -> str:
    return next((column for column in columns if column != label), label)


def _columns(schema: str) -> tuple[str, ...]:
    """Returns the column names of an EasyTransfer schema, ``name:type:length`` joined by commas."""
    columns = []
    for item in schema.split(","):
        parts = item.strip().split(":")
        if len(parts) != 3 or parts[1] not in ("str", "int") or parts[2] != "1":
            raise UserError(f"input_schema: {item!r} is not name:str:1 (or int); columns of other kinds are not supported.")
        columns.append(parts[0])
    return tuple(columns)
