"""Copies: the voxels, the scales, the storage, and what cannot be."""

import dataclasses
import itertools
import os

import h5py
import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.volume import (
    address,
    conversion,
    pyramid,
    staging,
    writing,
)
from ffn_tf.volume.formats import codec, scales
from ffn_tf.volume.streams import slabs

Box = volume.Box

DOMAIN = Box.from_size((8, -16, 24), (21, 34, 42))
LABELS = (np.arange(DOMAIN.num_voxels) // 5 % 911).astype(np.uint64)
LABELS = LABELS.reshape(DOMAIN.size)
LABELS[:8, :8, :8] = 0  # A chunk without objects, and more.
EM = (LABELS * 7 % 251).astype(np.uint8)
MADE_BY = {"program": "test", "code": "1", "options": {"a": 1, "b": (2, 3)}}
FOLDERS = ["precomputed://{}/em", "{}/em.zarr", "zarr3://{}/em", "{}/em.n5"]
FILES = ["{}/em.h5:volumes/raw", "{}/em.npy"]
SCALED = FOLDERS[:3]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(conversion, "_BLOCK_BYTES", 2**11)


def source_of(voxels, **info):
    found = volume.from_array(
        voxels, voxel_size_nm=(16, 8, 8), start=DOMAIN.start
    )
    return found.described(**{"chunk_zyx": (8, 8, 8)} | info)


def planned(source, output, made_by=MADE_BY, chunk=(4, 8, 8), **asked):
    info = dataclasses.replace(source.info, chunk_zyx=chunk)
    return conversion.planned(source, output, info, made_by=made_by, **asked)


def copy(source, output, **asked):
    plan = planned(source, str(output), **asked)
    conversion.execute(plan, source)
    return plan


def expected_scales(voxels, info, num_scales=None):
    """Each made of the whole of the one before it, in memory."""
    levels = scales.plan(info, num_scales)
    found, box = [voxels], info.domain
    for fine, coarse in itertools.pairwise(levels):
        by = scales.factors(fine, coarse)
        voxels, box = scales.coarser(voxels, box, by, info)
        found.append(voxels)
    return found


def check(output, voxels, info, num_scales=None):
    joint = "&" if "?" in output else "?"
    expected = expected_scales(voxels, info, num_scales)
    with volume.open(output) as base:
        assert len(base.scales_nm) == len(expected)
        assert (base.domain, base.dtype) == (info.domain, info.dtype)
        assert base.info.kind == info.kind
        np.testing.assert_array_equal(base.read(), expected[0])
    for mip, wanted in list(enumerate(expected))[1:]:
        with volume.open(f"{output}{joint}mip={mip}") as found:
            np.testing.assert_array_equal(found.read(), wanted, str(mip))


# -----------------------------------------------------------------------------
# The voxels
# -----------------------------------------------------------------------------


@pytest.mark.parametrize("output", SCALED)
@pytest.mark.parametrize("voxels", [EM, LABELS], ids=["em", "labels"])
def test_voxels_and_their_pyramid(voxels, output, tmp_path):
    output = output.format(tmp_path)
    plan = copy(source_of(voxels), output)
    assert np.prod(plan.block_zyx) * voxels.itemsize <= 2**11
    check(output, voxels, plan.info)
    with volume.open(output) as found:
        assert found.attributes == {
            "program": "test",
            "code": "1",
            "options": {"a": 1, "b": [2, 3]},
        }


@pytest.mark.parametrize("output", [FOLDERS[3], *FILES])
def test_formats_of_one_scale(output, tmp_path):
    output = output.format(tmp_path)
    plan = copy(source_of(EM), output)
    check(output, EM, plan.info, 1)
    assert not list(tmp_path.rglob("*.partial*"))
    assert not list(tmp_path.rglob("*.lock"))


def test_num_scales(tmp_path):
    plan = copy(source_of(EM), f"{tmp_path}/em.zarr", num_scales=2)
    check(f"{tmp_path}/em.zarr", EM, plan.info, 2)


@hypothesis.settings(
    max_examples=5,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(
    st.tuples(*[st.integers(-5, 5)] * 3),
    st.tuples(*[st.integers(1, 20)] * 3),
    st.tuples(*[st.integers(2, 9)] * 3),
    st.sampled_from([(3, 4, 5), (1, 99, 99)]),
    st.sampled_from(SCALED),
)
def test_whatever_the_blocks(
    tmp_path_factory, start, size, chunk, kept, output
):
    voxels = np.arange(np.prod(size), dtype=np.uint32).reshape(size) // 3
    source = volume.from_array(voxels, start=start).described(chunk_zyx=kept)
    output = output.format(tmp_path_factory.mktemp("any"))
    plan = copy(source, output, chunk=chunk)
    check(output, voxels, plan.info)


def test_a_part(tmp_path):
    """The new volume keeps the place that its voxels had."""
    box = Box((10, -3, 25), (20, 17, 60))
    source = source_of(LABELS)
    info = dataclasses.replace(source.info, domain=box, chunk_zyx=(4, 8, 8))
    output = f"precomputed://{tmp_path}/em"
    plan = conversion.planned(source, output, info)
    conversion.execute(plan, source)
    wanted = LABELS[box.relative_to(DOMAIN.start).slices]
    check(output, wanted, plan.info)


def test_whole_shards_are_written(tmp_path, monkeypatch):
    """A block is a shard, or many; also of the coarser scales of the pass."""
    written = []
    write = pyramid.Pyramid.write

    def noted(self, box, voxels, progress):
        written.append((writing.unit(self.volumes[0]), box))
        write(self, box, voxels, progress)

    monkeypatch.setattr(pyramid.Pyramid, "write", noted)
    output = f"precomputed://{tmp_path}/em"
    monkeypatch.setattr("ffn_tf.volume.formats.sharding.SHARD_BYTES", 2**14)
    plan = copy(source_of(LABELS), output, codec=codec.Codec(sharded="yes"))
    assert len(written) > 1
    for unit, box in written:
        assert np.prod(unit) > np.prod(plan.info.chunk_zyx)
        assert box.aligned(unit, DOMAIN.start).clipped(DOMAIN) == box
    check(output, LABELS, plan.info)


def test_an_empty_chunk_is_stored_in_its_shard(tmp_path, monkeypatch):
    """Of labels as they are stored by default, from 128^3 voxels on."""
    monkeypatch.setattr(conversion, "_BLOCK_BYTES", 2**22)
    voxels = 1 + np.arange(128**3, dtype=np.uint32) // 99
    voxels = voxels.reshape(128, 128, 128)
    voxels[64:, :64, 64:] = 0
    output = f"precomputed://{tmp_path}/labels"
    source = volume.from_array(voxels)
    copy(source, output, chunk=(64, 64, 64), num_scales=1)
    assert not list(tmp_path.rglob("64-128_*"))  # No chunk is a file.
    assert list(tmp_path.rglob("*.shard"))
    for method in ("tensorstore", "cloudvolume"):
        pytest.importorskip(method)
        with volume.open(f"{output}?access={method}") as found:
            np.testing.assert_array_equal(found.read(), voxels)
            empty = Box((64, 0, 64), (128, 64, 128))
            assert not found.read(empty).any()


# -----------------------------------------------------------------------------
# Sections
# -----------------------------------------------------------------------------


def brighter(box, voxels):
    """Of whole sections only: the section's own maximum minus its voxels."""
    most = voxels.max(axis=(1, 2), keepdims=True)
    return box, (most - voxels).astype(np.uint8)


@pytest.mark.parametrize("in_memory", [0, 2**30])
@pytest.mark.parametrize("chunk", [(1, 99, 99), (5, 7, 9)])
@pytest.mark.parametrize("block_bytes", [2**9, 2**20])
def test_whole_sections(block_bytes, chunk, in_memory, tmp_path, monkeypatch):
    """A section is seen whole, whatever the blocks and where a slab waits."""
    monkeypatch.setattr(conversion, "_BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(slabs, "_IN_MEMORY", in_memory)
    source = source_of(EM.astype(np.uint16), chunk_zyx=chunk)
    seen = []

    def function(box, voxels):
        seen.append(box)
        return brighter(box, voxels)

    info = dataclasses.replace(
        source.info, dtype=np.dtype(np.uint8), chunk_zyx=(4, 8, 8)
    )
    output = f"{tmp_path}/em.zarr"
    plan = conversion.planned(source, output, info, whole_sections=True)
    assert plan.by_slabs == (block_bytes == 2**9)
    conversion.execute(plan, source, function)
    assert all(box.size[1:] == DOMAIN.size[1:] for box in seen)
    check(output, brighter(DOMAIN, EM)[1], plan.info)


def test_blocks_in_an_order(tmp_path, monkeypatch):
    """Those of one value follow each other; the voxels are the same."""
    source, read = source_of(LABELS), []
    plan = planned(source, f"{tmp_path}/em.zarr")
    monkeypatch.setattr(
        conversion.slabs,
        "streamed",
        lambda source, target, boxes, *rest: (
            read.extend(boxes) or slabs.stream.copy(source, target, read)
        ),
    )
    conversion.execute(plan, source, order=lambda box: -box.start[1] // 16)
    values = [-box.start[1] // 16 for box in read]
    assert len({*values}) > 2 and values == sorted(values)
    np.testing.assert_array_equal(volume.open(plan.output).read(), LABELS)


def test_a_job_that_is_done_says_so(tmp_path):
    """Also of the scales that are made when all blocks are written."""
    source, states = source_of(EM), []
    plan = planned(source, f"{tmp_path}/em.zarr")
    conversion.execute(plan, source, progress=states.append)
    last = states[-1]
    assert last.done == last.total > EM.size
    assert [s.done for s in states] == sorted({s.done for s in states})


def test_progress_is_told_within_a_block(tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, "_BLOCK_BYTES", 2**20)
    source, states = source_of(EM), []
    plan = planned(source, f"{tmp_path}/em.zarr")
    assert all(b >= n for b, n in zip(plan.block_zyx, EM.shape))
    conversion.execute(plan, source, progress=states.append)
    thick = plan.info.chunk_zyx[0] * EM[0].size
    assert states[1].done == thick < EM.size


def test_each_section_is_read_once(counted, tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, "_BLOCK_BYTES", 2**9)
    source, below = counted(
        EM, DOMAIN.start, chunk_zyx=(1, *EM.shape[1:]), voxel_size_nm=(4, 4, 4)
    )
    plan = copy(source, f"{tmp_path}/em.zarr")
    assert plan.by_slabs
    assert below.num_voxels == EM.size
    check(f"{tmp_path}/em.zarr", EM, plan.info)


# -----------------------------------------------------------------------------
# jpeg
# -----------------------------------------------------------------------------


def smooth():
    z, y, x = np.indices(DOMAIN.size)
    found = 128 + 60 * np.sin(z / 9) + 40 * np.cos(y / 7 + x / 8)
    return found.astype(np.uint8)


def test_jpeg_loses_each_voxel_once(tree, tmp_path, monkeypatch):
    """Its bytes do not depend on the order in which blocks came to be."""
    monkeypatch.setattr(conversion, "_BLOCK_BYTES", 2**12)
    voxels, asked = smooth(), codec.Codec(encoding="jpeg", jpeg_quality=90)
    write = volume.Volume.write

    def whole(self, box, array):
        unit, domain = writing.unit(self), self.domain
        assert box.aligned(unit, domain.start).clipped(domain) == box
        write(self, box, array)

    monkeypatch.setattr(volume.Volume, "write", whole)
    for name in ("one", "other"):
        output = f"precomputed://{tmp_path}/{name}"
        plan = copy(source_of(voxels), output, codec=asked, chunk=(8, 8, 8))
    assert tree(tmp_path / "one") == tree(tmp_path / "other")
    for mip, wanted in enumerate(expected_scales(voxels, plan.info)):
        with volume.open(f"{output}?mip={mip}") as found:
            error = writing.stored(found).read().astype(float) - wanted
        psnr = 10 * np.log10(255**2 / np.mean(error**2))
        assert 35 < psnr < 70, mip


# -----------------------------------------------------------------------------
# What does not go together
# -----------------------------------------------------------------------------


def test_a_dataset_joins_an_hdf5_file(tmp_path):
    with h5py.File(tmp_path / "em.h5", "w") as file:
        file["other"] = EM[:3]
    copy(source_of(EM), f"{tmp_path}/em.h5:volumes/raw")
    with volume.open(f"{tmp_path}/em.h5:other") as source:
        copy(source, f"{tmp_path}/em.h5:again")
    with h5py.File(tmp_path / "em.h5") as file:
        assert sorted(file) == ["again", "other", "volumes"]
        np.testing.assert_array_equal(file["volumes/raw"], EM)
        np.testing.assert_array_equal(file["again"], EM[:3])
    assert os.listdir(tmp_path) == ["em.h5"]


@pytest.mark.parametrize(
    "output, asked, message",
    [
        ("em.h5:raw", {"num_scales": 2}, "hdf5 volumes have one scale"),
        ("n5://em", {"num_scales": 2}, "n5 volumes have one scale, found 2"),
        ("em.zarr", {"num_scales": 0}, "at least 1"),
        ("em.zarr", {"codec": codec.Codec("jpeg")}, "em.zarr: encoding jpeg"),
        (
            "precomputed://em",
            {"codec": codec.Codec("jpeg")},
            "holds uint8, found uint64",
        ),
        ("em.npy", {"codec": codec.Codec("gzip")}, "encoding gzip"),
    ],
)
def test_what_a_format_cannot_do(output, asked, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        copy(source_of(LABELS), output, **asked)
    assert os.listdir(tmp_path) == []


def test_a_dtype_that_a_format_cannot_hold(tmp_path):
    with pytest.raises(ValueError, match="cannot be created"):
        copy(source_of(EM.astype(np.float64)), f"precomputed://{tmp_path}/em")
    assert not list(tmp_path.rglob("info"))
    copy(source_of(EM), f"precomputed://{tmp_path}/em")


def test_address_of_an_unfinished_volume(tmp_path):
    for output in FOLDERS + FILES:
        text = output.format(tmp_path)
        unfinished = staging.Unfinished(text)
        assert unfinished.final == address.parse(text, creating=True)
        assert unfinished.where.startswith(str(tmp_path))
