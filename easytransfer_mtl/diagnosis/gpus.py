"""NVIDIA GPUs: what the machine has, and why TensorFlow does not see them. Imports no TensorFlow."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from easytransfer_mtl.diagnosis.checks import NOTE, OK, Check
from easytransfer_mtl.environment import installed_version
from easytransfer_mtl.errors import clipped

HIDING = "CUDA_VISIBLE_DEVICES"
DRIVER_FILE = Path("/proc/driver/nvidia/version")
DEVICE_FILES = Path("/dev")
PCI_DEVICES = Path("/sys/bus/pci/devices")
NVIDIA, DISPLAY_CLASS = "0x10de", "0x03"
"""PCI numbers of the maker, and of display controllers, which GPUs count as."""
SMI = ("nvidia-smi", "--query-gpu=name,memory.total,compute_cap,driver_version", "--format=csv,noheader")
SMI_SECONDS = 30
OLDEST_DRIVERS = {11: 450, 12: 525, 13: 580}
"""CUDA's major version -> the first series of Linux drivers for it (NVIDIA, CUDA Compatibility)."""
FULL_GPU = "'tensorflow[and-cuda]=={}'"


@dataclass(frozen=True)
class Hardware:
    """What the system says of NVIDIA GPUs, without TensorFlow.

    Attributes:
        gpus: a line each, from nvidia-smi.
        driver: version of the driver; None if none is loaded.
        cards: number of cards on the PCI bus; 0 if the system does not say.
        problem: what nvidia-smi complains of; empty if it works or is not there.
    """

    gpus: tuple[str, ...] = ()
    driver: str | None = None
    cards: int = 0
    problem: str = ""

    @property
    def is_there(self) -> bool:
        """Whether anything says that there is a GPU."""
        return bool(self.gpus or self.driver or self.cards or self.problem)

    def __str__(self) -> str:
        named = "; ".join(self.gpus) or f"{self.cards or 'an unknown number of'} NVIDIA card(s)"
        return f"{named}; driver {self.driver or 'not loaded'}"


@dataclass(frozen=True)
class TensorFlowFacts:
    """What an imported TensorFlow says of itself.

    Attributes:
        version: its version.
        gpus: names of the GPUs that it sees.
        cuda: version of CUDA that it was built for; None for a build without.
        log: what its compiled parts wrote to standard error while they looked for GPUs.
    """

    version: str
    gpus: tuple[str, ...]
    cuda: str | None
    log: str


def find_hardware() -> Hardware:
    """Returns what driver files, nvidia-smi and the PCI bus say."""
    driver, problem = _driver_version(), ""
    gpus: tuple[str, ...] = ()
    if shutil.which(SMI[0]):
        gpus, problem = _ask_smi()
    elif driver is None and list(DEVICE_FILES.glob("nvidia[0-9]*")):
        driver = "of unknown version"
    if gpus and driver is None:
        driver = gpus[0].rsplit(", ", 1)[-1]
    return Hardware(gpus, driver, _cards(), problem)


def _driver_version() -> str | None:
    try:
        found = re.search(r"Kernel Module.*?\s(\d+\.[\d.]+)\s", DRIVER_FILE.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None
    return found[1] if found else "of unknown version"


def _ask_smi() -> tuple[tuple[str, ...], str]:
    """Returns nvidia-smi's line of each GPU, and its complaint."""
    try:
        done = subprocess.run(SMI, capture_output=True, timeout=SMI_SECONDS, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return (), f"nvidia-smi gave no answer within {SMI_SECONDS} s"
    except OSError as error:
        return (), f"nvidia-smi cannot be started: {error.strerror}"
    lines = [line.strip() for line in done.stdout.decode("utf-8", "replace").splitlines() if line.strip()]
    if done.returncode == 0:
        return tuple(clipped(line) for line in lines), ""
    said = " ".join([*lines, *done.stderr.decode("utf-8", "replace").split()])
    return (), f"nvidia-smi: {clipped(said) or f'exit status {done.returncode}'}"


def _cards() -> int:
    count = 0
    for device in sorted(PCI_DEVICES.iterdir()) if PCI_DEVICES.is_dir() else ():
        try:
            maker, kind = ((device / name).read_text(encoding="ascii").strip() for name in ("vendor", "class"))
        except (OSError, UnicodeDecodeError):
            continue
        count += maker == NVIDIA and kind.startswith(DISPLAY_CLASS)
    return count


def gpu_check(hardware: Hardware, tensorflow: TensorFlowFacts | None) -> Check:
    """Compares what is there with what TensorFlow sees.

    Args:
        hardware: from ``find_hardware``.
        tensorflow: None if TensorFlow was not imported.
    """
    if tensorflow and tensorflow.gpus:
        return Check("GPUs", OK, f"TensorFlow sees {len(tensorflow.gpus)}: {'; '.join(tensorflow.gpus)}")
    if not hardware.is_there:
        return Check("GPUs", OK, "none: no NVIDIA driver, card or nvidia-smi")
    if tensorflow is None:
        return Check("GPUs", NOTE, f"{hardware}; not tried with TensorFlow")
    reason, advice = _why_none(hardware, tensorflow)
    return Check("GPUs", NOTE, f"TensorFlow sees none, but there is {hardware}. {reason}", advice)


def _why_none(hardware: Hardware, tensorflow: TensorFlowFacts) -> tuple[str, str]:
    """Returns why TensorFlow sees no GPU, and what to do; the first reason that must be removed in any case."""
    hidden = os.environ.get(HIDING)
    if hidden is not None and not re.match(r"\s*(\d|GPU-|MIG-)", hidden):
        return f"The environment variable {HIDING} is {hidden!r}, which hides all.", f"unset {HIDING}"
    if hardware.driver is None:
        reason = "No driver is loaded" + (f" ({hardware.problem})." if hardware.problem else ".")
        return reason, "Install NVIDIA's driver; in a container, start it with the GPUs (docker run --gpus all)."
    if tensorflow.cuda is None:
        install = FULL_GPU.format(tensorflow.version)
        remove = "tensorflow-cpu" if _is_installed("tensorflow-cpu") else "tensorflow"
        advice = f"{sys.executable} -m pip uninstall {remove}, then {sys.executable} -m pip install {install}"
        return "This TensorFlow was built without CUDA.", advice
    series, major = re.match(r"(\d+)", hardware.driver), int(tensorflow.cuda.split(".")[0])
    oldest = OLDEST_DRIVERS.get(major)
    if series and oldest and int(series[1]) < oldest:
        reason = f"The driver is too old: TensorFlow {tensorflow.version} is built for CUDA {tensorflow.cuda}."
        return reason, f"Install NVIDIA's driver {oldest} or newer."
    if hardware.problem:
        return f"The driver does not work: {hardware.problem}.", "Start the machine again, or install the driver again."
    missing = _missing_libraries()
    if missing:
        install = f"{sys.executable} -m pip install {FULL_GPU.format(tensorflow.version)}"
        return f"CUDA's libraries are not installed as TensorFlow's extra: {', '.join(missing)}.", install
    said = "; ".join(re.findall(r"^.*\b(?:GPU|gpu|CUDA|cuda|cuInit|dlopen)\b.*$", tensorflow.log, re.MULTILINE)[:3])
    return f"TensorFlow says: {clipped(said, 400) or 'nothing'}.", "Look for these words in TensorFlow's guide to GPUs."


def _is_installed(name: str) -> bool:
    return installed_version(name) not in (None, "0.0")


def _missing_libraries() -> list[str]:
    """Returns the packages of TensorFlow's extra ``and-cuda`` that are not installed."""
    try:
        found = requires("tensorflow") or []
    except PackageNotFoundError:
        return []
    names = [re.split(r"[<>=!~\s\[;(]", text, maxsplit=1)[0] for text in found if "and-cuda" in text]
    return [name for name in names if not _is_installed(name)]
