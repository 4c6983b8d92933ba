"""Python and the installed packages against the ranges that the package declares; imports none of them."""

import importlib.util
import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, metadata

from easytransfer_mtl import __version__
from easytransfer_mtl.diagnosis.checks import FAULT, NOTE, OK, Check
from easytransfer_mtl.environment import check_environment, installed_version, required
from easytransfer_mtl.errors import UserError

NAME = "easytransfer_mtl"
PYTHONS = ((3, 10), (3, 12))
"""The first and the last series of Python that is supported."""


def package_checks() -> list[Check]:
    """Returns the checks of Python, of this package, of every required package, and of how they go together."""
    checks = [_python(), _own_package()]
    of_packages = [_package(requirement) for requirement in required()]
    checks += of_packages
    if importlib.util.find_spec("packaging") is None:
        text = "not installed, so versions are listed, and not compared with what is supported"
        checks.append(Check("packaging", NOTE, text, f"{sys.executable} -m pip install packaging"))
    if all(check.status != FAULT for check in of_packages):
        try:
            check_environment()
        except UserError as error:
            checks.append(Check("packages together", FAULT, str(error)))
    return checks


def _python() -> Check:
    (first, last), found = PYTHONS, platform.python_version()
    allowed = f"{first[0]}.{first[1]} to {last[0]}.{last[1]}"
    if first <= sys.version_info[:2] <= last:
        return Check("python", OK, f"{found} (supported: {allowed})")
    return Check("python", FAULT, f"{found}; supported: {allowed}", "Make a virtual environment with a supported Python.")


def _own_package() -> Check:
    try:
        found = metadata(NAME)["Version"]
    except PackageNotFoundError:
        text = f"{__version__}, not installed by pip: the ranges of three packages are checked, not of all"
        return Check(NAME, NOTE, text, "Install it: python -m pip install -e . in its folder.")
    if found != __version__:
        text = f"{__version__} runs, {found} is installed: the ranges checked below are those of {found}"
        return Check(NAME, NOTE, text, "Install the one that runs, or start the installed one.")
    return Check(NAME, OK, found)


def _package(requirement: str) -> Check:
    name = re.split(r"[<>=!~\s\[;(]", requirement, maxsplit=1)[0]
    found, mend = installed_version(name), f"{sys.executable} -m pip install '{requirement}'"
    if found is None:
        return Check(name, FAULT, f"not installed; needed: {requirement}", mend)
    try:
        from packaging.requirements import Requirement
        from packaging.version import InvalidVersion
    except ImportError:
        return Check(name, OK, f"{found} (supported: {requirement})")
    wanted = Requirement(requirement)
    if wanted.marker is not None and not wanted.marker.evaluate():
        return Check(name, OK, f"{found} (not needed here)")
    try:
        fits = wanted.specifier.contains(found, prereleases=True)
    except InvalidVersion:
        fits = False
    if not fits:
        return Check(name, FAULT, f"{found}; supported: {wanted.specifier}", mend)
    return Check(name, OK, f"{found} (supported: {wanted.specifier})")
