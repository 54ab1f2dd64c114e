"""Damaged chunks are filled, and nothing else is."""

import math
import os
import pathlib

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest
from servers import volumes
import tensorstore as ts

from ffn_tf.volume import failures, grid
from ffn_tf.volume.box import Box
from ffn_tf.volume.cache.cached import CachedSource
from ffn_tf.volume.cache.disk import CacheOptions
from ffn_tf.volume.source import VolumeInfo
from ffn_tf.volume.tolerance import TolerantSource

DOMAIN = Box((-3, 10, 5), (19, 23, 14))
CHUNK = (8, 5, 4)
VOXELS = 1 + np.arange(DOMAIN.num_voxels, dtype=np.uint16).reshape(DOMAIN.size)
CHUNKS = list(grid.tile(DOMAIN, CHUNK))
INFO = VolumeInfo(DOMAIN, VOXELS.dtype, (33, 8, 4), CHUNK)


def part(box, voxels=VOXELS):
    return voxels[box.relative_to(DOMAIN.start).slices]


class Damaged:
    """A source some of whose chunks raise `kind`; `often` times each."""

    attributes = {"made": "by hand"}  # noqa: RUF012
    info = INFO

    def __init__(self, chunks, kind=failures.CorruptError, often=10**9):
        self.bad = dict.fromkeys(chunks, often)
        self.kind = kind
        self.requests = []
        self.closed = False

    def _outcome(self, box):
        for chunk, times in self.bad.items():
            if times > 0 and not chunk.intersected(box).is_empty:
                self.bad[chunk] -= 1
                return self.kind("em", box, f"file {chunk.start} is short.")
        return part(box).copy()

    def read_many(self, boxes):
        self.requests.append(len(boxes))
        return failures.voxels("em", [self._outcome(box) for box in boxes])

    def write(self, box, array):
        part(box)[...] = array

    def close(self):
        self.closed = True


class Stopping(Damaged):
    """One that stops at the first failure."""

    def read_many(self, boxes):
        found = [self._outcome(box) for box in boxes]
        for outcome in found:
            if isinstance(outcome, failures.ReadError):
                raise outcome
        return found


def tolerant(source, **options):
    return TolerantSource(source, "em", **options)


def expected(bad, fill=0):
    voxels = VOXELS.copy()
    for chunk in bad:
        part(chunk, voxels)[...] = fill
    return voxels


def boxes():
    corners = [st.integers(s, e - 1) for s, e in zip(DOMAIN.start, DOMAIN.end)]
    return st.tuples(*corners, st.tuples(*[st.integers(1, 25)] * 3)).map(
        lambda c: Box.from_size(c[:3], c[3]).clipped(DOMAIN)
    )


@pytest.mark.parametrize("kind", [Damaged, Stopping])
@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(
    bad=st.lists(st.sampled_from(CHUNKS), max_size=5, unique=True),
    asked=st.lists(boxes(), max_size=5),
    fill=st.sampled_from([0, 7]),
)
def test_what_is_whole_is_read_and_what_is_not_is_filled(
    kind, bad, asked, fill
):
    source = tolerant(kind(bad), fill=fill)
    truth = expected(bad, fill)
    for box, voxels in zip(asked, source.read_many(asked)):
        np.testing.assert_array_equal(voxels, part(box, truth))
    for box in asked:
        np.testing.assert_array_equal(source.read(box), part(box, truth))
    told = source.tolerated()
    met = {c for c in bad for box in asked if not c.clipped(box).is_empty}
    assert set(told.chunks) == met and len(told.chunks) == len(met)
    assert told.num_voxels == 2 * sum(
        c.clipped(box).num_voxels for c in met for box in asked
    )
    for chunk, reason in zip(told.chunks, told.reasons):
        assert reason == f"file {chunk.start} is short"


def test_nothing_is_read_twice_where_nothing_is_wrong():
    source = Damaged([])
    tolerant(source).read_many([DOMAIN, CHUNKS[3]])
    assert source.requests == [2]
    assert tolerant(source).report() == ["no damaged chunks"]


def test_all_chunks_of_a_box_are_read_again_at_once():
    source = Damaged([CHUNKS[3]])
    tolerant(source).read(DOMAIN)
    assert source.requests == [1, 27]


@pytest.mark.parametrize(
    "kind", [failures.MissingError, failures.OverdueError, failures.ReadError]
)
def test_nothing_else_is_tolerated(kind):
    source = tolerant(Damaged(CHUNKS[:1], kind))
    with pytest.raises(kind):
        source.read(DOMAIN)
    with pytest.raises(failures.ReadsFailed, match="1 of 2 boxes") as caught:
        source.read_many([CHUNKS[0], CHUNKS[5]])
    assert type(caught.value.outcomes[0]) is kind
    assert source.tolerated().chunks == ()


def test_a_box_that_is_damaged_and_cannot_be_reached():
    """The chunk that fails otherwise decides."""

    class Both(Damaged):
        def _outcome(self, box):
            if CHUNKS[0] == box:
                return failures.ReadError("em", box, "ABORTED: no network.")
            return super()._outcome(box)

    with pytest.raises(failures.ReadError, match="no network"):
        tolerant(Both(CHUNKS[3:4])).read(DOMAIN)


def test_what_was_damaged_once_is_read_again():
    source = tolerant(Damaged(CHUNKS[2:4], often=1))
    np.testing.assert_array_equal(source.read(CHUNKS[2]), part(CHUNKS[2]))
    assert source.tolerated().chunks == ()
    source = tolerant(Damaged(CHUNKS[2:4], often=1))
    found = source.read(DOMAIN)
    np.testing.assert_array_equal(found, expected(source.tolerated().chunks))
    assert set(source.tolerated().chunks) == {CHUNKS[3]}


def test_too_much_damage_is_an_error():
    source = tolerant(Damaged(CHUNKS[:5]), at_most=3)
    source.read_many(CHUNKS[:3])
    source.read_many(CHUNKS[:3])
    with pytest.raises(failures.CorruptError) as caught:
        source.read(CHUNKS[3])
    assert "more than 3 chunks are damaged" in str(caught.value)
    assert str(CHUNKS[3].start) in str(caught.value)
    with pytest.raises(failures.CorruptError):
        source.read(CHUNKS[4])
    assert len(source.tolerated().chunks) == 4


def test_errors_that_are_about_no_box_pass_through():
    class Broken(Damaged):
        def read_many(self, boxes):
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        tolerant(Broken([])).read(DOMAIN)


def test_the_rest_is_the_source_s():
    inner = Damaged(CHUNKS[:2])
    inner.report = lambda: ["inner"]
    source = tolerant(inner)
    assert source.info is INFO and source.attributes == inner.attributes
    assert source.scales_nm == ((33, 8, 4),)
    inner.scales_nm = ((33, 8, 4), (66, 16, 8))
    assert source.scales_nm == inner.scales_nm
    source.read(DOMAIN)
    said, *lines = source.report()[1].splitlines()
    assert source.report()[0] == "inner"
    assert said == "2 damaged chunks, 320 voxels filled:"
    assert lines[0] == f"  {CHUNKS[0]}: file {CHUNKS[0].start} is short"
    source.close()
    assert inner.closed


def test_a_grid_that_does_not_begin_with_the_volume():
    """A volume that is a crop: chunks are those of the whole."""
    shifted = [c.translated((2, 1, 1)).clipped(DOMAIN) for c in CHUNKS]
    origin = [s + o for s, o in zip(DOMAIN.start, (2, 1, 1))]
    bad = [c for c in shifted if not c.is_empty][5:7]
    source = TolerantSource(Damaged(bad), "em", origin=origin)
    np.testing.assert_array_equal(source.read(DOMAIN), expected(bad))
    assert set(source.tolerated().chunks) == set(bad)


# -----------------------------------------------------------------------------
# Real damage
# -----------------------------------------------------------------------------


SHAPE_XYZ = (9, 13, 22)
SHARDING = {
    "@type": "neuroglancer_uint64_sharded_v1",
    "preshift_bits": 1,
    "hash": "identity",
    "minishard_bits": 2,
    "shard_bits": 2,
    "data_encoding": "raw",
    "minishard_index_encoding": "gzip",
}


def sharded_jpeg(folder):
    """A view [z, y, x] of a volume as the H01 release has them."""
    spec = volumes.precomputed(
        f"file://{folder}/",
        np.uint8,
        key="s0",
        size=SHAPE_XYZ,
        voxel_offset=[5, 10, -3],
        chunk_size=[4, 5, 8],
        encoding="jpeg",
        jpeg_quality=100,
        resolution=[4, 8, 33],
        sharding=SHARDING,
    )
    store = ts.open(spec, create=True).result()[..., 0].T
    values = 1 + np.arange(math.prod(SHAPE_XYZ)) % 250
    store.write(values.reshape(store.shape).astype(np.uint8)).result()
    return store


def test_a_truncated_shard_of_jpegs(tmp_path):
    view = sharded_jpeg(tmp_path / "em")
    info = VolumeInfo(DOMAIN, np.dtype(np.uint8), chunk_zyx=CHUNK)
    options = CacheOptions(1.0, f"{tmp_path}/cache")
    whole = CachedSource(view, info, {}, "em", options).read(DOMAIN)
    assert whole.min() > 0
    shard = pathlib.Path(tmp_path / "em/s0/1.shard")
    os.truncate(shard, shard.stat().st_size // 2)
    reader = CachedSource(view, info, {}, "em", options)
    with pytest.raises(failures.CorruptError, match=r"1\.shard"):
        reader.read(DOMAIN)
    source = tolerant(CachedSource(view, info, {}, "em", options))
    found = source.read(DOMAIN)
    told = source.tolerated()
    assert 0 < len(told.chunks) < 27
    for chunk in CHUNKS:
        if chunk in told.chunks:
            assert not part(chunk, found).any()
        else:
            np.testing.assert_array_equal(
                part(chunk, found), part(chunk, whole)
            )
    assert all("1.shard" in reason for reason in told.reasons)
