"""What an architecture's values may be, whether settings or a file tell them."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from easytransfer_mtl.config.options import Option, options_of
from easytransfer_mtl.config.sharing_settings import SharingSettings
from easytransfer_mtl.errors import UserError, shown
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.models.features import parse_features
from easytransfer_mtl.models.heads import HeadSpec, parse_head
from easytransfer_mtl.models.sharing_options import SharingOptions

OPTIONS = options_of(SharingSettings)
LARGEST = 65_536
"""Of a head's number: a file that tells more is not believed."""
TYPES: dict[type, tuple[type, ...]] = {str: (str,), int: (int,), float: (int, float)}


def architecture_from_json(value: Any, where: str) -> Architecture:
    """Reads ``Architecture.to_json``'s value.

    Raises:
        UserError: it is not one, or a value of it is of the wrong type, unknown or out of range; ``where`` names its file.
    """
    try:
        options = SharingOptions(**value.get("sharing_options", {}))
        found = Architecture(**{**value, "sharing_options": options})
    except (AttributeError, TypeError) as error:
        raise UserError(f"{where} is damaged (architecture: {error}).") from None
    problem = problem_of(found)
    if problem:
        raise UserError(f"{where} is damaged (architecture: {problem}).")
    return found


def problem_of(architecture: Architecture) -> str | None:
    """Returns what is of the wrong type, unknown or out of range, the first of it, or None."""
    return next(_problems(architecture), None)


def _problems(architecture: Architecture) -> Iterator[str]:
    for name, value in {"sharing": architecture.sharing, **asdict(architecture.sharing_options)}.items():
        if not _fits(OPTIONS[name], value):
            yield f"{name} is {shown(value)}; expected {_expected(OPTIONS[name])}"
    for name, kind, check in (
        ("features", str, parse_features),
        ("heads", str, lambda text, place: _check_size(parse_head(text, place), place)),
        ("task_dropout", (int, float), _check_rate),
    ):
        yield from _of_tasks(name, getattr(architecture, name), kind, check)
    yield from _of_tasks("head_dropout", {"": architecture.head_dropout}, (int, float), _check_rate)


def _fits(item: Option, value: Any) -> bool:
    if value is None:
        return item.nullable
    if type(value) not in TYPES[item.kind]:
        return False
    if item.kind is str:
        return not item.choices or value in item.choices
    return (item.minimum or 0) <= value <= item.maximum


def _expected(item: Option) -> str:
    if item.choices:
        return " or ".join(item.choices)
    if item.kind is str:
        return "text"
    what = "a whole number" if item.kind is int else "a number"
    return f"{what} from {item.minimum or 0} to {item.maximum}"


def _of_tasks(name: str, values: Any, kind: Any, check: Callable[[Any, str], Any]) -> Iterator[str]:
    """Yields what is wrong with a value for each task."""
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
        except ValueError as error:  # a number of too many digits for Python
            yield f"{place}: {error}"


def _check_size(head: HeadSpec, place: str) -> None:
    if head.size is not None and head.size > LARGEST:
        raise UserError(f"{place}={head.text}: {head.size} is too large; at most {LARGEST} is allowed.")


def _check_rate(rate: float, place: str) -> None:
    if not 0 <= rate < 1:
        raise UserError(f"{place} is {rate}: a rate must be from 0 to below 1.")
