"""At most so many tasks at a time, and nothing left of them."""

import asyncio
import contextlib
import gc
import subprocess
import sys
import threading
import time

import hypothesis
from hypothesis import strategies as st
import pytest

from ffn_tf.volume.streams import tasks


def threads_left():
    return [t for t in threading.enumerate() if t.name.startswith("ffn_tf")]


def played(main):
    """What a coroutine returns; it must leave nothing behind."""
    complaints = []

    async def watched():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, what: complaints.append(what))
        try:
            return await main
        finally:
            # A closed generator may still be at it.
            async with asyncio.timeout(10):
                while len(asyncio.all_tasks()) > 1 or threads_left():
                    await asyncio.sleep(0.001)
            gc.collect()
            await asyncio.sleep(0)
            assert complaints == []

    return asyncio.run(watched())


async def collected(stream):
    return [result async for result in stream]


async def awaited(item):
    await asyncio.sleep(0)
    return item * 10


def called(item):
    return item * 10


async def arriving(items, log=None):
    """An asynchronous iterator that notes when it is closed."""
    try:
        for item in items:
            await asyncio.sleep(0)
            yield item
    finally:
        if log is not None:
            log.append("closed")


@pytest.mark.parametrize("function", [awaited, called])
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("source", [iter, arriving])
def test_each_item_once(function, ordered, source):
    for count in (0, 1, 20):
        stream = tasks.mapped(
            source(range(count)), function, limit=3, ordered=ordered
        )
        found = played(collected(stream))
        assert sorted(found) == [10 * i for i in range(count)]
        if ordered:
            assert found == sorted(found)


def test_the_order_of_the_items_or_of_the_results():
    async def main(ordered):
        first = asyncio.Event()

        async def late(item):
            if item == 0:
                await first.wait()
            return item

        stream = tasks.mapped(range(4), late, limit=3, ordered=ordered)
        found = []
        async with asyncio.timeout(10):
            asyncio.get_running_loop().call_later(0.05, first.set)
            async for item in stream:
                found.append(item)
        return found

    assert played(main(ordered=True)) == [0, 1, 2, 3]
    assert played(main(ordered=False)) == [1, 2, 3, 0]


@hypothesis.settings(max_examples=10, deadline=None)
@hypothesis.given(
    count=st.integers(0, 12),
    limit=st.integers(1, 5),
    ordered=st.booleans(),
    function=st.sampled_from([awaited, called]),
    pauses=st.lists(st.integers(0, 3), min_size=12, max_size=12),
)
def test_no_more_are_taken_than_there_are_slots(
    count, limit, ordered, function, pauses
):
    taken, handed = [], []
    most = 0

    def counting():
        nonlocal most
        for item in range(count):
            taken.append(item)
            most = max(most, len(taken) - len(handed))
            yield item

    async def main():
        stream = tasks.mapped(
            counting(), function, limit=limit, ordered=ordered
        )
        async for item in stream:
            handed.append(item)
            for _ in range(pauses[item // 10]):
                await asyncio.sleep(0)
            await asyncio.sleep(0.001)  # Time to take too many.

    played(main())
    assert len(handed) == count
    assert most == min(limit, count)


def test_as_many_threads_as_slots():
    together = threading.Barrier(5, timeout=10)

    def meet(item):
        together.wait()
        return item

    stream = tasks.mapped(range(10), meet, limit=5)
    assert played(collected(stream)) == list(range(10))


def test_a_late_item_does_not_hold_up_results():
    """A live source may be silent for hours."""

    async def main():
        go_on = asyncio.Event()

        async def slow():
            yield 1
            await go_on.wait()
            yield 2

        stream = tasks.mapped(slow(), awaited, limit=2)
        async with asyncio.timeout(10):
            assert await anext(stream) == 10
            go_on.set()
            return await collected(stream)

    assert played(main()) == [20]


def failing(item):
    if item == 3:
        raise KeyError(item)
    return item


async def failing_later(item):
    await asyncio.sleep(0)
    return failing(item)


@pytest.mark.parametrize("function", [failing, failing_later])
def test_what_was_before_a_failure_comes_before_it(function):
    log, found = [], []

    async def main():
        stream = tasks.mapped(arriving(range(9), log), function, limit=4)
        with pytest.raises(KeyError):
            async for item in stream:
                found.append(item)
        assert log == ["closed"]

    played(main())
    assert found == [0, 1, 2]


def test_a_failure_out_of_order_does_not_wait():
    async def main():
        async def stuck(item):
            if item == 0:
                await asyncio.sleep(1000)
            return await failing_later(item)

        stream = tasks.mapped(range(9), stuck, limit=4, ordered=False)
        async with asyncio.timeout(10):
            with pytest.raises(KeyError):
                await collected(stream)

    played(main())


@pytest.mark.parametrize("ordered", [True, False])
def test_items_that_fail(ordered):
    async def broken():
        yield 1
        yield 2
        raise OSError("no more")

    async def main():
        stream = tasks.mapped(broken(), awaited, limit=4, ordered=ordered)
        found = []
        with pytest.raises(OSError, match="no more"):
            async for item in stream:
                found.append(item)
        return found

    found = played(main())
    if ordered:
        assert found == [10, 20]


def test_stop_iteration_in_a_thread():
    """Passed on, it would end nothing and be waited for without end."""

    def exhausted(item):
        return next(iter(()))

    async def main():
        async with asyncio.timeout(10):
            with pytest.raises(RuntimeError, match="StopIteration"):
                await collected(tasks.mapped([1], exhausted, limit=1))

    played(main())


@pytest.mark.parametrize("function", [awaited, called])
def test_a_consumer_that_closes(function):
    log = []

    async def main():
        inner = tasks.mapped(arriving(range(99), log), function, limit=4)
        outer = tasks.mapped(inner, function, limit=2)
        async with contextlib.aclosing(outer):
            async for _ in outer:
                break
        assert log == ["closed"]

    played(main())


def test_a_consumer_that_just_leaves():
    log = []

    async def main():
        stream = tasks.mapped(arriving(range(99), log), called, limit=4)
        async for _ in tasks.mapped(stream, awaited, limit=2):
            break
        del stream

    played(main())
    assert log == ["closed"]


def test_a_consumer_that_is_cancelled_waits_for_its_threads():
    """What it began is over, nothing else begins, and the loop goes on."""
    begun, ended, log = [], [], []
    two, may_end = threading.Event(), threading.Event()

    def slow(item):
        begun.append(item)
        if len(begun) == 2:
            two.set()
        assert may_end.wait(10)
        ended.append(item)

    async def main():
        stream = tasks.mapped(arriving(range(99), log), slow, limit=2)
        consumer = asyncio.create_task(collected(stream))
        await asyncio.to_thread(two.wait, 10)
        consumer.cancel()
        asyncio.get_running_loop().call_later(0.05, may_end.set)
        with pytest.raises(asyncio.CancelledError):
            await consumer
        assert sorted(ended) == sorted(begun) == [0, 1]
        assert log == ["closed"]

    played(main())


def test_a_cancellation_while_the_threads_are_waited_for():
    """The impatient are told later, not lied to: no thread goes on."""
    begun, ended = threading.Event(), threading.Event()

    def slow(item):
        begun.set()
        time.sleep(0.3)
        ended.set()

    async def main():
        stream = tasks.mapped([1], slow, limit=1)
        consumer = asyncio.create_task(collected(stream))
        await asyncio.to_thread(begun.wait, 10)
        for _ in range(3):
            consumer.cancel()
            await asyncio.sleep(0.01)
        with pytest.raises(asyncio.CancelledError):
            await consumer
        assert ended.is_set()

    played(main())


def test_a_failure_in_a_thread_that_was_cancelled_is_not_complained_about():
    begun = threading.Event()

    def fails_late(item):
        begun.set()
        time.sleep(0.1)
        raise KeyError

    async def main():
        stream = tasks.mapped([1], fails_late, limit=1)
        consumer = asyncio.create_task(collected(stream))
        await asyncio.to_thread(begun.wait, 10)
        consumer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consumer

    played(main())


@pytest.mark.parametrize("limit", [0, -1])
def test_no_slots(limit):
    with pytest.raises(ValueError, match=f"At least one .* found {limit}"):
        played(collected(tasks.mapped([1], called, limit=limit)))


async def the_answer():
    await asyncio.sleep(0)
    return 42


async def no_answer():
    raise KeyError("none")


def test_run():
    assert tasks.run(the_answer()) == 42
    with pytest.raises(KeyError):
        tasks.run(no_answer())


def test_run_inside_a_running_loop():
    async def cell():
        assert tasks.run(the_answer()) == 42
        with pytest.raises(KeyError):
            tasks.run(no_answer())
        return threads_left()

    assert played(cell()) == []


INTERRUPTED = """
import asyncio, os, signal, threading
signal.signal(signal.SIGINT, signal.default_int_handler)  # In nohup, too.
from ffn_tf.volume.streams import tasks

async def endless():
    threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT]).start()
    try:
        await asyncio.sleep(1000)
    finally:
        print("stopped")

async def cell():
    tasks.run(endless())

try:
    asyncio.new_event_loop().run_until_complete(cell())
except KeyboardInterrupt:
    print("interrupted")
"""


def test_run_is_interrupted_inside_a_running_loop():
    """As in a notebook, whose loop has no handler of Ctrl-C of its own.

    In a process of its own: the signal would reach the runner of the tests.
    """
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.split() == ["stopped", "interrupted"]
