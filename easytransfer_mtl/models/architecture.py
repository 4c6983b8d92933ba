"""A model's architecture besides its encoder and tasks; stored beside the weights, so that both are read together."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple

from easytransfer_mtl.config.base import with_own_options
from easytransfer_mtl.config.options import by_task, declared_options, options_of
from easytransfer_mtl.config.train_settings import ArchitectureSettings, SharingSettings
from easytransfer_mtl.errors import UserError, shown
from easytransfer_mtl.models.features import FeatureSpec, check_features, parse_features
from easytransfer_mtl.models.heads import DENSE, HEADS, HeadSpec, parse_head
from easytransfer_mtl.own_code import load_class, own_names
from easytransfer_mtl.tasks import TAGS, Task

LARGEST = 65_536
"""Upper limit of a head's number, in settings and in files."""
HEAD_DROPOUT = 0.1


class TaskSpec(NamedTuple):
    """A task's parsed feature and head."""

    feature: FeatureSpec
    head: HeadSpec


@dataclass(frozen=True)
class Architecture:
    """The parts of a ``MultiTaskModel``; the defaults are the baseline's.

    Attributes:
        sharing: how tasks share the encoder.
        head_dropout: dropout rate of the heads' inputs.
        features: task name -> feature in the syntax of ``models.features.spec``; default: ``sequence`` for heads that read
            sequences and for tasks with tags, else ``pooled``.
        heads: task name -> head in the syntax of ``models.heads.spec``; default: ``dense``.
        task_dropout: task name -> rate that replaces ``head_dropout``.
        part_dropout: task name -> probability with which training zeroes each part of a row's feature.
        own_options: options that user-defined features, heads and model classes declare.
    """

    sharing: SharingSettings = SharingSettings()
    head_dropout: float = HEAD_DROPOUT
    features: dict[str, str] = field(default_factory=dict)
    heads: dict[str, str] = field(default_factory=dict)
    task_dropout: dict[str, float] = field(default_factory=dict)
    part_dropout: dict[str, float] = field(default_factory=dict)
    own_options: dict[str, Any] = field(default_factory=dict)

    @property
    def own(self) -> SimpleNamespace:
        """The options of user-defined classes as attributes."""
        return SimpleNamespace(**self.own_options)

    def dropout_of(self, task_name: str) -> float:
        """Returns the dropout rate of a task's head input."""
        return self.task_dropout.get(task_name, self.head_dropout)

    def spec_of(self, task: Task) -> TaskSpec:
        """Returns a task's feature and head.

        Raises:
            UserError: the feature or the head is unknown, or the two do not fit together.
        """
        name = task.name.lower()
        head = parse_head(self.heads.get(task.name, DENSE), f"heads {name}")
        default = "sequence" if head.head.reads_sequence or task.type == TAGS else "pooled"
        feature = parse_features(self.features.get(task.name, default), f"features {name}")
        if task.type == TAGS:
            _check_tagging(name, feature, head)
            return TaskSpec(feature, head)
        fitting = ", ".join(kind for kind, made in HEADS.items() if made.reads_sequence == feature.is_sequence)
        if head.head.reads_sequence and not feature.is_sequence:
            raise UserError(
                f"heads {name}={head.text} reads a state per token, but features {name}={feature.text} is one vector per "
                f"row. Set --features={name}=sequence (or last4.sequence, mix.sequence), leave {name} out of --features, or "
                f"take one of the heads {fitting}."
            )
        if feature.is_sequence and not head.head.reads_sequence:
            raise UserError(
                f"features {name}={feature.text} is a state per token, but heads {name}={head.text} reads one vector per "
                f"row. Set --features={name}=mean, or take one of the heads {fitting}, for instance --heads={name}=bilstm."
            )
        return TaskSpec(feature, head)

    def to_json(self) -> dict[str, Any]:
        """Returns the JSON object that ``architecture_from_json`` reads."""
        options = asdict(self.sharing)
        return {**asdict(self), "sharing": options.pop("sharing"), "sharing_options": options}

    def changes_from(self, written: dict[str, Any]) -> list[str]:
        """Returns the differences from a stored architecture that make another model, as ``name: stored -> current``.

        Dropout rates are ignored, and so are options missing from ``written``, which an earlier version did not have.

        Args:
            written: the ``to_json`` value of the stored architecture.
        """
        mine = self.to_json()
        names = [name for name in mine if name in written and not name.endswith("dropout")]
        return [f"{name}: {written[name]} -> {mine[name]}" for name in names if not _agree(written[name], mine[name])]


def _check_tagging(name: str, feature: FeatureSpec, head: HeadSpec) -> None:
    """Raises UserError unless the feature is a state per token, and the head can give each of them its logits."""
    if not head.head.per_token:
        fitting = ", ".join(kind for kind, made in HEADS.items() if made.per_token)
        raise UserError(
            f"heads {name}={head.text} makes one answer of a whole row, and {name} is of the type {TAGS}, with an answer "
            f"per token. Take one of the heads {fitting} for it (--heads={name}={DENSE})."
        )
    if not feature.is_sequence:
        raise UserError(
            f"features {name}={feature.text} is one vector per row, and {name} is of the type {TAGS}, whose head reads "
            f"a state per token. Set {name}=sequence (or last4.sequence); behind what all others read, it is "
            f"--features=FEATURE,{name}=sequence."
        )


def _agree(written: Any, now: Any) -> bool:
    if isinstance(written, dict) and isinstance(now, dict) and written.keys() <= now.keys():
        return all(written[key] == now[key] for key in written)
    return bool(written == now)


BASELINE = Architecture()


def choose_architecture(settings: ArchitectureSettings, tasks: list[Task], num_layers: int | None = None) -> Architecture:
    """Returns the architecture that the settings describe; values that equal the baseline's are left out.

    Args:
        settings: the configuration.
        tasks: in the model's order.
        num_layers: the encoder's; None if it is not known yet.

    Raises:
        UserError: settings do not fit each other, the tasks or the encoder.
    """
    names = [task.name for task in tasks]
    named = Architecture(features=by_task(settings, "features", names), heads=by_task(settings, "heads", names))
    specs = {task.name: named.spec_of(task) for task in tasks}
    for task in tasks:
        check_features(specs[task.name].feature, task, num_layers, f"features {task.name.lower()}")
    rates = by_task(settings, "head_dropout", names)
    parts = by_task(settings, "part_dropout", names)
    for name, (feature, head) in specs.items():
        if head.head.drops_itself and not rates[name]:
            raise UserError(
                f"heads {name.lower()}={head.text} needs a dropout above 0, under which its masks differ; set "
                f"--head_dropout={name.lower()}=0.1, or take the head dense."
            )
        if parts[name] and len(feature.parts) == 1:
            raise UserError(
                f"part_dropout {settings.part_dropout}: {name} reads one part only, {feature.text}; name tasks that read "
                "several, such as cls+ngrams, or leave it out."
            )
    common = HEAD_DROPOUT if "=" in settings.head_dropout else rates[names[0]]
    found = Architecture(
        sharing=_sharing(settings),
        head_dropout=common,
        features={name: spec.feature.text for name, spec in specs.items() if spec.feature.text != "pooled"},
        heads={name: spec.head.text for name, spec in specs.items() if spec.head.text != DENSE},
        task_dropout={name: rate for name, rate in rates.items() if rate != common},
        part_dropout={name: rate for name, rate in parts.items() if rate},
        own_options=_own_options(settings),
    )
    if problem := problem_of(found):
        raise UserError(f"{problem}.")
    return found


def _sharing(settings: ArchitectureSettings) -> SharingSettings:
    group = with_own_options(SharingSettings, {"sharing": settings.sharing})
    return group(**{name: getattr(settings, name) for name in options_of(group)})


def _own_options(settings: ArchitectureSettings) -> dict[str, Any]:
    """Returns the options that user-defined features, heads and model classes declare, with their values."""
    found: dict[str, Any] = {}
    for setting in ("features", "heads", "model_class"):
        for name in own_names(getattr(settings, setting, None)):
            found |= {option: getattr(settings, option) for option in declared_options(load_class(name, setting))}
    return found


def architecture_from_json(value: Any, where: str) -> Architecture:
    """Reads the value of ``Architecture.to_json``.

    Args:
        value: the JSON value.
        where: name of its file, for errors.

    Raises:
        UserError: ``value`` is no architecture, or a value in it has the wrong type, is unknown or is out of range.
    """
    try:
        parts = {**value}
        sharing = SharingSettings(sharing=parts.pop("sharing", "hard"), **parts.pop("sharing_options", {}))
        found = Architecture(sharing=sharing, **parts)
    except (TypeError, ValueError, UserError) as error:
        raise UserError(f"{where} is damaged (architecture: {str(error).rstrip('.')}).") from None
    if problem := problem_of(found):
        raise UserError(f"{where} is damaged (architecture: {problem}).")
    return found


def problem_of(architecture: Architecture) -> str | None:
    """Returns a description of the first value that has the wrong type, is unknown or is out of range, or None."""
    return next(_problems(architecture), None)


def _problems(architecture: Architecture) -> Iterator[str]:
    number = (int, float)
    if not isinstance(architecture.own_options, dict) or not all(map(str.isidentifier, map(str, architecture.own_options))):
        yield f"own_options is {shown(architecture.own_options)}"
    for name, kind, check in (
        ("features", str, parse_features),
        ("heads", str, lambda text, place: _check_size(parse_head(text, place), place)),
        ("task_dropout", number, _check_rate),
        ("part_dropout", number, _check_rate),
    ):
        yield from _of_tasks(name, getattr(architecture, name), kind, check)
    yield from _of_tasks("head_dropout", {"": architecture.head_dropout}, number, _check_rate)


def _of_tasks(name: str, values: Any, kind: Any, check: Callable[[Any, str], Any]) -> Iterator[str]:
    if not isinstance(values, dict):
        yield f"{name} is {values!r}; expected a value for each task"
        return
    for task, value in values.items():
        place = f"{name} {str(task).lower()}".strip()
        if not isinstance(value, kind) or isinstance(value, bool):
            yield f"{place} is {shown(value)}"
            continue
        try:
            check(value, place)
        except UserError as error:
            yield str(error).rstrip(".")
        except ValueError as error:  # a number with too many digits for Python
            yield f"{place}: {error}"


def _check_size(head: HeadSpec, place: str) -> None:
    if head.size is not None and head.size > LARGEST:
        raise UserError(f"{place}={head.text}: {head.size} is too large; at most {LARGEST} is allowed.")


def _check_rate(rate: float, place: str) -> None:
    if not 0 <= rate < 1:
        raise UserError(f"{place} is {rate}: a rate must be from 0 to below 1.")
