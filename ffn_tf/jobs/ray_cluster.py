"""Workers on the machines of a Ray cluster, each an actor.

Ray knows the machines, starts the actors and tells of their deaths. What is
ours (shared/reference/engine_and_storage.md has the tests that taught it):

    an actor is never restarted by Ray, nor its calls; a dead one's tasks come
    back as failed, and another actor is asked for
    an actor that does not answer counts as dead, for it may still write;
    results are therefore files that appear whole, and equal ones
    an actor gets tasks only when it says that it is ready: one that the
    cluster has no room for waits, and keeps nobody
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
import re
import socket
from typing import Any

from ffn_tf.jobs import tasks as tasks_lib
from ffn_tf.jobs.tasks import Failed, Make, Outcome

try:
    import ray
except ImportError as error:
    raise ValueError(
        "--executor=ray needs the package ray, which is not installed "
        "(`pip install 'ray>=2.47.1,<3'`); --executor=processes does without."
    ) from error

# Actors in a row that did not even become ready.
_DEATHS_AT_BIRTH = 3
_ANSWERS_IN_S = 5.0


class _Actor:
    """A worker in its process."""

    def __init__(self, make: Make, index: int) -> None:
        self._work = make(index)

    def ready(self) -> None:
        """Answered once the worker is made."""

    def work(self, group: Sequence[Any]) -> list[Outcome]:
        return [tasks_lib.portable(outcome) for outcome in self._work(group)]


class RayCluster:
    """See the module.

    Args:
      make: makes a worker in its process.
      workers: how many; 0: as many as the cluster has room for now.
      group: tasks that a worker is given at once.
      address: of the cluster; "" starts one on this machine.
      cpus, gpus: that each worker needs.

    Raises:
      ConnectionError: no cluster there.
      ValueError: no room for a worker.
    """

    def __init__(
        self,
        make: Make,
        workers: int,
        group: int,
        address: str,
        cpus: float,
        gpus: float,
    ) -> None:
        self._make, self._group = make, group
        self._is_mine = not ray.is_initialized()
        if self._is_mine:
            _connect(address)
        self._actor: Any = ray.remote(
            num_cpus=cpus, num_gpus=gpus, max_restarts=0, max_task_retries=0
        )(_Actor)
        self._workers = workers or _room(cpus, gpus)
        self._made = 0
        self._deaths_at_birth = 0
        self._idle: list[Any] = []
        # By what they will answer: actors that are being made, or at work.
        self._unborn: dict[Any, Any] = {}

    def __enter__(self) -> RayCluster:
        for _ in range(self._workers):
            self._ask_for_one()
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_mine:
            ray.shutdown()

    def _ask_for_one(self) -> None:
        actor = self._actor.remote(self._make, self._made)
        self._made += 1
        self._unborn[actor.ready.remote()] = actor

    def outcomes(self, tasks: Sequence[Any]) -> Iterator[Outcome]:
        """An outcome for each task, as they come."""
        groups = deque(tasks_lib.grouped(tasks, self._group))
        busy: dict[Any, tuple[Any, Sequence[Any]]] = {}
        while groups or busy:
            while self._idle and groups:
                actor, group = self._idle.pop(), groups.popleft()
                busy[actor.work.remote(group)] = actor, group
            waiting = [*busy, *self._unborn]
            for answer in ray.wait(waiting, num_returns=1)[0]:
                if answer in self._unborn:
                    self._born(answer)
                else:
                    yield from self._answered(answer, *busy.pop(answer))

    def _born(self, answer: Any) -> None:
        actor = self._unborn.pop(answer)
        try:
            ray.get(answer)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except ray.exceptions.RayActorError as error:
            self._deaths_at_birth += 1
            if self._deaths_at_birth > _DEATHS_AT_BIRTH:
                raise OSError(
                    f"Workers on Ray do not start: {error}"
                ) from error
            self._ask_for_one()
            return
        self._deaths_at_birth = 0
        self._idle.append(actor)

    def _answered(
        self, answer: Any, actor: Any, group: Sequence[Any]
    ) -> Iterator[Outcome]:
        try:
            outcomes = ray.get(answer)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except ray.exceptions.RayError as error:
            ray.kill(actor)
            self._ask_for_one()
            death = tasks_lib.WorkerDied(f"its worker died ({_line(error)})")
            yield from (Failed(task, death) for task in group)
            return
        self._idle.append(actor)
        yield from outcomes


def _line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]


def _connect(address: str) -> None:
    settings: dict[str, Any] = {"log_to_driver": False}
    if address:
        settings["address"] = address
    else:
        settings["include_dashboard"] = False
    try:
        if re.fullmatch(r"[^:/]+:\d+", address):  # Ray would ask for minutes.
            host, port = address.split(":")
            socket.create_connection((host, int(port)), _ANSWERS_IN_S).close()
        ray.init(**settings)
    except OSError as error:
        raise ConnectionError(
            f"--ray_address={address}: no Ray cluster answers there "
            f"({_line(error)}). Start one with `ray start --head`, and check "
            f"host, port and RAY_AUTH_MODE."
        ) from error


def _room(cpus: float, gpus: float) -> int:
    """Actors that the cluster has room for."""
    has = ray.cluster_resources()
    counts = [
        int(has.get(name, 0) // needed)
        for name, needed in (("CPU", cpus), ("GPU", gpus))
        if needed
    ]
    if not min(counts, default=1):
        raise ValueError(
            f"--executor=ray: the cluster has {has.get('CPU', 0):g} CPUs and "
            f"{has.get('GPU', 0):g} GPUs in all, and a worker needs {cpus:g} "
            f"and {gpus:g} (--cpus_per_worker, --gpus_per_worker). If it grows "
            f"when it is asked, give --workers."
        )
    return min(counts, default=1)
