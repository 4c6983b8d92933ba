"""Builds settings: flags override an EasyTransfer JSON file, which overrides defaults."""

import dataclasses
import difflib
import inspect
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from easytransfer_mtl.config.options import (
    Option,
    check_settings,
    declared_options,
    option,
    options_of,
    own_code_flags,
    parse_flags,
)
from easytransfer_mtl.config.sections import MAX_BAD_SHARE, PREPROCESS
from easytransfer_mtl.errors import UserError, clipped, shown
from easytransfer_mtl.files import read_json
from easytransfer_mtl.own_code import load_class, own_names

Made = TypeVar("Made", bound="Settings")

NO_EFFECT: dict[str, tuple[Any, ...]] = {
    "preprocess_config.append_feature_columns": (None, ""),
    "preprocess_config.max_predictions_per_seq": (None,),
    "preprocess_config.multi_label": (None, False),
    "preprocess_config.max_num_labels": (None, 5),
    "train_config.throttle_secs": (None, 100),
    "train_config.distribution_config.num_model_replica": (None, 1),
    "train_config.distribution_config.num_communicators": (None, 1),
    "train_config.distribution_config.num_splits": (None, 1),
    "train_config.distribution_config.enable_xla": (None, False),
    "train_config.distribution_config.pull_evaluation_in_multiworkers_training": (None, False),
    "export_config.receiver_tensors_schema": (None,),
    "export_config.input_tensors_schema": (None,),
}
"""Dotted path of an EasyTransfer key without effect here -> values that need no warning (EasyTransfer's defaults)."""
COMMANDS_SETTINGS: list[type["Settings"]] = []
"""The settings classes of all commands, whose keys one JSON file may hold; ``config/__init__.py`` adds them."""


class ReadsConfig(type):
    """Metaclass of settings: values that are not given are read from the file ``config``, if that is given."""

    def __call__(cls, **given: Any) -> Any:
        """Builds the settings.

        Raises:
            UserError: the file cannot be read, or the file or a value does not fit.
        """
        reads = given.get("config") and not given.keys() >= options_of(cls).keys()
        own_code = own_code_settings(cls, given["config"]) if reads else {}
        made: Any = with_own_options(cls, {**own_code, **given})
        if reads:
            given = {**read_config(options_of(made), given["config"]), **given}
        return type.__call__(made, **given)

    @property
    def __signature__(cls) -> inspect.Signature:
        """The constructor's signature, for ``help`` and editors."""
        signature = inspect.signature(vars(cls)["__init__"])
        return signature.replace(parameters=list(signature.parameters.values())[1:])


@dataclass(frozen=True, kw_only=True)
class Settings(metaclass=ReadsConfig):
    """A group of settings; all values are checked on construction."""

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class CommonSettings(Settings):
    """Settings of every command."""

    config: str | None = option(None, "EasyTransfer JSON file; flags win over it")

    @classmethod
    def from_json(cls: type[Made], path: str | os.PathLike[str], **given: Any) -> Made:
        """Reads settings from an EasyTransfer JSON file.

        Args:
            path: the file.
            given: settings that override the file, as flags do on the command line.

        Raises:
            UserError: the file cannot be read, or a section, key or value does not fit.
        """
        values: dict[str, Any] = {"config": os.fspath(path), **given}
        return cls(**values)

    @property
    def named_files(self) -> list[Path]:
        """The configuration files that the settings name; outputs must not overwrite them."""
        values = [getattr(self, name, None) for name in ("config", "tasks_file", "folds_file")]
        return [Path(value) for value in values if value]


@dataclass(frozen=True, kw_only=True)
class BadRowSettings(CommonSettings):
    """Settings for rows that cannot be used."""

    on_bad_row: str = option(
        PREPROCESS,
        "error stops and lists all bad rows; skip leaves them out (convert sets them aside in a file)",
        "error",
        choices=("error", "skip"),
    )
    max_bad_share: float = option(
        PREPROCESS,
        "with on_bad_row skip: the largest share of a file's rows that may be bad; one row always may",
        MAX_BAD_SHARE,
        minimum=0,
        maximum=1,
    )


def load_settings(settings: type[Made], arguments: list[str], command: str) -> Made:
    """Builds a command's settings from its arguments and the JSON file that ``--config`` names.

    Args:
        settings: the command's settings class.
        arguments: the command line after the command.
        command: name for messages.

    Raises:
        UserError: a flag or key is unknown (the message names the nearest known one), a value does not fit, or one is
            missing.
    """
    settings = settings_for(settings, arguments)
    options = options_of(settings)
    given = parse_flags(options, arguments, command)
    if given.get("config"):
        given = {**read_config(options, given["config"]), **given}
    values = {name: given.get(name, item.default) for name, item in options.items()}
    try:
        return settings(**values)
    except UserError as error:
        raise UserError(f"{command}: {error} See `{command} --help`.") from None


def with_own_options(settings: Any, values: dict[str, Any]) -> Any:
    """Returns a settings class extended by the options that user-defined classes named in ``values`` declare.

    Args:
        settings: the settings class.
        values: the given values; only settings that may name classes are read.

    Raises:
        UserError: a class cannot be imported, or declares an option with the name of a setting.
    """
    found: dict[str, tuple[Any, dataclasses.Field]] = {}
    known = options_of(settings)
    for item in known.values():
        for name in own_names(values.get(item.name)) if item.own_code else ():
            for option_name, (hint, field) in declared_options(load_class(name, f"--{item.name}")).items():
                if option_name in known and option_name not in getattr(settings, "own_options", ()):
                    raise UserError(f"--{item.name} {name} declares the option {option_name}, which is a setting already.")
                section = item.section if field.metadata["section"] is None else field.metadata["section"]
                metadata = {**field.metadata, "section": section}
                found[option_name] = hint, dataclasses.field(default=field.default, metadata=metadata)
    if found.keys() <= set(getattr(settings, "own_options", ())):
        return settings
    fields = [(name, *declared) for name, declared in found.items()]
    namespace = {"own_options": tuple(found), "__doc__": settings.__doc__, "__module__": settings.__module__}
    return dataclasses.make_dataclass(
        settings.__name__, fields, bases=(settings,), namespace=namespace, frozen=True, kw_only=True
    )


def settings_for(settings: type[Made], arguments: list[str]) -> type[Made]:
    """Returns a command's settings class extended by the options of user-defined classes.

    The classes are those named by ``arguments`` or by the JSON file in ``--config``; errors as in ``with_own_options``.
    """
    options = options_of(settings)
    config = {"config": dataclasses.replace(options["config"], own_code=True)} if "config" in options else {}
    given = own_code_flags({**options, **config}, arguments)
    path = given.pop("config", None)
    return with_own_options(settings, {**(own_code_settings(settings, path) if path else {}), **given})


def own_code_settings(settings: type, path: str) -> dict[str, Any]:
    """Returns the unchecked values of those settings in a configuration file that may name classes."""
    doors = [item for item in options_of(settings).values() if item.own_code]
    content, found = read_json(path, "config") if doors else None, {}
    for item in doors:
        value: Any = content if item.place else None
        for key in item.place.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, str):
            found[item.name] = value
    return found


def read_config(options: dict[str, Option], path: str) -> dict[str, Any]:
    """Reads a command's values from an EasyTransfer JSON file, and checks that every other key in it is known.

    Keys of other commands are ignored; EasyTransfer keys without effect here are logged as warnings.

    Raises:
        UserError: the file cannot be read, a section or key is unknown, or a value does not fit.
    """
    wanted = {item.place: item for item in options.values() if item.place}
    places = {item.place for settings in COMMANDS_SETTINGS for item in options_of(settings).values() if item.place}
    content = read_json(path, "config")
    known = {place: place in wanted for place in sorted(places | set(wanted) | set(NO_EFFECT))}
    known |= dict.fromkeys(_keys_of_own_code(content, wanted), False)
    found = {}
    for place, value in _flatten(content, path, known):
        if place in wanted:
            found[wanted[place].name] = wanted[place].convert(value, f"{path}: {place}")
        elif place in NO_EFFECT and value not in NO_EFFECT[place]:
            logging.warning("%s: %s has no effect here", path, place)
    return found


def _keys_of_own_code(content: Any, wanted: dict[str, Option]) -> list[str]:
    """Returns the keys that may be options of user-defined classes which other commands' settings name: all keys in the
    same section."""
    found = []
    for settings in COMMANDS_SETTINGS:
        for item in options_of(settings).values():
            if item.own_code and item.place and item.place not in wanted:
                section: Any = content
                for key in (item.section or "").split("."):
                    section = section.get(key) if isinstance(section, dict) else None
                if isinstance(section, dict) and own_names(section.get(item.json_key)):
                    found += [f"{item.section}.{key}" for key, value in section.items() if not isinstance(value, dict)]
    return found


def _flatten(content: Any, where: str, known: dict[str, bool], section: str = "") -> list[tuple[str, Any]]:
    """Returns (dotted path, value) of every key; unknown sections and keys are errors.

    ``known`` maps each known path to whether it belongs to the current command.
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
