"""Box: worked examples, then its algebra."""

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.volume import box as box_lib

Box = volume.Box

coordinates = st.integers(-50, 50)
triples = st.tuples(coordinates, coordinates, coordinates)
sizes = st.tuples(*[st.integers(0, 40)] * 3)
boxes = st.builds(Box.from_size, triples, sizes)


def test_size_and_center():
    box = Box((1, 2, 3), (4, 8, 10))
    assert box.size == (3, 6, 7)
    assert box.num_voxels == 126
    assert box.center == (2, 5, 6)
    assert not box.is_empty
    assert Box.from_shape((3, 0, 2)).is_empty


def test_slices_pick_its_voxels():
    array = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    part = array[Box((1, 2, 3), (2, 4, 6)).slices]
    np.testing.assert_array_equal(part, array[1:2, 2:4, 3:6])


def test_intersection_and_hull_by_hand():
    a, b = Box((0, 0, 0), (4, 4, 4)), Box((2, 3, 9), (9, 9, 12))
    assert a.intersected(b).is_empty
    assert a.hulled(b) == Box((0, 0, 0), (9, 9, 12))
    c = Box((2, 3, -1), (9, 9, 2))
    assert a.intersected(c) == Box((2, 3, 0), (4, 4, 2))


def test_aligned_grows_to_chunks_around_an_origin():
    box = Box((5, -1, 10), (9, 3, 20))
    assert box.aligned((4, 4, 4), (1, 0, 2)) == Box((5, -4, 10), (9, 4, 22))


def test_scaled_grows_to_whole_voxels():
    box = Box((1, 2, 3), (4, 6, 8))
    assert box.scaled((1, 1, 1), (1, 2, 2)) == Box((1, 1, 1), (4, 3, 4))
    assert box.scaled((1, 2, 2), (1, 1, 1)) == Box((1, 4, 6), (4, 12, 16))


def test_contains():
    box = Box((0, 1, 2), (3, 4, 5))
    assert box.contains(box)
    assert not box.contains(Box((0, 1, 2), (3, 4, 6)))


@pytest.mark.parametrize("values", [(1, 2), (1, 2, 3, 4), (1, 2, 0.5)], ids=str)
def test_triple_refuses(values):
    with pytest.raises(ValueError, match="expected"):
        box_lib.triple(values)


def test_inverted_and_negative_are_refused():
    with pytest.raises(ValueError, match=r"end before it starts.*\(2, 0, 0\)"):
        Box((2, 0, 0), (1, 1, 1))
    with pytest.raises(ValueError, match="negative"):
        Box.from_size((0, 0, 0), (1, -1, 1))


@hypothesis.given(boxes, boxes)
def test_intersection_commutes_and_is_inside_both(a, b):
    both = a.intersected(b)
    assert both == b.intersected(a)
    if not both.is_empty:
        assert a.contains(both) and b.contains(both)
    assert a.hulled(b).contains(a) and a.hulled(b) == b.hulled(a)


@hypothesis.given(boxes, sizes, triples)
def test_padding_and_moving_are_undone(box, margin, offset):
    back = [-m for m in margin]
    assert box.padded(margin).padded(back) == box
    moved = box.translated(offset)
    assert moved.size == box.size
    assert moved.relative_to(offset) == box


@hypothesis.given(boxes, st.integers(1, 9), triples)
def test_aligned_is_the_smallest_whole_chunks(box, chunk, origin):
    grown = box.aligned(chunk, origin)
    assert grown.contains(box)
    for g, b, o in zip(grown.start, box.start, origin):
        assert (g - o) % chunk == 0 and b - g < chunk
    for g, b, o in zip(grown.end, box.end, origin):
        assert (g - o) % chunk == 0 and g - b < chunk
