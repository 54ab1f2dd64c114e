"""timing.json: how long the results in a folder took, over all attempts.

Results must not depend on the clock, so what the clock says lies beside them.
"""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
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
    """

    steps: int = 0
    seconds: float = 0.0
    network_seconds: float = 0.0
    setup_seconds: float = 0.0

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if not 0 <= value < math.inf:
                raise ValueError(f"{name}: expected 0 or more, found {value}")

    def added(self, other: Timing) -> Timing:
        return Timing(
            **{
                field.name: getattr(self, field.name)
                + getattr(other, field.name)
                for field in dataclasses.fields(self)
            }
        )


def read(folder: str | pathlib.Path) -> Timing:
    """The time that the results in `folder` took, over all attempts.

    Raises:
      ValueError: a damaged file.
    """
    path = pathlib.Path(folder) / "timing.json"
    if not path.exists():
        return Timing()
    try:
        return Timing(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{path} is damaged ({error}). Delete it: only the times are lost."
        ) from error


class Clock:
    """Times one attempt, and keeps the sum with earlier ones."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._path = folder / "timing.json"
        self._before = read(folder)
        self._made = self._started = time.perf_counter()
        self._engine: engine_lib.Engine | None = None

    def start(self, engine: engine_lib.Engine) -> None:
        """The set-up is over."""
        self._engine = engine
        self._started = time.perf_counter()

    def save(self) -> Timing:
        """Writes the sum so far; returns the time of this attempt."""
        assert self._engine is not None
        attempt = Timing(
            steps=self._engine.steps,
            seconds=time.perf_counter() - self._started,
            network_seconds=self._engine.seconds,
            setup_seconds=self._started - self._made,
        )
        total = dataclasses.asdict(self._before.added(attempt))
        files.write_text(self._path, json.dumps(total, indent=1))
        return attempt
