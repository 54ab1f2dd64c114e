"""reading*.json: what embeddings have read, and how long they took.

The clock decides nothing, so what it says lies beside the table. A program
that works on a folder adds its parts, of all of its workers, to a file of its
own: reading.json if it does all of them, reading-shard-0-of-2.json else. So the
sum of the files is that of all workers, over all attempts.
"""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib

from ffn_tf.volume import files


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Of some parts. Seconds of several workers are added.

    Attributes:
      nodes: embedded.
      chunks_wanted: of image and segmentation, by cutouts, all in all.
      chunk_reads: of those, that were not in memory.
      bytes_read: as stored.
      storage_seconds: in which voxels were waited for.
      host_seconds: in which cutouts were made of them.
      network_seconds: in the encoder.
      waiting_seconds: in which the encoder had no cutouts: of storage and
        host, what did not go on beside the encoder.
      seconds: wall time.
    """

    nodes: int = 0
    chunks_wanted: int = 0
    chunk_reads: int = 0
    bytes_read: int = 0
    storage_seconds: float = 0.0
    host_seconds: float = 0.0
    network_seconds: float = 0.0
    waiting_seconds: float = 0.0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if not 0 <= value < math.inf:
                raise ValueError(f"{name}: expected 0 or more, found {value}")

    def added(self, other: Statistics) -> Statistics:
        mine, theirs = dataclasses.asdict(self), dataclasses.asdict(other)
        return Statistics(**{name: mine[name] + theirs[name] for name in mine})

    @property
    def hit_rate(self) -> float:
        """Share of the chunks wanted that were in memory."""
        return max(0.0, 1 - self.chunk_reads / max(1, self.chunks_wanted))

    @property
    def gb_per_s(self) -> float:
        """Gigabytes a second, as stored, while storage was waited for."""
        return self.bytes_read / 1e9 / max(self.storage_seconds, 1e-9)

    def reads_per_chunk(self, touched: int) -> float:
        """How often each chunk was read, of so many that nodes touch."""
        return self.chunk_reads / max(1, touched)

    def described(self, touched: int) -> str:
        """One line."""
        read = "what was read was not counted (no volume of chunks)"
        if self.chunks_wanted:
            read = (
                f"{touched:,} chunks read {self.reads_per_chunk(touched):.2f} "
                f"times each ({self.hit_rate:.1%} of those wanted were in "
                f"memory), {self.bytes_read / 1e9:.3g} GB at "
                f"{self.gb_per_s:.3g} GB/s"
            )
        return (
            f"{read}; {self.storage_seconds:.1f} s in storage, "
            f"{self.host_seconds:.1f} s in masks, {self.network_seconds:.1f} s "
            f"in the network, which waited {self.waiting_seconds:.1f} of "
            f"{self.seconds:.1f} s"
        )


def read(folder: pathlib.Path) -> Statistics:
    """Of all parts in a folder, over all attempts.

    Raises:
      ValueError: a damaged file.
    """
    total = Statistics()
    for path in sorted(folder.glob("reading*.json")):
        total = total.added(_read(path))
    return total


def _read(path: pathlib.Path) -> Statistics:
    if not path.exists():
        return Statistics()
    try:
        return Statistics(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{path} is damaged ({error}). Delete it: only what is known of "
            f"reading is lost."
        ) from error


class Account:
    """Adds parts to a file.

    Args:
      folder: of the table.
      name: of the program among others; empty if it works alone.
    """

    def __init__(self, folder: pathlib.Path, name: str = "") -> None:
        self._path = folder / (
            f"reading-{name}.json" if name else "reading.json"
        )
        files.remove_leftovers(self._path)
        self._total = _read(self._path)

    def add(self, part: Statistics) -> None:
        """Adds a part."""
        self._total = self._total.added(part)
        told = dataclasses.asdict(self._total)
        files.write_text(self._path, json.dumps(told, indent=1))
