"""The build context of a contest image: program, models, requirements, Dockerfile, and the run.sh that writes result.zip.

The contest's second round takes an image with /run.sh, which it starts, and /result.zip, which it scores.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import easytransfer_mtl
from easytransfer_mtl.encoders.recorded_hashes import exported_files
from easytransfer_mtl.environment import installed_version, required
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import check_outputs, replacing_folder, sha256_of
from easytransfer_mtl.submission.writer import RESULT_NAME

TAG_FILE = "TAG"
APP, MODELS, DATA = "app", "app/models", "app/data"
"""Folders of the context, and, below the root, of the image."""
MOUNTED = "/tcdata"
"""Where the contest mounts its files in rounds that do."""
TAG_LENGTH = 16
_EARLIEST = 315_532_800
"""1 January 1980 in seconds, the time of every file: no tool's archive of the context depends on when it was written."""
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]*")
_REPOSITORY = re.compile(r"([a-z0-9][a-z0-9.-]*(:\d+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*", re.IGNORECASE)
_DOCKERFILE = """\
FROM {base_image}
# Another package index: docker build --build-arg PIP_INDEX_URL=...
ARG PIP_INDEX_URL
COPY requirements.txt constraints.txt /app/
RUN python -m pip install --no-cache-dir -r /app/requirements.txt -c /app/constraints.txt
COPY app /app
COPY run.sh /run.sh
{result}WORKDIR /
CMD ["sh", "/run.sh"]
"""
_RUN = """\
#!/bin/sh
# Predicts the test files and writes result.zip into the folder that it is started in, whole or not at all.
# What may be set from outside: APP_DIR (program and models), DATA_DIR (test files), BOARD (a, b, test, auto), PYTHON.
set -eu
APP_DIR="${{APP_DIR:-/app}}"
DATA_DIR="${{DATA_DIR:-{data}}}"
BOARD="${{BOARD:-{board}}}"
PYTHON="${{PYTHON:-python}}"
if [ ! -d "$DATA_DIR" ]; then
  echo "run.sh: there is no folder $DATA_DIR with the test files; mount one, or set DATA_DIR." >&2
  exit 2
fi
here="$(pwd)"
data="$(cd "$DATA_DIR" && pwd)"
app="$(cd "$APP_DIR" && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work" "$here/.result.zip.$$"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work"
PYTHONPATH="$app" PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1 "$PYTHON" -m easytransfer_mtl submit \\
  {models} --data_dir="$data" --board="$BOARD"{header} --predict_output_fp="$work"
cp result.zip "$here/.result.zip.$$"
mv "$here/.result.zip.$$" "$here/result.zip"
"""


@dataclass(frozen=True)
class ImageContent:
    """What goes into an image.

    Attributes:
        models: exported folders, whose probabilities are averaged if there are several.
        test_files: task name -> test file to put into the image; empty if they are mounted.
        board: whose test files are predicted of those that are mounted.
        header: whether the first line of every test file is a header.
        result: a result.zip to put into the image; None for none.
        base_image: image with Python 3.10 to 3.12 that the image is built on.
    """

    models: Sequence[Path]
    test_files: Mapping[str, Path]
    board: str
    header: bool
    result: Path | None
    base_image: str

    @property
    def files(self) -> list[Path]:
        """All files that are read, without those of the program."""
        of_models = [path for folder in self.models for path in exported_files(folder)]
        return [*of_models, *self.test_files.values(), *([self.result] if self.result else [])]


def check_names(base_image: str, registry: str | None) -> None:
    """Raises UserError if an image or a repository has a name that Docker does not know."""
    if not _IMAGE.fullmatch(base_image):
        raise UserError(f"--base_image: {base_image!r} is no name of an image; give one such as python:3.11-slim.")
    if registry is not None and (not _REPOSITORY.fullmatch(registry) or registry != registry.lower()):
        raise UserError(
            f"--registry: {registry!r} is no repository; give HOST/NAMESPACE/NAME in lower case and without a tag, which is "
            "the hash of the content."
        )


def write_context(output: Path, content: ImageContent) -> str:
    """Writes the build context, whole or not at all, and returns its tag.

    Equal contents give equal files and an equal tag. An earlier context in the folder is replaced if nothing was changed in
    it.

    Raises:
        UserError: the folder holds anything else, or is read.
    """
    _check_folder(output)
    check_outputs([], content.files, [output])
    with replacing_folder(output) as fresh:
        for name, source in sorted(_context(content).items()):
            path = fresh / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(source, bytes):
                path.write_bytes(source)
            else:
                shutil.copyfile(source, path)
            path.chmod(0o755 if name.endswith(".sh") else 0o644)
        tag = _tag_of(fresh)
        (fresh / TAG_FILE).write_text(f"{tag}\n", encoding="ascii")
        for path in fresh.rglob("*"):
            os.utime(path, (_EARLIEST, _EARLIEST))
    return tag


def _check_folder(output: Path) -> None:
    if not output.is_dir() or not any(output.iterdir()):
        return
    try:
        written = (output / TAG_FILE).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        written = ""
    if not written or written != _tag_of(output):
        raise UserError(
            f"{output} holds other things than a context that this command wrote, or one that was changed. Give a new or "
            "empty folder."
        )


def _tag_of(folder: Path) -> str:
    """Returns the hash of the names, contents and kinds of all files in a context but its tag."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            digest.update(f"other {name}\n".encode())  # a context has none
        elif path.is_file() and name != TAG_FILE:
            digest.update(f"{sha256_of(path)} {name}\n".encode())
    return digest.hexdigest()[:TAG_LENGTH]


def _context(content: ImageContent) -> dict[str, bytes | Path]:
    """Returns the context's files: path -> bytes, or the file that holds them."""
    program = Path(easytransfer_mtl.__file__).parent
    found: dict[str, bytes | Path] = {
        f"{APP}/easytransfer_mtl/{path.relative_to(program).as_posix()}": path for path in program.rglob("*.py")
    }
    for number, folder in enumerate(content.models):
        found |= {f"{MODELS}/{number:03}/{path.name}": path for path in exported_files(folder)}
    found |= {f"{DATA}/{name}_test{path.suffix or '.csv'}": path for name, path in content.test_files.items()}
    if content.result:
        found[RESULT_NAME] = content.result
    result = f"COPY {RESULT_NAME} /{RESULT_NAME}\n" if content.result else ""
    several = len(content.models) > 1
    models = '--checkpoints="$app/models/*"' if several else '--predict_checkpoint_path="$app/models/000"'
    run = _RUN.format(
        data=f"/{DATA}" if content.test_files else MOUNTED,
        board="auto" if content.test_files else content.board,
        models=models,
        header=" --header" if content.header else "",
    )
    texts = {
        "Dockerfile": _DOCKERFILE.format(base_image=content.base_image, result=result),
        "run.sh": run,
        "requirements.txt": "".join(f"{line}\n" for line in pinned()),
        "constraints.txt": "".join(f"{line}\n" for line in constraints()),
    }
    return found | {name: text.encode("utf-8") for name, text in texts.items()}


def constraints() -> list[str]:
    """Returns the lines of the repository's constraints.txt; none if the program does not run in its repository."""
    root = Path(easytransfer_mtl.__file__).parents[1]
    path = root / "constraints.txt"
    is_own = path.is_file() and (root / "setup.py").is_file()
    return path.read_text(encoding="utf-8").splitlines() if is_own else []


def pinned() -> list[str]:
    """Returns the lines that require each needed package in an exact version.

    Versions are those of ``constraints``, which were tested together; of packages that these do not name, those that are
    installed.

    Raises:
        UserError: a package is not installed, and constraints.txt does not name it.
    """
    lines, tested = [], constraints()
    for name in sorted(re.split(r"[<>=!~\s\[;(]", requirement, maxsplit=1)[0] for requirement in required()):
        known = [line for line in tested if line.startswith(f"{name}==")]
        version = None if known else installed_version(name)
        if not known and version in (None, "0.0"):
            raise UserError(
                f"{name} is not installed, so the version for the image is unknown; run easytransfer_mtl doctor."
            )
        lines += known or [f"{name}=={version}"]
    return lines


def next_commands(output: Path, tag: str, registry: str | None) -> list[str]:
    """Returns the commands that build and push the image.

    Args:
        output: the context.
        tag: its tag.
        registry: repository without a tag; None for a placeholder.
    """
    name = registry or "REGISTRY/NAMESPACE/NAME"
    quoted = "'" + str(output).replace("'", "'\\''") + "'"
    folder = str(output) if re.fullmatch(r"[\w./-]+", str(output)) else quoted
    return [
        f"docker login {name.split('/')[0]}",
        f"docker build --platform linux/amd64 -t {name}:{tag} {folder}",
        f"docker push {name}:{tag}",
    ]
