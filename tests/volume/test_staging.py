"""Volumes that appear whole or not at all."""

import os
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.volume import place, staging
from ffn_tf.volume.formats import codec

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


@pytest.fixture
def joined(tmp_path):
    """A file of the user's, behind a link, and a dataset that joins it."""
    (tmp_path / "there").mkdir()
    with h5py.File(tmp_path / "there" / "real.h5", "w") as file:
        file["other"] = VOXELS
    (tmp_path / "em.h5").symlink_to("there/real.h5")
    return tmp_path / "there" / "real.h5", f"{tmp_path}/em.h5:raw"


def _staged(address):
    with volume.staged(address, INFO) as filling:
        filling.write(INFO.domain, VOXELS)


def _published(address):
    unfinished = staging.Unfinished(address)
    unfinished.create(INFO)
    unfinished.scales()[0].write(INFO.domain, VOXELS)
    unfinished.publish()


@pytest.mark.parametrize("make", [_staged, _published])
def test_a_file_is_never_half_written(make, joined, monkeypatch):
    """Whoever is killed while writing it, at whatever moment."""
    path, address = joined
    os.chmod(path, 0o640)
    before, seen = path.read_bytes(), []
    write = h5py.Dataset.__setitem__

    def noted(self, index, value):
        write(self, index, value)
        seen.append(path.read_bytes())

    monkeypatch.setattr(h5py.Dataset, "__setitem__", noted)
    make(address)
    assert seen and set(seen) == {before}
    assert path.stat().st_mode & 0o777 == 0o640
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["other"], VOXELS)
        np.testing.assert_array_equal(file["raw"], VOXELS)
    assert os.listdir(path.parent) == [path.name]
    assert (path.parent.parent / "em.h5").is_symlink()


@pytest.mark.parametrize("make", [_staged, _published])
def test_a_file_that_changes_meanwhile_stays(make, joined, monkeypatch):
    path, address = joined
    write = h5py.Dataset.__setitem__

    def meanwhile(self, index, value):
        write(self, index, value)
        with monkeypatch.context() as patch:
            patch.setattr(h5py.Dataset, "__setitem__", write)
            with h5py.File(path, "r+") as file:
                file["other"][0] = 7

    monkeypatch.setattr(h5py.Dataset, "__setitem__", meanwhile)
    with pytest.raises(FileExistsError, match="has changed meanwhile"):
        make(address)
    with h5py.File(path) as file:
        assert list(file) == ["other"]
        assert (file["other"][0] == 7).all()


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


# -----------------------------------------------------------------------------
# In several goes
# -----------------------------------------------------------------------------


@every_format
def test_unfinished_until_it_is_published(address, tmp_path):
    address = address.format(tmp_path)
    staging.Unfinished(address).create(INFO, {"a": 1})
    half = (
        volume.Box((1, 2, 3), (3, 9, 12)),
        volume.Box((3, 2, 3), INFO.domain.end),
    )
    for box in half:  # Each by an object of its own, as processes have it.
        (target,) = staging.Unfinished(address).scales()
        target.write(box, VOXELS[box.relative_to(INFO.domain.start).slices])
        np.testing.assert_array_equal(
            target.read(box), VOXELS[box.relative_to(INFO.domain.start).slices]
        )
        with pytest.raises(FileNotFoundError):
            volume.open(address)
    unfinished = staging.Unfinished(address)
    unfinished.notes.write("who", b"me")
    unfinished.publish()
    with volume.open(address) as found:
        assert found.info == INFO
        assert found.attributes == {"a": 1}
        np.testing.assert_array_equal(found.read(), VOXELS)
    assert not list(tmp_path.rglob("*partial*"))


@pytest.mark.parametrize("address", ADDRESSES[2:])
def test_chunks_are_written_where_they_stay(address, tmp_path):
    unfinished = staging.Unfinished(address.format(tmp_path))
    unfinished.create(INFO)
    waiting = _files(unfinished.notes)
    unfinished.scales()[0].write(INFO.domain, VOXELS)
    assert sorted(_files(unfinished.notes)) == sorted(waiting)
    assert len(_files(unfinished.final.place)) > len(waiting)


def _files(where):
    return [
        os.path.join(folder, name)
        for folder, _, names in os.walk(where.url)
        for name in names
    ]


@pytest.mark.parametrize("address", ADDRESSES[2:5])
def test_scales_and_codec(address, tmp_path):
    address = address.format(tmp_path)
    unfinished = staging.Unfinished(address)
    unfinished.create(INFO, None, codec.Codec("raw"), num_scales=3)
    volumes = unfinished.scales()
    for scale in volumes:
        scale.write(scale.domain, np.full(scale.domain.size, 3, np.uint8))
    unfinished.publish()
    for mip, scale in enumerate(volumes):
        with volume.open(f"{address}?mip={mip}") as found:
            assert found.domain == scale.domain
            assert (found.read() == 3).all()
    assert len(volumes) == 3


@every_format
def test_what_is_discarded_is_gone(address, tmp_path):
    address = address.format(tmp_path)
    unfinished = staging.Unfinished(address)
    unfinished.create(INFO)
    unfinished.scales()[0].write(INFO.domain, VOXELS)
    unfinished.discard()
    assert os.listdir(tmp_path) == []
    with pytest.raises(FileNotFoundError):
        unfinished.scales()


@every_format
def test_two_do_not_begin_at_one_place(address, tmp_path):
    address = address.format(tmp_path)
    staging.Unfinished(address).create(INFO)
    with pytest.raises(FileExistsError, match="exists already"):
        staging.Unfinished(address).create(INFO)


@every_format
def test_who_was_faster_is_not_overwritten(address, tmp_path):
    address = address.format(tmp_path)
    unfinished = staging.Unfinished(address)
    unfinished.create(INFO)
    unfinished.scales()[0].write(INFO.domain, VOXELS)
    if not unfinished.is_file:
        # A folder of this machine is refused at once; here it is not asked.
        name = next(
            name
            for name in place.METADATA_FILES
            if unfinished._waiting.place.read(name)
        )
        unfinished.final.place.write(name, b"of somebody")
    else:
        with volume.create(address, INFO) as other:
            other.write(INFO.domain, VOXELS + np.uint8(1))
    with pytest.raises(FileExistsError, match="nothing is overwritten"):
        unfinished.publish()
    if unfinished.is_file:
        with volume.open(address) as found:
            np.testing.assert_array_equal(found.read(), VOXELS + np.uint8(1))


def test_a_bucket(gcs_server, gcs_bucket):
    address = f"zarr3://gs://{gcs_bucket}/em"
    with volume.staged(address, INFO, attributes={"a": 1}) as filling:
        filling.write(INFO.domain, VOXELS)
        with pytest.raises(FileNotFoundError):
            volume.open(address)
    with volume.open(address) as found:
        assert found.info == INFO
        assert found.attributes == {"a": 1}
        np.testing.assert_array_equal(found.read(), VOXELS)
    assert not [n for n in gcs_server.names(gcs_bucket) if "partial" in n]
    with pytest.raises(FileExistsError, match="exists already"):
        with volume.staged(address, INFO):
            pytest.fail("must not begin")


def test_an_exception_leaves_no_volume_in_a_bucket(gcs_server, gcs_bucket):
    address = f"precomputed://gs://{gcs_bucket}/em"
    with pytest.raises(KeyError):
        with volume.staged(address, INFO) as filling:
            filling.write(INFO.domain, VOXELS)
            raise KeyError("stop")
    with pytest.raises(FileNotFoundError):
        volume.open(address)
    assert not [n for n in gcs_server.names(gcs_bucket) if "partial" in n]


def test_names_in(tmp_path):
    where = place.Place(str(tmp_path))
    assert staging.names_in(where, "done") == set()
    for name in ("done/1", "done/2_-3", "done.txt", "donee/4", "a/done/5"):
        where.write(name, b"")
    assert staging.names_in(where, "done") == {"1", "2_-3"}


@pytest.mark.parametrize("name", ["em#2", "#2", "em;2", "em 2", "em%232"])
def test_names_in_buckets_are_whole(name, gcs_server, gcs_bucket):
    """What follows a # is no fragment: the neighbours would be deleted."""
    old, new = f"gs://{gcs_bucket}/em", f"gs://{gcs_bucket}/{name}"
    for place_, voxels in ((old, VOXELS), (new, VOXELS[::-1])):
        with volume.staged(f"precomputed://{place_}", INFO) as filling:
            filling.write(INFO.domain, voxels)
    assert f"{name}/info" in gcs_server.names(gcs_bucket)
    for place_, voxels in ((old, VOXELS), (new, VOXELS[::-1])):
        for access in ("tensorstore", "cloudvolume", "gcsfs"):
            address = f"precomputed://{place_}?access={access}"
            with volume.open(address) as found:
                np.testing.assert_array_equal(found.read(), voxels)


def test_names_behind_web_servers_are_whole(http_server, http_folder):
    for name, voxels in (("em", VOXELS), ("em#2", VOXELS[::-1])):
        with volume.staged(f"precomputed://{http_folder}/{name}", INFO) as made:
            made.write(INFO.domain, voxels)
    where = f"precomputed://{http_server.url}/{http_folder.name}/em#2"
    with volume.open(where) as found:
        np.testing.assert_array_equal(found.read(), VOXELS[::-1])
