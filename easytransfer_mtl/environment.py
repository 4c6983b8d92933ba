"""The program's environment: installed packages that must work together, TensorFlow's messages, the standard streams."""

import contextlib
import errno
import importlib.util
import io
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any, TextIO

from easytransfer_mtl.compiled_code import name_by_content
from easytransfer_mtl.errors import UserError

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
YNNPACK_OPTION = "--xla_cpu_experimental_ynn_fusion_type"
"""XLA's list of what it gives to YNNPACK; empty, it gives nothing."""
MEND = f"{sys.executable} -m pip install 'tensorflow>=2.21,<2.22' 'tf-keras>=2.21,<2.22' 'transformers>=4.57,<5'"


def check_environment() -> None:
    """Makes TensorFlow use tf-keras and refuses package versions that do not work together.

    transformers 5 has no TensorFlow classes; those of 4.x need tf-keras (Keras 2) of TensorFlow's own minor version, not
    Keras 3.

    Raises:
        UserError: a package is missing or has the wrong version; gives the command that corrects it.
    """
    versions = {name: installed_version(name) or "" for name in ("tensorflow", "tf-keras", "transformers")}
    missing = [name for name, found in versions.items() if not found]
    if missing:
        raise UserError(f"Not installed: {', '.join(missing)}. Install with:\n  {MEND}")
    if _major(versions["transformers"]) >= 5:
        raise UserError(
            f"transformers {versions['transformers']} has no TensorFlow models; the last series that has them is 4.x. "
            f"Fix it with:\n  {MEND}"
        )
    if versions["tensorflow"].split(".")[:2] != versions["tf-keras"].split(".")[:2]:
        raise UserError(
            f"tf-keras {versions['tf-keras']} does not belong to tensorflow {versions['tensorflow']}; their first two "
            f"numbers must be equal. Fix it with:\n  {sys.executable} -m pip install "
            f"'tf-keras=={'.'.join(versions['tensorflow'].split('.')[:2])}.*'"
        )
    legacy = os.environ.get("TF_USE_LEGACY_KERAS", "1")
    if legacy.lower() not in ("1", "true"):
        raise UserError(
            f"TF_USE_LEGACY_KERAS is {legacy!r}, which selects Keras 3. Fix it with:\n  unset TF_USE_LEGACY_KERAS"
        )
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    # If PyTorch is installed too, transformers would import it: that takes seconds, and builds of both by different
    # compilers crash in one process.
    os.environ |= {"USE_TF": "1", "USE_TORCH": "0"}
    os.environ.setdefault(LOG_LEVEL, "3")
    # XLA of TensorFlow 2.21 gives sums to YNNPACK, whose program each thread builds when it first needs it, all of them with
    # one unguarded list: two threads at once, as in the first joint step, can end the process with a segmentation fault.
    flags = os.environ.get("XLA_FLAGS", "")
    if versions["tensorflow"].startswith("2.21.") and YNNPACK_OPTION not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {YNNPACK_OPTION}=".strip()


def required() -> list[str]:
    """Returns the requirements of the installed package, without its extras; those of ``MEND`` if it is not installed."""
    try:
        found = requires("easytransfer_mtl") or []
    except PackageNotFoundError:
        found = []
    return [text for text in found if "extra ==" not in text] or re.findall(r"'([^']+)'", MEND)


def installed_version(name: str) -> str | None:
    """Returns a package's installed version, also that of its CPU build; 0.0 for one that pip does not know."""
    for candidate in (name, f"{name}-cpu", f"{name.replace('-', '_')}"):
        try:
            return version(candidate)
        except PackageNotFoundError:
            continue
    return "0.0" if importlib.util.find_spec(name.replace("-", "_")) else None


def _major(found: str) -> int:
    return int(found.split(".")[0])


def import_tensorflow(with_bert: bool) -> None:
    """Imports TensorFlow and, ``with_bert``, tf-keras and transformers' BERT, without the messages of their compiled parts.

    These messages go to the file descriptor of standard error before any log level can hold them back, the last of them when
    TensorFlow first looks for a GPU. They are shown if TF_CPP_MIN_LOG_LEVEL is less than 3.
    """
    with contextlib.nullcontext() if os.environ.get(LOG_LEVEL, "3") in ("0", "1", "2") else _silent_descriptor(2):
        import tensorflow

        tensorflow.config.list_physical_devices()
        name_by_content()
        if not with_bert:
            return
        import tf_keras  # noqa: F401
        import transformers
        import transformers.models.bert.modeling_tf_bert  # noqa: F401
    # Hides transformers' advice to move to PyTorch, which is of no use for training with TensorFlow.
    transformers.utils.logging.set_verbosity_error()
    # Hides warnings of slow callbacks: saving and scoring are expected to take longer than a small model's step.
    logging.getLogger("tensorflow").addFilter(_is_no_advice_on_callbacks)


def _is_no_advice_on_callbacks(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Callback method ")


@contextlib.contextmanager
def _silent_descriptor(descriptor: int) -> Iterator[None]:
    try:
        kept = os.dup(descriptor)
    except OSError:  # closed: its messages are not shown anyway
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    try:
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)
        os.close(nowhere)


class _LastingFile(io.FileIO):
    """A standard stream's file that ignores failed writes, for instance once its reader has ended: the work goes on."""

    problem: OSError | None = None

    def write(self, content: Any) -> int:
        if self.problem is None:
            try:
                return super().write(content) or 0
            except OSError as error:
                self.problem = error
        return memoryview(content).nbytes


@contextlib.contextmanager
def lasting_streams() -> Iterator[Callable[[], OSError | None]]:
    """Gives the process a standard output and error on which no write fails; restores the old ones when the block ends.

    A closed stream writes to nowhere, instead of into the first file that is opened. Characters that a stream's encoding
    lacks are escaped. Streams that have already replaced the process's own stay.

    Yields:
        A function that returns the error by which a part of standard output was lost, or None; a reader that has seen enough
        (``| head``) is no loss.
    """
    for descriptor in (0, 1, 2):  # in this order, as each open takes the lowest free number
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    own = {name: getattr(sys, name) for name in ("stdout", "stderr")}
    own = {name: stream for name, stream in own.items() if stream is getattr(sys, f"__{name}__")}
    files = {name: _LastingFile({"stdout": 1, "stderr": 2}[name], "w", closefd=False) for name in own}
    for name, stream in own.items():
        setattr(sys, name, _text_stream(files[name], stream))

    def lost() -> OSError | None:
        if "stdout" not in files:
            return None
        sys.stdout.flush()
        problem = files["stdout"].problem
        return None if problem is None or problem.errno == errno.EPIPE else problem

    try:
        yield lost
    finally:
        for name, stream in own.items():
            getattr(sys, name).flush()
            setattr(sys, name, stream)


def _text_stream(file: _LastingFile, like: TextIO | None) -> TextIO:
    """Returns a text stream that writes as ``like`` does; None stands for a stream that was closed."""
    if like is not None:
        like.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(file),
        encoding=getattr(like, "encoding", "utf-8"),
        errors="backslashreplace",
        line_buffering=getattr(like, "line_buffering", False),
        write_through=getattr(like, "write_through", False),
    )


def make_deterministic() -> None:
    """Makes TensorFlow's results repeatable bit for bit on a CPU; not on a GPU, where that would cost speed."""
    import tensorflow

    if not tensorflow.config.list_physical_devices("GPU"):
        tensorflow.config.experimental.enable_op_determinism()
