"""Sides of a comparison take turns; the median of each counts.

In every round each side works once, and the one that begins is another one
each time. What a side needs (a volume opened anew, with nothing in its cache)
is prepared before its clock starts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses
import gc
import statistics
import time

Work = Callable[[], object]


@dataclasses.dataclass(frozen=True)
class Side:
    """One way of doing the same.

    Attributes:
      prepare: prepare() gives the work, whose seconds count.
      count: how many things (cutouts, bytes) the work does.
    """

    prepare: Callable[[], Work]
    count: float


@dataclasses.dataclass(frozen=True)
class Times:
    """What a side took, round by round.

    Attributes:
      count: as of the side.
      seconds: one for each round.
      cpu_seconds: likewise, of all threads of this process; they tell
        something on a busy machine, too.
    """

    count: float
    seconds: tuple[float, ...]
    cpu_seconds: tuple[float, ...] = ()

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def rate(self) -> float:
        """Things per second."""
        return self.count / self.median

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of processor for one thing."""
        return 1e3 * statistics.median(self.cpu_seconds) / self.count


def taken(sides: Mapping[str, Side], rounds: int) -> dict[str, Times]:
    """The times of all sides, by name."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    cpu: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            work = sides[name].prepare()
            gc.collect()
            start, start_cpu = time.perf_counter(), time.process_time()
            result = work()
            seconds[name].append(time.perf_counter() - start)
            cpu[name].append(time.process_time() - start_cpu)
            del work, result
    return {
        name: Times(side.count, tuple(seconds[name]), tuple(cpu[name]))
        for name, side in sides.items()
    }


def excess(ours: Times, other: Times) -> float:
    """By which part ours takes longer: the median over rounds, in pairs."""
    pairs = zip(ours.seconds, other.seconds)
    return statistics.median(mine / theirs for mine, theirs in pairs) - 1


def fastest(times: Mapping[str, Times], names: list[str]) -> str:
    """The name of the side with the highest rate."""
    return max(names, key=lambda name: times[name].rate)
