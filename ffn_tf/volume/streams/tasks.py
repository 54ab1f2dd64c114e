"""At most so many tasks at a time: what streams are made of.

    items --> feeder --slot--> task, task, task --> queue --> the consumer
              takes an item    `limit` slots; a slot is free again when its
              per free slot    result has been handed over

A consumer that is slow keeps the slots, so that no more items are taken
(back-pressure); an item that is slow to come does not hold up the results of
those before it.

Laws (tests/volume/streams/test_tasks.py):
    items taken but not handed over are never more than `limit`;
    ordered: what a loop would give, in its order, up to the first failure;
    when it ends, whether by the last item, a failure, a cancelled or a closing
    consumer, no task and no thread of it is left, and `items` are closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
)
from concurrent import futures
import contextlib
import functools
import inspect
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

AnyIterable = Iterable[T] | AsyncIterable[T]


class Threads:
    """Threads of one owner; started when needed, gone when closed.

    A thread cannot be stopped. Whoever is cancelled while it waits for one
    waits until it ends, so that nothing goes on behind a caller's back.
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(
                f"At least one item at a time is needed, found {limit}."
            )
        self._pool = futures.ThreadPoolExecutor(limit, "ffn_tf.volume")

    async def call(self, function: Callable[..., R], *arguments: Any) -> R:
        """`function(*arguments)`, in a thread."""
        work = self._pool.submit(_called, function, [arguments])
        try:
            result = await asyncio.wrap_future(work)
        except asyncio.CancelledError:
            await asyncio.gather(
                asyncio.wrap_future(work), return_exceptions=True
            )
            raise
        return result.pop()

    def __enter__(self) -> Threads:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def _called(function: Callable[..., R], arguments: list[Any]) -> list[R]:
    """[function(*arguments.pop())].

    A thread keeps what it was given and what it gave a little longer than
    that; lists that are empty by then keep no voxels.
    """
    try:
        return [function(*arguments.pop())]
    except StopIteration as error:
        # asyncio cannot carry it, and would wait for the result for ever.
        raise RuntimeError(f"{function} raised StopIteration.") from error


async def mapped(
    items: AnyIterable[T],
    function: Callable[[T], Any],
    *,
    limit: int,
    ordered: bool = True,
) -> AsyncGenerator[Any, None]:
    """`function(item)` of each item, at most `limit` at a time.

    Args:
      items: taken one by one, when there is room.
      function: a coroutine function, or else one that is called in a thread.
      limit: items that are worked on, or whose result waits to be consumed.
      ordered: results come in the order of the items, not as they are ready.
    """
    with Threads(limit) as threads:
        call = _as_coroutine(function, threads)
        slots = asyncio.Semaphore(limit)
        results: asyncio.Queue[asyncio.Task[Any]] = asyncio.Queue()
        running: set[asyncio.Task[Any]] = set()

        async def feed() -> None:
            source = _as_iterator(items)
            try:
                while await slots.acquire():
                    # No name for the item: only its task may keep it.
                    start(call(await anext(source)))
            except StopAsyncIteration:
                pass
            finally:
                if isinstance(source, AsyncGenerator):
                    await source.aclose()

        def start(coroutine: Any, ordered: bool = ordered) -> asyncio.Task[Any]:
            task = asyncio.ensure_future(coroutine)
            running.add(task)
            if ordered:
                results.put_nowait(task)
            else:
                task.add_done_callback(results.put_nowait)
            return task

        feeder = start(feed(), ordered=False)
        try:
            while running:
                task = await results.get()
                result = [await task]
                running.discard(task)
                if task is not feeder:
                    slots.release()
                    del task
                    yield result.pop()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            # Tracebacks hold frames, and frames these: voxels would stay.
            running.clear()
            while not results.empty():
                results.get_nowait()


def _as_coroutine(
    function: Callable[[T], Any], threads: Threads
) -> Callable[[T], Coroutine[Any, Any, Any]]:
    if inspect.iscoroutinefunction(function):
        return function
    return functools.partial(threads.call, function)


async def _each(items: Iterable[T]) -> AsyncGenerator[T, None]:
    iterator = iter(items)
    with contextlib.suppress(StopIteration):
        while True:  # A loop variable would keep the item.
            yield next(iterator)


def _as_iterator(items: AnyIterable[T]) -> AsyncIterator[T]:
    return aiter(items if isinstance(items, AsyncIterable) else _each(items))


def run(pipeline: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns, also where an event loop is running.

    There, in a notebook for instance, a thread runs it, and the caller's loop
    stands still until it ends.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(pipeline)
    stop: futures.Future[Callable[[], Any]] = futures.Future()

    async def stoppable() -> T:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        stop.set_result(
            functools.partial(loop.call_soon_threadsafe, task.cancel)
        )
        return await pipeline

    with futures.ThreadPoolExecutor(1, "ffn_tf.volume") as pool:
        running = pool.submit(asyncio.run, stoppable())
        try:
            return running.result()
        except BaseException:
            if not running.done():  # The caller was interrupted.
                with contextlib.suppress(RuntimeError):  # It ends just now.
                    stop.result()()
            raise
