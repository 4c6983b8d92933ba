"""Static token vectors, computed from the tokens that occur near each other in the texts."""

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from sklearn.decomposition import TruncatedSVD

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.pretraining.rows import WordRows
from easytransfer_mtl.pretraining.word_vectors import WordVectors
from easytransfer_mtl.pretraining.words import SPECIAL
from easytransfer_mtl.seeding import generator

WINDOW = 5
"""Maximum distance between tokens that count as near."""


def text_vectors(rows: WordRows, vocabulary_size: int, width: int, seed: int) -> WordVectors:
    """Returns vectors of the tokens that occur near others in the texts of ``rows``; each text counts once.

    Computes the positive pointwise mutual information of tokens up to ``WINDOW`` apart, and its first left singular vectors
    times the square roots of the singular values (Levy and Goldberg, NeurIPS 2014, "Neural Word Embedding as Implicit Matrix
    Factorization").

    Args:
        rows: the training rows.
        vocabulary_size: all token ids are below it.
        width: maximum width of the vectors; at most the number of tokens.
        seed: the run's seed.

    Raises:
        UserError: no two tokens occur near each other more often than by chance.
    """
    near = _near(*_texts(rows), vocabulary_size)
    ids = np.flatnonzero(near.sum(axis=1))
    information = _positive_information(near[ids][:, ids])
    if not information.nnz:
        raise UserError(
            f"word_vectors=texts: nothing can be worked out of the {len(rows)} rows to train on, in which no token stands "
            "near another more often than chance has it. Bring more texts, or leave word_vectors out."
        )
    random = np.random.RandomState(generator(seed, "text vectors").integers(2**32))
    svd = TruncatedSVD(min(width, len(ids)), random_state=random).fit(information)
    roots = np.sqrt(svd.singular_values_)
    present = roots > roots[0] * np.finfo(np.float32).eps
    values = information @ svd.components_[present].T / roots[present]
    return WordVectors("the texts", ids, values.astype(np.float32))


def _texts(rows: WordRows) -> tuple[np.ndarray, np.ndarray]:
    """Returns the token ids of all distinct texts, int64 [T], and the number of each token's text, int64 [T]."""
    ends = np.flatnonzero(rows.parts == SPECIAL)
    pieces = (piece[1:] for piece in np.split(rows.rows.input_ids.astype(np.int64), ends)[1:])
    texts = list({piece.tobytes(): piece for piece in pieces if len(piece)}.values())
    return np.concatenate(texts), np.repeat(np.arange(len(texts)), [len(text) for text in texts])


def _near(ids: np.ndarray, numbers: np.ndarray, size: int) -> csr_matrix:
    """Returns how often each pair of tokens occurs near each other in a text, in either direction, [size, size]."""
    found = csr_matrix((size, size))
    for apart in range(1, WINDOW + 1):
        same = numbers[:-apart] == numbers[apart:]
        pairs = ids[:-apart][same], ids[apart:][same]
        found += coo_matrix((np.ones(len(pairs[0])), pairs), (size, size)).tocsr()
    return found + found.T


def _positive_information(near: csr_matrix) -> csr_matrix:
    """Returns log p(a, b) / (p(a) p(b)) of tokens near each other, where it is positive."""
    totals = np.asarray(near.sum(axis=1)).ravel()
    pairs = near.tocoo()
    information = np.log(pairs.data * totals.sum() / (totals[pairs.row] * totals[pairs.col]))
    kept = information > 0
    return csr_matrix((information[kept], (pairs.row[kept], pairs.col[kept])), near.shape)
