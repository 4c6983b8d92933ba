"""Rooms import upwards only, and everything public is explained and annotated."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "easytransfer_mtl"
FILES = sorted(PACKAGE.rglob("*.py"))
LEVELS = (
    ("tasks", "config", "files", "errors", "values", "own_code", "seeding", "environment", "machine", "compiled_code",
     "progress"),
    ("data", "encoders", "weighting"),
    ("models",),
    ("runs",),
    ("evaluation",),
    ("training", "pretraining", "submission", "pruning", "inspection", "exporting", "serving"),
    ("comparing", "reporting", "diagnosis"),
    ("commands",),
    ("__main__",),
)  # fmt: skip
LEVEL_OF = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
MODEL_CODE = ("easytransfer_mtl.models", "easytransfer_mtl.encoders", "transformers", "tf_keras", "keras", "torch")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import in line {node.lineno}"
            module = str(node.module)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def imported_rooms(path: Path) -> set[str]:
    names = (name.split(".") for name in imported_modules(path))
    return {parts[1] for parts in names if parts[0] == "easytransfer_mtl" and len(parts) > 1 and parts[1] in LEVEL_OF}


def definitions(path: Path) -> Iterator[tuple[str, ast.AST, bool]]:
    """Yields (qualified name, node, whether it is public) of the classes, functions and methods of a file."""

    def walk(node: ast.AST, prefix: str, public: bool) -> Iterator[tuple[str, ast.AST, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                shown = public and not child.name.startswith("_")
                yield f"{path.name}: {prefix}{child.name}", child, shown
                yield from walk(child, f"{prefix}{child.name}.", shown and isinstance(child, ast.ClassDef))
            else:
                yield from walk(child, prefix, public)

    yield from walk(tree_of(path), "", True)


def ids(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def test_every_room_has_its_level() -> None:
    assert {room_of(path) for path in FILES} - {"__init__"} <= set(LEVEL_OF)


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_imports_go_upwards_only(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        assert not imported_rooms(path)
        return
    higher = sorted(other for other in imported_rooms(path) if LEVEL_OF[other] > LEVEL_OF[room])
    assert not higher, f"{room} must not import {higher}"


def test_no_circle_of_files() -> None:
    """Imports inside functions and under TYPE_CHECKING count too: whoever reads one file of a circle must read them all."""
    names = {path: ".".join(("easytransfer_mtl", *path.relative_to(PACKAGE).with_suffix("").parts)) for path in FILES}
    paths = {name.removesuffix(".__init__"): path for path, name in names.items()}
    graph = {path: {paths[name] for name in imported_modules(path) if name in paths} - {path} for path in FILES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(ids(path) for path in error.args[1]))


@pytest.mark.parametrize("path", [path for path in FILES if room_of(path) in ("data", "weighting")], ids=ids)
def test_data_and_weighting_know_no_model(path: Path) -> None:
    wrong = [name for name in imported_modules(path) if name.startswith(MODEL_CODE) or name.startswith("tensorflow.keras")]
    assert not wrong
    assert not [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Attribute) and node.attr == "keras"]


def test_what_help_needs_does_not_import_tensorflow() -> None:
    heavy = ("tensorflow", "transformers", "tf_keras", "h5py", "sklearn")
    for path in FILES:
        if LEVEL_OF.get(room_of(path)) == 0 and path.name not in ("environment.py", "compiled_code.py"):
            assert not [name for name in imported_modules(path) if name.split(".")[0] in heavy], path.name


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_everything_public_has_a_docstring(path: Path) -> None:
    assert ast.get_docstring(tree_of(path)), f"{path.name} has no docstring"
    missing = [name for name, node, public in definitions(path) if public and not ast.get_docstring(node)]
    assert not missing


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_every_signature_is_annotated(path: Path) -> None:
    wrong = []
    for name, node, _ in definitions(path):
        if not isinstance(node, Function):
            continue
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        arguments += [argument for argument in (node.args.vararg, node.args.kwarg) if argument]
        bare = [item.arg for item in arguments if item.annotation is None and item.arg not in ("self", "cls")]
        if bare or node.returns is None:
            wrong.append((name, bare, "no return type" if node.returns is None else ""))
    assert not wrong
