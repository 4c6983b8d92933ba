"""Rows to folds: every label spread evenly, and rows of one text never apart."""

import unicodedata
from collections.abc import Iterable

import numpy as np

SCALE = 1 << 32
"""Labels are weighed by whole numbers of this scale, so that ties are exact and folds the same on every machine."""


def text_key(text: str) -> str:
    """Returns what a text is compared by: width (NFKC), case and white space do not count."""
    return "".join(unicodedata.normalize("NFKC", text).lower().split())


def group_numbers(first_texts: Iterable[str]) -> np.ndarray:
    """Numbers the groups of rows that must stay together, in the order of their first rows.

    Two rows are of one group if they have the same first text: the text of a single task, the premise of a pair. A pair that
    is repeated has its premise repeated, so it needs no rule of its own.

    Args:
        first_texts: the rows' first texts, N of them.

    Returns:
        int64 [N], 0 to the number of groups - 1.
    """
    numbers: dict[str, int] = {}
    keys = map(text_key, first_texts)
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)


def assign_folds(
    label_ids: np.ndarray, groups: np.ndarray, num_folds: int, num_labels: int, random: np.random.Generator
) -> np.ndarray:
    """Deals whole groups to folds, each to where it disturbs the labels' even spread least.

    The unevenness is U = sum over folds f and labels k of n[f, k]^2 / n[k]. A group with c[k] rows of label k adds
    2 n[f, k] c[k] / n[k], summed over k, and a part that is the same in every fold; it goes where that sum is least, and to
    the smaller fold on a tie. Large groups go first, equal ones in random order. Of single rows every label's are dealt in
    turn.

    scikit-learn's ``StratifiedGroupKFold`` has the same aim; see docs/ensembles.md for why it is not used.

    Args:
        label_ids: int [N].
        groups: int [N], from ``group_numbers``.
        num_folds: K.
        num_labels: C.
        random: breaks ties.

    Returns:
        int64 [N], each row's fold, 0 to K - 1.
    """
    num_groups = int(groups.max(initial=-1)) + 1
    of_groups = np.zeros((num_groups, num_labels + 1), np.int64)  # the last column counts all rows
    np.add.at(of_groups, (groups, label_ids), 1)
    of_groups[:, -1] = of_groups.sum(axis=1)
    scale = np.append(SCALE // np.maximum(of_groups[:, :-1].sum(axis=0), 1), 1)
    order = random.permutation(num_groups)
    order = order[np.argsort(-of_groups[order, -1], kind="stable")]
    of_folds = np.zeros((num_folds, num_labels + 1), np.int64)
    fold_of = np.zeros(num_groups, np.int64)
    for group, added in zip(order, (of_groups * scale)[order]):
        fold = (of_folds @ added).argmin()
        of_folds[fold] += of_groups[group]
        fold_of[group] = fold
    return fold_of[groups]
