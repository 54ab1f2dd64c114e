"""Read, process, write: every voxel, few arrays, one error."""

import asyncio
import contextlib
import itertools
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import weakref

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.volume import grid
from ffn_tf.volume.streams import outcome, stream, tasks

Box = volume.Box

# Odd sizes, chunks that do not divide them, a domain that begins below zero
# on one axis, and every voxel different.
DOMAIN = Box((-5, 10, 3), (2, 21, 16))
INFO = volume.VolumeInfo(DOMAIN, np.dtype(np.uint16), chunk_zyx=(4, 5, 6))
VOXELS = np.arange(DOMAIN.num_voxels, dtype=np.uint16).reshape(DOMAIN.size)
TILES = list(grid.tile(DOMAIN, (4, 5, 6)))


def part(box):
    return VOXELS[box.relative_to(DOMAIN.start).slices]


def source():
    return volume.from_array(VOXELS, start=DOMAIN.start)


def empty():
    return volume.from_array(
        np.zeros(DOMAIN.size, np.uint16), start=DOMAIN.start
    )


async def collected(items):
    return [item async for item in items]


def negated(box, voxels):
    return box, ~voxels


async def negated_later(box, voxels):
    await asyncio.sleep(0)
    return box, ~voxels


class Odd:
    """A volume that fails or dawdles at some boxes, and counts."""

    def __init__(self, voxels=None, *, fails=None, waits=None):
        self.volume = voxels or source()
        self.info = self.volume.info
        self.fails = fails or {}
        self.waits = waits or {}
        self.begun = []
        self.ended = []
        self.together = 0
        self._now = set()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def _counted(self, box):
        with self._lock:
            self.begun.append(box)
            self._now.add(box)
            self.together = max(self.together, len(self._now))
        try:
            time.sleep(self.waits.get(box, 0))
            if box in self.fails:
                raise self.fails[box]
            yield
        finally:
            with self._lock:
                self._now.discard(box)
                self.ended.append(box)

    def read(self, box):
        with self._counted(box):
            return self.volume.read(box)

    def write(self, box, voxels):
        with self._counted(box):
            self.volume.write(box, voxels)


# -----------------------------------------------------------------------------
# What comes out
# -----------------------------------------------------------------------------


@pytest.mark.parametrize("function", [negated, negated_later])
def test_in_order(function):
    async def main():
        items = stream.read(source(), TILES)
        return await collected(stream.process(items, function))

    found = asyncio.run(main())
    assert [box for box, _ in found] == TILES
    for box, voxels in found:
        np.testing.assert_array_equal(voxels, ~part(box))


def test_out_of_order():
    """The first box takes long and comes late, but comes."""
    come = threading.Event()

    class Late:
        def read(self, box):
            if box == TILES[0]:
                assert come.wait(20)
            return part(box)

    async def main(ordered):
        items = stream.read(Late(), TILES, in_flight=3, ordered=ordered)
        items = stream.process(items, negated, ordered=ordered)
        found = []
        async for item in items:
            found.append(item)
            come.set()
        return found

    for ordered in (False, True):
        found = asyncio.run(main(ordered))
        boxes = [box for box, _ in found]
        assert sorted(boxes) == sorted(TILES)
        assert (boxes.index(TILES[0]) == 0) == ordered
        for box, voxels in found:
            np.testing.assert_array_equal(voxels, ~part(box))


def test_a_function_may_give_another_box():
    """Read with a margin, written without."""
    target = empty()
    inner = DOMAIN.padded(-1)

    def shrunk(box, voxels):
        return box.padded(-1), voxels[1:-1, 1:-1, 1:-1]

    boxes = (box.padded(1) for box in grid.tile(inner, (2, 3, 4)))
    stream.copy(source(), target, boxes, shrunk)
    np.testing.assert_array_equal(target.read(inner), part(inner))
    assert target.read().sum() == part(inner).sum()


@pytest.mark.parametrize("scheme", ["precomputed", "zarr", "zarr3", "n5"])
@pytest.mark.parametrize("ordered", [True, False])
def test_copies_between_formats(scheme, ordered, tmp_path):
    with volume.create(f"{tmp_path}/em.h5:raw", INFO) as first:
        done = stream.copy(source(), first, TILES, ordered=ordered)
        assert (done.boxes, done.bytes) == (len(TILES), VOXELS.nbytes)
        with volume.create(f"{scheme}://{tmp_path}/em", INFO) as second:
            stream.copy(first, second, TILES, negated, ordered=ordered)
    with volume.open(f"{scheme}://{tmp_path}/em") as found:
        np.testing.assert_array_equal(found.read(), ~VOXELS)


@hypothesis.settings(max_examples=20, deadline=None)
@hypothesis.given(data=st.data())
def test_overlapping_boxes_are_written_as_a_loop_would(data):
    """The later box wins, however long the earlier one takes."""
    boxes = []
    for _ in range(data.draw(st.integers(1, 8))):
        start = [
            data.draw(st.integers(s, e - 1))
            for s, e in zip(DOMAIN.start, DOMAIN.end)
        ]
        size = data.draw(st.tuples(*[st.integers(1, 9)] * 3))
        boxes.append(Box.from_size(start, size).clipped(DOMAIN))
    items = [
        (box, np.full(box.size, value, np.uint16))
        for value, box in enumerate(boxes, 1)
    ]
    expected = empty()
    for box, voxels in items:
        expected.write(box, voxels)
    waits = {box: data.draw(st.sampled_from([0, 0.01])) for box in boxes}
    target = Odd(empty(), waits=waits)
    in_flight = data.draw(st.integers(1, 5))
    tasks.run(stream.write(target, items, in_flight=in_flight))
    np.testing.assert_array_equal(target.volume.read(), expected.read())


def test_writes_to_one_chunk_follow_each_other():
    """Halves of chunks: the two of each chunk never together."""
    waits = dict.fromkeys(grid.tile(DOMAIN, (4, 5, 3)), 0.01)
    target = Odd(empty(), waits=waits)
    target.info = INFO
    chunks = [box.aligned((4, 5, 6), DOMAIN.start) for box in waits]
    assert len(set(chunks)) < len(chunks)
    together = threading.Lock()
    busy = []
    write = target.write

    def checked(box, voxels):
        chunk = box.aligned((4, 5, 6), DOMAIN.start)
        with together:
            assert chunk not in busy
            busy.append(chunk)
        write(box, voxels)
        busy.remove(chunk)

    target.write = checked
    stream.copy(source(), target, waits, in_flight=8)
    np.testing.assert_array_equal(target.volume.read(), VOXELS)
    assert target.together > 1


# -----------------------------------------------------------------------------
# How much is in memory
# -----------------------------------------------------------------------------


class Counted(np.ndarray):
    """Arrays that can be counted."""


class Census:
    """A volume whose arrays, and those made of them, are counted."""

    def __init__(self):
        self.info = INFO
        self.now = self.most = self.all = 0
        self._lock = threading.Lock()

    def born(self, voxels):
        counted = voxels.view(Counted)
        with self._lock:
            self.now += 1
            self.all += 1
            self.most = max(self.most, self.now)
        weakref.finalize(counted, self._died)
        return counted

    def _died(self):
        with self._lock:
            self.now -= 1

    def read(self, box):
        return self.born(np.empty(box.size, np.uint16))

    def process(self, box, voxels):
        return box, self.born(voxels + np.uint16(1))

    def write(self, box, voxels):
        time.sleep(0.001)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize(
    "in_flight, workers, writes", [(1, 1, 1), (5, 2, 1), (2, 4, 3), (8, 1, 4)]
)
def test_arrays_in_memory(in_flight, workers, writes, ordered):
    """in_flight read + 2 x workers processed + in_flight written."""
    census = Census()

    async def main():
        boxes = itertools.islice(itertools.cycle(TILES), 150)
        items = stream.read(census, boxes, in_flight=in_flight, ordered=ordered)
        items = stream.process(
            items, census.process, workers=workers, ordered=ordered
        )
        await stream.write(census, items, in_flight=writes)
        assert census.now == 0

    asyncio.run(main())
    assert census.all == 300
    assert in_flight < census.most <= in_flight + 2 * workers + writes


def test_a_slow_consumer_holds_the_readers_up():
    census = Census()

    async def main():
        boxes = itertools.cycle(TILES)  # Endless.
        items = stream.read(census, boxes, in_flight=3)
        async with contextlib.aclosing(items):
            for taken in range(5):
                await anext(items)
                await asyncio.sleep(0.02)
                assert census.all <= taken + 1 + 3
                assert census.now <= 3
        await asyncio.sleep(0)
        assert census.now == 0

    asyncio.run(main())


def test_leaving_early_releases_everything():
    census = Census()

    async def main():
        boxes = itertools.cycle(TILES)
        items = stream.process(stream.read(census, boxes), census.process)
        async for _ in items:
            break
        del items, _
        async with asyncio.timeout(10):
            while len(asyncio.all_tasks()) > 1:
                await asyncio.sleep(0.001)
        before = census.all
        await asyncio.sleep(0.05)
        assert (census.now, census.all) == (0, before)

    asyncio.run(main())
    assert census.all > 0


# -----------------------------------------------------------------------------
# What goes wrong
# -----------------------------------------------------------------------------

KINDS = [
    (OSError("disk"), outcome.StreamOSError, OSError),
    (FileNotFoundError("disk"), outcome.StreamOSError, OSError),
    (ValueError("disk"), outcome.StreamValueError, ValueError),
    (NotImplementedError("disk"), outcome.StreamError, NotImplementedError),
    (KeyError("disk"), outcome.StreamError, Exception),
]


@pytest.mark.parametrize("error, kind, cause", KINDS, ids=str)
@pytest.mark.parametrize("step", ["read", "process", "write"])
def test_an_error_names_the_step_and_the_box(step, error, kind, cause):
    bad = TILES[7]
    fails = {bad: error}
    reader = Odd(fails=fails if step == "read" else {})
    writer = Odd(empty(), fails=fails if step == "write" else {})

    def function(box, voxels):
        if step == "process" and box == bad:
            raise error
        return box, voxels

    with pytest.raises(kind) as caught:
        stream.copy(reader, writer, TILES, function, in_flight=2, workers=2)
    found = caught.value
    assert isinstance(found, cause)
    assert isinstance(found, ValueError | OSError | NotImplementedError) == (
        not isinstance(error, KeyError)
    )
    assert str(found) == f"{step} {bad}: {error}"
    assert (found.step, found.box) == (step, bad)
    assert found.__cause__ is error
    # What was written is counted, and nothing is still being written.
    good = [box for box in writer.ended if box != bad]
    assert writer.begun.count(bad) == (step == "write")
    assert sorted(writer.begun) == sorted(writer.ended)
    assert found.statistics.boxes == len(good)
    assert found.statistics.bytes == sum(2 * box.num_voxels for box in good)
    for box in good:
        np.testing.assert_array_equal(writer.volume.read(box), part(box))
    assert len(reader.begun) < len(TILES)


def test_a_box_is_named_once_and_errors_without_words_have_some():
    bad = TILES[3]
    for error, words in [
        (OSError(f"em: cannot read {bad}: gone"), f": em: cannot read {bad}"),
        (ValueError(), f" {bad}: ValueError"),
    ]:
        with pytest.raises(outcome.StreamError) as caught:
            stream.copy(Odd(fails={bad: error}), empty(), TILES)
        assert str(caught.value).startswith(f"read{words}")


def test_errors_travel_between_processes():
    error = outcome.StreamOSError("read", TILES[3], OSError("gone"))
    error.statistics = outcome.Statistics(3, 4, 5.0)
    found = pickle.loads(pickle.dumps(error))
    assert type(found) is outcome.StreamOSError
    assert str(found) == str(error)
    assert found.box == TILES[3] and found.statistics == error.statistics


def test_what_the_volume_refuses():
    outside = DOMAIN.translated((1, 0, 0))
    with pytest.raises(
        ValueError, match=r"read: array in memory: .*not inside"
    ):
        stream.copy(source(), empty(), [outside])
    item = (outside, VOXELS)
    with pytest.raises(
        ValueError, match=r"write: array in memory: .*not insid"
    ):
        tasks.run(stream.write(empty(), [item]))
    with pytest.raises(outcome.StreamValueError, match="holds uint16"):
        stream.copy(source(), empty(), TILES, lambda b, v: (b, v / 2))
    with pytest.raises(outcome.StreamError, match=r"pair \(box, voxels\)"):
        stream.copy(source(), empty(), TILES, lambda b, v: v)


def test_a_missing_chunk(tmp_path):
    address = f"zarr://{tmp_path}/em"
    with volume.create(address, INFO) as new:
        stream.copy(source(), new, TILES[:5])
    with volume.open(address) as holes, pytest.raises(OSError) as caught:
        stream.copy(holes, empty(), TILES)
    assert caught.value.box in TILES[5:]
    assert "missing=zero" in str(caught.value)


def test_the_slow_end_after_a_failure():
    """What a thread has begun is waited for, and counted."""
    slow, bad = TILES[0], TILES[1]
    target = Odd(empty(), waits={slow: 0.3}, fails={bad: OSError("full")})
    with pytest.raises(outcome.StreamOSError, match="full") as caught:
        stream.copy(source(), target, TILES[:2])
    assert slow in target.ended
    assert caught.value.statistics.boxes == 1
    np.testing.assert_array_equal(target.volume.read(slow), part(slow))


def test_a_write_that_waits_for_one_that_fails_does_not_begin():
    target = Odd(empty(), waits={DOMAIN: 0.1}, fails={DOMAIN: OSError("full")})
    items = [(DOMAIN, VOXELS), (TILES[0], part(TILES[0]))]
    with pytest.raises(OSError, match="full"):
        tasks.run(stream.write(target, items))
    assert target.begun == [DOMAIN]


def test_progress():
    seen = []
    total = stream.copy(source(), empty(), TILES, progress=seen.append)
    assert [s.boxes for s in seen][-1] == total.boxes == len(TILES)
    for before, after in itertools.pairwise(seen):
        assert before.boxes <= after.boxes
        assert before.seconds <= after.seconds
    assert total.bytes_per_s == total.bytes / total.seconds
    assert outcome.Statistics().bytes_per_s == 0


def test_progress_that_fails_ends_the_stream():
    reader = Odd()

    def full(done):
        raise BrokenPipeError("no terminal")

    with pytest.raises(BrokenPipeError):
        stream.copy(reader, empty(), TILES, progress=full)
    assert len(reader.begun) < len(TILES)


@pytest.mark.parametrize("name", ["in_flight", "workers"])
def test_no_room(name):
    with pytest.raises(ValueError, match="At least one"):
        stream.copy(source(), empty(), TILES, negated, **{name: 0})


_INTERRUPTED = """
import signal, sys, time, numpy as np
signal.signal(signal.SIGINT, signal.default_int_handler)  # In nohup, too.
from ffn_tf.volume import Box, from_array
from ffn_tf.volume.streams import stream

class Slow:
    def read(self, box):
        print("reading", flush=True)
        time.sleep(0.2)
        return np.zeros(box.size, np.uint8)

def boxes():
    while True:
        yield Box((0, 0, 0), (2, 3, 4))

stream.copy(Slow(), from_array(np.zeros((2, 3, 4), np.uint8)), boxes())
"""


def test_interrupted_by_the_keyboard():
    ran = subprocess.Popen(
        [sys.executable, "-W", "error", "-X", "dev", "-c", _INTERRUPTED],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
    )
    assert ran.stdout.readline() == "reading\n"
    ran.send_signal(signal.SIGINT)
    begin = time.monotonic()
    _, errors = ran.communicate(timeout=60)
    assert time.monotonic() - begin < 10
    assert ran.returncode == -signal.SIGINT
    assert errors.splitlines()[-1].startswith("KeyboardInterrupt"), errors
    for complaint in ("never", "destroyed", "ResourceWarning"):
        assert complaint not in errors, errors
