"""Numbers of chunks, boxes of shards, and chunks that are in none."""

import itertools
import math

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest
from servers import volumes
import tensorstore as ts

from ffn_tf.volume.formats import sharding

counts = st.tuples(*[st.integers(1, 9)] * 3)


def spec_of(division, chunk=(2, 3, 4), kvstore="memory://"):
    """A precomputed volume of one byte per voxel, divided so."""
    preshift, minishard, shard = division.bits
    size = [n * c for n, c in zip(division.grid_zyx, chunk)]
    return volumes.precomputed(
        kvstore,
        np.uint8,
        size=size[::-1],
        resolution=[1, 1, 1],
        chunk_size=chunk[::-1],
        encoding="raw",
        key="s0",
        sharding={
            "@type": "neuroglancer_uint64_sharded_v1",
            "hash": "identity",
            "preshift_bits": preshift,
            "minishard_bits": minishard,
            "shard_bits": shard,
        },
    )


def test_the_example_of_the_module():
    grid = (1, 2, 4)
    numbers = [
        [sharding.morton((0, y, x), grid) for x in range(4)] for y in range(2)
    ]
    assert numbers == [[0, 1, 4, 5], [2, 3, 6, 7]]
    division = sharding.divided(grid, 4, (9, 9, 9))
    assert division.chunks_zyx == (1, 2, 2)
    assert division.bits == (2, 0, 1)


@hypothesis.settings(deadline=None)
@hypothesis.given(counts, st.integers(1, 600), counts)
def test_a_shard_is_a_box_of_chunks(grid, most, within):
    division = sharding.divided(grid, most, within)
    chunks = division.chunks_zyx
    assert math.prod(chunks) <= most
    assert all(c <= max(w, 1) for c, w in zip(chunks, within))
    inside = division.bits[0] + division.bits[1]
    shard_of = {}
    numbers = set()
    for index in itertools.product(*map(range, grid)):
        number = sharding.morton(index, grid)
        numbers.add(number)
        box = tuple(i // c for i, c in zip(index, chunks))
        assert shard_of.setdefault(box, number >> inside) == number >> inside
    assert len(numbers) == math.prod(grid)
    assert len(set(shard_of.values())) == len(shard_of)
    assert max(numbers) < 2 ** sum(division.bits)


@hypothesis.settings(max_examples=30, deadline=None)
@hypothesis.given(counts, st.integers(1, 600))
def test_tensorstore_writes_the_same_boxes(grid, most):
    division = sharding.divided(grid, most, (600, 600, 600))
    store = ts.open(
        spec_of(division), create=True, context=ts.Context()
    ).result()
    written = store[..., 0].T.chunk_layout.write_chunk.shape
    # It does not count chunks that do not exist.
    there = map(min, division.chunks_zyx, grid)
    expected = [n * c for n, c in zip(there, (2, 3, 4))]
    assert list(written) == expected


def test_a_minishard_holds_512_chunks():
    division = sharding.divided((100, 100, 100), 2**12, (99, 99, 99))
    assert division.chunks_zyx == (16, 16, 16)
    assert division.bits == (9, 3, 9)


def test_precomputed_shards_hold_no_zeros(tmp_path):
    """Should TensorStore learn to store and to miss them: zeros.py can go.

    Until then, two settings that do nothing here.
    """
    grid, chunk = (2, 3, 5), (2, 3, 4)
    division = sharding.divided(grid, 4, grid)
    spec = spec_of(division, chunk, f"file://{tmp_path}/")
    zeros = {"store_data_equal_to_fill_value": True}
    store = ts.open(spec | zeros, create=True).result()[..., 0].T
    assert store.chunk_layout.write_chunk.shape == (2, 6, 8)
    store[:2, :3, :4] = np.full(chunk, 7, np.uint8)
    store[2:, 6:, 8:] = 0
    assert len(list((tmp_path / "s0").iterdir())) == 1
    strict = {
        "driver": "neuroglancer_precomputed",
        "kvstore": f"file://{tmp_path}/",
        "fill_missing_data_reads": False,
    }
    assert ts.open(strict).result().read().result().sum() == 7 * 24


@pytest.mark.parametrize("count, bits", [(1, 0), (2, 1), (3, 2), (4, 2)])
def test_bits_of_a_grid(count, bits):
    division = sharding.divided((count, 1, 1), 1, (9, 9, 9))
    assert division.bits == (0, 0, bits)
