"""Volumes that grow: every section once, in order, whole."""

import asyncio
import itertools
import os
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
from PIL import Image
import pytest
import tensorstore as ts
import tifffile

from ffn_tf import volume
from ffn_tf.volume import address as address_lib
from ffn_tf.volume import store
from ffn_tf.volume.formats import codec, layout
from ffn_tf.volume.streams import (
    arriving_chunks,
    arriving_slices,
    live,
    outcome,
    stream,
)
from ffn_tf.volume.streams.arriving_chunks import ArrivingChunks
from ffn_tf.volume.streams.arriving_slices import ArrivingSlices

Box = volume.Box
Until = live.Until

# More than 10 sections, so that a sort by letters would be another order.
VOXELS = np.arange(13 * 7 * 9, dtype=np.uint16).reshape(13, 7, 9)
POLL_S = 0.02
SOON: dict[str, Any] = {"poll_s": POLL_S}


def save(path, section):
    if path.suffix == ".png":
        Image.fromarray(section).save(path)
    else:
        tifffile.imwrite(path, section)


def save_whole(path, section):
    hidden = path.with_name(f".{path.name}")
    save(hidden, section)
    hidden.rename(path)


async def collected(em, thickness=None, *, in_flight=3):
    """Boxes, and one array of what was read."""
    items = stream.read(em, em.slabs(thickness), in_flight=in_flight)
    found = [item async for item in items]
    boxes = [box for box, _ in found]
    for before, after in itertools.pairwise(boxes):
        assert before.end[0] == after.start[0]
        assert before.start[1:] == after.start[1:]
    return boxes, np.concatenate([voxels for _, voxels in found])


def played(main, seconds=30):
    async def limited():
        async with asyncio.timeout(seconds):
            return await main

    return asyncio.run(limited())


def writing(function):
    """Runs a writer in a thread until the block ends."""
    thread = threading.Thread(target=function)
    thread.start()
    return thread


class Clock:
    """Stands still unless told."""

    def __init__(self):
        self.seconds = 1000.0

    def monotonic(self):
        return self.seconds


@pytest.fixture
def clock(monkeypatch):
    """The clock of live and of arriving_slices."""
    stopped = Clock()
    monkeypatch.setattr(live, "time", stopped)
    monkeypatch.setattr(arriving_slices, "time", stopped)
    return stopped


# -----------------------------------------------------------------------------
# Folders
# -----------------------------------------------------------------------------


@pytest.fixture(params=[".png", ".tif"])
def name(request, tmp_path):
    """name(z): the path of a slice, numbered from 1."""
    return lambda z: tmp_path / f"s02_em_{z + 1}{request.param}"


def test_sections_that_arrive_one_by_one(name, tmp_path):
    """The first are read before the last are written."""
    first_slab = threading.Event()

    def write():
        for z, section in enumerate(VOXELS):
            if z == 6:
                assert first_slab.wait(20)
            save_whole(name(z), section)
        (tmp_path / "DONE").touch()

    until = Until(marker=tmp_path / "DONE")
    em = live.stack(tmp_path, until=until, first=1, **SOON)
    boxes = []

    async def main():
        async for box in em.slabs(4):
            boxes.append(box)
            first_slab.set()
            np.testing.assert_array_equal(em.read(box), VOXELS[box.slices])

    thread = writing(write)
    played(main())
    thread.join()
    assert [box.start[0] for box in boxes] == [0, 4, 8, 12]
    assert boxes[-1] == Box((12, 0, 0), (13, 7, 9))
    with volume.open(str(tmp_path)) as whole:
        np.testing.assert_array_equal(whole.read(), VOXELS)


@pytest.mark.parametrize("thickness", [None, 1, 2, 5, 13, 99])
def test_sections_that_are_there_already(name, thickness, tmp_path):
    for z, section in enumerate(VOXELS):
        save(name(z), section)
    (tmp_path / "notes.txt").write_text("not a section")
    (tmp_path / ".hidden_99.png").write_text("not a section either")
    em = live.stack(tmp_path, until=Until(sections=13), first=1, **SOON)
    boxes, voxels = played(collected(em, thickness))
    np.testing.assert_array_equal(voxels, VOXELS)
    sizes = {box.size[0] for box in boxes[:-1]}
    assert sizes <= {thickness or 1}


def test_a_full_folder_is_waited_for_once(tmp_path):
    """All files settle at the same time, not one after the other."""
    for z, section in enumerate(VOXELS):
        save(tmp_path / f"{z}.png", section)
    em = live.stack(tmp_path, until=Until(sections=13), poll_s=1)
    begin = time.monotonic()
    played(collected(em))
    assert 1 < time.monotonic() - begin < 9


def test_from_another_process(tmp_path):
    """Slices appear half written, out of order, over a stretch of time."""
    code = """
import pathlib, sys, time, numpy as np
from PIL import Image
folder = pathlib.Path(sys.argv[1])
voxels = np.load(sys.argv[2])
order = np.random.default_rng(3).permutation(len(voxels))
for z in order:
    path = folder / f"em_{z:03}.png"
    hidden = folder / f".em_{z:03}.png"
    Image.fromarray(voxels[z]).save(hidden)
    data = hidden.read_bytes()
    hidden.unlink()
    with open(path, "wb") as file:
        for part in np.array_split(np.frombuffer(data, np.uint8), 3):
            file.write(part.tobytes())
            file.flush()
            time.sleep(0.005)
(folder / "DONE").touch()
"""
    rng = np.random.default_rng(0)
    voxels = rng.integers(0, 2**16, (30, 40, 50), np.uint16)
    np.save(tmp_path / "voxels.npy", voxels)
    folder = tmp_path / "slices"
    folder.mkdir()
    writer = subprocess.Popen(
        [sys.executable, "-c", code, folder, tmp_path / "voxels.npy"]
    )
    em = live.stack(
        folder,
        until=Until(marker=folder / "DONE", silence_s=60),
        poll_s=0.1,
    )
    _, found = played(collected(em, 7), seconds=60)
    assert writer.wait() == 0
    np.testing.assert_array_equal(found, voxels)


def test_a_section_before_its_turn_waits(name, tmp_path):
    save(name(0), VOXELS[0])
    save(name(2), VOXELS[2])
    em = live.stack(tmp_path, until=Until(sections=3), first=1, **SOON)

    async def main():
        slabs = em.slabs()
        first = await anext(slabs)
        waiting = asyncio.ensure_future(anext(slabs))
        await asyncio.sleep(10 * POLL_S)
        assert not waiting.done()
        save(name(1), VOXELS[1])
        return [first, await waiting, *[box async for box in slabs]]

    assert [box.start[0] for box in played(main())] == [0, 1, 2]
    np.testing.assert_array_equal(
        em.read(Box((0, 0, 0), (3, 7, 9))), VOXELS[:3]
    )


def test_a_file_that_is_still_written_does_not_count(name, tmp_path):
    """Neither while its size changes, nor while it does not decode."""
    noise = np.random.default_rng(0).integers(0, 99, (50, 60), np.uint8)
    save(tmp_path / f"whole{name(0).suffix}", noise)
    data = (tmp_path / f"whole{name(0).suffix}").read_bytes()
    os.unlink(tmp_path / f"whole{name(0).suffix}")
    em = live.stack(tmp_path, until=Until(sections=1), first=1, **SOON)

    async def main():
        waiting = asyncio.ensure_future(collected(em))
        for share in (0.1, 0.5, 0.9, 0.99):
            part = data[: int(len(data) * share)]
            name(0).write_bytes(part)
            await asyncio.sleep(5 * POLL_S)
            assert not waiting.done()
            if name(0).suffix == ".png":  # A hole; Pillow decodes it.
                name(0).write_bytes(part.ljust(len(data), b"\0"))
                await asyncio.sleep(5 * POLL_S)
                assert not waiting.done()
        name(0).write_bytes(data)
        return await waiting

    _, found = played(main())
    np.testing.assert_array_equal(found[0], noise)


def test_a_file_that_is_whole_but_changes_does_not_count(tmp_path, clock):
    """Room on the disk that is filled later decodes as zeros."""
    path = tmp_path / "em_0.tif"
    arriving = ArrivingSlices(tmp_path, 0, settle_s=10)
    arriving.look(1, final=False)
    for value in range(1, 5):
        before = arriving.changes
        tifffile.imwrite(path, np.full((7, 9), value, np.uint8))
        os.utime(path, ns=(0, value))  # Coarse clocks of file systems.
        arriving.look(1, final=False)
        assert arriving.changes > before
        clock.seconds += 9
        arriving.look(1, final=False)
        assert arriving.complete == 0
    clock.seconds += 2
    arriving.look(1, final=False)
    assert arriving.complete == 1
    assert (arriving.volume.read() == 4).all()


def test_a_file_that_changes_after_it_settled(tmp_path, clock):
    """It is looked at again before it counts."""
    for z in range(2):
        save(tmp_path / f"{z}.png", VOXELS[z])
    arriving = ArrivingSlices(tmp_path, 0, settle_s=10)
    arriving.look(1, final=False)
    clock.seconds += 11
    arriving.look(1, final=False)
    assert arriving.complete == 1
    save(tmp_path / "1.png", VOXELS[5])
    os.utime(tmp_path / "1.png", ns=(0, 5))
    arriving.look(2, final=False)
    assert arriving.complete == 1
    clock.seconds += 11
    arriving.look(2, final=False)
    np.testing.assert_array_equal(arriving.volume.read()[1], VOXELS[5])


def test_a_folder_that_comes_later(tmp_path):
    folder = tmp_path / "later"
    em = live.stack(folder, until=Until(sections=2), **SOON)

    async def main():
        waiting = asyncio.ensure_future(em.opened())
        await asyncio.sleep(5 * POLL_S)
        folder.mkdir()
        save_whole(folder / "0.png", VOXELS[0])
        first = await waiting
        assert (first.domain.size, first.dtype) == ((1, 7, 9), np.uint16)
        save_whole(folder / "1.png", VOXELS[1])
        return await collected(em)

    _, found = played(main())
    np.testing.assert_array_equal(found, VOXELS[:2])


# -----------------------------------------------------------------------------
# The end of a folder
# -----------------------------------------------------------------------------


def test_more_sections_than_wanted(name, tmp_path):
    for z in range(5):
        save(name(z), VOXELS[z])
    em = live.stack(tmp_path, until=Until(sections=4), first=1, **SOON)
    boxes, found = played(collected(em, 3))
    assert [box.size[0] for box in boxes] == [3, 1]
    np.testing.assert_array_equal(found, VOXELS[:4])


def test_the_marker_ends_the_wait_for_stable_files(tmp_path):
    save(tmp_path / "0.png", VOXELS[0])
    (tmp_path / "DONE").touch()
    em = live.stack(
        tmp_path, until=Until(marker=tmp_path / "DONE"), poll_s=1000
    )
    _, found = played(collected(em, 3))
    np.testing.assert_array_equal(found, VOXELS[:1])


def test_a_gap_at_the_end(name, tmp_path):
    for z in (0, 1, 3):
        save(name(z), VOXELS[z])
    (tmp_path / "DONE").touch()
    until = Until(marker=tmp_path / "DONE")
    em = live.stack(tmp_path, until=until, first=1, **SOON)
    with pytest.raises(FileNotFoundError, match=r"section 3 is missing.*em_4"):
        played(collected(em))
    assert played(em.opened()).domain.size[0] == 2


def test_a_damaged_section_at_the_end(name, tmp_path):
    save(name(0), VOXELS[0])
    save(name(1), VOXELS[1])
    data = name(1).read_bytes()
    name(1).write_bytes(data[: len(data) // 2])
    (tmp_path / "DONE").touch()
    until = Until(marker=tmp_path / "DONE")
    em = live.stack(tmp_path, until=until, first=1, **SOON)
    with pytest.raises(OSError, match=r"em_2\.\w+: "):
        played(collected(em))


def test_silence(name, tmp_path):
    save(name(0), VOXELS[0])
    until = Until(silence_s=0.2)
    em = live.stack(tmp_path, until=until, first=1, **SOON)
    with pytest.raises(TimeoutError) as caught:
        played(collected(em))
    assert str(caught.value) == (
        f"{tmp_path}: nothing has arrived for 0.2 s; 1 sections are complete, "
        f"and the next is not: it has not arrived"
    )
    save(name(2), VOXELS[2])
    with pytest.raises(TimeoutError, match="section 2 is missing, and there"):
        played(collected(em))
    name(1).write_bytes(b"not yet")
    with pytest.raises(TimeoutError, match=r"em_2\.\w+: "):
        played(collected(em))
    save(name(1), VOXELS[1])
    until = Until(silence_s=0.2, silence_is_end=True)
    em = live.stack(tmp_path, until=until, first=1, **SOON)
    _, found = played(collected(em))
    np.testing.assert_array_equal(found, VOXELS[:3])


class Scripted(ArrivingSlices):
    """A look takes 3 s, and at some of them there is one section more."""

    def __init__(self, clock, arrives_at):
        super().__init__("scripted", 0, 1)
        self.looks = 0
        self._clock = clock
        self._arrives_at = arrives_at

    def look(self, wanted, *, final):
        self._clock.seconds += 3
        self.looks += 1
        if self.looks in self._arrives_at:
            self.changes += 1
            self.complete += 1


def test_silence_is_counted_from_the_last_arrival(clock):
    arriving = Scripted(clock, [2, 4, 6, 8, 10])
    until = Until(silence_s=8, silence_is_end=True)
    em = live.Live("scripted", arriving, until, 0.001)
    assert played(em._complete(99)) == (5, True)
    assert arriving.looks == 10 + 3 + 1  # 9 s of silence, and a last look.


def test_a_slow_reader_is_not_silence(clock):
    em = live.Live(
        "scripted", Scripted(clock, [1, 3]), Until(silence_s=8), 0.001
    )
    assert played(em._complete(1)) == (1, False)
    clock.seconds += 1000
    assert played(em._complete(2)) == (2, False)
    with pytest.raises(TimeoutError, match="for 8 s; 2 sections"):
        played(em._complete(3))


def test_nothing_at_all(tmp_path):
    (tmp_path / "DONE").touch()
    em = live.stack(tmp_path, until=Until(marker=tmp_path / "DONE"), **SOON)
    with pytest.raises(FileNotFoundError, match="has no section"):
        played(collected(em))
    with pytest.raises(FileNotFoundError, match="has no section"):
        played(em.opened())


def test_sections_that_differ(name, tmp_path):
    save(name(0), VOXELS[0])
    save(name(1), VOXELS[1, :, :-1])
    em = live.stack(tmp_path, until=Until(), first=1, **SOON)
    with pytest.raises(ValueError, match=r"em_2.*found \(7, 8\) pixels"):
        played(collected(em))


@pytest.mark.parametrize(
    "names, message",
    [
        (["em_1.png", "em_01.png"], "the same section as"),
        (["em.png"], "name with the number"),
        (["em_0.png"], "from 1 on"),
    ],
)
def test_names_that_do_not_count(names, message, tmp_path):
    for name in names:
        save(tmp_path / name, VOXELS[0])
    em = live.stack(tmp_path, until=Until(), first=1, **SOON)
    with pytest.raises(ValueError, match=message):
        played(collected(em))


def test_options_that_cannot_be(tmp_path):
    for bad in (
        {"sections": 0},
        {"silence_s": 0},
        {"silence_is_end": True},
    ):
        with pytest.raises(ValueError, match=next(iter(bad))):
            Until(**bad)
    with pytest.raises(ValueError, match="poll_s"):
        live.stack(tmp_path, until=Until(), poll_s=0)
    with pytest.raises(ValueError, match="thickness"):
        played(collected(live.stack(tmp_path, until=Until()), 0))


def test_a_stream_without_end_is_cancelled(tmp_path):
    save(tmp_path / "0.png", VOXELS[0])
    em = live.stack(tmp_path, until=Until(), poll_s=1000)

    async def main():
        waiting = asyncio.ensure_future(collected(em))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert len(asyncio.all_tasks()) == 1

    played(main())


# -----------------------------------------------------------------------------
# Volumes of chunks
# -----------------------------------------------------------------------------

START = (-5, 10, 3)
SIZE = (13, 11, 13)
CHUNK = (4, 5, 6)
DOMAIN = Box.from_size(START, SIZE)
INFO = volume.VolumeInfo(DOMAIN, np.dtype(np.uint16), chunk_zyx=CHUNK)
MORE = np.arange(DOMAIN.num_voxels, dtype=np.uint16).reshape(SIZE)
every_scheme = pytest.mark.parametrize(
    "scheme", ["precomputed", "zarr", "zarr3", "n5"]
)


def layers(chunk=CHUNK):
    return list(volume.grid.tile(DOMAIN, (chunk[0], *SIZE[1:])))


def part(box):
    return MORE[box.relative_to(START).slices]


@every_scheme
@pytest.mark.parametrize("thickness", [None, 3, 5, 99])
def test_chunks_that_are_yet_to_come(scheme, thickness, tmp_path):
    """Bounds are final from the beginning; layers come out of order."""
    address = f"{scheme}://{tmp_path}/em"
    seen = []

    def write():
        time.sleep(0.05)
        with volume.create(address, INFO) as new:
            tiles = list(volume.grid.tile(DOMAIN, CHUNK))
            order = np.random.default_rng(1).permutation(len(tiles))
            for i in order.tolist():
                new.write(tiles[i], part(tiles[i]))
                time.sleep(0.003)
                seen.append(i)

    em = live.volume(address, until=Until(sections=13, silence_s=20), **SOON)
    thread = writing(write)
    boxes, found = played(collected(em, thickness))
    thread.join()
    np.testing.assert_array_equal(found, MORE)
    assert boxes[0].start == START
    assert {box.size[0] for box in boxes[:-1]} <= {thickness or CHUNK[0]}
    assert sum(box.size[0] for box in boxes) == SIZE[0]


_RESIZER = """
import sys, time, numpy as np, tensorstore as ts
path, driver, thick = sys.argv[1], sys.argv[2], int(sys.argv[3])
voxels = np.load(sys.argv[4])
shape = [thick, *voxels.shape[1:]]
chunk = [thick, 5, 6]
metadata = {
    "zarr": {"shape": shape, "chunks": chunk, "dtype": "<u2"},
    "zarr3": {
        "shape": shape,
        "data_type": "uint16",
        "chunk_grid": {
            "name": "regular", "configuration": {"chunk_shape": chunk}
        },
    },
}[driver]
store = ts.open(
    {
        "driver": driver,
        "kvstore": {"driver": "file", "path": path},
        "metadata": metadata,
    },
    create=True,
).result()
for z in range(0, len(voxels), thick):
    end = min(z + thick, len(voxels))
    store = store.resize(exclusive_max=[end, None, None]).result()
    store[z:end].write(voxels[z:end]).result()
    time.sleep(0.03)
open(path + "/DONE", "w").close()
"""


@pytest.mark.parametrize("scheme", ["zarr", "zarr3"])
@pytest.mark.parametrize("thick", [1, 4])
def test_bounds_that_grow_in_another_process(scheme, thick, tmp_path):
    np.save(tmp_path / "voxels.npy", MORE)
    path = f"{tmp_path}/em"
    writer = subprocess.Popen(
        [
            *(sys.executable, "-c", _RESIZER, path, scheme),
            *(str(thick), tmp_path / "voxels.npy"),
        ]
    )
    until = Until(marker=f"{path}/DONE", silence_s=60)
    em = live.volume(f"{scheme}://{path}", until=until, **SOON)
    boxes, found = played(collected(em, 3))
    assert writer.wait() == 0
    np.testing.assert_array_equal(found, MORE)
    assert [box.size[0] for box in boxes] == [3, 3, 3, 3, 1]


def growing(path, thick, voxels):
    """A zarr array that can be resized."""
    spec = {
        "driver": "zarr",
        "kvstore": {"driver": "file", "path": path},
        "metadata": {
            "shape": voxels.shape,
            "chunks": [thick, 5, 6],
            "dtype": "<u2",
        },
    }
    store = ts.open(spec, create=True).result()
    store.write(voxels).result()
    return store


def test_bounds_that_cut_a_chunk(tmp_path):
    """Not complete until the end, whichever way that is told."""
    path = f"{tmp_path}/em"
    growing(path, 4, MORE[:10])
    for until, sections in [
        (Until(sections=10), 10),
        (Until(sections=8), 8),
        (Until(sections=9, silence_s=0.2, silence_is_end=True), 9),
        (Until(silence_s=0.2, silence_is_end=True), 10),
    ]:
        em = live.volume(f"zarr://{path}", until=until, **SOON)
        _, found = played(collected(em))
        np.testing.assert_array_equal(found, MORE[:sections])
    em = live.volume(f"zarr://{path}", until=Until(silence_s=0.2), **SOON)
    with pytest.raises(TimeoutError, match="8 sections are complete"):
        played(collected(em))


def test_bounds_that_grow_through_a_chunk(tmp_path):
    """Planes of it that are not written yet would be zeros."""
    path = f"{tmp_path}/em"
    store = growing(path, 4, MORE[:10])
    arriving = ArrivingChunks(f"zarr://{path}", None)
    arriving.look(99, final=False)
    assert arriving.complete == 8
    store.resize(exclusive_max=[12, None, None]).result()
    with pytest.raises(ValueError, match="grow by whole chunks"):
        arriving.look(99, final=False)


def test_bounds_that_grow_before_the_chunk_is_written(tmp_path):
    path = f"{tmp_path}/em"
    store = growing(path, 4, MORE[:8])
    arriving = ArrivingChunks(f"zarr://{path}", None)
    for end in (10, 12):
        store = store.resize(exclusive_max=[end, None, None]).result()
        arriving.look(99, final=False)
        assert arriving.complete == 8
    store[8:12].write(MORE[8:12]).result()
    arriving.look(99, final=False)
    assert arriving.complete == 12
    np.testing.assert_array_equal(arriving.volume.read(), MORE[:12])


@pytest.mark.parametrize("size", [[4, None, None], [None, 5, None]])
def test_bounds_that_change_otherwise(size, tmp_path):
    path = f"{tmp_path}/em"
    store = growing(path, 4, MORE[:8])
    arriving = ArrivingChunks(f"zarr://{path}", None)
    arriving.look(99, final=False)
    store.resize(exclusive_max=size).result()
    with pytest.raises(ValueError, match="grows at the end of z"):
        arriving.look(99, final=False)


@every_scheme
def test_a_chunk_that_never_comes(scheme, tmp_path):
    address = f"{scheme}://{tmp_path}/em"
    with volume.create(address, INFO) as new:
        for box in layers()[:-2]:
            new.write(box, part(box))
        new.write(layers()[-1], part(layers()[-1]))
    em = live.volume(address, until=Until(silence_s=0.2), **SOON)
    with pytest.raises(TimeoutError, match=r"8 sections.*NOT_FOUND"):
        played(collected(em))
    (tmp_path / "DONE").touch()
    until = Until(marker=tmp_path / "DONE")
    em = live.volume(address, until=until, **SOON)
    with pytest.raises(OSError, match="NOT_FOUND"):
        played(collected(em))


def test_chunks_that_are_yet_to_come_into_shards(tmp_path):
    """A chunk that is not in its shard has not come; one of zeros has."""
    voxels = MORE.copy()
    voxels[4:8, :5, :6] = 0  # A chunk.
    address = f"precomputed://{tmp_path}/em"
    sharded = codec.Codec(sharded="yes")
    layout.create_chunked(address_lib.parse(address), INFO, {}, sharded)
    tiles = list(volume.grid.tile(DOMAIN, CHUNK))

    def write(boxes):
        with volume.open(address, mode="r+") as new:
            for box in boxes:
                new.write(box, voxels[box.relative_to(START).slices])

    em = live.volume(address, until=Until(silence_s=0.2), **SOON)
    write(tiles[:1])
    assert len(list(tmp_path.rglob("*.shard"))) == 1
    with pytest.raises(TimeoutError, match=r"0 sections.* is missing"):
        played(collected(em))
    em = live.volume(address, until=Until(sections=13, silence_s=20), **SOON)

    async def main():
        waiting = asyncio.ensure_future(collected(em))
        for boxes in (tiles[1:20], tiles[20:]):
            await asyncio.sleep(5 * POLL_S)
            assert not waiting.done()
            await asyncio.to_thread(write, boxes)
        return await waiting

    _, found = played(main())
    np.testing.assert_array_equal(found, voxels)


def test_what_has_arrived_is_read_by_who_opened_it_later(tmp_path, monkeypatch):
    """What was read of a chunk before it came may be kept as zeros."""
    path = f"{tmp_path}/em"
    growing(path, 4, MORE[:8])
    events = []

    def noted(module, name):
        real = getattr(module, name)

        def call(*arguments):
            found = real(*arguments)
            events.append((name, found is None))
            return found

        monkeypatch.setattr(module, name, call)

    noted(arriving_chunks, "_missing")
    noted(store, "open")
    arrivals = ArrivingChunks(f"zarr://{path}", None)
    arrivals.look(8, final=False)
    assert arrivals.complete == 8
    seen = [i for i, event in enumerate(events) if event == ("_missing", True)]
    assert len(seen) == 2
    assert all(events[i + 1][0] == "open" for i in seen)


def test_a_damaged_chunk(tmp_path):
    path = f"{tmp_path}/em"
    growing(path, 4, MORE[:8])
    (tmp_path / "em" / "1.0.0").write_bytes(b"damaged")
    em = live.volume(f"zarr://{path}", until=Until(sections=8), **SOON)
    with pytest.raises(OSError, match="FAILED_PRECONDITION"):
        played(collected(em))


@pytest.mark.parametrize(
    "address, message",
    [
        ("em.h5:raw", "cannot be read while it grows"),
        ("em.npy", "cannot be read while it grows"),
        ("zarr://em?missing=zero", "remove missing=zero"),
        ("nonsense://em", "scheme"),
    ],
)
def test_volumes_that_cannot_grow(address, message):
    with pytest.raises(ValueError, match=message):
        live.volume(address, until=Until())


# -----------------------------------------------------------------------------
# A whole pipeline
# -----------------------------------------------------------------------------


def test_processed_as_they_come(tmp_path):
    """Slices -> zarr, while they arrive, and zarr -> array, while it fills."""
    folder, middle = tmp_path / "slices", f"zarr://{tmp_path}/em"
    folder.mkdir()
    target = volume.from_array(np.zeros(VOXELS.shape, np.uint16))
    info = volume.VolumeInfo(
        Box.from_shape(VOXELS.shape), VOXELS.dtype, chunk_zyx=(1, 4, 5)
    )
    first_written = threading.Event()

    def write():
        for z, section in enumerate(VOXELS):
            if z == 6:
                assert first_written.wait(20)
            save_whole(folder / f"{z}.png", section)

    async def first():
        em = live.stack(folder, until=Until(sections=13), **SOON)
        with volume.create(middle, info) as new:
            await stream.write(new, stream.read(em, em.slabs(2)))

    async def second():
        em = live.volume(middle, until=Until(sections=13), **SOON)
        items = stream.read(em, em.slabs(3))
        items = stream.process(items, lambda box, voxels: (box, ~voxels))
        await stream.write(
            target, items, progress=lambda done: first_written.set()
        )

    async def main():
        await asyncio.gather(first(), second())

    thread = writing(write)
    played(main())
    thread.join()
    np.testing.assert_array_equal(target.read(), ~VOXELS)


def test_a_section_that_is_damaged_after_it_arrived(tmp_path):
    save(tmp_path / "0.png", VOXELS[0])
    em = live.stack(tmp_path, until=Until(sections=1), **SOON)

    async def main():
        items = em.slabs()
        box = await anext(items)
        (tmp_path / "0.png").write_bytes(b"damaged")
        return [item async for item in stream.read(em, [box])]

    with pytest.raises(outcome.StreamOSError, match=r"read zyx.*0\.png"):
        played(main())
