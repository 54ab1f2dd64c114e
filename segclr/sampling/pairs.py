"""(2) Pairs: two places of one neurite, by how far they are apart along it.

    0 ── 2.5 ── 10 ── 30 ── 150 um          buckets (Dorkenwald et al., 2023)

What training calls alike. From each node in turn, for each bucket, one partner
is drawn among the nodes that are so far away along the neurite; so near pairs
are not drowned by the far more numerous distant ones, and a neurite has pairs
in proportion to its length. A place is never its own partner.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import dataclasses
import itertools

import numpy as np

from segclr.sampling.nodes import Nodes

BUCKETS_NM = (0.0, 2500.0, 10_000.0, 30_000.0, 150_000.0)
_AT_ONCE = 256  # Nodes from which ways are measured.


@dataclasses.dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of one neurite.

    Attributes:
      id: of the neurite.
      centers_nm_zyx: [n, 2, 3] float64.
      radii_nm: [n, 2] float32: from each place to the border; 0 if not known.
      distance_nm: [n] float64, along the neurite.
    """

    id: int
    centers_nm_zyx: np.ndarray
    radii_nm: np.ndarray
    distance_nm: np.ndarray

    def __len__(self) -> int:
        return len(self.distance_nm)


def check_buckets(bounds_nm: Sequence[float]) -> None:
    """Raises a ValueError unless they are two or more, ascending, from 0 on."""
    ascending = all(a < b for a, b in itertools.pairwise(bounds_nm))
    if len(bounds_nm) < 2 or not ascending or bounds_nm[0] < 0:
        raise ValueError(
            f"--buckets_um: expected bounds that ascend from 0 or more, such "
            f"as 0,2.5,10,30,150; found "
            f"{','.join(f'{b / 1000:g}' for b in bounds_nm)}."
        )


def drawn(
    nodes: Nodes,
    rng: np.random.Generator,
    bounds_nm: Sequence[float] = BUCKETS_NM,
    per_node: float = 1.0,
) -> Pairs:
    """The pairs of a neurite.

    Args:
      nodes: of the neurite.
      rng: draws.
      bounds_nm: of the buckets: above the first, up to the second, and so on.
      per_node: pairs of each bucket for each node, where there are partners.
    """
    check_buckets(bounds_nm)
    found = list(_found(nodes, rng, bounds_nm, per_node))
    first, second, distance = (
        (np.concatenate([np.zeros(0), *column]) for column in zip(*found))
        if found
        else (np.zeros(0),) * 3
    )
    both = np.stack([first, second], axis=1).astype(np.int64)
    lines = nodes.skeleton
    radii = np.zeros(both.shape, np.float32)
    if lines.radii_nm is not None:
        radii = lines.radii_nm[both].astype(np.float32)
    return Pairs(lines.id, lines.vertices_nm_zyx[both], radii, distance)


def _found(
    nodes: Nodes,
    rng: np.random.Generator,
    bounds_nm: Sequence[float],
    per_node: float,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """First node, second node, distance: of some pairs."""
    whole, part = divmod(per_node, 1)
    count = len(nodes)
    starts = np.concatenate(
        [
            np.tile(np.arange(count), int(whole)),
            np.flatnonzero(rng.random(count) < part),
        ]
    )
    for i in range(0, len(starts), _AT_ONCE):
        some = starts[i : i + _AT_ONCE]
        distances = nodes.distances_nm(some, bounds_nm[-1])
        distances[np.arange(len(some)), some] = np.inf  # Not itself.
        for low, high in itertools.pairwise(bounds_nm):
            is_in = (distances > low) & (distances <= high)
            # The largest of as many draws as there are partners.
            chosen = np.argmax(np.where(is_in, rng.random(is_in.shape), -1), 1)
            rows = np.flatnonzero(is_in.any(axis=1))
            yield some[rows], chosen[rows], distances[rows, chosen[rows]]
