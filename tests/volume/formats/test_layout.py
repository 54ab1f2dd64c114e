"""Folders of chunks of every codec: created once, read by other people."""

from concurrent import futures
import json
import os
import struct
import zlib

import numpy as np
from PIL import Image
import pytest

from ffn_tf import volume
from ffn_tf.volume import address as address_lib
from ffn_tf.volume import writing
from ffn_tf.volume.formats import codec, layout, scales

Box = volume.Box

# Odd sizes, an offset, and runs of equal values, every one different.
DOMAIN = Box((30, 20, 10), (71, 57, 43))
SIZE_NM = (33.0, 8.0, 4.0)
_z, _y, _x = np.indices(DOMAIN.size)
LABELS = ((_z // 3) * 1000 + (_y // 4) * 40 + _x // 5 + 2**40).astype(np.uint64)
LABELS[5:9, 7:30] = 0
IMAGE = (_z * 5 + _y * 3 + _x * 2 + (_z * _y * _x) % 7).astype(np.uint8)
DTYPES = {
    "jpeg": ["u1"],
    "png": ["u1", "u2"],
    "compressed_segmentation": ["u4", "u8"],
}
CASES = [
    (name, encoding, sharded, dtype)
    for name in ("precomputed", "zarr", "zarr3", "n5")
    for encoding in codec.ENCODINGS[name]
    for sharded in (("no", "yes") if name in ("precomputed", "zarr3") else "n")
    for dtype in DTYPES.get(encoding, ["u1", "u8", "f4"])
    if (name, encoding, sharded) != ("precomputed", "gzip", "no")
]


def made(folder, name, codec_, dtype, num_scales=1, chunk=(16, 8, 12)):
    """A volume with voxels at scale 0; its address, and the voxels."""
    dtype = np.dtype(dtype)
    voxels = (LABELS if dtype.itemsize > 2 else IMAGE).astype(dtype)
    info = volume.VolumeInfo(DOMAIN, dtype, SIZE_NM, chunk)
    if dtype == np.uint16:
        voxels *= 255
    text = f"{name}://{folder}/em"
    where = address_lib.parse(text, creating=True)
    layout.create_chunked(where, info, {"a": [1]}, codec_, num_scales)
    with volume.open(text, mode="r+") as new:
        new.write(DOMAIN, voxels)
    return text, voxels


def psnr(found, expected):
    error = found.astype(float) - expected
    return 10 * np.log10(255**2 / np.mean(error**2))


def check_equal(found, voxels, encoding):
    assert found.dtype == voxels.dtype
    if encoding == "jpeg":
        assert psnr(found, voxels) > 35
    else:
        np.testing.assert_array_equal(found, voxels)


@pytest.mark.parametrize("name, encoding, sharded, dtype", CASES)
def test_every_codec_and_who_else_reads_it(
    name, encoding, sharded, dtype, tmp_path
):
    wanted = codec.Codec(encoding=encoding, sharded="no")
    if sharded == "yes":
        wanted = codec.Codec(encoding=encoding, sharded="yes")
    text, voxels = made(tmp_path, name, wanted, dtype)
    with volume.open(text) as found:
        assert found.domain == DOMAIN
        assert found.voxel_size_nm == SIZE_NM
        assert found.info.chunk_zyx == (16, 8, 12)
        assert found.attributes == {"a": [1]}
        check_equal(writing.stored(found).read(), voxels, encoding)
    files = [f for _, _, there in os.walk(tmp_path / "em") for f in there]
    assert (len(files) <= 5) == (sharded == "yes")
    if encoding == "png":
        # cloud-volume needs one more package for it, and nobody else reads
        # its shards.
        if sharded == "no":
            check_equal(by_pillow(tmp_path / "em"), voxels, encoding)
    elif name == "precomputed":
        check_equal(by_cloudvolume(tmp_path / "em"), voxels, encoding)
    elif name == "n5":
        if encoding in ("raw", "gzip"):
            check_equal(by_the_n5_book(tmp_path / "em"), voxels, encoding)
    else:
        check_equal(by_zarr_python(tmp_path / "em"), voxels, encoding)


def by_cloudvolume(folder, mip=0):
    cloudvolume = pytest.importorskip("cloudvolume")
    seen = cloudvolume.CloudVolume(
        f"precomputed://file://{folder}", mip=mip, progress=False
    )
    by = np.divide(seen.resolution, SIZE_NM[::-1])
    np.testing.assert_array_equal(
        seen.voxel_offset, np.array(DOMAIN.start[::-1]) // by
    )
    return seen[:][..., 0].T


def by_pillow(folder):
    """Each chunk is one picture [z * y, x]; its name says where it is."""
    info = json.loads((folder / "info").read_text())
    (scale,) = info["scales"]
    found = np.zeros(DOMAIN.size, info["data_type"])
    for path in (folder / scale["key"]).iterdir():
        ends = [tuple(map(int, s.split("-"))) for s in path.name.split("_")]
        box = Box(*zip(*ends[::-1])).relative_to(DOMAIN.start)
        with Image.open(path) as picture:
            found[box.slices] = np.asarray(picture).reshape(box.size)
    return found


def by_zarr_python(folder, path="0"):
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(folder, mode="r")
    attributes = dict(group.attrs)
    multiscale = attributes.get("ome", attributes)["multiscales"][0]
    assert [axis["name"] for axis in multiscale["axes"]] == ["z", "y", "x"]
    assert [axis["unit"] for axis in multiscale["axes"]] == ["nanometer"] * 3
    scale, translation = multiscale["datasets"][0]["coordinateTransformations"]
    assert scale == {"type": "scale", "scale": list(SIZE_NM)}
    assert translation["translation"] == [
        v * s for v, s in zip(SIZE_NM, DOMAIN.start)
    ]
    return group[path][:]


def by_the_n5_book(folder):
    """n5's specification in 20 lines: nothing else here reads it."""
    about = json.loads((folder / "attributes.json").read_text())
    assert about["resolution"] == list(SIZE_NM[::-1])
    found = np.zeros(about["dimensions"][::-1], about["dataType"])
    step = about["blockSize"]
    for path in folder.rglob("*"):
        if path.is_dir() or path.name == "attributes.json":
            continue
        x, y, z = (
            int(i) * n for i, n in zip(path.relative_to(folder).parts, step)
        )
        data = path.read_bytes()
        mode, rank, nx, ny, nz = struct.unpack(">HHIII", data[:16])
        assert (mode, rank) == (0, 3)
        body = data[16:]
        if about["compression"]["type"] == "gzip":
            body = zlib.decompress(body, 31)
        block = np.frombuffer(body, found.dtype.newbyteorder(">"))
        there = found[z : z + nz, y : y + ny, x : x + nx]
        inside = tuple(map(slice, there.shape))
        there[...] = block.reshape(nz, ny, nx)[inside]
    return found


@pytest.mark.parametrize(
    "encoding, dtype, data_encoding",
    [
        ("auto", "u8", "gzip"),
        ("gzip", "u1", "gzip"),
        ("auto", "u1", "raw"),
        ("png", "u1", "raw"),
        ("jpeg", "u1", "raw"),
    ],
)
def test_what_is_compressed_twice(encoding, dtype, data_encoding, tmp_path):
    wanted = codec.Codec(encoding=encoding, sharded="yes")
    made(tmp_path, "precomputed", wanted, dtype)
    (scale,) = json.loads((tmp_path / "em/info").read_text())["scales"]
    assert scale["sharding"]["data_encoding"] == data_encoding


@pytest.mark.parametrize("dtype, shuffle", [("u2", 1), ("u8", 0)])
def test_ids_are_not_shuffled(dtype, shuffle, tmp_path):
    made(tmp_path, "zarr", None, dtype)
    about = json.loads((tmp_path / "em/0/.zarray").read_text())
    assert about["compressor"]["shuffle"] == shuffle


def test_jpeg_quality(tmp_path):
    for quality in (None, 40):
        wanted = codec.Codec(encoding="jpeg", jpeg_quality=quality)
        made(tmp_path / f"{quality}", "precomputed", wanted, "u1")
        info = json.loads((tmp_path / f"{quality}/em/info").read_text())
        assert info["scales"][0]["jpeg_quality"] == (quality or 90)


@pytest.mark.parametrize("name", ["precomputed", "zarr", "zarr3"])
@pytest.mark.parametrize("dtype", ["u1", "u8"])
def test_scales_are_there_from_the_first_moment(name, dtype, tmp_path):
    text, _ = made(tmp_path, name, None, dtype, None)
    with volume.open(text) as base:
        planned = scales.plan(base.info)
        assert base.scales_nm == tuple(s.voxel_size_nm for s in planned)
    assert len(planned) == 6
    for mip, expected in enumerate(planned):
        with volume.open(f"{text}?mip={mip}", mode="r+") as found:
            assert found.info == expected
            value = found.dtype.type(mip + 1)
            found.write(found.domain, np.full(found.domain.size, value))
        if name == "precomputed":
            assert (by_cloudvolume(tmp_path / "em", mip) == value).all()
        else:
            assert (by_zarr_python(tmp_path / "em", f"{mip}") == value).all()


def test_coarse_voxels_lie_in_the_middle_of_fine_ones(tmp_path):
    """As OME-NGFF wants it: translations are of middles."""
    made(tmp_path, "zarr", None, "u1", 2)
    about = json.loads((tmp_path / "em/.zattrs").read_text())
    (multiscale,) = about["multiscales"]
    assert multiscale["type"] == "mean"
    coarse = multiscale["datasets"][1]["coordinateTransformations"]
    assert coarse[0]["scale"] == [33, 8, 8]
    assert coarse[1]["translation"] == [30 * 33, 20 * 8, 5 * 8 + 2]


def test_background_in_shards_is_there_for_cloudvolume(tmp_path):
    cloudvolume = pytest.importorskip("cloudvolume")
    wanted = codec.Codec(sharded="yes")
    text, voxels = made(tmp_path, "precomputed", wanted, "u8")
    box = Box.from_size(DOMAIN.start, (16, 8, 12))  # a chunk
    with volume.open(text, mode="r+") as target:
        target.write(box, np.zeros(box.size, np.uint64))
    voxels[:16, :8, :12] = 0
    seen = cloudvolume.CloudVolume(
        f"precomputed://file://{tmp_path}/em", progress=False
    )
    assert not seen.fill_missing
    np.testing.assert_array_equal(seen[:][..., 0].T, voxels)


def test_n5_has_one_scale(tmp_path):
    with pytest.raises(ValueError, match=r"n5.*one scale"):
        made(tmp_path, "n5", None, "u1", 2)
    assert not os.listdir(tmp_path)


def test_what_cannot_be_leaves_nothing(tmp_path):
    wanted = codec.Codec(encoding="jpeg")
    with pytest.raises(ValueError, match=r"precomputed://.*/em: .*uint64"):
        made(tmp_path, "precomputed", wanted, "u8")
    with pytest.raises(ValueError, match=r"num_scales: .*found 0"):
        made(tmp_path, "zarr", None, "u8", 0)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("name", ["precomputed", "zarr", "zarr3", "n5"])
def test_one_creator_wins(name, tmp_path):
    """Eight at once: one volume, with the attributes of one of them."""
    where = address_lib.parse(f"{name}://{tmp_path}/em", creating=True)

    def create(number):
        info = volume.VolumeInfo(Box.from_shape((8, 8, number)), np.uint8)
        try:
            layout.create_chunked(where, info, {"by": number})
        except FileExistsError as error:
            assert "exists already" in str(error)
            return None
        return number

    with futures.ThreadPoolExecutor(8) as pool:
        won = [n for n in pool.map(create, range(1, 9)) if n is not None]
    assert len(won) == 1
    with volume.open(where.text) as found:
        assert found.attributes == {"by": won[0]}
        assert found.domain.size[2] == won[0]


@pytest.mark.parametrize("name", ["precomputed", "zarr", "zarr3"])
def test_killed_while_creating(name, tmp_path, monkeypatch):
    """What is there before the last file is no volume."""
    write, names = layout._write_new, []

    def counted(address, file_name, data):
        names.append(file_name)
        write(address, file_name, data)

    monkeypatch.setattr(layout, "_write_new", counted)
    made(tmp_path / "whole", name, None, "u1", 2)
    for number in range(1, len(names)):

        def killed(address, file_name, data, last=names[number]):
            if file_name == last:
                raise KeyboardInterrupt
            write(address, file_name, data)

        monkeypatch.setattr(layout, "_write_new", killed)
        folder = tmp_path / f"{number}"
        with pytest.raises(KeyboardInterrupt):
            made(folder, name, None, "u1", 2)
        assert len(os.listdir(folder / "em")) >= 1
        with pytest.raises(FileNotFoundError):
            volume.open(f"{name}://{folder}/em")


def test_real_labels_take_a_hundredth(tmp_path):
    path = volume.dataset.data_dir() / "fib25" / "groundtruth.h5"
    if not path.exists():
        pytest.skip(f"{path} is not here; see third_party/README.md")
    with volume.open(f"{path}:stack") as truth:
        voxels, info = truth.read(), truth.info
    for name in ("precomputed", "zarr3"):
        text = f"{name}://{tmp_path}/{name}"
        with volume.create(text, info) as new:
            new.write(info.domain, voxels)
        size = sum(
            os.path.getsize(os.path.join(folder, file))
            for folder, _, files in os.walk(tmp_path / name)
            for file in files
        )
        assert voxels.nbytes / size >= 100, name
        with volume.open(text) as found:
            assert np.array_equal(found.read(), voxels)
