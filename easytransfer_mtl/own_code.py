"""User-defined classes, named ``module:Class`` or ``path/to/file.py:Class``."""

import difflib
import hashlib
import importlib
import importlib.util
import os
import re
import sys
from pathlib import Path
from typing import Any

from easytransfer_mtl.environment import check_environment, import_tensorflow
from easytransfer_mtl.errors import UserError, clipped

_NAME = re.compile(r"(?P<home>[^+=,;]+):(?P<own>[A-Za-z_]\w*)")
SUFFIX = ".py"


def is_own(name: Any) -> bool:
    """Returns whether a text names a user-defined class: ``file.py:Class``, or ``module:Class`` with a capital letter."""
    match = _NAME.fullmatch(name) if isinstance(name, str) else None
    return match is not None and (match["home"].endswith(SUFFIX) or match["own"][0].isupper())


def own_names(text: Any) -> list[str]:
    """Returns the names of user-defined classes in a setting's text, which may have values by task and parts joined by +."""
    parts = re.split(r"[,+]", text) if isinstance(text, str) else []
    return [name for name in (part.partition("=")[2].strip() or part.strip() for part in parts) if is_own(name)]


def own_class(name: str, base: type[Any], setting: str) -> type[Any]:
    """Imports a user-defined class.

    Args:
        name: see ``is_own``; a file's path is relative to the current folder, a module is searched for there and in Python's
            search path.
        base: required base class.
        setting: the setting that has the name, for errors.

    Raises:
        UserError: the file, module or class does not exist, its import fails, or it is not a subclass of ``base``.
    """
    found = load_class(name, setting)
    if not issubclass(found, base):
        raise UserError(
            f"{setting} {name}: {found.__name__} is no {base.__name__}; write class {found.__name__}({base.__name__}), from "
            f"{base.__module__}. docs/extending.md shows one that works."
        )
    return found


def load_class(name: str, setting: str) -> type:
    """Imports a user-defined class with any base class; arguments and errors as in ``own_class``."""
    home, own = name.rsplit(":", 1)
    check_environment()
    import_tensorflow(with_bert=True)  # without its messages, before the user's code imports it
    module = _of_file(Path(home), f"{setting} {name}") if home.endswith(SUFFIX) else _of_module(home, f"{setting} {name}")
    found = vars(module).get(own)
    if not isinstance(found, type):
        classes = [
            key for key, value in vars(module).items() if isinstance(value, type) and value.__module__ == module.__name__
        ]
        near = difflib.get_close_matches(own, classes, n=1)
        hint = f"did you mean {near[0]}?" if near else f"its classes are {', '.join(classes) or 'none'}."
        raise UserError(f"{setting} {name}: {home} has no class {own}; {hint}")
    return found


def describe(names: dict[str, list[str]]) -> dict[str, dict[str, str]]:
    """Returns the description of user-defined classes for a run's folder.

    It maps a class's name to its setting, its file, the file's SHA-256, and the folder in which the command was started.

    Args:
        names: setting -> names of classes that are already imported.
    """
    found = {}
    for setting, group in names.items():
        for name in group:
            file = Path(str(sys.modules[load_class(name, setting).__module__].__file__))
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            found[name] = {"setting": setting, "file": str(file), "sha256": digest, "started_from": os.getcwd()}
    return found


def _of_file(path: Path, what: str) -> Any:
    if not path.is_file():
        raise UserError(
            f"{what}: there is no file {path} (looked for from {os.getcwd()}). Start from the folder that the path begins "
            "in, or write the whole path."
        )
    return _import_file(path.resolve(), what)


def _import_file(path: Path, what: str) -> Any:
    # Each file is one module, whichever setting names it, so that its classes are the same objects everywhere.
    name = f"own_code_{hashlib.sha256(str(path).encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        raise _failed(what, path.name, error) from error
    return module


def _of_module(name: str, what: str) -> Any:
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise UserError(
                f"{what}: there is no module {error.name} (looked for from {os.getcwd()}). Install the package that has it, "
                "start from the folder that holds it, or give path/to/file.py:Class."
            ) from None
        raise _failed(what, name, error) from error
    except Exception as error:
        raise _failed(what, name, error) from error


def _failed(what: str, home: str, error: BaseException) -> BaseException:
    """Returns a UserError for a failed import of the user's code; exceptions that end the program are returned unchanged."""
    if not isinstance(error, Exception):
        return error
    trace, line = error.__traceback__, 0
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).name == Path(home).name:
            line = trace.tb_lineno
        trace = trace.tb_next
    place = f" in line {line}" if line else ""
    reason = f"{type(error).__name__}: {clipped(str(error))}"
    return UserError(f"{what}: {home} fails{place} when it is imported ({reason}).")
