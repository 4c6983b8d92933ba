"""Flags over JSON over defaults."""

import difflib
import logging
from typing import Any, TypeVar

from easytransfer_mtl.config.easytransfer_keys import NO_EFFECT
from easytransfer_mtl.config.options import Option, options_of, parse_flags
from easytransfer_mtl.config.settings import ALL_SETTINGS
from easytransfer_mtl.errors import UserError, clipped, shown
from easytransfer_mtl.files import read_json

Settings = TypeVar("Settings")


def load_settings(settings: type[Settings], arguments: list[str], command: str) -> Settings:
    """Builds a command's settings from its arguments and the JSON file that ``--config`` names.

    Args:
        settings: a dataclass of ``easytransfer_mtl.config.settings``.
        arguments: the command line after the command.
        command: name for messages.

    Raises:
        UserError: an unknown flag or key (the nearest known one is named), a value that does not fit, or a missing one.
    """
    options = options_of(settings)
    given = parse_flags(options, arguments, command)
    if given.get("config"):
        given = {**read_config(options, given["config"]), **given}
    values = {name: given.get(name, item.default) for name, item in options.items()}
    try:
        return settings(**values)
    except UserError as error:
        raise UserError(f"{command}: {error} See `{command} --help`.") from None


def read_config(options: dict[str, Option], path: str) -> dict[str, Any]:
    """Takes a command's values out of an EasyTransfer JSON file; errors as ``read_json`` and ``read_settings``."""
    return read_settings(options, read_json(path, "config"), path)


def read_settings(options: dict[str, Option], content: Any, where: str) -> dict[str, Any]:
    """Takes a command's values out of an EasyTransfer JSON object, and checks every other key in it too.

    Keys of other commands are passed over; EasyTransfer keys that have no effect here are named in a warning.

    Raises:
        UserError: a section or key is unknown, or a value does not fit.
    """
    wanted = {item.place: item for item in options.values() if item.place}
    places = {item.place for settings in ALL_SETTINGS for item in options_of(settings).values() if item.place}
    known = {place: place in wanted for place in sorted(places | set(NO_EFFECT))}
    found = {}
    for place, value in _flatten(content, where, known):
        if place in wanted:
            found[wanted[place].name] = wanted[place].convert(value, f"{where}: {place}")
        elif place in NO_EFFECT and value not in NO_EFFECT[place]:
            logging.warning("%s: %s has no effect here", where, place)
    return found


def _flatten(content: Any, where: str, known: dict[str, bool], section: str = "") -> list[tuple[str, Any]]:
    """Returns (dotted path, value) of every key; unknown sections and keys are errors.

    ``known`` tells of each place whether it is one of the command's own.
    """
    if not isinstance(content, dict):
        raise UserError(f"{where}: {section or 'the file'} must be a JSON object, found {shown(content)}.")
    pairs = []
    for key, value in content.items():
        place = f"{section}.{key}".lstrip(".")
        if place in known:
            pairs.append((place, value))
        elif any(path.startswith(f"{place}.") for path in known):
            pairs += _flatten(value, where, known, place)
        else:
            raise UserError(f"{where}: {clipped(place)} is not known{_suggestion(place, known)}")
    return pairs


def _suggestion(place: str, known: dict[str, bool]) -> str:
    key, root = place.rsplit(".", 1)[-1], place.split(".")[0]
    same_key = [path for path in known if path.rsplit(".", 1)[-1] == key]
    same_key.sort(key=lambda path: (path.split(".")[0] != root, not known[path]))
    sections = {path.rsplit(".", 1)[0] for path in known if "." in path}
    near = same_key or difflib.get_close_matches(place, [*known, *sections], n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else "."
