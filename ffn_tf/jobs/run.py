"""(2) Run: tasks through workers, here, in several processes, or on Ray.

    inline      one worker, in this process
    processes   several on this machine, each with its share of the cores
    ray         several on the machines of a cluster (ray_cluster.py)

The same tasks, the same workers, the same files; only who works differs. A
task whose worker died, or that the system or a network refused, is done again
after the others, three times in all. What fails for good is told with its task
at the end, and everything else is done.

Several machines without a cluster share a list of tasks by `--shard=i/n`: an
array of Slurm, say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import dataclasses
import os
import re
from typing import Any

from ffn_tf import program
from ffn_tf.jobs import processes
from ffn_tf.jobs.tasks import Done, Failed, Make, WorkerDied

EXECUTORS = ("inline", "processes", "ray")

_ATTEMPTS = 3
# So many failures and nothing done, or refusals in a row: it is not the tasks.
_HOPELESS = 5


@dataclasses.dataclass(frozen=True)
class Options:
    """Who works."""

    executor: str = program.option(
        "inline",
        help="Who works: this process, several on this machine, or a cluster.",
        choices=EXECUTORS,
    )
    workers: int = program.option(
        0,
        help="How many, where there are several. 0: one for each GPU, or for "
        "each core without GPUs; of a cluster, as many as it has room for.",
    )
    ray_address: str = program.option(
        "",
        help="Of a Ray cluster, HOST:PORT or auto. Empty: one on this machine.",
    )
    cpus_per_worker: float = program.option(
        1.0, help="Processors that Ray reserves for each worker."
    )
    gpus_per_worker: float = program.option(
        0.0, help="GPUs that Ray reserves for each worker."
    )
    shard: str = program.option(
        "",
        help="i/n: only the i-th, from 0, of n shares of the work. All write "
        "into one folder.",
    )

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise ValueError(f"--workers: expected 0 or more: {self.workers}.")
        if self.executor == "inline" and self.workers > 1:
            raise ValueError(
                f"--workers={self.workers}: this process is one worker; "
                f"--executor=processes has several."
            )
        if self.ray_address and self.executor != "ray":
            raise ValueError("--ray_address needs --executor=ray.")
        self.part()

    def part(self) -> tuple[int, int]:
        """(i, n) of the shard; (0, 1) is everything.

        Raises:
          ValueError: not i/n, or no such part.
        """
        if not self.shard:
            return 0, 1
        found = re.fullmatch(r"(\d+)/(\d+)", self.shard)
        index, count = map(int, found.groups()) if found else (0, 0)
        if not index < count:
            raise ValueError(
                f"--shard: expected i/n with i from 0 to n - 1, such as 0/8, "
                f"found {self.shard!r}."
            )
        return index, count

    @property
    def name(self) -> str:
        """Of the shard, for names of files; empty for everything."""
        return f"shard-{self.shard.replace('/', '-of-')}" if self.shard else ""

    def share(self, tasks: Sequence[Any]) -> list[Any]:
        """Those of the tasks that are this shard's."""
        index, count = self.part()
        return list(tasks[index::count])


INLINE = Options()


class TasksFailed(ValueError):
    """Some tasks are not done; the message lists them."""


def run(
    make: Make,
    tasks: Sequence[Any],
    options: Options,
    group: int = 1,
    told: Callable[[Failed, bool], None] = lambda failed, again: None,
) -> Iterator[Done]:
    """Does the tasks; yields each when it is done, in any order.

    Args:
      make: a worker, in whichever process it is to work.
      tasks: small, can be pickled, and harmless to do twice.
      options: who works.
      group: tasks that a worker is given at once, where there are several.
      told: is told of each failure, and whether it will be tried again.

    Raises:
      TasksFailed: in the end, if some could not be done; or at once, if the
        first ones all fail for good, or the system or a network refuses
        several in a row. Of a single task, its own error.
      ValueError, OSError: the executor cannot be had.
    """
    todo, failed, num_done = list(tasks), list[Failed](), 0
    refused: list[Failed] = []  # In a row.
    with _executor(make, options, group) as executor:
        for attempt in range(1, _ATTEMPTS + 1):
            later = []
            for outcome in executor.outcomes(todo):
                if isinstance(outcome, Done):
                    num_done += 1
                    refused = []
                    yield outcome
                    continue
                if not isinstance(outcome.error, WorkerDied):
                    refused += [outcome] * outcome.may_work_again
                if len(refused) >= _HOPELESS:  # A full disk, say.
                    raise TasksFailed(_told(refused, len(tasks), "; gave up"))
                again = outcome.may_work_again and attempt < _ATTEMPTS
                told(outcome, again)
                if again:
                    later.append(outcome.task)
                    continue
                failed.append(outcome)
                if len(failed) >= _HOPELESS and not num_done:
                    raise TasksFailed(_told(failed, len(tasks), "; gave up"))
            todo = later
    if failed and len(tasks) == 1:
        raise failed[0].error
    if failed:
        raise TasksFailed(_told(failed, len(tasks), ""))


def _told(failed: Sequence[Failed], total: int, more: str) -> str:
    lines = [f"  {one.task}: {one.error}" for one in failed]
    return "\n".join(
        [
            f"{len(failed)} of {total} could not be done{more}:",
            *lines,
            "What was done is kept. The same command tries the rest again.",
        ]
    )


def _executor(make: Make, options: Options, group: int) -> Any:
    if options.executor == "inline":
        return Inline(make)
    if options.executor == "processes":
        gpus = processes.num_gpus()
        workers = options.workers or gpus or len(os.sched_getaffinity(0))
        return processes.Processes(make, workers, group)
    from ffn_tf.jobs import ray_cluster

    return ray_cluster.RayCluster(
        make,
        options.workers,
        group,
        options.ray_address,
        options.cpus_per_worker,
        options.gpus_per_worker,
    )


class Inline:
    """One worker, in this process."""

    def __init__(self, make: Make) -> None:
        self._work = make(0)

    def __enter__(self) -> Inline:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def outcomes(self, tasks: Sequence[Any]) -> Iterator[Done | Failed]:
        return self._work(tasks)
