"""Which parts of an encoder count how much, as text."""

import pytest

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.sharing.layer_weights import parse_layer_weights, part_of


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


def test_variables_are_in_the_part_of_their_name() -> None:
    names = ("embeddings/LayerNorm/gamma", "encoder/layer_11/output/dense/bias", "pooler/dense/kernel")
    assert [part_of(name) for name in names] == ["embeddings", "11", "pooler"]
