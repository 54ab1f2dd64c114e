"""(1) Plan: which subvolumes there are, and what they will cost. Arithmetic.

    domain     cut into subvolumes that overlap (volume.grid)
    tissue     a coarse volume, 0 where there is nothing: subvolumes that touch
               no tissue are left out
    network    lattice cells of the movement's deltas in which the field of view
               can be centred, as far as they are tissue, and calls for each
    time       those over what one device does in a second

Nothing is listed that grows with the volume, but for one bool for each
subvolume where there is a tissue mask, so a petavoxel is planned in a moment.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import math
from typing import Any

import numpy as np

from ffn_tf.program.progress import short
from ffn_tf.volume import grid
from ffn_tf.volume.box import Box, Triple, triple
from ffn_tf.volume.tissue import Tissue

# Ids of a result, compressed; fib25's takes 0.02.
_RESULT_BYTES = 0.05


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a segmentation will take.

    Attributes:
      domain: what is segmented.
      size_zyx, overlap_zyx: of subvolumes.
      subvolumes: how many are to be done.
      empty: how many are left out.
      voxels: that are read, those of overlaps several times.
      tissue: share of the voxels read that is tissue, about.
      fovs: network calls, about.
      read_bytes, result_bytes: not compressed; compressed, about.
      fovs_per_s: of one device.
    """

    domain: Box
    size_zyx: Triple
    overlap_zyx: Triple
    subvolumes: int
    empty: int
    voxels: int
    tissue: float
    fovs: float
    read_bytes: float
    result_bytes: float
    fovs_per_s: float

    @property
    def device_hours(self) -> float:
        return self.fovs / self.fovs_per_s / 3600

    def as_json(self) -> dict[str, Any]:
        values = dataclasses.asdict(self) | {"device_hours": self.device_hours}
        return values | {
            "domain": {
                "start_zyx": self.domain.start,
                "size_zyx": self.domain.size,
            }
        }

    def as_text(self) -> list[str]:
        """The plan, a line for each thing."""
        once = self.domain.num_voxels
        again = self.voxels / once - 1 if once and not self.empty else None
        lines = [
            f"volume      {_by(self.domain.size)} voxels (z, y, x) from "
            f"{self.domain.start}: {short(once)}",
            f"subvolumes  {self.subvolumes:,} of up to {_by(self.size_zyx)}, "
            f"overlapping by {_by(self.overlap_zyx)}",
        ]
        if self.empty:
            lines.append(f"            {self.empty:,} without tissue left out")
        extra = f", {again:.0%} of the volume again" if again else ""
        lines += [
            f"to read     {short(self.voxels)} voxels, "
            f"{short(self.read_bytes)}B{extra}",
            f"to write    about {short(self.result_bytes)}B",
            f"network     about {short(self.fovs)} fields of view, "
            f"{self.tissue:.0%} of what is read being tissue",
            f"time        {_time(self.device_hours)} of one device that does "
            f"{self.fovs_per_s:g} a second (--fovs_per_s)",
        ]
        lines += [
            f"            {_time(self.device_hours / devices)} of {devices:,}"
            for devices in (100, 10_000)
            if self.device_hours / devices > 1
        ]
        return lines


def planned(
    domain: Box,
    itemsize: int,
    size_zyx: Sequence[int],
    overlap_zyx: Sequence[int],
    margin_zyx: Sequence[int],
    deltas_zyx: Sequence[int],
    fovs_per_cell: float,
    fovs_per_s: float,
    tissue: Tissue | None = None,
) -> Plan:
    """The plan of a segmentation.

    Args:
      domain: what is to be segmented.
      itemsize: bytes of a voxel of the image.
      size_zyx, overlap_zyx: of subvolumes.
      margin_zyx: half of the field of view.
      deltas_zyx: of the movement.
      fovs_per_cell: network calls for each cell of deltas.
      fovs_per_s: network calls of one device, a second.
      tissue: where there is any; by default, everywhere.

    Raises:
      ValueError: sizes that do not go together.
    """
    size, overlap = triple(size_zyx), triple(overlap_zyx)
    total = grid.count(domain, size, overlap=overlap)
    lengths = [
        np.array([end - start for start, end in axis])
        for axis in grid.intervals(domain, size, overlap=overlap)
    ]
    inner = [
        np.maximum(one - 2 * margin, 0)
        for one, margin in zip(lengths, margin_zyx)
    ]
    if tissue is None:
        keep, share = total, 1.0
        voxels, centres = _product(lengths), _product(inner)
    else:
        kept = tissue.touched(domain, size, overlap)
        keep = int(kept.sum())
        voxels, centres = _of(kept, lengths), _of(kept, inner)
        share = tissue.share(domain) * _product(lengths) / max(1, voxels)
        share = min(1.0, share)
    cells = centres / math.prod(max(d, 1) for d in deltas_zyx)
    return Plan(
        domain,
        size,
        overlap,
        keep,
        total - keep,
        voxels,
        share,
        fovs_per_cell * cells * share,
        float(voxels * itemsize),
        voxels * _RESULT_BYTES,
        fovs_per_s,
    )


def _product(lengths: Sequence[np.ndarray]) -> int:
    """Voxels of all subvolumes, from their lengths along each axis."""
    return math.prod(int(one.sum()) for one in lengths)


def _of(kept: np.ndarray, lengths: Sequence[np.ndarray]) -> int:
    """Voxels of the subvolumes [z, y, x] bool that are kept."""
    z, y, x = (one.astype(np.float64) for one in lengths)
    return round(float(z @ (kept @ x @ y)))


def _by(size: Sequence[int]) -> str:
    return " x ".join(f"{n:,}" for n in size)


def _time(hours: float) -> str:
    if hours < 2:
        return f"{60 * hours:,.3g} minutes"
    if hours < 48:
        return f"{hours:,.3g} hours"
    days = hours / 24
    return f"{days:,.0f} days" if days < 1000 else f"{days / 365.25:,.0f} years"
