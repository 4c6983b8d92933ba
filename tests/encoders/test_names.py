"""EasyTransfer's encoder names: the ones that its get_pretrained_model accepted, with the sizes it published."""

import pytest

from easytransfer_mtl.encoders.names import EASYTRANSFER_ENCODERS, encoder_table


@pytest.mark.parametrize(
    "name, kind, layers, width, heads",
    [
        ("google-bert-tiny-en", "bert", 2, 128, 2),
        ("google-bert-small-en", "bert", 6, 768, 12),
        ("google-bert-base-zh", "bert", 12, 768, 12),
        ("google-bert-base-en", "bert", 12, 768, 12),
        ("google-bert-large-en", "bert", 24, 1024, 16),
        ("pai-bert-tiny-zh", "bert", 2, 128, 2),
        ("pai-bert-tiny-zh-L2-H768-A12", "bert", 2, 768, 12),
        ("pai-bert-small-zh", "bert", 6, 768, 12),
        ("pai-bert-base-zh", "bert", 12, 768, 12),
        ("pai-bert-large-zh", "bert", 24, 1024, 16),
        ("hit-roberta-base-zh", "roberta", 12, 768, 12),
        ("hit-roberta-large-zh", "roberta", 24, 1024, 16),
        ("brightmart-roberta-small-zh", "roberta", 6, 768, 12),
        ("brightmart-roberta-large-zh", "roberta", 24, 1024, 16),
        ("google-albert-base-zh", "albert", 12, 768, 12),
        ("google-albert-large-zh", "albert", 24, 1024, 16),
        ("google-albert-xlarge-zh", "albert", 24, 2048, 16),
        ("google-albert-xxlarge-zh", "albert", 12, 4096, 64),
        ("pai-albert-base-zh", "albert", 12, 768, 12),
        ("pai-albert-large-zh", "albert", 12, 1024, 16),
        ("pai-albert-xlarge-zh", "albert", 24, 2048, 32),
        ("pai-albert-xxlarge-zh", "albert", 12, 4096, 64),
    ],
)
def test_published_sizes(name: str, kind: str, layers: int, width: int, heads: int) -> None:
    entry = EASYTRANSFER_ENCODERS[name]
    assert (entry.kind, entry.layers, entry.hidden_size, entry.heads) == (kind, layers, width, heads)


def test_no_other_names() -> None:
    assert len(EASYTRANSFER_ENCODERS) == 22


def test_names_without_weights_in_easytransfer_are_not_names_here() -> None:
    assert not {"google-bert-tiny-zh", "google-bert-small-zh", "google-bert-large-zh", "pai-bert-base-en"} & set(
        EASYTRANSFER_ENCODERS
    )


def test_hugging_face_counterparts_have_an_owner() -> None:
    names = [entry.hugging_face for entry in EASYTRANSFER_ENCODERS.values() if entry.hugging_face]
    assert "google-bert/bert-base-chinese" in names
    assert all(name.count("/") == 1 for name in names) and len(set(names)) == len(names)


def test_table_has_a_line_per_name_and_says_where_the_weights_are() -> None:
    lines = encoder_table().splitlines()
    assert len(lines) == 1 + len(EASYTRANSFER_ENCODERS)
    by_name = {line.split()[0]: line for line in lines[1:]}
    assert by_name.keys() == EASYTRANSFER_ENCODERS.keys()
    assert by_name["google-bert-base-zh"].split()[1:] == ["12", "768", "12", "google-bert/bert-base-chinese"]
    assert "<modelZooBasePath>/roberta/brightmart-roberta-large-zh/" in by_name["brightmart-roberta-large-zh"]
