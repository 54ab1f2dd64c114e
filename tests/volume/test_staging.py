"""Volumes that appear whole or not at all."""

import os
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest

from ffn_tf import volume

INFO = volume.VolumeInfo(
    volume.Box((1, 2, 3), (6, 9, 12)),
    np.dtype(np.uint8),
    (40.0, 4.0, 4.0),
    (2, 3, 4),
)
VOXELS = np.arange(5 * 7 * 9, dtype=np.uint16).astype(np.uint8).reshape(5, 7, 9)
ADDRESSES = [
    "{}/em.h5:raw",
    "{}/em.npy",
    "precomputed://{}/em",
    "{}/em.zarr",
    "zarr3://{}/em",
    "n5://{}/em",
]
every_format = pytest.mark.parametrize("address", ADDRESSES)


@every_format
def test_appears_when_complete(address, tmp_path):
    address = address.format(tmp_path)
    with volume.staged(address, INFO, attributes={"a": 1}) as filling:
        filling.write(INFO.domain, VOXELS)
        with pytest.raises(FileNotFoundError):
            volume.open(address)
    with volume.open(address) as found:
        assert found.info == INFO
        assert found.attributes == {"a": 1}
        np.testing.assert_array_equal(found.read(), VOXELS)
    assert not [n for n in os.listdir(tmp_path) if n.startswith(".tmp")]


@every_format
def test_an_exception_leaves_nothing(address, tmp_path):
    with pytest.raises(KeyError):
        with volume.staged(address.format(tmp_path), INFO) as filling:
            filling.write(INFO.domain, VOXELS)
            raise KeyError("stop")
    assert os.listdir(tmp_path) == []


@every_format
def test_what_is_there_stays(address, tmp_path):
    address = address.format(tmp_path)
    with volume.staged(address, INFO) as filling:
        filling.write(INFO.domain, VOXELS)
    with pytest.raises(FileExistsError, match="exists already"):
        with volume.staged(address, INFO):
            pytest.fail("must not begin")
    with volume.open(address) as found:
        np.testing.assert_array_equal(found.read(), VOXELS)


def test_a_dataset_joins_an_hdf5_file(tmp_path):
    address = f"{tmp_path}/em.h5:volumes/raw"
    with h5py.File(tmp_path / "em.h5", "w") as file:
        file["other"] = [1, 2]
    with pytest.raises(KeyError):
        with volume.staged(address, INFO) as filling:
            filling.write(INFO.domain, VOXELS)
            raise KeyError("stop")
    with h5py.File(tmp_path / "em.h5") as file:
        assert list(file) == ["other"]
    with volume.staged(address, INFO) as filling:
        filling.write(INFO.domain, VOXELS)
    with h5py.File(tmp_path / "em.h5") as file:
        assert sorted(file) == ["other", "volumes"]
    with volume.open(address) as found:
        np.testing.assert_array_equal(found.read(), VOXELS)


_KILLED = """
import os, signal, sys, numpy as np
from ffn_tf import volume
info = volume.VolumeInfo(volume.Box((0, 0, 0), (8, 8, 8)), np.dtype(np.uint8))
with volume.staged(sys.argv[1], info) as filling:
    filling.write(info.domain, np.ones((8, 8, 8), np.uint8))
    os.kill(os.getpid(), signal.SIGKILL)
"""

_LIMITED = """
import resource, sys, numpy as np
from ffn_tf import volume
info = volume.VolumeInfo(volume.Box((0, 0, 0), (96, 96, 96)), np.dtype("u1"))
noise = np.random.default_rng(0).integers(0, 255, (96, 96, 96), np.uint8)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    with volume.staged(sys.argv[1], info) as filling:
        filling.write(info.domain, noise)
except OSError as error:
    print("OSError:", error)
"""


def _python(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.mark.parametrize("address", ADDRESSES[:3])
def test_killed(address, tmp_path):
    address = address.format(tmp_path)
    assert _python(_KILLED, address).returncode == -signal.SIGKILL
    with pytest.raises(FileNotFoundError):
        volume.open(address)
    with volume.staged(address, INFO) as filling:
        filling.write(INFO.domain, VOXELS)
    with volume.open(address) as found:
        np.testing.assert_array_equal(found.read(), VOXELS)


def test_npy_takes_its_room_on_the_disk_at_once(tmp_path):
    """A hole that the disk has no room for would crash at the first voxel."""
    info = volume.VolumeInfo(volume.Box.from_shape((64, 64, 64)), np.uint64)
    volume.create(f"{tmp_path}/em.npy", info).close()
    assert os.stat(tmp_path / "em.npy").st_blocks * 512 >= 64**3 * 8


@every_format
def test_a_full_disk_is_an_error_and_leaves_nothing(address, tmp_path):
    """A limit on the size of files acts like a full disk, without root."""
    ran = _python(_LIMITED, address.format(tmp_path))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("OSError: "), ran.stdout
    assert "em" in ran.stdout
    assert os.listdir(tmp_path) == []


_TINY_DISK = """
import os, sys, numpy as np
from ffn_tf import volume
info = volume.VolumeInfo(volume.Box((0, 0, 0), (128, 128, 128)), np.dtype("u1"))
noise = np.random.default_rng(0).integers(0, 255, (128, 128, 128), np.uint8)
for address in sys.argv[2:]:
    try:
        with volume.staged(address, info) as filling:
            filling.write(info.domain, noise)
    except OSError as error:
        print(error)
    print("left:", os.listdir(sys.argv[1]))
"""


def test_a_tiny_tmpfs(tmp_path):
    """The real thing, in a mount of its own where the system allows it."""
    mount = f"mount -t tmpfs -o size=1m none {tmp_path}"
    own = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    try:
        subprocess.run([*own, mount], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no tmpfs can be mounted here: {error}")
    addresses = [address.format(tmp_path) for address in ADDRESSES]
    ran = subprocess.run(
        [
            *own,
            f'{mount} && "$0" "$@"',
            *(sys.executable, "-c", _TINY_DISK, str(tmp_path), *addresses),
        ],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ran.returncode == 0, ran.stderr
    lines = [line for line in ran.stdout.splitlines() if line]
    assert lines.count("left: []") == len(ADDRESSES), ran.stdout
    assert len(lines) == 2 * len(ADDRESSES), ran.stdout
    for line in lines[::2]:
        assert "No space left" in line or "written" in line, line
