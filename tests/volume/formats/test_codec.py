"""Which codec a volume gets, and which it cannot have."""

import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.volume.formats import codec, scales

FORMATS = ("precomputed", "zarr", "zarr3", "n5", "hdf5", "npy")


def info(dtype, size=(100, 90, 80), chunk=(64, 64, 64), kind=None, **more):
    return volume.VolumeInfo(
        volume.Box.from_shape(size),
        np.dtype(dtype),
        chunk_zyx=chunk,
        kind=kind,
        **more,
    )


def test_what_auto_means():
    found = {
        (kind, name): codec.chosen(codec.Codec(), name, info(dtype)).encoding
        for kind, dtype in (("image", "u1"), ("ids", "u8"))
        for name in FORMATS
    }
    assert found == {
        ("image", "precomputed"): "raw",
        ("image", "zarr"): "blosc",
        ("image", "zarr3"): "zstd",
        ("image", "n5"): "gzip",
        ("image", "hdf5"): "gzip",
        ("image", "npy"): "raw",
        ("ids", "precomputed"): "compressed_segmentation",
        ("ids", "zarr"): "blosc",
        ("ids", "zarr3"): "zstd",
        ("ids", "n5"): "gzip",
        ("ids", "hdf5"): "gzip",
        ("ids", "npy"): "raw",
    }


@pytest.mark.parametrize("dtype", ["u1", "u2", "i8"])
def test_ids_that_compressed_segmentation_does_not_hold(dtype):
    small = info(dtype, kind="segmentation")
    assert codec.chosen(codec.Codec(), "precomputed", small).encoding == "raw"
    large = info(dtype, (128, 128, 128), kind="segmentation")
    found = codec.chosen(codec.Codec(), "precomputed", large)
    assert found.encoding == "gzip"
    assert found.write_zyx == (128, 128, 128)


def test_images_are_raw_also_in_shards_and_of_many_bits():
    wanted = codec.Codec(sharded="yes")
    for dtype in ("u1", "u4", "f4"):
        image = info(dtype, (128,) * 3, kind="image")
        assert codec.chosen(wanted, "precomputed", image).encoding == "raw"


@pytest.mark.parametrize(
    "name, wanted, dtype, size, sharded",
    [
        ("precomputed", {}, "u8", (128, 128, 127), False),
        ("precomputed", {}, "u8", (128, 128, 128), True),
        ("precomputed", {}, "u1", (128, 128, 128), False),
        ("precomputed", {"encoding": "jpeg"}, "u1", (128,) * 3, False),
        ("precomputed", {"encoding": "raw"}, "u8", (128,) * 3, False),
        ("precomputed", {"encoding": "gzip"}, "u1", (128,) * 3, True),
        ("precomputed", {"sharded": "no"}, "u8", (128,) * 3, False),
        ("precomputed", {"sharded": "yes"}, "u1", (100,) * 3, True),
        ("precomputed", {}, "u1", (64, 64 * 100, 64 * 100), False),
        ("precomputed", {}, "u1", (65, 64 * 100, 64 * 100), False),
        ("zarr3", {}, "u8", (64, 64 * 100, 64 * 100), False),
        ("zarr3", {}, "u1", (65, 64 * 100, 64 * 100), True),
        ("zarr3", {"sharded": "yes"}, "u1", (100,) * 3, True),
        ("zarr", {}, "u1", (65, 64 * 100, 64 * 100), False),
        ("n5", {}, "u8", (65, 64 * 100, 64 * 100), False),
    ],
)
def test_when_there_are_shards(name, wanted, dtype, size, sharded):
    found = codec.chosen(codec.Codec(**wanted), name, info(dtype, size))
    assert (found.division is not None) == sharded


@pytest.mark.parametrize(
    "dtype, write_zyx",
    [("u1", (512, 512, 512)), ("u8", (256,) * 3), ("u4", (256, 256, 512))],
)
def test_a_shard_has_128_mib_of_voxels(dtype, write_zyx):
    huge = info(dtype, (10**6,) * 3)
    for name in ("precomputed", "zarr3"):
        found = codec.chosen(codec.Codec(sharded="yes"), name, huge)
        assert found.write_zyx == write_zyx


WRONG = [
    ("zarr", {"encoding": "jpeg"}, "u1", r"jpeg: not one of zarr's.*blosc"),
    ("n5", {"encoding": "jpeg"}, "u1", "not one of n5's"),
    ("hdf5", {"encoding": "zstd"}, "u1", "not one of hdf5's.*gzip"),
    ("precomputed", {"encoding": "zstd"}, "u1", "not one of precomputed's"),
    ("precomputed", {"encoding": "jpg"}, "u1", "not one of precomputed's"),
    ("precomputed", {"encoding": "jpeg"}, "u2", "holds uint8, found uint16"),
    ("precomputed", {"encoding": "jpeg"}, "u8", "holds uint8, found uint64"),
    ("precomputed", {"encoding": "png"}, "f4", "uint8 and uint16.*float32"),
    (
        "precomputed",
        {"encoding": "compressed_segmentation"},
        "u1",
        "uint32 and uint64, found uint8",
    ),
    ("precomputed", {"encoding": "gzip"}, "u1", "in shards only.*sharded=yes"),
    ("n5", {"sharded": "yes"}, "u1", "n5 has no shards"),
    ("zarr", {"sharded": "yes"}, "u1", "only precomputed and zarr3 have"),
    ("zarr3", {"sharded": "maybe"}, "u1", "auto, yes or no, found 'maybe'"),
    ("precomputed", {"jpeg_quality": 80}, "u1", "means nothing for .* raw"),
    (
        "precomputed",
        {"encoding": "jpeg", "jpeg_quality": 101},
        "u1",
        "1 to 100, found 101",
    ),
    (
        "precomputed",
        {"encoding": "jpeg", "jpeg_quality": 0},
        "u1",
        "1 to 100, found 0",
    ),
]


@pytest.mark.parametrize("name, wanted, dtype, message", WRONG)
def test_what_does_not_go_together(name, wanted, dtype, message):
    with pytest.raises(ValueError, match=message):
        codec.chosen(codec.Codec(**wanted), name, info(dtype))


@pytest.mark.parametrize("name", FORMATS)
def test_a_chunk_that_no_memory_holds(name):
    most = info("u4", chunk=(512, 1024, 1023))
    codec.chosen(codec.Codec(), name, most)
    for dtype, chunk in (("u4", (512, 1024, 1024)), ("u1", (10**5,) * 3)):
        with pytest.raises(ValueError, match="expected less than 2 GiB"):
            codec.chosen(codec.Codec(), name, info(dtype, chunk=chunk))


def test_labels_are_never_jpeg():
    labels = info("u1", kind="segmentation")
    with pytest.raises(ValueError, match="labels, which must not change"):
        codec.chosen(codec.Codec(encoding="jpeg"), "precomputed", labels)


def test_jpeg_is_as_good_as_is_asked():
    image = info("u1")
    for quality, expected in ((None, 90), (40, 40)):
        wanted = codec.Codec(encoding="jpeg", jpeg_quality=quality)
        assert codec.chosen(wanted, "precomputed", image).level == expected


def test_shards_of_coarser_scales_are_what_a_shard_becomes():
    levels = scales.plan(info("u1", (2000,) * 3), 6)
    wanted = codec.Codec(sharded="yes")
    found = codec.chosen_for_scales(wanted, "precomputed", levels)
    edges = [512, 256, 128, 64, 64, 64]
    assert [storage.write_zyx for storage in found] == [(e,) * 3 for e in edges]
    assert [bool(storage.division) for storage in found] == [True] * 3 + [
        False
    ] * 3


def test_shards_of_coarser_scales_of_long_voxels():
    levels = scales.plan(
        info("u1", (2000,) * 3, voxel_size_nm=(33.3, 8.1, 8.1)), 4
    )
    found = codec.chosen_for_scales(codec.Codec(), "zarr3", levels)
    # 512 sections of 256 x 256 are two shards of 256^3.
    assert [storage.write_zyx for storage in found] == [
        (512,) * 3,
        (256,) * 3,
        (128,) * 3,
        (64,) * 3,
    ]


def test_no_shards_where_a_shard_becomes_less_than_a_chunk():
    """Thin sections: along z, 16 voxels become one before x and y change."""
    wanted = codec.Codec(sharded="yes")
    long = info("u1", (20000, 2000, 2000), voxel_size_nm=(4, 64, 64))
    levels = scales.plan(long, 5)
    assert levels[-1].voxel_size_nm == (64, 64, 64)
    found = codec.chosen_for_scales(wanted, "precomputed", levels)
    assert [storage.write_zyx for storage in found] == [
        (512, 512, 512),
        (256, 512, 512),
        (128, 256, 256),
        (64, 128, 128),
        (64, 64, 64),
    ]


def test_a_shard_that_is_all_of_an_axis_is_all_of_it_at_each_scale():
    wanted = codec.Codec(sharded="yes")
    levels = scales.plan(info("u8", (50, 1000, 1000)), 2)
    found = codec.chosen_for_scales(wanted, "precomputed", levels)
    assert found[0].write_zyx == (64, 512, 512)
    assert found[1].write_zyx == (64, 256, 256)


def test_no_shards_at_any_scale():
    wanted = codec.Codec(sharded="no")
    levels = scales.plan(info("u8", (300,) * 3))
    for storage in codec.chosen_for_scales(wanted, "precomputed", levels):
        assert storage.division is None
