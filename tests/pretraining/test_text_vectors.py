"""Vectors of the texts: the matrix that they factor, what counts as near, and that they say who keeps whose company."""

import numpy as np
import pytest

from easytransfer_mtl.data.tokenization import Tokenizer
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.pretraining.rows import RowBuilder, WordRows
from easytransfer_mtl.pretraining.text_vectors import WINDOW, text_vectors
from easytransfer_mtl.pretraining.texts import Text
from easytransfer_mtl.pretraining.words import PieceTokenizer

SIZE = 40
TEXTS: list[Text] = [("天地人日月山水火木",), ("天地天人",), ("水火", "山水山"), ("木",), ("人日人日人",)]


def build(tokenizer: Tokenizer, texts: list[Text], packs: bool = True) -> WordRows:
    return RowBuilder(PieceTokenizer(tokenizer, None), 16, packs, 5).build(texts)


def information(tokenizer: Tokenizer, texts: list[str]) -> np.ndarray:
    """Returns the positive pointwise mutual information, pair by pair."""
    near = np.zeros((SIZE, SIZE))
    for text in texts:
        ids = tokenizer.ids(text)
        for place, one in enumerate(ids):
            for other in ids[place + 1 : place + 1 + WINDOW]:
                near[one, other] += 1
                near[other, one] += 1
    totals = near.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.log(near * near.sum() / np.outer(totals, totals))
    return np.where(near > 0, np.maximum(values, 0), 0)


@pytest.mark.parametrize("packs", [True, False])
@pytest.mark.parametrize("width", [2, 5, 30])
def test_they_are_the_first_singular_vectors_times_the_roots_of_their_values(
    packs: bool, width: int, tokenizer: Tokenizer
) -> None:
    found = text_vectors(build(tokenizer, TEXTS, packs), SIZE, width, 5)
    matrix = information(tokenizer, [part for text in TEXTS for part in text])
    kept, values, _ = np.linalg.svd(matrix)
    rank = min(width, int((values > 1e-6).sum()))
    products = (kept[:, :rank] * values[:rank]) @ kept[:, :rank].T
    assert found.ids.tolist() == sorted({index for text in TEXTS[:3] for part in text for index in tokenizer.ids(part)})
    assert found.ids.dtype == np.int64 and found.values.dtype == np.float32 and found.values.shape[1] == rank
    np.testing.assert_allclose(found.values @ found.values.T, products[found.ids][:, found.ids], atol=1e-5)


def test_a_text_counts_once_however_many_rows_it_is_in(tokenizer: Tokenizer) -> None:
    again = [*TEXTS, ("水火", "天地人日月山水火木"), ("山水山", "水火")]
    once, often = (text_vectors(build(tokenizer, texts, packs=False), SIZE, 4, 5) for texts in (TEXTS, again))
    assert (once.ids == often.ids).all()
    np.testing.assert_allclose(once.values @ once.values.T, often.values @ often.values.T, atol=1e-5)


def test_tokens_in_the_same_company_are_alike(tokenizer: Tokenizer) -> None:
    random = np.random.default_rng(1)
    day, night = "天日山", "地月水"  # 火 and 木 stand among either
    texts = [("".join(random.permutation([*side, *random.permutation(list("火木"))[:1]])),) for side in (day, night) * 200]
    found = text_vectors(build(tokenizer, texts), SIZE, 2, 5)
    unit = found.values / np.linalg.norm(found.values, axis=1, keepdims=True)
    of = {letter: unit[found.ids.tolist().index(tokenizer.ids(letter)[0])] for letter in day + night}
    assert of["天"] @ of["日"] > 0.99 and of["地"] @ of["水"] > 0.99 and abs(of["天"] @ of["地"]) < 0.1


def test_they_repeat_bit_for_bit(tokenizer: Tokenizer) -> None:
    one, same = (text_vectors(build(tokenizer, TEXTS), SIZE, 3, 5) for _ in range(2))
    np.testing.assert_array_equal(one.values, same.values)


@pytest.mark.parametrize("texts", [[("天",), ("地",)], [("天天天",), ("天天",)]], ids=["no neighbours", "one token"])
def test_texts_of_no_use_are_an_error(texts: list[Text], tokenizer: Tokenizer) -> None:
    with pytest.raises(UserError, match="word_vectors=texts: nothing can be worked out of the 1 rows to train on"):
        text_vectors(build(tokenizer, texts), SIZE, 3, 5)
