"""Units of writing, writes together, and several writers at once."""

import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.volume import address as address_lib
from ffn_tf.volume import writing
from ffn_tf.volume.formats import codec, layout

Box = volume.Box

DOMAIN = Box((3, 5, 7), (35, 37, 71))
VOXELS = np.arange(1, DOMAIN.num_voxels + 1, dtype=np.uint64)
VOXELS = VOXELS.reshape(DOMAIN.size)
KINDS = {
    "precomputed raw": ("precomputed", {"encoding": "raw"}),
    "precomputed": ("precomputed", {"sharded": "no"}),
    "precomputed sharded": ("precomputed", {"sharded": "yes"}),
    "zarr": ("zarr", {}),
    "zarr3": ("zarr3", {"sharded": "no"}),
    "zarr3 sharded": ("zarr3", {"sharded": "yes"}),
    "n5": ("n5", {}),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def created(folder, kind, chunk=(8, 8, 16)):
    name, wanted = KINDS[kind]
    text = f"{name}://{folder}/{kind.replace(' ', '_')}"
    info = volume.VolumeInfo(DOMAIN, VOXELS.dtype, chunk_zyx=chunk)
    where = address_lib.parse(text, creating=True)
    layout.create_chunked(where, info, {}, codec.Codec(**wanted))
    return text


def part(box):
    return VOXELS[box.relative_to(DOMAIN.start).slices]


def parted(axis, voxel):
    """The domain in two, before and from `voxel` on."""
    end, start = list(DOMAIN.end), list(DOMAIN.start)
    end[axis] = start[axis] = voxel
    return [Box(DOMAIN.start, end), Box(start, DOMAIN.end)]


def chunk_files(text):
    folder = pathlib.Path(text.partition("://")[2])
    known = ("info", "provenance", "zarr.json", "attributes.json")
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.name not in known and path.name[0] != "."
    )


@every_kind
def test_units(kind, tmp_path):
    sharded = kind.endswith("sharded")
    with volume.open(created(tmp_path, kind)) as found:
        assert found.info.chunk_zyx == (8, 8, 16)
        expected = DOMAIN.size if sharded else (8, 8, 16)
        assert writing.unit(found) == expected
        assert not writing.loses(found)


def test_units_of_arrays(tmp_path):
    held = volume.from_array(VOXELS)
    assert writing.unit(held) == (64, 64, 64)
    assert not writing.loses(held)
    assert writing.stored(held) is held


@every_kind
@pytest.mark.parametrize(
    "split", [parted(2, 39), parted(1, 16)], ids=["x", "y"]
)
def test_together(kind, split, tmp_path):
    """Boxes of whole chunks, and boxes that part chunks."""
    text = created(tmp_path, kind)
    one, two = split
    with volume.open(text, mode="r+") as target:
        with writing.together(target) as filling:
            for box in (one, two):
                filling.write(box, part(box))
            with pytest.raises(ValueError, match="read when that has ended"):
                filling.read_many([one])
            assert filling.info == target.info
            assert chunk_files(text) == []
        np.testing.assert_array_equal(target.read(), VOXELS)
    if kind.endswith("sharded"):
        assert len(chunk_files(text)) == 1


@every_kind
def test_an_exception_drops_them(kind, tmp_path):
    text = created(tmp_path, kind)
    with volume.open(text, mode="r+") as target:
        with pytest.raises(KeyError):
            with writing.together(target) as filling:
                filling.write(DOMAIN, VOXELS)
                raise KeyError("stop")
        assert chunk_files(text) == []


@every_kind
def test_together_changes_what_is_there(kind, tmp_path):
    """Voxels of a unit that no box touches stay as they are."""
    text = created(tmp_path, kind)
    inner = DOMAIN.padded(-5)
    with volume.open(text, mode="r+") as target:
        target.write(DOMAIN, VOXELS)
        with writing.together(target) as filling:
            filling.write(inner, part(inner) + np.uint64(9))
    expected = VOXELS.copy()
    expected[inner.relative_to(DOMAIN.start).slices] += np.uint64(9)
    with volume.open(text) as found:
        np.testing.assert_array_equal(found.read(), expected)


def test_what_cannot_be_written_together(tmp_path):
    text = created(tmp_path, "precomputed sharded")
    with volume.open(text, mode="r+") as target:
        with pytest.raises(OSError, match=r"precomputed://.*cannot be written"):
            with writing.together(target) as filling:
                filling.write(DOMAIN, VOXELS)
                folder = pathlib.Path(text.partition("://")[2])
                shutil.rmtree(folder)
                folder.write_text("no folder any more")


def test_hdf5_is_written_at_once(tmp_path):
    info = volume.VolumeInfo(DOMAIN, VOXELS.dtype)
    with volume.create(f"{tmp_path}/a.h5:x", info) as target:
        with writing.together(target) as filling:
            filling.write(DOMAIN, VOXELS)
            np.testing.assert_array_equal(target.read(), VOXELS)


def test_jpeg_as_it_is_stored(tmp_path):
    info = volume.VolumeInfo(DOMAIN, np.uint8, chunk_zyx=(16, 16, 16))
    text = f"precomputed://{tmp_path}/em"
    where = address_lib.parse(text, creating=True)
    layout.create_chunked(where, info, {}, codec.Codec(encoding="jpeg"))
    noise = np.random.default_rng(0).integers(0, 255, DOMAIN.size, np.uint8)
    with volume.open(text, mode="r+") as target:
        assert writing.loses(target)
        target.write(DOMAIN, noise)
        found = writing.stored(target)
        assert np.any(found.read() != noise)
        with pytest.raises(ValueError, match="opened for reading"):
            found.write(DOMAIN, noise)


# Writers wait for each other, and then each writes every fourth row, so that
# all of them write into all chunks and shards at the same time.
_WRITER = """
import pathlib, sys, time, numpy as np
from ffn_tf import volume
folder, number, *addresses = sys.argv[1:]
number = int(number)
voxels = np.load(f"{folder}/voxels.npy")
pathlib.Path(f"{folder}/ready-{number}").touch()
for address in addresses:
    with volume.open(address, mode="r+") as target:
        domain = target.domain
        while len(list(pathlib.Path(folder).glob("ready-*"))) < 4:
            time.sleep(0.01)
        for row in range(number, domain.size[1], 4):
            start = (domain.start[0], domain.start[1] + row, domain.start[2])
            box = volume.Box.from_size(
                start, (domain.size[0], 1, domain.size[2])
            )
            target.write(box, voxels[box.relative_to(domain.start).slices])
"""


@pytest.fixture(scope="module")
def written_by_four(tmp_path_factory):
    """Addresses of every kind, by kind."""
    folder = tmp_path_factory.mktemp("four")
    np.save(folder / "voxels.npy", VOXELS)
    addresses = {kind: created(folder, kind) for kind in KINDS}
    command = [sys.executable, "-c", _WRITER, str(folder)]
    writers = [
        subprocess.Popen([*command, f"{number}", *addresses.values()])
        for number in range(4)
    ]
    assert [writer.wait(200) for writer in writers] == [0] * 4
    return addresses


@every_kind
def test_four_processes_write_into_the_same_chunks(kind, written_by_four):
    with volume.open(written_by_four[kind]) as found:
        lost = np.count_nonzero(found.read() != VOXELS)
    assert lost == 0
    left = [path.name for path in chunk_files(written_by_four[kind])]
    assert not [name for name in left if "lock" in name]
