"""Tilings: by hand, then that nothing is missed or counted twice."""

import itertools

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.volume import grid

Box = volume.Box


def triples(low, high):
    return st.tuples(*[st.integers(low, high)] * 3)


domains = st.builds(Box.from_size, triples(-20, 20), triples(0, 13))


def counted(domain, tiles):
    """How many tiles hold each voxel of the domain."""
    count = np.zeros(domain.size, int)
    for tile in tiles:
        assert domain.contains(tile) and not tile.is_empty
        count[tile.relative_to(domain.start).slices] += 1
    return count


def test_by_hand():
    domain = Box((10, 0, -2), (15, 3, 2))
    assert list(grid.tile(domain, (3, 3, 2))) == [
        Box((10, 0, -2), (13, 3, 0)),
        Box((10, 0, 0), (13, 3, 2)),
        Box((13, 0, -2), (15, 3, 0)),
        Box((13, 0, 0), (15, 3, 2)),
    ]


def test_overlap_by_hand():
    domain = Box((0, 0, 0), (1, 1, 10))
    tiles = grid.tile(domain, (1, 1, 4), overlap=(0, 0, 2))
    spans = [(tile.start[2], tile.end[2]) for tile in tiles]
    assert spans == [(0, 4), (2, 6), (4, 8), (6, 10)]


def test_a_tile_as_large_as_the_domain_is_one_tile():
    domain = Box((0, 0, 0), (5, 5, 5))
    assert list(grid.tile(domain, 5, overlap=3)) == [domain]
    assert list(grid.tile(domain, 99, overlap=98)) == [domain]


@pytest.mark.parametrize("size, overlap", [(0, 0), (3, 3), (3, -1)])
def test_refuses(size, overlap):
    with pytest.raises(ValueError, match="Tiles"):
        list(grid.tile(Box((0, 0, 0), (5, 5, 5)), size, overlap=overlap))


@hypothesis.given(domains, triples(1, 6))
def test_without_overlap_each_voxel_once(domain, size):
    tiles = list(grid.tile(domain, size))
    assert (counted(domain, tiles) == 1).all()
    assert tiles == sorted(tiles)
    assert len(tiles) == grid.count(domain, size)


@hypothesis.given(domains, triples(1, 6), st.data())
def test_with_overlap_each_voxel_and_exact_sharing(domain, size, data):
    overlap = tuple(data.draw(st.integers(0, s - 1)) for s in size)
    tiles = list(grid.tile(domain, size, overlap=overlap))
    assert (counted(domain, tiles) >= 1).all()
    assert len(tiles) == grid.count(domain, size, overlap=overlap)
    for axis in range(3):
        spans = sorted({(t.start[axis], t.end[axis]) for t in tiles})
        for (_, end), (start, far) in itertools.pairwise(spans):
            assert end - start == overlap[axis]
            assert far > end


@hypothesis.given(domains, triples(1, 4), triples(1, 9), triples(-9, 9))
def test_aligned_tiles_share_no_chunk(domain, chunk, at_least, origin):
    tiles = list(grid.aligned(domain, chunk, origin, at_least))
    assert (counted(domain, tiles) == 1).all()
    for tile in tiles:
        for axis in range(3):
            for face, limit in (
                (tile.start[axis], domain.start[axis]),
                (tile.end[axis], domain.end[axis]),
            ):
                on_border = (face - origin[axis]) % chunk[axis] == 0
                assert on_border or face == limit
