"""Assigns rows to folds: every label is spread evenly, and rows with the same text stay together."""

import unicodedata
from collections.abc import Iterable

import numpy as np

SCALE = 1 << 32
"""Label weights are integers on this scale, so that ties are exact and folds are the same on every machine."""


def text_key(text: str) -> str:
    """Returns the key by which texts are compared; it ignores width (NFKC), case and white space."""
    return "".join(unicodedata.normalize("NFKC", text).lower().split())


def group_numbers(first_texts: Iterable[str]) -> np.ndarray:
    """Numbers the groups of rows that must stay together, in the order of their first rows.

    Two rows belong to one group if they have the same first text: the text of a single-text task, the premise of a pair. A
    repeated pair has a repeated premise, so pairs need no rule of their own.

    Args:
        first_texts: the first text of each of the N rows.

    Returns:
        int64 [N], 0 to the number of groups - 1.
    """
    numbers: dict[str, int] = {}
    keys = map(text_key, first_texts)
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)


def assign_folds(
    label_ids: np.ndarray, groups: np.ndarray, num_folds: int, num_labels: int, random: np.random.Generator
) -> np.ndarray:
    """Assigns whole groups to folds, each to the fold where it disturbs the even spread of labels least.

    The unevenness is U = sum over folds f and labels k of n[f, k]^2 / n[k]. A group with c[k] rows of label k adds 2 n[f, k]
    c[k] / n[k], summed over k, and a term that is the same for every fold. The group goes to the fold with the smallest sum,
    on a tie to the smaller fold. Large groups go first, groups of equal size in random order. If all groups are single rows,
    those of each label go to the folds in turn.

    scikit-learn's ``StratifiedGroupKFold`` has the same aim; see docs/ensembles.md for why it is not used.

    Args:
        label_ids: int [N].
        groups: int [N], from ``group_numbers``.
        num_folds: K.
        num_labels: C.
        random: breaks ties.

    Returns:
        int64 [N], the fold of each row, 0 to K - 1.
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


def assign_folds_by_rarest(
    members: np.ndarray, groups: np.ndarray, num_folds: int, random: np.random.Generator
) -> np.ndarray:
    """Assigns whole groups to folds where a row is in any number of parts: iterative stratification.

    Sechidis, Tsoumakas and Vlahavas, "On the Stratification of Multi-Label Data", ECML PKDD 2011: of the parts with rows
    left the one with the fewest comes first, since later choices can make up least for it; each of its rows goes to the fold
    that lacks most of the part, on a tie to the one that lacks most rows. Here groups take the place of rows, those with
    most rows of the part first, in random order among equals, and a further tie goes to the smaller fold. Groups in no part
    come last and fill the folds up.

    The package iterative-stratification has the same aim, without groups.

    Args:
        members: bool [N, S], which of S parts each row is in.
        groups: int [N], from ``group_numbers``.
        num_folds: K.
        random: breaks ties.

    Returns:
        int64 [N], the fold of each row, 0 to K - 1.
    """
    num_groups, every_row = int(groups.max(initial=-1)) + 1, members.shape[1]
    of_groups = np.zeros((num_groups, every_row + 1), np.int64)  # the last column counts all rows
    np.add.at(of_groups, groups, np.column_stack([members, np.ones(len(groups), bool)]))
    order = random.permutation(num_groups)
    left = of_groups.sum(axis=0)
    lacking = np.tile(left, (num_folds, 1))  # K times as many rows as the fold lacks, since integers are exact
    fold_of, is_left = np.zeros(num_groups, np.int64), np.ones(num_groups, bool)
    while is_left.any():
        rows_left = np.where(left[:-1] > 0, left[:-1], np.iinfo(np.int64).max)
        part = int(rows_left.argmin()) if (left[:-1] > 0).any() else every_row
        chosen = order[is_left[order] & (of_groups[order, part] > 0)]
        for group in chosen[np.argsort(-of_groups[chosen, part], kind="stable")]:
            fold = np.lexsort((-lacking[:, every_row], -lacking[:, part]))[0]
            lacking[fold] -= num_folds * of_groups[group]
            left -= of_groups[group]
            fold_of[group], is_left[group] = fold, False
    return fold_of[groups]
