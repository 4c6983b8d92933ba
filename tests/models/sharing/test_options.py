"""Every structure reads the options that are declared to have an effect with it, and no other."""

from pathlib import Path
from typing import Any

import pytest
from watched import watched, with_effect

from easytransfer_mtl.config.options import options_of
from easytransfer_mtl.config.train_settings import PRIVATE_PARTS, SHARINGS, SharingSettings
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.models.sharing import SHARINGS as STRUCTURES
from easytransfer_mtl.models.sharing import structure_of
from easytransfer_mtl.tasks import CONTEST_TASKS

CASES: list[dict[str, Any]] = [
    *({"sharing": name} for name in SHARINGS if name != "shared_private"),
    *({"sharing": "shared_private", "private_part": part} for part in PRIVATE_PARTS),
    *({"sharing": "shared_private", "private_part": part, "private_layers": 0} for part in PRIVATE_PARTS),
]


def test_every_structure_has_a_name_and_a_name_its_structure() -> None:
    assert tuple(STRUCTURES) == SHARINGS


@pytest.mark.parametrize("options", CASES, ids=lambda options: " ".join(map(str, options.values())))
def test_a_structure_reads_what_has_an_effect_with_it(options: dict[str, Any], tiny_encoder: Path) -> None:
    settings, read = watched(SharingSettings(**options))
    encoder = load_encoder(find_encoder(str(tiny_encoder)), DropoutClock(3), random_init=True).encoder
    structure_of(settings)(encoder, CONTEST_TASKS, settings)
    assert read - {"sharing"} == with_effect(SharingSettings(**options))


def test_every_option_has_an_effect_with_some_structure() -> None:
    read = set().union(*(with_effect(SharingSettings(**options)) for options in CASES))
    assert read == set(options_of(SharingSettings)) - {"sharing"}
