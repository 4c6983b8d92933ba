"""Where TorchJD is installed (``pip install -e '.[peers]'``): both are measured, and our steps are the papers'."""

import pytest

pytest.importorskip("torchjd")

from side_by_side import CASES, PEERS, errors  # noqa: E402

BOUND = 1e-6
"""Errors of the Gram matrix's rounding; steps of the gradients themselves can be nearer."""


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", PEERS)
def test_our_steps_are_the_papers_where_theirs_are_measured_too(name: str, case: str) -> None:
    ours, theirs = errors(name, case)
    assert max(ours) < BOUND
    assert len(theirs) == len(ours)
