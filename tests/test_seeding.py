"""Random streams are fixed by seed and name, and independent of each other."""

import itertools

import numpy as np

from easytransfer_mtl.seeding import DEFAULT_SEED, generator, stream_seed, truncated_normal


def test_the_default_seed_is_easytransfers() -> None:
    assert DEFAULT_SEED == 123123


def test_seeds_and_values_of_a_stream_never_change() -> None:
    assert stream_seed(123123, "row order", "TNEWS", 0) == 7203760328854920858
    assert generator(123123, "row order", "TNEWS", 0).permutation(10).tolist() == [2, 1, 7, 0, 4, 5, 8, 9, 3, 6]
    values = truncated_normal((4,), 0.02, 123123, "tnews_dense")
    np.testing.assert_allclose(values, [-0.03545143, -0.00087507, 0.00544125, 0.00767652], rtol=0, atol=1e-8)


def test_a_stream_starts_anew_each_time_it_is_asked_for() -> None:
    assert generator(1, "a").random() == generator(1, "a").random()


def test_every_part_of_the_name_and_the_seed_count() -> None:
    names = [(1, "a", "b"), (1, "b", "a"), (1, "ab"), (1, "a"), (2, "a", "b"), (1, "a", "b", 0), (1, "a", "b", 1), (11, "a")]
    seeds = {stream_seed(*name) for name in names}
    assert len(seeds) == len(names)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_number_and_its_text_name_the_same_stream() -> None:
    assert stream_seed(1, "epoch", 3) == stream_seed(1, "epoch", "3")


def test_neighbouring_streams_are_uncorrelated() -> None:
    values = np.stack([generator(123123, "epoch", number).standard_normal(20_000) for number in range(6)])
    for first, second in itertools.combinations(values, 2):
        assert abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(20_000)


def test_truncated_normal_is_cut_at_two_deviations() -> None:
    values = truncated_normal((200, 500), 0.02, 7, "kernel")
    assert values.dtype == np.float32 and values.shape == (200, 500)
    assert np.abs(values).max() <= 0.04 * (1 + 1e-6)
    assert np.abs(values).max() > 0.0395
    # A standard normal cut at +-2 has the deviation 0.87963.
    assert abs(values.std() / (0.02 * 0.87963) - 1) < 0.01
    assert abs(values.mean()) < 4 * 0.0176 / np.sqrt(values.size)
