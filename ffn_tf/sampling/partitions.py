"""(2) Partitions: voxels in classes by how thick their object is around them.

Thin processes are few voxels, and hard; so that a network sees them as often as
it sees somata, voxels are put into classes by their active fraction `af`
(active_fraction.py), and examples are drawn from all classes alike:

    0        background: label 0, dust, labels that are not on the whitelist
    i + 1    thresholds[i] is the first that is above af
    n + 1    all n thresholds are at or below af
    255      excluded: the box around the voxel leaves the volume, or holds a
             masked voxel, or the voxel is in an excluded sphere, or, if asked
             for, it touches another label

uint8, of the labels' shape: what google/ffn's compute_partitions makes of the
same labels, voxel for voxel.

`Partitions` is a volume that computes them when it is read: memory holds a
block of labels and its surroundings, however large the volume.

Laws (tests/sampling/test_partitions.py):
    whatever boxes it is read by, the same voxels
    a partition of the whole in one array, and of the volume: the same
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
import dataclasses
import math
from typing import Any

import fastremap
import numpy as np
from scipy import ndimage

from ffn_tf import program, volume
from ffn_tf.sampling import active_fraction
from ffn_tf.volume import grid
from ffn_tf.volume.box import Triple

BACKGROUND = 0
EXCLUDED = 255
# Voxels that are computed at a time. With the surroundings, some 250 MB.
_PART = (256, 256, 256)

Masked = Callable[[volume.Box], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Sphere:
    """Voxels that are nobody's: those up to `radius` from the centre.

    Attributes:
      center_zyx: in voxels of the labels.
      radius: in voxels.
    """

    center_zyx: tuple[float, float, float]
    radius: float

    def inside(self, box: volume.Box) -> np.ndarray:
        """[z, y, x] bool, of the voxels of a box."""
        axes = np.ogrid[box.slices]
        squares = [(a - c) ** 2 for a, c in zip(axes, self.center_zyx)]
        return squares[0] + squares[1] + squares[2] <= self.radius**2


@dataclasses.dataclass(frozen=True)
class Rule:
    """How voxels are put into classes.

    Attributes:
      thresholds: of the active fraction, ascending, at most 253.
      radius_zyx: of the box around a voxel.
      ids: [n] labels that are objects, ascending; None: all but 0.
      ignore_borders: voxels that touch another label are excluded.
      spheres: excluded.
      masked: [z, y, x] bool of a box; where voxels are masked, all whose box
        holds them are excluded.

    Raises:
      ValueError: thresholds that are no shares, not ascending, or too many.
    """

    thresholds: tuple[float, ...]
    radius_zyx: Triple
    ids: np.ndarray | None = None
    ignore_borders: bool = False
    spheres: tuple[Sphere, ...] = ()
    masked: Masked | None = None

    def __post_init__(self) -> None:
        t = self.thresholds
        if not 1 <= len(t) < EXCLUDED - 1 or sorted(set(t)) != list(t):
            raise ValueError(
                f"Thresholds must ascend, and be 1 to 253: found {t}."
            )
        if not all(0 <= share <= 1 for share in t):
            raise ValueError(
                f"Thresholds are shares of a box, 0 to 1: found {t}."
            )
        if min(self.radius_zyx) < 0:
            raise ValueError(
                f"The radius cannot be negative: found zyx {self.radius_zyx}."
            )
        if self.ignore_borders and min(self.radius_zyx) < 1:
            raise ValueError(
                f"To ignore borders, the radius must be 1 or more: found zyx "
                f"{self.radius_zyx}."
            )

    def classes(self) -> np.ndarray:
        """[n + 1] uint8: the class of each count of voxels in a box of n."""
        total = math.prod(2 * r + 1 for r in self.radius_zyx)
        share = np.arange(total + 1) / total
        below = np.searchsorted(self.thresholds, share, side="right")
        return (below + 1).astype(np.uint8)


def partition(labels: np.ndarray, rule: Rule) -> np.ndarray:
    """Classes of the voxels whose whole box is in an array.

    Neither spheres nor masks: an array does not say where it lies.

    Args:
      labels: [z, y, x] of integers.

    Returns:
      [z - 2 * radius, ...] uint8.
    """
    local, names = fastremap.renumber(labels)
    if rule.ids is not None:
        old = np.fromiter(names.keys(), labels.dtype, len(names))
        new = np.fromiter(names.values(), np.int64, len(names))
        kept = np.zeros(len(names) + 1, local.dtype)
        kept[new] = np.where(np.isin(old, rule.ids), new, 0)
        local = kept[local]
    radius = rule.radius_zyx
    counts = active_fraction.count_same(local, radius)
    inner = tuple(slice(r, n - r) for r, n in zip(radius, labels.shape))
    found = np.where(
        local[inner] != 0, rule.classes()[counts], np.uint8(BACKGROUND)
    )
    if rule.ignore_borders:
        found[volume.labels.borders(labels)[inner]] = EXCLUDED
    return found


class Partitions:
    """The partitions of a volume of labels, as a Source (volume/source.py)."""

    def __init__(self, labels: volume.Volume, rule: Rule) -> None:
        self.info = dataclasses.replace(
            labels.info, dtype=np.dtype(np.uint8), kind="segmentation"
        )
        self._labels = labels
        self._rule = rule
        # The voxels whose whole box is in the volume.
        radius, domain = rule.radius_zyx, labels.domain
        if any(n <= 2 * r for n, r in zip(domain.size, radius)):
            raise ValueError(
                f"{labels.address}: {domain} holds no box of radius_zyx "
                f"{radius}, so that all voxels would be excluded; take a "
                f"smaller --lom_radius."
            )
        self.valid = domain.padded(-r for r in radius)

    @property
    def attributes(self) -> dict[str, Any]:
        return {}

    def read(self, box: volume.Box) -> np.ndarray:
        result = np.full(box.size, EXCLUDED, np.uint8)
        for part in grid.tile(box, _PART):
            valid = part.clipped(self.valid)
            if not valid.is_empty:
                at = valid.relative_to(box.start).slices
                result[at] = self._computed(valid)
        return result

    def read_many(self, boxes: Sequence[volume.Box]) -> list[np.ndarray]:
        return [self.read(box) for box in boxes]

    def write(self, box: volume.Box, array: np.ndarray) -> None:
        raise ValueError("partitions are computed, not written.")

    def close(self) -> None:
        self._labels.close()

    def _computed(self, box: volume.Box) -> np.ndarray:
        rule = self._rule
        whole = box.padded(rule.radius_zyx)
        result = partition(self._labels.read(whole), rule)
        for sphere in rule.spheres:
            result[sphere.inside(box)] = EXCLUDED
        if rule.masked is not None:
            near = ndimage.maximum_filter(
                rule.masked(whole), size=[2 * r + 1 for r in rule.radius_zyx]
            )
            inner = box.relative_to(whole.start)
            result[near[inner.slices]] = EXCLUDED
        return result


def of_volume(labels: volume.Volume, rule: Rule) -> volume.Volume:
    """Partitions as a volume [z, y, x] uint8 of the labels' domain.

    Raises:
      ValueError: the volume holds no box around any voxel.
    """
    source = Partitions(labels, rule)
    return volume.Volume(
        source, f"{labels.address} > partitions", writable=False
    )


def kept_ids(
    ids: np.ndarray,
    counts: np.ndarray,
    min_size: int,
    whitelist: Iterable[int] = (),
) -> np.ndarray:
    """The labels that are objects, ascending.

    Args:
      ids: [n] of a volume, ascending, without 0.
      counts: [n] voxels of each.
      min_size: fewer voxels than this are dust, connected or not.
      whitelist: if not empty, no others.

    Raises:
      ValueError: nothing remains; an id of the whitelist is not there.
    """
    wanted = set(whitelist)  # Not an array: they may be of no label's type.
    unknown = sorted(wanted.difference(ids.tolist()))
    if unknown:
        raise ValueError(
            f"--id_whitelist: no voxel has the ids {unknown[:10]}; "
            f"the labels have {ids.size} ids, {ids[:5].tolist()} and so on."
        )
    kept = ids[counts >= min_size]
    if wanted:
        kept = np.intersect1d(kept, np.array(sorted(wanted), ids.dtype))
    if not kept.size:
        raise ValueError(
            f"No label has {min_size} voxels or more (the largest has "
            f"{counts.max(initial=0)}): all would be background. Lower "
            f"--min_size."
        )
    return kept


def voxels_of_classes(
    partitions: volume.Volume, box: volume.Box
) -> dict[int, int]:
    """Voxels of a box in each class that occurs, excluded ones too."""
    total = np.zeros(256, np.int64)
    parts, number = grid.tile(box, _PART), grid.count(box, _PART)
    for part in program.watched(parts, number, "Counting", "blocks"):
        total += np.bincount(partitions.read(part).ravel(), minlength=256)
    return {int(value): int(total[value]) for value in np.flatnonzero(total)}
