"""Tracing: the centre lines of segments, block by block, then put together.

    voxels     |  0  1  2  3  4 |             two blocks of an axis,
                           | 4  5  6  7 |     of which both have plane 4

A block is traced by TEASAR (Sato et al., 2000) as kimimaro has it. Where a
segment crosses the plane that two blocks share, both let a line end at the same
voxel, the one in the middle of the crossing; so lines that meet are joined by
voxel. Then, segment by segment, loops that this has made are opened, loose
pieces that touch are joined, and short branches are left out.

A vertex is the centre of a voxel. Radii are the distance to the border of the
segment, within the block.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses

import kimimaro
import numpy as np
import osteoid

from ffn_tf import program
from ffn_tf.skeleton.graph import Skeleton
from ffn_tf.volume.box import Box, triple

# kimimaro's, which its README advises: lines keep to the middle.
_PENALTY = {"pdrf_scale": 100_000, "pdrf_exponent": 4}


@dataclasses.dataclass(frozen=True)
class Options:
    """How segments are traced: lengths in nanometres."""

    scale: float = program.option(
        1.5,
        help="A line covers what is within so many of its radii and --const_nm "
        "more; the rest gets a branch. Larger: fewer branches.",
    )
    const_nm: float = program.option(
        300.0, help="See --scale: larger than spines are long leaves them out."
    )
    soma_radius_nm: float = program.option(
        3500.0,
        help="From this radius on it is a cell body, where all lines begin.",
    )
    min_branch_nm: float = program.option(
        500.0, help="Shorter branches and loose pieces are left out."
    )

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if not (np.isfinite(value) and value >= 0):
                raise ValueError(
                    f"--{name}: expected 0 or more, found {value}."
                )

    @property
    def teasar(self) -> dict[str, float]:
        """kimimaro's names for them."""
        return _PENALTY | {
            "scale": self.scale,
            "const": self.const_nm,
            "soma_detection_threshold": self.soma_radius_nm / 4,
            "soma_acceptance_threshold": self.soma_radius_nm,
            "soma_invalidation_scale": 2,
            "soma_invalidation_const": 300,
        }


def trace(
    labels: np.ndarray,
    start_zyx: Sequence[int],
    voxel_size_nm: Sequence[float],
    options: Options,
) -> dict[int, Skeleton]:
    """The lines of all segments in a block.

    Args:
      labels: [z, y, x] integers; 0 has none.
      start_zyx: the block's first voxel.
      voxel_size_nm: z, y, x.
      options: how.

    Returns:
      By id; each in several pieces, if the segment is.
    """
    size = np.asarray(voxel_size_nm, np.float64)
    found = kimimaro.skeletonize(
        labels,
        teasar_params=options.teasar,
        anisotropy=tuple(size.tolist()),
        dust_threshold=0,
        fix_borders=True,
        progress=False,
    )
    made = {}
    for id_, one in sorted(found.items()):
        voxels = np.rint(one.vertices / size) + np.asarray(start_zyx)
        made[int(id_)] = Skeleton(
            int(id_), (voxels + 0.5) * size, one.edges, one.radius
        )
    return made


def join(
    pieces: Sequence[Skeleton],
    voxel_size_nm: Sequence[float],
    options: Options,
) -> Skeleton:
    """One segment's lines, from those of its blocks, in any order.

    Args:
      pieces: at least one; vertices are centres of voxels, and lines that are
        to be joined have one in common.
      voxel_size_nm: z, y, x.
      options: what is left out.
    """
    id_ = pieces[0].id
    starts = np.cumsum([0, *(len(one.vertices_nm_zyx) for one in pieces)])
    voxels = np.concatenate([one.voxels_zyx(voxel_size_nm) for one in pieces])
    edges = np.concatenate(
        [one.edges + start for one, start in zip(pieces, starts)]
    )
    radii = np.concatenate([_radii(one) for one in pieces])
    places, number = np.unique(voxels, axis=0, return_inverse=True)
    radius = np.zeros(len(places), np.float32)
    np.maximum.at(radius, number, radii)
    edges = np.sort(number[edges], axis=1)
    edges = np.unique(edges[edges[:, 0] != edges[:, 1]], axis=0)
    vertices = (places + 0.5) * np.asarray(voxel_size_nm, np.float64)
    whole = Skeleton(id_, vertices, edges, radius)
    return _cleaned(whole, options.min_branch_nm) if len(edges) else whole


def _cleaned(skeleton: Skeleton, min_branch_nm: float) -> Skeleton:
    """Without loops, loose bits and short branches; never without all."""
    # In float32, so nearby: far from the origin it would be too coarse.
    origin = skeleton.vertices_nm_zyx.min(axis=0)
    lines = osteoid.Skeleton(
        (skeleton.vertices_nm_zyx - origin).astype(np.float32),
        skeleton.edges.astype(np.uint32),
        radii=skeleton.radii_nm,
        segid=skeleton.id,
    )
    longest = max(piece.cable_length() for piece in lines.components())
    lines = kimimaro.postprocess(
        lines,
        dust_threshold=min(min_branch_nm, 0.99 * longest),
        tick_threshold=min_branch_nm,
    )
    return Skeleton(
        skeleton.id,
        lines.vertices.astype(np.float64) + origin,
        lines.edges.astype(np.int64),
        lines.radius,
    )


def _radii(one: Skeleton) -> np.ndarray:
    if one.radii_nm is None:
        return np.zeros(len(one.vertices_nm_zyx), np.float32)
    return one.radii_nm


def extended(box: Box, domain: Box) -> Box:
    """A block with the first plane of the next ones, which both have."""
    return Box(box.start, triple(e + 1 for e in box.end)).clipped(domain)
