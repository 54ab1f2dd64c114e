"""timing*.json: how long the results in a folder took, over all attempts.

Results must not depend on the clock, so what the clock says lies beside them.
Each process that works on the folder has a file of its own: timing.json if
there is one only, timing-NAME.json else.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import dataclasses
import json
import math
import pathlib
import resource
import time

from ffn_tf.inference import engine as engine_lib
from ffn_tf.volume import files


@dataclasses.dataclass(frozen=True)
class Timing:
    """How long something took, as timing.json keeps it.

    Attributes:
      steps: network calls.
      seconds: wall time, without the set-up.
      network_seconds: within the network.
      setup_seconds: compiling and calibrating the network.
      reading_seconds: the image and masks, until a canvas is ready.
      seeding_seconds: finding seeds.
      saving_seconds: results and states.
      peak_memory_bytes: the most that a process had; not a sum.
    """

    steps: int = 0
    seconds: float = 0.0
    network_seconds: float = 0.0
    setup_seconds: float = 0.0
    reading_seconds: float = 0.0
    seeding_seconds: float = 0.0
    saving_seconds: float = 0.0
    peak_memory_bytes: int = 0

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if not 0 <= value < math.inf:
                raise ValueError(f"{name}: expected 0 or more, found {value}")

    def added(self, other: Timing) -> Timing:
        return self._with(other, 1)

    def since(self, before: Timing) -> Timing:
        """What has come to `before`."""
        return self._with(before, -1)

    def _with(self, other: Timing, sign: int) -> Timing:
        mine, theirs = dataclasses.asdict(self), dataclasses.asdict(other)
        sums = {name: mine[name] + sign * theirs[name] for name in mine}
        peak = max(self.peak_memory_bytes, other.peak_memory_bytes)
        return Timing(**sums | {"peak_memory_bytes": peak})

    def stages(self) -> dict[str, float]:
        """Seconds of each stage; together, all of the time."""
        stages = {
            "set-up": self.setup_seconds,
            "reading": self.reading_seconds,
            "seeding": self.seeding_seconds,
            "network": self.network_seconds,
            "host": 0.0,
            "saving": self.saving_seconds,
        }
        known = sum(stages.values()) - self.setup_seconds
        return stages | {"host": max(0.0, self.seconds - known)}


def read(folder: str | pathlib.Path, name: str = "") -> Timing:
    """The time that the results in `folder` took, over all attempts.

    Args:
      name: only of this process, and of its workers.

    Raises:
      ValueError: a damaged file.
    """
    total = Timing()
    root = pathlib.Path(folder)
    paths = {*root.glob("timing*.json")}
    if name:
        workers = root.glob(f"timing-{name}-worker-*.json")
        paths &= {root / f"timing-{name}.json", *workers}
    for path in sorted(paths):
        total = total.added(_read(path))
    return total


def _read(path: pathlib.Path) -> Timing:
    if not path.exists():
        return Timing()
    try:
        return Timing(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{path} is damaged ({error}). Delete it: only the times are lost."
        ) from error


class Clock:
    """Times one attempt, and keeps the sum with earlier ones.

    Args:
      folder: of the results.
      name: of the process; empty if it works alone.
    """

    def __init__(self, folder: pathlib.Path, name: str = "") -> None:
        self._path = folder / (f"timing-{name}.json" if name else "timing.json")
        files.remove_leftovers(self._path)
        self._before = _read(self._path)
        self._made = self._started = time.perf_counter()
        self._engine: engine_lib.Engine | None = None
        self._spent = dict.fromkeys(("reading", "seeding", "saving"), 0.0)

    def start(self, engine: engine_lib.Engine) -> None:
        """The set-up is over."""
        self._engine = engine
        self._started = time.perf_counter()

    @property
    def steps(self) -> int:
        """Network calls of this attempt."""
        return self._engine.steps if self._engine else 0

    @contextlib.contextmanager
    def during(self, stage: str) -> Iterator[None]:
        """Counts for a stage: reading, seeding or saving."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._spent[stage] += time.perf_counter() - start

    def total(self) -> Timing:
        """The sum so far, with earlier attempts."""
        return self._before.added(self._attempt())

    def everybody(self) -> Timing:
        """The sum so far, with what other processes have written."""
        saved = _read(self._path)
        return read(self._path.parent).since(saved).added(self.total())

    def save(self) -> Timing:
        """Writes the sum so far; returns the time of this attempt."""
        total = dataclasses.asdict(self.total())
        files.write_text(self._path, json.dumps(total, indent=1))
        return self._attempt()

    def _attempt(self) -> Timing:
        assert self._engine is not None
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return Timing(
            steps=self._engine.steps,
            seconds=time.perf_counter() - self._started,
            network_seconds=self._engine.seconds,
            setup_seconds=self._started - self._made,
            peak_memory_bytes=1024 * usage.ru_maxrss,
            **{f"{name}_seconds": s for name, s in self._spent.items()},
        )
