"""Checks, before the first expensive import, that the installed packages work together."""

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from easytransfer_mtl.errors import UserError

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
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


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

    Those are written to the standard error's file descriptor before any log level can hold them back.
    """
    with _silent_descriptor(2):
        import tensorflow  # noqa: F401

        if not with_bert:
            return
        import tf_keras  # noqa: F401
        import transformers
        import transformers.models.bert.modeling_tf_bert  # noqa: F401
    # Its advice to move to PyTorch is no use to someone who trains with TensorFlow.
    transformers.utils.logging.set_verbosity_error()


@contextlib.contextmanager
def _silent_descriptor(descriptor: int) -> Iterator[None]:
    kept, nowhere = os.dup(descriptor), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    try:
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)
        os.close(nowhere)
