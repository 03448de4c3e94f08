"""Recognition: labelled subsets, blocks of test videos, and what a classifier may see."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from video_lstm.errors import UserError
from video_lstm.evaluation.subsets import labelled_subset, validation_cut

labels_of_videos = st.lists(st.integers(0, 4), min_size=1, max_size=40).map(np.array)


@given(labels_of_videos, st.integers(1, 5), st.integers(0, 9), st.integers(0, 9))
def test_subsets_are_nested_and_even(labels, n, seed, draw):
    small = labelled_subset(labels, n, seed, draw)
    large = labelled_subset(labels, n + 3, seed, draw)
    assert set(small) <= set(large) <= set(labelled_subset(labels, "all", seed, draw))
    of_class = np.bincount(labels)
    np.testing.assert_array_equal(
        np.bincount(labels[small], minlength=len(of_class)), np.minimum(of_class, n)
    )


def test_draws_differ_and_repeat():
    labels = np.repeat(np.arange(3), 20)
    draws = [tuple(labelled_subset(labels, 2, 0, draw)) for draw in range(20)]
    assert len(set(draws)) > 15
    assert draws[7] == tuple(labelled_subset(labels, 2, 0, 7))
    # Another class more does not change which videos of the others are chosen.
    more = labelled_subset(np.append(labels, [3, 3, 3]), 2, 0, 7)
    assert tuple(more[more < 60]) == draws[7]


@given(st.integers(2, 8), st.integers(1, 4), st.floats(0.05, 0.6), st.integers(0, 99))
def test_validation_holds_out_whole_groups(groups, per_group, share, seed):
    group = [f"g{number:02d}" for number in range(groups) for _ in range(2 * per_group)]
    labels = np.tile([0, 1], groups * per_group)
    held = validation_cut(labels, group, share, seed)
    inside = {name for name, is_held in zip(group, held, strict=True) if is_held}
    outside = {name for name, is_held in zip(group, held, strict=True) if not is_held}
    assert inside
    assert outside
    assert not inside & outside
    assert set(labels[~held]) == {0, 1}
    assert abs(held.mean() - share) <= 1 / groups


def test_validation_never_takes_the_last_videos_of_a_class():
    held = validation_cut(np.array([0, 1, 1, 1]), ["a", "a", "b", "c"], 0.9, 0)
    assert not held[:2].any()
    with pytest.raises(UserError, match="none can be held out"):
        validation_cut(np.array([0, 1]), ["", ""], 0.5, 0)
