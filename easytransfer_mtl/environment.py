"""What the program runs in: installed packages that must work together, TensorFlow's messages, the standard streams."""

import contextlib
import errno
import importlib.util
import io
import logging
import os
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TextIO

from easytransfer_mtl.errors import UserError

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
MEND = f"{sys.executable} -m pip install 'tensorflow>=2.21,<2.22' 'tf-keras>=2.21,<2.22' 'transformers>=4.57,<5'"


def check_environment() -> None:
    """Makes TensorFlow use tf-keras and refuses a combination of packages that cannot work.

    transformers 5 has no TensorFlow classes any more, and those of 4.x need tf-keras (Keras 2) of TensorFlow's own minor
    version, not Keras 3.

    Raises:
        UserError: a package is missing or of the wrong version; gives the command that mends it.
    """
    versions = {name: _version(name) for name in ("tensorflow", "tf-keras", "transformers")}
    missing = [name for name, found in versions.items() if found is None]
    if missing:
        raise UserError(f"Not installed: {', '.join(missing)}. Install with:\n  {MEND}")
    if _major(versions["transformers"]) >= 5:
        raise UserError(
            f"transformers {versions['transformers']} has no TensorFlow models; the last series that has them is 4.x. "
            f"Mend with:\n  {MEND}"
        )
    if versions["tensorflow"].split(".")[:2] != versions["tf-keras"].split(".")[:2]:
        raise UserError(
            f"tf-keras {versions['tf-keras']} does not belong to tensorflow {versions['tensorflow']}; their first two "
            f"numbers must be equal. Mend with:\n  {sys.executable} -m pip install "
            f"'tf-keras=={'.'.join(versions['tensorflow'].split('.')[:2])}.*'"
        )
    legacy = os.environ.get("TF_USE_LEGACY_KERAS", "1")
    if legacy.lower() not in ("1", "true"):
        raise UserError(f"TF_USE_LEGACY_KERAS is {legacy!r}, which selects Keras 3. Mend with:\n  unset TF_USE_LEGACY_KERAS")
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    # Where PyTorch is installed too, transformers would import it: seconds for nothing, and builds of both with compilers of
    # their own crash in one process.
    os.environ |= {"USE_TF": "1", "USE_TORCH": "0"}
    os.environ.setdefault(LOG_LEVEL, "3")


def _version(name: str) -> str | None:
    """Returns a package's installed version, trying the names that its CPU and GPU builds go by."""
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

    Those go to the standard error's file descriptor before any log level can hold them back, the last of them when
    TensorFlow first looks for a GPU. Who sets TF_CPP_MIN_LOG_LEVEL to less than 3 wants them and gets them.
    """
    with contextlib.nullcontext() if os.environ.get(LOG_LEVEL, "3") in ("0", "1", "2") else _silent_descriptor(2):
        import tensorflow

        tensorflow.config.list_physical_devices()
        if not with_bert:
            return
        import tf_keras  # noqa: F401
        import transformers
        import transformers.models.bert.modeling_tf_bert  # noqa: F401
    # Its advice to move to PyTorch is no use to someone who trains with TensorFlow.
    transformers.utils.logging.set_verbosity_error()
    # Saving and scoring take longer than a small model's step, which is no news to who asked for them.
    logging.getLogger("tensorflow").addFilter(_is_no_advice_on_callbacks)


def _is_no_advice_on_callbacks(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Callback method ")


@contextlib.contextmanager
def _silent_descriptor(descriptor: int) -> Iterator[None]:
    try:
        kept = os.dup(descriptor)
    except OSError:  # closed: nothing is to be seen of it anyway
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
    """A standard stream's descriptor that takes on what is written after its reader has gone: the work is worth more."""

    problem: OSError | None = None

    def write(self, content: Any) -> int | None:
        if self.problem is None:
            try:
                return super().write(content)
            except OSError as error:
                self.problem = error
        return memoryview(content).nbytes


@contextlib.contextmanager
def lasting_streams() -> Iterator[Callable[[], OSError | None]]:
    """Gives the process a standard output and error that no write to fails, and takes them back when the block ends.

    A stream that is closed goes nowhere, instead of into the first file that is opened. Characters that a stream's encoding
    lacks are written as their codes. Streams that someone has put in place of the process's own are left as they are.

    Yields:
        What tells why something of the standard output was lost, None if nothing was; a reader that has seen enough
        (``| head``) is no loss.
    """
    for descriptor in (0, 1, 2):  # in this order, as each takes the first number that is free
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
    """Returns a text stream that writes as ``like`` does, which is None for a stream that was closed."""
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
    """Has TensorFlow repeat bit for bit on a CPU; on a GPU that would cost speed."""
    import tensorflow

    if not tensorflow.config.list_physical_devices("GPU"):
        tensorflow.config.experimental.enable_op_determinism()
