"""The language of ``--features``: what is read, and that every error names the part and what to write instead."""

import pytest

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.features.spec import Part, check_features, parse_features
from easytransfer_mtl.tasks import OCNLI, TNEWS


@pytest.mark.parametrize(
    "text, parts",
    [
        ("pooled", [Part("pooled")]),
        (" CLS + mean", [Part("cls"), Part("mean")]),
        ("layer0.max", [Part("max", "layer", 0)]),
        ("first2.cls+last4.pair", [Part("cls", "first", 2), Part("pair", "last", 4)]),
        ("mix.attention_shared", [Part("attention_shared", "mix")]),
        ("pooled+ngrams", [Part("pooled"), Part("ngrams", sizes=(65536, 64))]),
        ("ngrams:1000+mean", [Part("ngrams", sizes=(1000, 64)), Part("mean")]),
        ("mean+ngrams:1000:8", [Part("mean"), Part("ngrams", sizes=(1000, 8))]),
        ("last4.sequence+sequence", [Part("sequence", "last", 4), Part("sequence")]),
    ],
)
def test_text_to_parts_and_back(text: str, parts: list[Part]) -> None:
    spec = parse_features(text, "features tnews")
    assert list(spec.parts) == parts
    assert parse_features(spec.text, "") == spec and " " not in spec.text and spec.text == spec.text.lower()


@pytest.mark.parametrize(
    "text, message",
    [
        ("meen", "features tnews=meen: part 1 'meen' is unknown; did you mean mean?"),
        ("cls+layer4.maen", "part 2 'layer4.maen' is unknown; did you mean layer4.mean?"),
        ("layer.mean", "'layer.mean' is unknown; did you mean"),
        ("lats4.mean", "did you mean last4.mean?"),
        ("mix4.mean", "did you mean mix.mean?"),
        ("", "part 1 '' is unknown; a part is pooled, cls"),
        ("cls+", "part 2 '' is unknown"),
        ("cls,mean", "'cls,mean' is unknown"),
        ("cls+mean+cls", "part 3 'cls' is there twice"),
        ("sequence+mean", "part 2 'mean' does not go with 'sequence'"),
        ("mean+mix.sequence", "part 2 'mix.sequence' does not go with 'mean'"),
        ("last2.pooled", "Write last2.cls, or pooled alone"),
        ("ngrams", "features tnews=ngrams: nothing of it reads the encoder, which would learn nothing; write pooled+ngrams"),
        ("sequence+ngrams", "part 2 'ngrams:65536:64' does not go with 'sequence'"),
        ("mean+layer2.ngrams", "n-grams are of tokens, not of a layer's states"),
        ("mean+ngrams:0", "write ngrams:BUCKETS:WIDTH, whole numbers of at least 1"),
        ("mean+ngrams:8:8:8", "write ngrams:BUCKETS:WIDTH"),
        ("mean+ngrams:", "write ngrams:BUCKETS:WIDTH"),
        ("mean+ngrams:1048577:64", "a table of 1,048,577 times 64 numbers; at most 67,108,864 are allowed"),
        ("mean+pair:3", "pair is written without numbers"),
        ("mean+ngram", "did you mean ngrams?"),
        ("first0.mean", "the number of layers must be at least 1"),
    ],
)
def test_what_is_no_feature(text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        parse_features(text, "features tnews")
    assert message in str(error.value)


@pytest.mark.parametrize(
    "text, layers",
    [
        ("cls", (3,)), ("layer0.cls", (0,)), ("first2.cls", (1, 2)), ("last2.cls", (2, 3)), ("mix.cls", (0, 1, 2, 3)),
    ],
)  # fmt: skip
def test_layers_that_a_source_reads(text: str, layers: tuple[int, ...]) -> None:
    spec = parse_features(text, "")
    assert spec.parts[0].layers(3) == layers and spec.highest_layer(3) == max(layers)


@pytest.mark.parametrize("text", ["layer4.mean", "first4.cls", "cls+last4.max"])
def test_layers_that_the_encoder_does_not_have(text: str) -> None:
    check_features(parse_features(text, ""), TNEWS, 4, "features tnews")
    with pytest.raises(UserError, match=r"the encoder has 3 layers; use a number up to 3"):
        check_features(parse_features(text, ""), TNEWS, 3, "features tnews")


def test_pair_is_for_pair_tasks() -> None:
    check_features(parse_features("pair", ""), OCNLI, 2, "")
    with pytest.raises(UserError, match=r"features tnews=mean\+pair: part 2 'pair' compares two texts; TNEWS has one"):
        check_features(parse_features("mean+pair", ""), TNEWS, 2, "features tnews")
