"""Several workers on this machine, each a process of its own.

Each has a pool of one (concurrent.futures), so that the death of one loses
one worker's tasks and nobody else's. Each has its share of the cores, and of
the GPUs. When this process ends, however it ends, they save what they can,
and end too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
import contextlib
import glob
import multiprocessing
import os
import signal
import sys
import threading
from typing import Any

from ffn_tf.jobs import tasks as tasks_lib
from ffn_tf.jobs.tasks import Failed, Make, Outcome

# What is left of a worker that was killed, or asked to end.
_DEATHS = (BrokenProcessPool, SystemExit)


def num_gpus() -> int:
    """NVIDIA GPUs of this machine."""
    return len(glob.glob("/dev/nvidia[0-9]*"))


class Processes:
    """See the module.

    Args:
      make: makes a worker in its process.
      workers: how many.
      group: tasks that a worker is given at once.
    """

    def __init__(self, make: Make, workers: int, group: int) -> None:
        self._group = group
        self._workers = [_Worker(make, i, workers) for i in range(workers)]

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for worker in self._workers:
            worker.stop(at_once=kind is not None)
        for worker in self._workers:
            worker.join()

    def outcomes(self, tasks: Sequence[Any]) -> Iterator[Outcome]:
        """An outcome for each task, as they come."""
        groups = deque(tasks_lib.grouped(tasks, self._group))
        idle = list(self._workers)
        busy: dict[futures.Future[list[Outcome]], Any] = {}
        while groups or busy:
            while idle and groups:
                worker, group = idle.pop(), groups.popleft()
                busy[worker.submit(group)] = worker, group
            done, _ = futures.wait(busy, return_when=futures.FIRST_COMPLETED)
            for future in done:
                worker, group = busy.pop(future)
                idle.append(worker)
                if isinstance(future.exception(), _DEATHS):
                    worker.restart()
                    for task in group:
                        yield Failed(task, worker.death())
                else:
                    yield from future.result()


@contextlib.contextmanager
def _sees_gpu(index: int) -> Iterator[None]:
    """For a process that starts meanwhile: what it imports looks at once."""
    gpus = num_gpus()
    if not gpus or "CUDA_VISIBLE_DEVICES" in os.environ:
        yield
        return
    os.environ["CUDA_VISIBLE_DEVICES"] = str(index % gpus)
    try:
        yield
    finally:
        del os.environ["CUDA_VISIBLE_DEVICES"]


class _Worker:
    """A process, and its successors."""

    def __init__(self, make: Make, index: int, count: int) -> None:
        self._arguments = make, index, count
        self._index = index
        self._started = self._new()

    def _new(self) -> futures.ProcessPoolExecutor:
        pool = futures.ProcessPoolExecutor(
            1,
            multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=self._arguments,
        )
        before = {child.pid for child in multiprocessing.active_children()}
        with _sees_gpu(self._index):
            pool.submit(os.getpid)  # Starts the process.
        self._processes = [
            child
            for child in multiprocessing.active_children()
            if child.pid not in before
        ]
        return pool

    def submit(self, group: Sequence[Any]) -> futures.Future[list[Outcome]]:
        try:
            return self._started.submit(_work, group)
        except BrokenProcessPool:  # It died while it had nothing to do.
            self.restart()
            return self._started.submit(_work, group)

    def death(self) -> tasks_lib.WorkerDied:
        return tasks_lib.WorkerDied(
            f"worker {self._index} died (killed, or out of memory?)"
        )

    def restart(self) -> None:
        self._started.shutdown(wait=False)
        self._started = self._new()

    def stop(self, at_once: bool) -> None:
        if at_once:
            for process in self._processes:
                process.terminate()
        self._started.shutdown(wait=False, cancel_futures=True)

    def join(self) -> None:
        self._started.shutdown(wait=True)


# -----------------------------------------------------------------------------
# Within a worker's process
# -----------------------------------------------------------------------------

_make: tuple[Make, int] | None = None
_made: tasks_lib.Work | None = None
# The pool takes SystemExit for the outcome of a task, and waits for the next;
# so with nobody there to give one, a worker has to be ended from aside.
_at_work = threading.Lock()


def _begin(make: Make, index: int, count: int) -> None:
    """The process's first steps; what is slow is made with the first task."""
    global _make
    _make = make, index
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cores = sorted(os.sched_getaffinity(0))
    share = len(cores) // count
    if share:
        os.sched_setaffinity(0, cores[index * share : (index + 1) * share])


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    with _at_work:  # What it interrupts has saved what it can.
        os._exit(128 + signal.SIGTERM)


def _work(group: Sequence[Any]) -> list[Outcome]:
    global _made
    with _at_work:
        if _made is None:
            assert _make is not None
            make, index = _make
            _made = make(index)
        return [tasks_lib.portable(outcome) for outcome in _made(group)]
