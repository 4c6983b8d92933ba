"""Published encoders, where a folder with them is given: their weights are not in the repository."""

import os
from pathlib import Path

import pytest

ENCODERS = ("all-MiniLM-L6-v2", "multilingual-e5-small", "monpa-albert")


def published_folder(name: str) -> Path:
    """Returns the folder of one of ``ENCODERS``; skips the test if there is none."""
    folder = Path(os.environ.get("ENCODERS_DIR", "")) / name
    if not os.environ.get("ENCODERS_DIR") or not folder.is_dir():
        pytest.skip(f"ENCODERS_DIR names no folder with {name} (CONTRIBUTING.md)")
    return folder
