"""All scales in one pass: as if the whole volume were made coarser at once."""

import itertools
import subprocess
import sys

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.volume import address as address_lib
from ffn_tf.volume import grid, pyramid, writing
from ffn_tf.volume.formats import codec, layout, scales

Box = volume.Box

SIZE_NM = (33.0, 8.0, 8.0)
CHUNK = (8, 16, 16)


def made(folder, name, domain, dtype, codec_=None, num_scales=None):
    info = volume.VolumeInfo(domain, np.dtype(dtype), SIZE_NM, CHUNK)
    text = f"{name}://{folder}/em"
    where = address_lib.parse(text, creating=True)
    layout.create_chunked(where, info, {}, codec_, num_scales)
    return volume.open(text, mode="r+")


def random_voxels(domain, dtype):
    draw = np.random.default_rng(0)
    high = 4 if np.dtype(dtype).itemsize > 2 else 255
    return draw.integers(0, high, domain.size).astype(dtype)


def part_of(voxels, domain, box):
    return voxels[box.relative_to(domain.start).slices]


def expected_scales(voxels, info):
    """Each made of the whole of the one before it, in memory."""
    levels = scales.plan(info)
    found, box = [voxels], info.domain
    for fine, coarse in itertools.pairwise(levels):
        by = scales.factors(fine, coarse)
        voxels, box = scales.coarser(voxels, box, by, info)
        assert box == coarse.domain
        found.append(voxels)
    return found


def check(text, expected):
    for mip, voxels in enumerate(expected):
        with volume.open(f"{text}?mip={mip}") as found:
            np.testing.assert_array_equal(found.read(), voxels, str(mip))


FORMATS = ["precomputed", "zarr", "zarr3"]
DOMAINS = {
    "at zero": Box.from_shape((40, 70, 50)),
    "at a multiple": Box.from_size((32, -64, 96), (40, 70, 50)),
    "at odd voxels": Box.from_size((3, 5, -7), (40, 70, 50)),
}


# Where the volume begins, the size of blocks, scales in the pass (of 6).
BLOCKS = [
    ("at zero", (16, 32, 32), 6),
    ("at zero", (20, 48, 48), 5),
    ("at zero", (6, 24, 64), 4),
    ("at zero", (20, 35, 50), 1),
    ("at zero", (40, 70, 50), 6),
    ("at a multiple", (16, 32, 32), 6),
    ("at odd voxels", (16, 32, 32), 1),
    ("at odd voxels", (99, 99, 99), 6),
]


@pytest.mark.parametrize(
    "name, sharded, dtype, where, block, in_pass",
    [("precomputed", "yes", "u8", *blocks) for blocks in BLOCKS]
    + [
        (*kind, *BLOCKS[case])
        for case in (1, 6)
        for kind in (
            ("precomputed", "no", "u8"),
            ("precomputed", "yes", "u1"),
            ("zarr", "no", "u1"),
            ("zarr", "no", "u8"),
            ("zarr3", "no", "u8"),
            ("zarr3", "yes", "u1"),
        )
    ],
)
def test_as_the_whole_at_once(
    name, sharded, dtype, where, block, in_pass, tmp_path
):
    domain = DOMAINS[where]
    voxels = random_voxels(domain, dtype)
    wanted = codec.Codec(sharded=sharded)
    base = made(tmp_path, name, domain, dtype, wanted)
    with pyramid.filling(base, block) as filling:
        assert len(filling.volumes) == 6
        assert filling.num_in_pass == in_pass
        for box in filling.blocks():
            filling.write(box, part_of(voxels, domain, box))
    check(base.address, expected_scales(voxels, base.info))


@hypothesis.settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(
    st.tuples(*[st.integers(-9, 9)] * 3),
    st.tuples(*[st.integers(1, 33)] * 3),
    st.tuples(*[st.integers(4, 20)] * 3),
    st.randoms(use_true_random=False),
)
def test_whatever_the_blocks(tmp_path_factory, start, size, block, shuffler):
    domain = Box.from_size(start, size)
    voxels = random_voxels(domain, "u4")
    folder = tmp_path_factory.mktemp("pyramid")
    base = made(folder, "zarr3", domain, "u4")
    with pyramid.filling(base, block) as filling:
        boxes = list(filling.blocks())
        shuffler.shuffle(boxes)
        for box in boxes:
            filling.write(box, part_of(voxels, domain, box))
    check(base.address, expected_scales(voxels, base.info))


def test_a_block_is_whole_shards_of_every_scale_of_the_pass(tmp_path):
    domain = Box.from_shape((256, 256, 256))
    wanted = codec.Codec(sharded="yes")
    base = made(tmp_path, "precomputed", domain, "u8", wanted)
    filling = pyramid.opened(base)
    unit = writing.unit(base)
    assert filling.block_zyx == unit == (256, 256, 256)
    for fine, coarse in zip(filling.volumes, filling.volumes[1:4]):
        by = scales.factors(fine.info, coarse.info)
        unit = tuple(u // f for u, f in zip(unit, by))
        step = writing.unit(coarse)
        assert all(u % s == 0 for u, s in zip(unit, step)), (unit, step)


@pytest.mark.parametrize("name", FORMATS)
def test_several_blocks_at_once(name, tmp_path):
    domain = DOMAINS["at zero"]
    voxels = random_voxels(domain, "u8")
    base = made(tmp_path, name, domain, "u8")
    with pyramid.filling(base, (8, 16, 16)) as filling:
        for box in grid.tile(domain, (32, 16, 48)):
            filling.write(box, part_of(voxels, domain, box))
    check(base.address, expected_scales(voxels, base.info))


_WRITER = """
import sys, numpy as np
from ffn_tf import volume
from ffn_tf.volume import pyramid
address, path, number = sys.argv[1:]
voxels = np.load(path)
with volume.open(address, mode="r+") as base:
    filling = pyramid.opened(base, (16, 32, 32))
    for box in list(filling.blocks())[int(number)::2]:
        filling.write(box, voxels[box.slices])
"""


def test_by_two_processes(tmp_path):
    domain = DOMAINS["at zero"]
    voxels = random_voxels(domain, "u8")
    np.save(tmp_path / "voxels.npy", voxels)
    base = made(tmp_path, "precomputed", domain, "u8")
    command = [sys.executable, "-c", _WRITER, base.address]
    command.append(f"{tmp_path}/voxels.npy")
    writers = [subprocess.Popen([*command, number]) for number in "01"]
    assert [writer.wait(100) for writer in writers] == [0, 0]
    pyramid.opened(base, (16, 32, 32)).finish()
    check(base.address, expected_scales(voxels, base.info))


def test_how_far_the_scales_in_the_end_are(tmp_path, monkeypatch):
    monkeypatch.setattr(pyramid, "_FINISH_ZYX", (16, 16, 16))
    domain, told = DOMAINS["at odd voxels"], []
    base = made(tmp_path, "zarr", domain, "u1")
    filling = pyramid.opened(base, (16, 32, 32))
    for box in filling.blocks():
        filling.write(box, np.ones(box.size, np.uint8))
    filling.finish(told.append)
    later = filling.volumes[1:]
    assert len(told) > len(later)
    assert sum(told) == sum(scale.domain.num_voxels for scale in later)
    assert filling.num_to_finish == sum(told)


def test_what_is_not_a_block(tmp_path):
    base = made(tmp_path, "zarr", DOMAINS["at odd voxels"], "u1")
    filling = pyramid.opened(base, (16, 16, 16))
    for box in (
        Box.from_size((4, 5, -7), (15, 16, 16)),
        Box.from_size((3, 5, -7), (16, 16, 15)),
    ):
        with pytest.raises(ValueError, match=r"is not a block.*\(3, 5, -7\)"):
            filling.write(box, np.zeros(box.size, np.uint8))
    with pytest.raises(ValueError, match=r"at least 1, found \(16, 0, 16\)"):
        pyramid.opened(base, (16, 0, 16))


def test_a_missing_block_is_not_background(tmp_path):
    base = made(tmp_path, "zarr", DOMAINS["at zero"], "u1")
    with pytest.raises(OSError, match="missing"):
        with pyramid.filling(base, (16, 16, 16)) as filling:
            box = next(filling.blocks())
            filling.write(box, np.zeros(box.size, np.uint8))


def test_an_exception_finishes_nothing(tmp_path):
    base = made(tmp_path, "zarr", DOMAINS["at zero"], "u1")
    with pytest.raises(KeyError):
        with pyramid.filling(base, (16, 16, 16)):
            raise KeyError("stop")


def test_one_scale_is_a_pyramid(tmp_path):
    info = volume.VolumeInfo(DOMAINS["at zero"], np.uint8, SIZE_NM, CHUNK)
    voxels = random_voxels(info.domain, "u1")
    with volume.create(f"{tmp_path}/em.h5:raw", info) as base:
        with pyramid.filling(base, (16, 16, 16)) as filling:
            for box in filling.blocks():
                filling.write(box, part_of(voxels, info.domain, box))
        np.testing.assert_array_equal(base.read(), voxels)


def smooth(domain):
    z, y, x = np.indices(domain.size)
    return (128 + 60 * np.sin(z / 9) + 40 * np.cos(y / 7 + x / 8)).astype("u1")


def test_jpeg_goes_by_whole_chunks(tmp_path):
    """Coarser scales are made of what was given, not of what was stored."""
    domain = DOMAINS["at zero"]
    voxels = smooth(domain)
    wanted = codec.Codec(encoding="jpeg", jpeg_quality=95)
    base = made(tmp_path, "precomputed", domain, "u1", wanted)
    with pytest.raises(ValueError, match=r"jpeg.*whole units.*\(16, 16, 12\)"):
        pyramid.opened(base, (16, 16, 12))
    pyramid.opened(base, (16, 99, 99))
    with pyramid.filling(base, (16, 32, 32)) as filling:
        assert filling.num_in_pass == 6
        for box in filling.blocks():
            filling.write(box, part_of(voxels, domain, box))
    for mip, expected in enumerate(expected_scales(voxels, base.info)):
        with volume.open(f"{base.address}?mip={mip}") as found:
            stored = writing.stored(found).read()
        error = np.abs(stored.astype(int) - expected)
        assert 0 < error.max() <= 16, mip


def test_jpeg_scales_beyond_the_pass_do_not_depend_on_what_is_cached(tmp_path):
    domain = DOMAINS["at odd voxels"]
    voxels = smooth(domain)
    wanted = codec.Codec(encoding="jpeg", jpeg_quality=40)
    base = made(tmp_path, "precomputed", domain, "u1", wanted, 2)
    with pyramid.filling(base, (16, 32, 32)) as filling:
        for box in filling.blocks():
            filling.write(box, part_of(voxels, domain, box))
    found = writing.stored(base).read()
    assert np.any(found != voxels)
    by = scales.factors(*(v.info for v in filling.volumes))
    expected, _ = scales.coarser(found, domain, by, base.info)
    with volume.open(f"{base.address}?mip=1") as coarse:
        np.testing.assert_array_equal(coarse.read(), expected)
