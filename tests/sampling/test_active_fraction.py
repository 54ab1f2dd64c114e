"""Counts of a voxel's own label around it."""

from __future__ import annotations

import itertools

import hypothesis
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pytest

from ffn_tf.sampling import active_fraction


def _plainly(labels: np.ndarray, radius: tuple[int, int, int]) -> np.ndarray:
    """Each voxel compared with each of its box."""
    inner = tuple(slice(r, n - r) for r, n in zip(radius, labels.shape))
    counts = np.zeros(labels[inner].shape, np.uint32)
    for offset in itertools.product(*(range(-r, r + 1) for r in radius)):
        moved = tuple(
            slice(r + o, n - r + o)
            for r, o, n in zip(radius, offset, labels.shape)
        )
        counts += labels[moved] == labels[inner]
    return counts


def test_by_hand() -> None:
    labels = np.array([0, 7, 7, 3, 7, 3, 3]).reshape(1, 1, 7)
    found = active_fraction.count_same(labels, (0, 0, 2))
    # 0 7[7]3 7   7 7[3]7 3   7 3[7]3 3
    assert found.tolist() == [[[3, 2, 2]]]


@hypothesis.settings(deadline=None, max_examples=25)
@hypothesis.given(
    hnp.arrays(
        np.uint64,
        st.tuples(st.integers(5, 9), st.integers(7, 12), st.integers(9, 16)),
        elements=st.sampled_from([0, 1, 5, 2**64 - 1]),
    ),
    st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 4)),
)
def test_equals_comparing_all(
    labels: np.ndarray, radius: tuple[int, int, int]
) -> None:
    np.testing.assert_array_equal(
        active_fraction.count_same(labels, radius), _plainly(labels, radius)
    )


def test_several_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.random.default_rng(0).integers(0, 40, (6, 23, 31))
    expected = _plainly(labels, (1, 2, 3))
    monkeypatch.setattr(active_fraction, "TILE", 5)
    found = active_fraction.count_same(labels, (1, 2, 3))
    np.testing.assert_array_equal(found, expected)


def test_names_do_not_matter() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 9, (8, 9, 10))
    renamed = rng.permutation(1000)[labels] - 500
    np.testing.assert_array_equal(
        active_fraction.count_same(labels, 1),
        active_fraction.count_same(renamed, 1),
    )


def test_many_labels() -> None:
    labels = np.arange(3 * 150 * 150).reshape(3, 150, 150)
    assert (active_fraction.count_same(labels, 1) == 1).all()


def test_smaller_than_the_box() -> None:
    with pytest.raises(ValueError, match="hold no box of radius_zyx"):
        active_fraction.count_same(np.zeros((5, 5, 4), int), 2)
