"""Packages are compared with the declared ranges, before any of them is imported."""

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from easytransfer_mtl import environment
from easytransfer_mtl.diagnosis import packages
from easytransfer_mtl.diagnosis.checks import FAULT, NOTE, OK, Check
from easytransfer_mtl.diagnosis.packages import PYTHONS, package_checks

ROOT = Path(__file__).parents[2]
BROKEN = """
import sys

sys.modules |= dict.fromkeys(("absl", "numpy", "tensorflow", "tqdm", "h5py", "transformers", "packaging"))
from easytransfer_mtl import environment
environment.installed_version = lambda name: None if name in ("absl-py", "numpy") else "9.9"
from easytransfer_mtl.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def checks_with(monkeypatch: pytest.MonkeyPatch, **versions: str | None) -> dict[str, Check]:
    known = {name.replace("_", "-"): version for name, version in versions.items()}
    real = packages.installed_version
    monkeypatch.setattr(packages, "installed_version", lambda name: known[name] if name in known else real(name))
    monkeypatch.setattr(packages, "check_environment", lambda: None)
    return {check.name: check for check in package_checks()}


def test_this_environment_is_right() -> None:
    assert [check for check in package_checks() if check.status == FAULT] == []


def test_the_supported_pythons_are_those_of_setup() -> None:
    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    (first, last) = PYTHONS
    assert f'python_requires=">={first[0]}.{first[1]},<{last[0]}.{last[1] + 1}"' in text
    tools = (ROOT / "pyproject.toml").read_text(encoding="utf-8")  # they find what the oldest does not have
    assert f'target-version = "py{first[0]}{first[1]}"' in tools and f'python_version = "{first[0]}.{first[1]}"' in tools


@pytest.mark.parametrize("version", [(3, 9), (3, 13)])
def test_another_python_is_a_fault(monkeypatch: pytest.MonkeyPatch, version: tuple[int, int]) -> None:
    monkeypatch.setattr(packages.sys, "version_info", (*version, 0))
    check = next(check for check in package_checks() if check.name == "python")
    assert check.status == FAULT and "3.10 to 3.12" in check.found and check.advice


@pytest.mark.parametrize(
    ("name", "version", "words"),
    [
        ("transformers", "5.0.0rc1", ("5.0.0rc1", "<5")),
        ("tensorflow", None, ("not installed", "tensorflow<2.22,>=2.21")),
        ("numpy", "1.26.4", ("1.26.4", ">=2.2")),
        ("tf_keras", "a fork", ("a fork", "<2.22")),
    ],
)
def test_what_does_not_fit_is_a_fault_with_its_command(
    monkeypatch: pytest.MonkeyPatch, name: str, version: str | None, words: tuple[str, ...]
) -> None:
    checks = checks_with(monkeypatch, **{name: version})
    bad = [check for check in checks.values() if check.status == FAULT]
    assert [check.name for check in bad] == [name.replace("_", "-")]
    assert all(word in bad[0].found for word in words)
    assert bad[0].advice.startswith(f"{sys.executable} -m pip install '{bad[0].name}")


def test_packages_that_fit_alone_must_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "0")
    [bad] = [check for check in package_checks() if check.status == FAULT]
    assert "unset TF_USE_LEGACY_KERAS" in bad.found


def test_without_an_installation_three_ranges_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> list[str]:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(environment, "requires", none)
    monkeypatch.setattr(packages, "metadata", none)
    checks = {check.name: check for check in package_checks()}
    assert checks["easytransfer_mtl"].status == NOTE and checks["tensorflow"].status == OK
    assert list(checks)[2:] == ["tensorflow", "tf-keras", "transformers"]


def test_another_version_than_the_installed_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "__version__", "99.0")
    checks = {check.name: check for check in package_checks()}
    assert checks["easytransfer_mtl"].status == NOTE and "99.0 runs" in checks["easytransfer_mtl"].found


def test_the_command_reports_missing_packages_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN, encoding="utf-8")
    done = subprocess.run([sys.executable, tmp_path / "broken.py", "doctor"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "")
    for name in ("absl-py", "numpy"):
        assert re.search(rf"^fault  {name} +not installed; needed: {name}>=.*\n +-> .* -m pip install", done.stdout, re.M)
    assert "note   packaging" in done.stdout and "TensorFlow was not tried" in done.stdout
    assert re.search(r"^faults: absl-py, numpy", done.stdout, re.M)


def test_other_commands_name_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN, encoding="utf-8")
    words = ["split", "--data_dir=x", "--output_dir=y"]
    done = subprocess.run([sys.executable, tmp_path / "broken.py", *words], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "error: split: Python has no module absl; run easytransfer_mtl doctor.\n"
