"""A run's settings to the architecture of its model."""

from transformers import PretrainedConfig

from easytransfer_mtl.config.settings import TrainSettings
from easytransfer_mtl.encoders.kinds import kind_of
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.architecture import BASELINE, Architecture
from easytransfer_mtl.models.architecture_checks import problem_of
from easytransfer_mtl.models.features import check_features
from easytransfer_mtl.models.task_parts import TaskSpec, task_spec
from easytransfer_mtl.models.unread import read_part
from easytransfer_mtl.tasks import Task
from easytransfer_mtl.training.sharing_choice import sharing_options
from easytransfer_mtl.weighting.task_values import parse_task_rates, parse_task_texts


def choose_architecture(settings: TrainSettings, tasks: list[Task], num_layers: int | None = None) -> Architecture:
    """Returns what the model is made of, everything that is the baseline's left out.

    Args:
        settings: the configuration.
        tasks: in the order of the training list.
        num_layers: the encoder's; None if it is not known yet.

    Raises:
        UserError: settings do not fit each other, the tasks or the encoder.
    """
    names = [task.name for task in tasks]
    features = parse_task_texts("features", settings.features or "", names)
    heads = parse_task_texts("heads", settings.heads or "", names)
    specs = {task.name: _checked_spec(Architecture(features=features, heads=heads), task, num_layers) for task in tasks}
    rates = parse_task_rates("head_dropout", str(settings.head_dropout), names, BASELINE.head_dropout)
    for name, spec in specs.items():
        if spec.head.head.drops_itself and not rates[name]:
            raise UserError(
                f"heads {name.lower()}={spec.head.text} needs a dropout above 0, under which its masks differ; set "
                f"--head_dropout={name.lower()}=0.1, or take the head dense."
            )
    common = BASELINE.head_dropout if "=" in str(settings.head_dropout) else rates[names[0]]
    found = Architecture(
        sharing=settings.sharing,
        sharing_options=sharing_options(settings),
        head_dropout=common,
        features={name: spec.feature.text for name, spec in specs.items() if spec.feature.text != "pooled"},
        heads={name: spec.head.text for name, spec in specs.items() if spec.head.text != "dense"},
        task_dropout={name: rate for name, rate in rates.items() if rate != common},
    )
    problem = problem_of(found)
    if problem:
        raise UserError(f"{problem}.")
    return found


def _checked_spec(architecture: Architecture, task: Task, num_layers: int | None) -> TaskSpec:
    spec = task_spec(architecture, task)
    check_features(spec.feature, task, num_layers, f"features {task.name.lower()}")
    return spec


def choose_part_dropout(settings: TrainSettings, architecture: Architecture, tasks: list[Task]) -> dict[str, float]:
    """Returns task name -> share of rows that each part of what it reads is left out of, of tasks that have any.

    Args:
        settings: the configuration.
        architecture: what the model is made of.
        tasks: its tasks.

    Raises:
        UserError: a rate is out of range, or is for a task that reads one part only.
    """
    text = str(settings.part_dropout)
    rates = parse_task_rates("part_dropout", text, [task.name for task in tasks], 0.0)
    for task in tasks:
        feature = task_spec(architecture, task).feature
        if rates[task.name] and len(feature.parts) == 1:
            raise UserError(
                f"part_dropout {text}: {task.name} reads one part only, {feature.text}; name tasks that read several, "
                "such as cls+ngrams, or leave it out."
            )
    return {name: rate for name, rate in rates.items() if rate}


def check_gram_variables(
    settings: TrainSettings, kind: str, architecture: Architecture, tasks: list[Task], config: PretrainedConfig
) -> None:
    """Checks that the variables whose gradients a weighting compares are trained.

    Args:
        settings: the configuration.
        kind: ``all``, ``last_layer`` or ``pooler``.
        architecture: what the model is made of.
        tasks: its tasks.
        config: the encoder's.

    Raises:
        UserError: they are frozen or shared by all layers, or no task reads them.
    """
    depth = config.num_hidden_layers
    what = f"loss_weighting {settings.loss_weighting} reads the gradients of gram_variables {kind}"
    if kind == "last_layer" and kind_of(config).shares_layers:
        raise UserError(
            f"{what}, but all layers of model_type {config.model_type} are one; set --gram_variables=pooler, or all."
        )
    if kind == "last_layer" and settings.num_freezed_layers == depth:
        raise UserError(f"{what}, which num_freezed_layers freezes; set --gram_variables=pooler, or freeze fewer layers.")
    reads_pooled, highest = read_part([task_spec(architecture, task).feature for task in tasks], depth)
    if (kind == "pooler" and not reads_pooled) or (kind == "last_layer" and highest < depth):
        raise UserError(f"{what}, which no task reads (--features); set --gram_variables=all.")
