"""Views beyond the border, against numpy.pad."""

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.volume.views import border, index

Box = volume.Box
START = (3, -2, 10)
VOXELS = np.arange(1, 1 + 2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
DOMAIN = Box.from_size(START, VOXELS.shape)
WHOLE = volume.from_array(VOXELS, start=START)


def test_the_picture_of_the_module():
    line = volume.from_array(np.arange(1, 5).reshape(1, 1, 4))
    box = Box((0, 0, -4), (1, 1, 8))
    expected = {
        "fill": [0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0],
        "edge": [1, 1, 1, 1, 1, 2, 3, 4, 4, 4, 4, 4],
        "reflect": [3, 4, 3, 2, 1, 2, 3, 4, 3, 2, 1, 2],
    }
    assert set(expected) == set(border.MODES)
    for mode, values in expected.items():
        made = border.padded(line, box, mode=mode)
        assert made.read().ravel().tolist() == values


margins = st.tuples(*[st.tuples(st.integers(0, 9), st.integers(0, 9))] * 3)


@hypothesis.settings(deadline=None, max_examples=50)
@hypothesis.given(margins, st.sampled_from(border.MODES))
def test_numpy_pads_alike(margin, mode):
    """Also by more than the volume is long."""
    before, after = zip(*margin)
    box = Box(
        [s - b for s, b in zip(DOMAIN.start, before)],
        [e + a for e, a in zip(DOMAIN.end, after)],
    )
    made = border.padded(WHOLE, box, mode=mode, fill=-7)
    assert made.domain == box
    if mode == "fill":
        expected = np.pad(VOXELS, margin, constant_values=-7)
    else:
        expected = np.pad(VOXELS, margin, mode)
    np.testing.assert_array_equal(made.read(), expected)


def test_a_single_voxel_is_reflected_as_itself():
    one = index.cropped(WHOLE, Box((4, 0, 12), (5, 1, 13)))
    made = border.padded(one, one.domain.padded(2), mode="reflect")
    np.testing.assert_array_equal(made.read(), np.full((5, 5, 5), 23))


def test_outside_nothing_is_read(counted):
    below, source = counted(VOXELS, START)
    made = border.padded(below, DOMAIN.padded(5), fill=3)
    outside = Box((-2, -7, 5), (3, 6, 19))
    assert (made.read(outside) == 3).all()
    assert source.requests == []
    # Mirrored, one plane beyond the border is the second one inside.
    made = border.padded(below, DOMAIN.padded(5), mode="reflect")
    made.read(Box((2, -2, 10), (3, 1, 14)))
    assert source.requests == [[Box((4, -2, 10), (5, 1, 14))]]


def test_broadcast_along_two_axes(counted):
    line = index.cropped(WHOLE, Box((4, -1, 10), (5, 0, 14)))
    box = Box((-9, 5, 10), (-4, 8, 14))
    made = border.broadcast(line, box)
    assert made.domain == box
    expected = np.broadcast_to(VOXELS[1, 1], (5, 3, 4))
    np.testing.assert_array_equal(made.read(), expected)


def test_what_makes_no_sense():
    with pytest.raises(ValueError, match=r"To make it smaller, crop it"):
        border.padded(WHOLE, DOMAIN.padded((1, 1, -1)))
    with pytest.raises(ValueError, match=r"one of fill, edge, reflect, found"):
        border.padded(WHOLE, DOMAIN.padded(1), mode="wrap")
    for fill in (2**15, 0.5):
        with pytest.raises(ValueError, match=f"fill: int16 cannot hold {fill}"):
            border.padded(WHOLE, DOMAIN.padded(1), fill=fill)
    plane = index.cropped(WHOLE, Box((3, -2, 10), (4, 1, 14)))
    with pytest.raises(ValueError, match="not along x"):
        border.broadcast(plane, Box((3, -2, 10), (9, 1, 15)))
