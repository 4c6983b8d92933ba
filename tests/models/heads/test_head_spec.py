"""The language of ``--heads``."""

import pytest

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.heads import HEADS, parse_head


@pytest.mark.parametrize(
    "text, stored",
    [
        ("dense", "dense"), ("MLP", "mlp:256:tanh"), ("mlp:64", "mlp:64:tanh"), ("mlp:64:relu", "mlp:64:relu"),
        ("bilstm", "bilstm:128"), ("gru:7", "gru:7"), ("textcnn", "textcnn:100"), ("multi_dropout:8", "multi_dropout:8"),
        ("label_attention", "label_attention"),
    ],
)  # fmt: skip
def test_text_to_head_and_back(text: str, stored: str) -> None:
    spec = parse_head(text, "heads tnews")
    assert spec.text == stored and parse_head(stored, "") == spec


@pytest.mark.parametrize(
    "text, message",
    [
        ("lsmt", "heads tnews=lsmt: 'lsmt' is no head; did you mean lstm? allowed: dense, mlp"),
        ("xyz", "'xyz' is no head; allowed: dense"),
        ("lstm:0", "'0' must be a whole number, at least 1, the units of a direction"),
        ("lstm:big", "'big' must be a whole number"),
        ("gru:-4", "'-4' must be a whole number"),
        ("lstm:", "'' must be a whole number"),
        ("dense:4", "'4' is too much; dense is written dense"),
        ("lstm:4:relu", "'relu' is too much; lstm is written lstm:NUMBER"),
        ("mlp:4:swish", "activation 'swish' is unknown; allowed: tanh, relu, gelu"),
        ("mlp:4:relu:1", "is too much; mlp is written mlp:NUMBER:ACTIVATION"),
    ],
)
def test_what_is_no_head(text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        parse_head(text, "heads tnews")
    assert message in str(error.value)


def test_every_number_has_a_meaning_and_a_default() -> None:
    for name, head in HEADS.items():
        assert bool(head.size_of) == (head.default_size is not None), name
