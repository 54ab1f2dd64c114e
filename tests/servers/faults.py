"""What a server is told to do wrong: faults, by the prefix of what is asked.

    Fault("em/8_8_8", "status", status=503, times=3)

A key is what a request is about: the path without its first slash on an HTTP
server, "BUCKET/NAME" on a GCS server. Every key below `prefix` meets the
fault on its own: it is spared `skip` times, hit `times` times (None: for
ever), then spared again; with each=False the keys below it are counted
together. Several faults of one prefix come one after the other.

The request is not carried out, whatever it is:
    status     answers `status`, with an empty body
    close      closes the connection without a word
    hang       never answers; the connection stays open
    delay      answers well, `seconds` later (this one is carried out)

The request is carried out, a write is done, but the answer is damaged:
    reset      `share` of the body, then a TCP reset; the head at least
    truncate   `share` of the body, then a proper close; the length announced
               is that of the whole
    length     the length announced is the true one plus `extra`, which may be
               negative; the connection stays open
    short      `share` of the body, and its length announced: a file that is
               too short; of a range, Content-Range still names all of it
    drip       `bytes_per_s`
    flip       the lowest bit of the byte in the middle is the other one
    whole      all of it with status 200, whatever range was asked for
    changed    as if the file had been replaced before each such request: every
               byte plus 1, 2, ... and another ETag; on a GCS server the same
               bytes under a new generation
"""

from __future__ import annotations

import collections
import dataclasses

KINDS = (
    "status",
    "close",
    "hang",
    "delay",
    "reset",
    "truncate",
    "length",
    "short",
    "drip",
    "flip",
    "whole",
    "changed",
)


@dataclasses.dataclass(frozen=True)
class Fault:
    """One way of going wrong; the module says what the fields mean.

    Attributes:
      prefix: of the keys that meet it; "" is every key.
      kind: one of KINDS.
      times: how often a key meets it; None is for ever.
      skip: how often a key is spared first.
      each: every key is counted on its own.
      methods: the HTTP methods that meet it; empty is every method.
    """

    prefix: str
    kind: str
    times: int | None = None
    skip: int = 0
    each: bool = True
    methods: tuple[str, ...] = ()
    status: int = 503
    share: float = 0.5
    extra: int = 0
    bytes_per_s: float = 1000.0
    seconds: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(
                f"Fault of {self.prefix!r}: kind {self.kind!r}, expected one "
                f"of {', '.join(KINDS)}."
            )
        object.__setattr__(self, "methods", tuple(self.methods))


class Faults:
    """The faults of a server, and how often they were met."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._met: collections.Counter[tuple[int, str]] = collections.Counter()

    def add(self, fault: Fault) -> None:
        self._faults.append(fault)

    def clear(self) -> None:
        self._faults.clear()
        self._met.clear()

    def next(self, method: str, key: str) -> tuple[Fault | None, int]:
        """The fault that a request meets, and the how-manieth time it does."""
        for index, fault in enumerate(self._faults):
            if not key.startswith(fault.prefix):
                continue
            if fault.methods and method not in fault.methods:
                continue
            slot = (index, key if fault.each else "")
            self._met[slot] += 1
            ordinal = self._met[slot] - fault.skip
            over = fault.times is not None and ordinal > fault.times
            if ordinal >= 1 and not over:
                return fault, ordinal
        return None, 0
