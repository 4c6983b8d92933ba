"""Which parts of an encoder count how much, as text."""

from collections.abc import Callable

import pytest

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.sharing.layer_weights import parse_layer_weights, variables_by_part


def test_all_parts_count_one_unless_said() -> None:
    assert parse_layer_weights("x", None, 2) == {"embeddings": 1.0, "0": 1.0, "1": 1.0, "pooler": 1.0}


def test_named_parts_have_their_weight_and_others_none() -> None:
    found = parse_layer_weights("x", " embeddings=0.1, 0-1 ,3=0 , pooler=2", 4)
    assert found == {"embeddings": 0.1, "0": 1.0, "1": 1.0, "3": 0.0, "pooler": 2.0}


@pytest.mark.parametrize(
    "text", ["", "4", "0-4", "3-2", "top", "-1", "1,0-2", "pooler=-1", "pooler=x", "0=nan", "0=inf", "0==1"]
)
def test_what_is_not_there_or_no_weight_is_named(text: str) -> None:
    with pytest.raises(UserError, match="soft_layers: .* the encoder has embeddings, the layers 0 to 3, and pooler"):
        parse_layer_weights("soft_layers", text, 4)


def test_every_variable_is_in_one_part(build_sharing: Callable[..., MultiTaskModel]) -> None:
    encoder = build_sharing("hard").encoder
    parts = variables_by_part(encoder)
    assert parts.keys() == parse_layer_weights("x", None, 2).keys()
    assert sum(map(len, parts.values())) == len(encoder.canonical_variables)
    names = {id(variable): name for name, variable in encoder.canonical_variables.items()}
    for part, variables in parts.items():
        start = f"encoder/layer_{part}/" if part.isdigit() else f"{part}/"
        assert all(names[id(variable)].startswith(start) for variable in variables)
