"""Faulty servers, behind every way of access: right voxels, or a clear error.

Law: whatever the server does, a read ends in time, with the voxels that are
stored or with a ReadError that names the box and the address; and once the
fault is over, the same volume, and one opened anew, read what is stored.

What TensorStore alone makes of the faults, tests/servers says; faults that
are not here (statuses, silence, missing chunks) are with each way's tests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
import dataclasses
import pathlib
import shutil
import time
import types
from typing import Any

import numpy as np
import pytest
from servers import gcs_server, volumes
from servers.faults import Fault
from servers.handle import Controlled
import tensorstore as ts

from ffn_tf import volume
from ffn_tf.volume import failures
from ffn_tf.volume.formats import cloudvolume_source, gcsfs_source

VALUES = volumes.VALUES.T  # Written [x, y, z].
BOX = volume.Box((4, 5, 8), (8, 10, 16))  # One chunk, in the middle,
FILES = {"unsharded": "s0/8-16_5-10_4-8", "sharded": "s0/0.shard"}
FAR = volume.Box((8, 10, 16), (9, 13, 22))  # and one in another file.
# Place, and what the address says, by the way of access.
WAYS = {
    "tensorstore": ("http", "access=tensorstore"),
    "disk cache": ("gs", "cache=disk"),
    "cloudvolume": ("http", "access=cloudvolume"),
    "gcsfs": ("gs", "access=gcsfs"),
}
OURS = ("tensorstore", "disk cache")  # These try again until time is up.
KINDS: dict[str, dict[str, Any]] = {
    "reset": {},
    "truncate": {},
    "short": {},
    "too short a length": {"extra": -3},
    "too long a length": {"extra": 50},
    "drip": {"bytes_per_s": 3000},
}
ENDLESS = ("drip", "too long a length")


@dataclasses.dataclass
class Remote:
    """A volume of VALUES on a server.

    Attributes:
      address: with a question mark and the way of access.
      server: its handle.
      key: of the volume's folder.
      file: that holds BOX, in the folder.
      kvstore: where it is written.
    """

    address: str
    server: Controlled
    key: str
    file: str
    kvstore: dict[str, Any]

    def fails(self, kind: str, **more: Any) -> None:
        fault = "length" if "length" in kind else kind
        self.server.add(Fault(f"{self.key}/{self.file}", fault, **more))


@pytest.fixture
def remote(
    request: pytest.FixtureRequest,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str, str], Remote]:
    """remote(way, name): one of WAYS, one of FILES."""
    monkeypatch.setenv("FFN_CACHE_DIR", str(tmp_path / "cache"))
    for module in (cloudvolume_source, gcsfs_source):
        monkeypatch.setattr(module, "_SILENCE_SECONDS", 0.5)
    core = pytest.importorskip("gcsfs.retry")
    nap = types.SimpleNamespace(sleep=lambda _: asyncio.sleep(0.01))
    monkeypatch.setattr(core, "asyncio", nap)
    naps = pytest.importorskip("tenacity.nap")
    brief = types.SimpleNamespace(sleep=lambda _: time.sleep(0.01))
    monkeypatch.setattr(naps, "time", brief)

    def make(way: str, name: str) -> Remote:
        scheme, query = WAYS[way]
        server: Controlled = request.getfixturevalue(
            "http_server" if scheme == "http" else "gcs_server"
        )
        if scheme == "http":
            folder = request.getfixturevalue("http_folder")
            kvstore: dict[str, Any] = {"driver": "file", "path": f"{folder}/"}
            key, url = folder.name, f"{server.url}/{folder.name}"
        else:
            bucket = request.getfixturevalue("gcs_bucket")
            kvstore = {"driver": "gcs", "bucket": bucket, "path": "em/"}
            key, url = f"{bucket}/em", f"gs://{bucket}/em"
        volumes.write(name, kvstore)
        server.reset()
        address = f"precomputed://{url}?{query}"
        return Remote(address, server, key, FILES[name], kvstore)

    return make


def outcome(opened: volume.Volume, within: float) -> str:
    """Of reading BOX: "right", or the error's class; the law is checked."""
    begin = time.monotonic()
    try:
        found = opened.read(BOX)
    except failures.ReadError as error:
        assert time.monotonic() - begin < within
        assert error.box == BOX and str(BOX) in str(error)
        assert opened.address in str(error)
        return type(error).__name__
    np.testing.assert_array_equal(found, VALUES[BOX.slices])
    return "right"


def check_recovered(opened: volume.Volume) -> None:
    """Right again; a pause between two attempts may still have to end."""
    for _ in range(20):
        if outcome(opened, 60) != "OverdueError":
            break
    assert outcome(opened, 60) == "right"
    np.testing.assert_array_equal(opened.read(), VALUES)
    with volume.open(opened.address) as anew:
        np.testing.assert_array_equal(anew.read(), VALUES)


# Which of the requests for BOX meets the fault: that for the chunk, or for its
# shard's index, or, after that of its minishard, for the chunk in the shard.
PARTS = [("unsharded", 0), ("sharded", 0), ("sharded", 2)]


@pytest.mark.parametrize(("name", "skip"), PARTS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
def test_one_answer_is_damaged(way, kind, name, skip, remote):
    em = remote(way, name)
    deadline = ""
    if way in OURS:
        deadline = "&deadline_s=" + ("0.5" if "long" in kind else "20")
    with volume.open(em.address + deadline) as opened:
        em.fails(kind, times=1, skip=skip, **KINDS[kind])
        found = outcome(opened, 10)
        if kind in ("reset", "truncate", "drip"):
            assert found == "right"
        elif "long" in kind:
            assert found == ("OverdueError" if way in OURS else "right")
        elif way in OURS or (way, kind) == ("gcsfs", "short"):
            assert found == "CorruptError"
        em.server.reset()
        check_recovered(opened)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["reset", *ENDLESS])
@pytest.mark.parametrize("way", WAYS)
def test_every_answer_is_damaged_until_time_is_up(
    way, kind, name, remote, monkeypatch
):
    em = remote(way, name)
    deadline = 0.5
    if way not in OURS:
        deadline = 2.0
        for module in (cloudvolume_source, gcsfs_source):
            monkeypatch.setattr(module, "_SILENCE_SECONDS", 4)
        kind = kind.replace("reset", "hang")
    with volume.open(f"{em.address}&deadline_s={deadline}") as opened:
        em.fails(kind, **KINDS.get(kind, {}) | {"bytes_per_s": 100})
        begin = time.monotonic()
        with pytest.raises(failures.OverdueReads, match="1 of 2 boxes") as told:
            opened.read_many([BOX, FAR])
        assert time.monotonic() - begin < 5
        error, voxels = told.value.outcomes
        assert isinstance(error, failures.OverdueError) and error.box == BOX
        assert opened.address in str(error)
        np.testing.assert_array_equal(voxels, VALUES[FAR.slices])
        em.server.reset()
        check_recovered(opened)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("way", ["cloudvolume", "gcsfs"])
def test_every_answer_is_damaged_until_patience_ends(way, name, remote):
    em = remote(way, name)
    with volume.open(em.address) as opened:
        em.fails("truncate")
        assert outcome(opened, 20) == "ReadError"
        em.server.reset()
        check_recovered(opened)


# -----------------------------------------------------------------------------
# Files that are replaced
# -----------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "skip"), PARTS)
@pytest.mark.parametrize("way", ["disk cache", "gcsfs"])
def test_a_file_that_is_replaced_by_the_same(way, name, skip, remote):
    """Another generation in the middle of a read."""
    em = remote(way, name)
    with volume.open(em.address) as opened:
        em.fails("changed", times=1, skip=skip)
        assert outcome(opened, 10) == "right"
        em.server.reset()
        check_recovered(opened)


def test_a_shard_that_is_replaced_all_the_time(remote):
    em = remote("gcsfs", "sharded")
    with volume.open(em.address) as opened:
        em.fails("changed")
        with pytest.raises(failures.ReadError, match="replaced while"):
            opened.read(BOX)
        em.server.reset()
        check_recovered(opened)


NEW = VALUES + 10_000
BESIDE = volume.Box((4, 5, 0), (8, 10, 8))  # BOX, and in the same shard.


def replace(em: Remote, name: str, folder: pathlib.Path) -> None:
    """By NEW, of which the first chunk is missing: all in shards lie elsewhere.

    Args:
      em: the volume.
      name: of its format.
      folder: where the files are made.
    """
    described = volumes.spec(name, {"driver": "file", "path": f"{folder}/"})
    view = ts.open(described, create=True).result()[..., 0]
    for part in (np.s_[8:], np.s_[:8, 5:], np.s_[:8, :5, 4:]):
        view[part].write(NEW.T[part]).result()
    if isinstance(em.server, gcs_server.GcsServer):
        bucket, path = em.kvstore["bucket"], em.kvstore["path"]
        for file in (folder / "s0").iterdir():
            name = f"{path}s0/{file.name}"
            em.server.put(bucket, name, file.read_bytes())
    else:
        shutil.copytree(folder, em.kvstore["path"], dirs_exist_ok=True)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("way", WAYS)
def test_a_file_that_is_replaced_between_reads(way, name, remote, tmp_path):
    """Each chunk is what it was or what it is, and not another one."""
    em = remote(way, name)
    boxes = (BESIDE, FAR, BOX)
    with volume.open(em.address) as opened:
        assert outcome(opened, 10) == "right"
        replace(em, name, tmp_path / "new")
        for box in boxes:
            try:
                found = opened.read(box)
            except failures.ReadError as error:
                assert str(box) in str(error) and opened.address in str(error)
                continue
            was, now = (
                np.array_equal(found, v[box.slices]) for v in (VALUES, NEW)
            )
            assert was or now, f"{box}: another chunk's voxels"
    with volume.open(em.address) as anew:
        for box in boxes:
            np.testing.assert_array_equal(anew.read(box), NEW[box.slices])
