"""The packages that only serving needs."""

import importlib.util

from easytransfer_mtl.errors import UserError

PACKAGES = ("fastapi", "uvicorn")


def check_packages() -> None:
    """Raises UserError if a package is missing; gives the command that installs it."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"serve needs {' and '.join(missing)}: pip install 'easytransfer_mtl[serve]'.")
