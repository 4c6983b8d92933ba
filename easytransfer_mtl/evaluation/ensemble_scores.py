"""Scores of several models and of their average on dev files."""

import numpy as np

from easytransfer_mtl.encoders.config_checks import most_tokens
from easytransfer_mtl.encoders.loading import load_config
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.ensemble import mean_probabilities, one_at_a_time
from easytransfer_mtl.evaluation.evaluator import EvaluationOptions
from easytransfer_mtl.evaluation.inference import HeadOutput, Inference
from easytransfer_mtl.evaluation.metrics import score_task
from easytransfer_mtl.evaluation.model_class import AS_STORED, ModelClass
from easytransfer_mtl.evaluation.model_scores import ModelScores
from easytransfer_mtl.evaluation.stored_models import StoredModel, check_alike
from easytransfer_mtl.runs.task_data import TaskData, check_dev_data, read_task_data


def read_dev_data(path: str, members: list[StoredModel]) -> list[TaskData]:
    """Reads dev files for scoring all models.

    TFRecords hold token ids, so the models must have the same vocabulary.

    Args:
        path: a list file or one TFRecord file.
        members: the models.

    Raises:
        UserError: the models differ, or a file does not fit them.
    """
    tasks, inputs = check_alike(members), members[0].folder.read_tasks()[1]
    files = [member.folder.encoder_files for member in members]
    vocabularies = [item.vocabulary for item in files]
    for member, vocabulary in zip(members, vocabularies):
        if vocabulary.sha256 != vocabularies[0].sha256:
            raise UserError(
                f"{member.name} has another vocabulary than {members[0].name}; TFRecords hold the token ids of one, so "
                "these models cannot be scored on the same files. predict and submit can average them: they read texts."
            )
    limits = [most_tokens(load_config(item).to_dict()) for item in files]
    positions = min((limit for limit in limits if limit), default=None)
    data = read_task_data(path, tasks, vocabularies[0], files[0].vocabulary_file, positions)
    check_dev_data(data, inputs)
    return data


def score_ensemble(
    members: list[StoredModel],
    data: list[TaskData],
    options: EvaluationOptions,
    model_class: ModelClass = AS_STORED,
) -> ModelScores:
    """Scores every model and their average; one model at a time is in memory.

    Args:
        members: the models.
        data: the result of ``read_dev_data``.
        options: batch size, labels that macro-F1 averages over, and precision; the other options apply to runs only.
        model_class: the class the models were trained with, and whether user-defined code may be imported.
    """
    outputs: dict[str, list[HeadOutput]] = {}
    for member in one_at_a_time(members):
        inference = Inference(member.load(model_class), options.batch_size, options.precision)
        outputs[member.name] = [
            inference.outputs(item.rows, [item.task.name], f"evaluate {item.task.name}")[item.task.name] for item in data
        ]
        del inference
    scores = {
        name: [
            score_task(item.task, item.rows.label_ids, output.predictions, options.f1_labels)
            for item, output in zip(data, found)
        ]
        for name, found in outputs.items()
    }
    average = []
    for place, item in enumerate(data):
        parts = [found[place] for found in outputs.values()]
        mean = mean_probabilities([part.probabilities for part in parts]).argmax(axis=1)
        labels = mean.astype(np.int32) if len(parts) > 1 else parts[0].predictions
        average.append(score_task(item.task, item.rows.label_ids, labels, options.f1_labels))
    return ModelScores(scores, average, "average")
