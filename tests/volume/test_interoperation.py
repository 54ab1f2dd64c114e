"""What other people's programs write and read, and we read and write.

                  theirs, read by us            ours, read by them
    cloud-volume  here, formats/test_chunked,   formats/test_layout,
                  formats/test_cloudvolume_...  tests/h01
    zarr-python   here                          formats/test_layout
    h5py          here, formats/test_hdf5       formats/test_hdf5
    Neuroglancer  (it does not write)           here, in a browser

Every voxel of what is written is different, and no two axes are equal.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import h5py
import numpy as np
from PIL import Image
import pytest

from ffn_tf import phantom, volume
from ffn_tf.volume import address as address_lib
from ffn_tf.volume import pyramid
from ffn_tf.volume.formats import layout

Box = volume.Box
START = (30, 20, 10)
SHAPE = (11, 13, 17)
DOMAIN = Box.from_size(START, SHAPE)
SIZE_NM = (40.0, 8.0, 4.0)
IDS = 2**40 + 1 + np.arange(np.prod(SHAPE), dtype=np.uint64).reshape(SHAPE)
VOXELS = (1 + np.arange(np.prod(SHAPE))).astype(np.uint16).reshape(SHAPE)
_z, _y, _x = np.indices(SHAPE)
IMAGE = (5 + _z * 9 + _y * 5 + _x * 3).astype(np.uint8)  # Smooth, for jpeg.


# -----------------------------------------------------------------------------
# zarr-python
# -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "told",
    [
        {"zarr_format": 2},
        {"zarr_format": 2, "order": "F"},
        {"zarr_format": 2, "compressors": None},
        {"zarr_format": 2, "dtype": ">u2"},
        {"zarr_format": 3},
        {"zarr_format": 3, "compressors": None},
        {"zarr_format": 3, "shards": (8, 10, 12)},
        {"zarr_format": 3, "dimension_names": ("z", "y", "x")},
    ],
    ids=str,
)
def test_arrays_of_zarr_python(told, tmp_path):
    zarr = pytest.importorskip("zarr")
    folder = tmp_path / "em.zarr"
    array = zarr.create_array(
        folder, shape=SHAPE, chunks=(4, 5, 6), **({"dtype": "u2"} | told)
    )
    array[:] = VOXELS
    array.attrs["resolution"], array.attrs["offset"] = SIZE_NM, (1200, 160, 40)
    with volume.open(f"zarr://{folder}") as found:
        assert found.domain == DOMAIN
        assert found.voxel_size_nm == SIZE_NM
        assert found.dtype == np.uint16
        np.testing.assert_array_equal(found.read(), VOXELS)
        box = Box((31, 22, 13), (36, 33, 20))
        expected = VOXELS[1:6, 2:13, 3:10]
        np.testing.assert_array_equal(found.read(box), expected)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_group_of_zarr_python_with_channels_and_scales(zarr_format, tmp_path):
    """OME-NGFF; the second scale is of every second voxel along x."""
    zarr = pytest.importorskip("zarr")
    group = zarr.create_group(tmp_path / "em.zarr", zarr_format=zarr_format)
    datasets = []
    for path, step in (("s0", 1), ("s1", 2)):
        voxels = np.stack([VOXELS, VOXELS + 5000])[..., ::step]
        group.create_array(path, data=voxels, chunks=(1, 4, 5, 6))
        scale = {"type": "scale", "scale": [1, 40, 8, 4 * step]}
        datasets.append({"path": path, "coordinateTransformations": [scale]})
    axes = [{"name": "c", "type": "channel"}]
    axes += [
        {"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"
    ]
    about = {"multiscales": [{"axes": axes, "datasets": datasets}]}
    for item in about["multiscales"] if zarr_format == 2 else []:
        item["version"] = "0.4"
    group.attrs.update(about if zarr_format == 2 else {"ome": about})
    address = f"zarr://{tmp_path}/em.zarr"
    with volume.open(f"{address}?channel=1") as found:
        assert found.voxel_size_nm == SIZE_NM
        np.testing.assert_array_equal(found.read(), VOXELS + 5000)
    with volume.open(f"{address}?resolution_nm=40,8,8") as found:
        np.testing.assert_array_equal(found.read(), VOXELS[..., ::2])


def test_zarr_python_does_not_write_background(tmp_path):
    zarr = pytest.importorskip("zarr")
    voxels = VOXELS.copy()
    voxels[:4, :5, :6] = 0
    zarr.create_array(tmp_path / "em.zarr", data=voxels, chunks=(4, 5, 6))
    address = f"zarr://{tmp_path}/em.zarr"
    with volume.open(address) as found:
        with pytest.raises(OSError, match=r"add \?missing=zero"):
            found.read()
    with volume.open(f"{address}?missing=zero") as found:
        np.testing.assert_array_equal(found.read(), voxels)


# -----------------------------------------------------------------------------
# cloud-volume
# -----------------------------------------------------------------------------


def by_cloudvolume(folder, voxels, layer_type, encoding, **told):
    cloudvolume = pytest.importorskip("cloudvolume")
    return cloudvolume.CloudVolume.from_numpy(
        np.asfortranarray(voxels.T),
        f"precomputed://file://{folder}",
        resolution=SIZE_NM[::-1],
        voxel_offset=START[::-1],
        chunk_size=(6, 5, 4),
        layer_type=layer_type,
        encoding=encoding,
        compress=False,
        progress=False,
        **told,
    )


@pytest.mark.parametrize("dtype", [np.uint32, np.uint64])
def test_labels_of_cloudvolume(dtype, tmp_path):
    ids = IDS.astype(dtype)
    by_cloudvolume(tmp_path, ids, "segmentation", "compressed_segmentation")
    with volume.open(f"precomputed://{tmp_path}") as found:
        assert found.domain == DOMAIN and found.voxel_size_nm == SIZE_NM
        assert found.info.kind == "segmentation" and found.dtype == dtype
        assert found.served.method == "tensorstore"
        np.testing.assert_array_equal(found.read(), ids)


def test_jpeg_of_cloudvolume(tmp_path):
    by_cloudvolume(tmp_path, IMAGE, "image", "jpeg")
    with volume.open(f"precomputed://{tmp_path}") as found:
        assert found.domain == DOMAIN
        assert found.served.method == "tensorstore"
        error = np.abs(found.read().astype(int) - IMAGE)
    assert error.mean() < 2 and error.max() < 20


@pytest.mark.parametrize("data_encoding", ["raw", "gzip"])
@pytest.mark.parametrize("encoding", ["raw", "compressed_segmentation"])
def test_shards_of_cloudvolume(encoding, data_encoding, tmp_path):
    cloudvolume = pytest.importorskip("cloudvolume")
    info = cloudvolume.CloudVolume.create_new_info(
        1,
        "segmentation",
        "uint64",
        encoding,
        SIZE_NM[::-1],
        START[::-1],
        SHAPE[::-1],
        chunk_size=(6, 5, 4),
    )
    info["scales"][0]["sharding"] = {
        "@type": "neuroglancer_uint64_sharded_v1",
        "hash": "identity",
        "preshift_bits": 2,
        "minishard_bits": 4,
        "shard_bits": 0,  # 3 * 3 * 3 chunks: all in one.
        "minishard_index_encoding": "gzip",
        "data_encoding": data_encoding,
    }
    made = cloudvolume.CloudVolume(
        f"precomputed://file://{tmp_path}", info=info, progress=False
    )
    made.commit_info()
    voxels = np.asfortranarray(IDS.T)[..., np.newaxis]
    name, data = made.image.make_shard(voxels, made.bounds)
    key = tmp_path / made.key
    key.mkdir(exist_ok=True)
    (key / name).write_bytes(data)
    for method in ("tensorstore", "cloudvolume"):
        with volume.open(f"precomputed://{tmp_path}?access={method}") as found:
            assert found.domain == DOMAIN
            np.testing.assert_array_equal(found.read(), IDS)


# -----------------------------------------------------------------------------
# h5py
# -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"chunks": (4, 5, 6), "compression": "gzip", "shuffle": True},
        {"chunks": (4, 5, 6), "compression": "lzf", "fletcher32": True},
        {"maxshape": (None, None, None), "scaleoffset": 0},
        {"dtype": ">u2"},
    ],
    ids=str,
)
def test_datasets_of_h5py(told, tmp_path):
    with h5py.File(tmp_path / "em.h5", "w") as file:
        file.create_dataset("a/raw", data=VOXELS, **told)
        file["a/raw"].attrs["resolution"] = SIZE_NM
        file["a/raw"].attrs["offset"] = (1200.0, 160.0, 40.0)
    with volume.open(f"{tmp_path}/em.h5:a/raw") as found:
        assert found.domain == DOMAIN and found.voxel_size_nm == SIZE_NM
        np.testing.assert_array_equal(found.read(), VOXELS)


# -----------------------------------------------------------------------------
# Neuroglancer
# -----------------------------------------------------------------------------

# Shows states, and writes a picture of each: state N as N.png.
SHOW = """
import json, os, signal, subprocess, sys
import neuroglancer
from PIL import Image
folder, browser, size, seconds, states = json.loads(sys.stdin.read())
# Who is killed leaves the browser behind.
signal.signal(signal.SIGALRM, lambda *_: sys.exit("nothing was shown"))
signal.alarm(seconds)
neuroglancer.set_server_bind_address("127.0.0.1")
viewer = neuroglancer.Viewer()
process = subprocess.Popen(
    [
        browser, "--headless=new", "--no-sandbox", "--disable-dev-shm-usage",
        "--ignore-gpu-blocklist", "--use-gl=angle",
        "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
        f"--user-data-dir={folder}/profile", viewer.get_viewer_url(),
    ],
    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    start_new_session=True,
)
try:
    for number, state in enumerate(states):
        viewer.set_state(state)
        found = viewer.screenshot(size=size).screenshot.image_pixels
        Image.fromarray(found[..., :3]).save(f"{folder}/{number}.png")
finally:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
"""
NM = 1e-9
SHOWN = phantom.Options(
    seed=1, size_zyx=(8, 96, 128), voxel_size_nm=(33.0, 8.0, 8.0)
)
MIDDLE = 4  # The section that is looked at.


@pytest.fixture(scope="module")
def browser() -> str:
    pytest.importorskip("neuroglancer")
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    pytest.skip("no Chromium here; apt-get install chromium")


def state(kind, source, start=START, corner=0.0, **layer):
    """One layer, a pixel for each voxel of the middle section.

    The corner of the first voxel is at `corner` of a voxel after `start`.
    """
    z, y, x = np.add(SHOWN.domain.center, start) + (0.5, 0, 0) + corner
    return {
        "dimensions": {
            name: [size * NM, "m"]
            for name, size in zip("xyz", SHOWN.voxel_size_nm[::-1])
        },
        "position": [x, y, z],
        "crossSectionScale": 1,
        "crossSectionBackgroundColor": "#000000",
        "layout": "xy",
        "showAxisLines": False,
        "showScaleBar": False,
        "showDefaultAnnotations": False,
        "layers": [{"type": kind, "name": kind, "source": source, **layer}],
    }


def written(address, voxels, kind, start=START):
    """A multiscale volume of ours, where the format has scales."""
    info = volume.VolumeInfo(
        Box.from_size(start, voxels.shape),
        voxels.dtype,
        SHOWN.voxel_size_nm,
        (4, 32, 32),
        kind,
    )
    where = address_lib.parse(address, creating=True)
    num_scales = 1 if where.format == "n5" else None
    layout.create_chunked(where, info, {}, None, num_scales)
    with volume.open(address, mode="r+") as base:
        with pyramid.filling(base) as filled:
            filled.write(info.domain, voxels)


def shown(states, browser, folder):
    """A picture [y, x, rgb] of each state."""
    height, width = SHOWN.size_zyx[1:]
    told = json.dumps([str(folder), browser, [width, height], 240, states])
    done = subprocess.run(
        [sys.executable, "-c", SHOW],
        input=told,
        text=True,
        capture_output=True,
        env=os.environ | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"},
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pictures = []
    for number in range(len(states)):
        with Image.open(folder / f"{number}.png") as picture:
            pictures.append(np.asarray(picture))
    return pictures


@pytest.mark.slow
def test_neuroglancer_shows_what_we_write(
    browser, http_server, http_folder, tmp_path
):
    made = phantom.generate(SHOWN)
    url = f"{http_server.url}/{http_folder.name}"
    states = []
    shader = "void main() { emitGrayscale(toNormalized(getDataValue())); }"
    for name in ("precomputed", "zarr", "zarr3", "n5"):
        # Of n5, Neuroglancer does not look at the offset; OME-NGFF says where
        # the middle of a voxel is, the others say where its corner is.
        start = (0, 0, 0) if name == "n5" else START
        corner = -0.5 if name.startswith("zarr") else 0.0
        written(f"{name}://{http_folder}/{name}", made.image, "image", start)
        source = f"{name}://{url}/{name}"
        told = {"opacity": 1, "shader": shader}
        states.append(state("image", source, start, corner, **told))
    labels = made.labels.astype(np.uint64) + np.uint64(2**40)
    written(f"precomputed://{http_folder}/ids", labels, "segmentation")
    section = labels[MIDDLE]
    ids = [f"{segment}" for segment in np.unique(section)]
    source = f"precomputed://{url}/ids"
    told = {"segments": ids, "selectedAlpha": 1, "hideSegmentZero": True}
    states.append(state("segmentation", source, **told))
    *images, segments = shown(states, browser, tmp_path)
    for picture in images:
        assert picture.shape == (*section.shape, 3)
        grey = picture[..., 0].astype(int)
        assert np.abs(grey - made.image[MIDDLE]).max() <= 1
    # Each segment has a colour, and no two have the same.
    colours = {}
    for segment in np.unique(section):
        inside = segments[section == segment]
        found, counts = np.unique(inside, axis=0, return_counts=True)
        assert counts.max() / counts.sum() > 0.9
        colours[segment] = tuple(found[counts.argmax()].tolist())
    assert len(set(colours.values())) == len(colours) > 5
    assert (0, 0, 0) not in colours.values()
