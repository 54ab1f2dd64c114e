"""Skeleton: the centre lines of one neurite.

    edges  [[0, 1], [1, 2], [1, 3]]       0 ──── 1 ──── 2
                                                 └───── 3

Vertices are points in nanometres, z, y, x, counted from the outer corner of
voxel (0, 0, 0): a point lies in the voxel `floor(nm / voxel size)`. A skeleton
may be in several pieces, and know at each vertex how thick the neurite is.

Laws (tests/skeleton/test_graph.py):
    skeleton.length_nm == skeleton.edge_lengths_nm.sum()
    skeleton.cut(everything) is the same skeleton
    skeleton.cut(some).length_nm <= skeleton.length_nm
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses

import numpy as np

# The most that storing a number as float32 changes it, relatively (2**-24).
_ROUNDING = 6e-8


@dataclasses.dataclass(frozen=True, eq=False)
class Skeleton:
    """The centre lines of one neurite.

    Attributes:
      id: of the neurite.
      vertices_nm_zyx: [n, 3] floating-point.
      edges: [m, 2] integers, into the vertices.
      radii_nm: [n] floating-point, from each vertex to the nearest border of
        the neurite; None if nobody has measured it.
    """

    id: int
    vertices_nm_zyx: np.ndarray
    edges: np.ndarray
    radii_nm: np.ndarray | None = None

    def __post_init__(self) -> None:
        vertices, edges = self.vertices_nm_zyx, self.edges
        if vertices.shape != (len(vertices), 3):
            raise ValueError(
                f"Skeleton {self.id}: expected vertices [n, 3], found "
                f"{vertices.shape}."
            )
        if edges.shape != (len(edges), 2) or edges.dtype.kind not in "iu":
            raise ValueError(
                f"Skeleton {self.id}: expected edges [m, 2] of integers, found "
                f"{edges.shape} of {edges.dtype}."
            )
        if not np.isfinite(vertices).all():
            raise ValueError(f"Skeleton {self.id}: a vertex is not finite.")
        if self.radii_nm is not None and self.radii_nm.shape != (
            len(vertices),
        ):
            raise ValueError(
                f"Skeleton {self.id}: {len(vertices)} vertices have "
                f"{self.radii_nm.shape} radii."
            )
        if edges.size and not 0 <= edges.min() <= edges.max() < len(vertices):
            raise ValueError(
                f"Skeleton {self.id}: edges name vertices {edges.min()} to "
                f"{edges.max()}, but there are {len(vertices)}, counted from 0."
            )

    @property
    def edge_lengths_nm(self) -> np.ndarray:
        """[m] float64."""
        ends = self.vertices_nm_zyx.astype(np.float64)[self.edges]
        return np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1)

    @property
    def length_nm(self) -> float:
        return float(self.edge_lengths_nm.sum())

    def voxels_zyx(self, voxel_size_nm: Sequence[float]) -> np.ndarray:
        """The voxel of each vertex, [n, 3] int64.

        Skeletons often lie on the corners of voxels, and float32 may put such
        a vertex just before its voxel (9.2 nm * 3 / 9.2 nm < 3); it counts as
        in it.
        """
        size = np.asarray(voxel_size_nm, np.float64)
        place = self.vertices_nm_zyx.astype(np.float64) / size
        return np.floor(place + np.abs(place) * _ROUNDING).astype(np.int64)

    def cut(self, keep: np.ndarray) -> Skeleton:
        """Only the vertices where `keep` [n] bool, and the edges among them."""
        number = np.cumsum(keep) - 1
        edges = self.edges[keep[self.edges].all(axis=1)]
        radii = None if self.radii_nm is None else self.radii_nm[keep]
        vertices = self.vertices_nm_zyx[keep]
        return Skeleton(self.id, vertices, number[edges], radii)


def reversed_columns(points: np.ndarray) -> np.ndarray:
    """[n, 3] x, y, z as z, y, x, or the other way round."""
    return points[:, (2, 1, 0)]
