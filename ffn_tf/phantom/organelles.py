"""Organelles: what is inside neurites of each type, and between them.

Everything follows the centre lines, in physical nm (after the tissue has been
bent), and is kept as capsules whose owner is the neurite it lies in:

  mitochondria   rods along shafts; each has its own number and cristae
  microtubules   bundles along shafts, straight and many in dendrites
  reticulum      wandering tubules and sacs
  vesicles       clouds in boutons; a few with dense cores
  synapses       dark discs where a bouton meets its neighbour
  nuclei         of cell bodies

How many and how large depends on the cell type (cells.py).
"""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses

import numpy as np
from scipy import spatial

from ffn_tf.phantom import cells as cells_lib
from ffn_tf.phantom import growth, nearest

MICROTUBULE_NM = 12.0


@dataclasses.dataclass(frozen=True, eq=False)
class Synapses:
    """Contacts from a bouton to a neighbour.

    Attributes:
      position: [n, 3] nm, on the membrane.
      axis: [n, 3], unit, from the bouton to the neighbour.
      radius: [n] nm, of the dark disc.
      owner: [n] int64, the neurite of the bouton.
    """

    position: np.ndarray
    axis: np.ndarray
    radius: np.ndarray
    owner: np.ndarray

    def near(self, low: np.ndarray, high: np.ndarray) -> Synapses:
        """Those in the box `low..high` (nm)."""
        chosen = ((self.position > low) & (self.position < high)).all(1)
        return Synapses(
            self.position[chosen],
            self.axis[chosen],
            self.radius[chosen],
            self.owner[chosen],
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Organelles:
    """All organelles of a tissue, nm.

    Attributes:
      mitochondria: owner is the number of the mitochondrion.
      mitochondrion_of: [m] int64, its neurite.
      microtubules, reticulum: owner is the neurite.
      vesicles, dense_cores: owner is the neurite; balls (a == b).
      nuclei: owner is the neurite.
      synapses: the contacts.
    """

    mitochondria: nearest.Capsules
    mitochondrion_of: np.ndarray
    microtubules: nearest.Capsules
    reticulum: nearest.Capsules
    vesicles: nearest.Capsules
    dense_cores: nearest.Capsules
    nuclei: nearest.Capsules
    synapses: Synapses


@dataclasses.dataclass(frozen=True, eq=False)
class _Chain:
    """An unbranched path: positions [n, 3], radii [n], its neurite."""

    owner: int
    kind: str
    interior: cells_lib.Interior
    position: np.ndarray
    radius: np.ndarray
    part: np.ndarray

    def tangents(self) -> np.ndarray:
        along = np.gradient(self.position, axis=0)
        return along / np.sqrt((along * along).sum(1, keepdims=True) + 1e-9)

    def across(self, vector: np.ndarray) -> np.ndarray:
        """The part of `vector` [n or 1, 3] that is across the chain."""
        tangent = self.tangents()
        along = (vector * tangent).sum(1, keepdims=True)
        return vector - along * tangent


def _chains(
    trees: list[growth.Tree],
    cells: tuple[int, ...],
    positions: list[np.ndarray],
) -> Iterator[_Chain]:
    for number, (tree, cell, position) in enumerate(
        zip(trees, cells, positions), 1
    ):
        path, part = np.array(tree.path), np.array(tree.part)
        radius = np.array(tree.radius)
        for which in range(1, path[-1] + 1):
            nodes = np.flatnonzero(path == which)
            if len(nodes) >= 3:
                yield _Chain(
                    number,
                    tree.kind,
                    cells_lib.INTERIORS[cell],
                    position[nodes],
                    radius[nodes],
                    part[nodes],
                )


def _strand(
    chain: _Chain, offset: np.ndarray, radius: np.ndarray | float
) -> nearest.Capsules:
    """Capsules along a chain, moved by `offset` [n, 3] from it."""
    line = chain.position + offset
    radii = np.broadcast_to(np.asarray(radius, np.float64), len(line))
    return nearest.Capsules(
        line[:-1],
        line[1:],
        radii[:-1],
        radii[1:],
        np.full(len(line) - 1, chain.owner),
    )


def _microtubules(
    chain: _Chain, rng: np.random.Generator
) -> Iterator[nearest.Capsules]:
    typical = float(np.median(chain.radius))
    per_um = {"dendrite": 55.0, "axon": 40.0, "glia": 8.0, "soma": 8.0}
    density = per_um[chain.kind] * chain.interior.microtubules
    number = rng.poisson(density * max(typical - 30, 0) / 1000)
    for _ in range(min(number, 18)):
        direction = rng.standard_normal((1, 3)) * 0.45
        offset = chain.across(direction)
        offset *= np.minimum(1, 0.8 / np.sqrt((offset**2).sum(1) + 1e-9))[
            :, None
        ]
        yield _strand(
            chain,
            offset * np.minimum(chain.radius, typical * 1.3)[:, None],
            MICROTUBULE_NM,
        )


def _reticulum(
    chain: _Chain, rng: np.random.Generator
) -> Iterator[nearest.Capsules]:
    typical = float(np.median(chain.radius))
    per_um = {"dendrite": 12.0, "axon": 5.0, "glia": 8.0, "soma": 60.0}
    density = per_um[chain.kind] * chain.interior.reticulum
    expected = density * max(typical - 40, 0) / 1000
    number = rng.poisson(expected + chain.interior.every_reticulum)
    most = 60 if chain.kind == "soma" else 6 * chain.interior.reticulum
    for _ in range(min(number, int(most))):
        count = len(chain.position)
        wander = np.cumsum(rng.standard_normal((count, 3)) * 0.35, 0)
        wander = np.sin(wander + rng.uniform(0, 6.28, 3)) * 0.55
        width = rng.normal(chain.interior.reticulum_nm, 12, count)
        width = np.clip(width, 8, 50)
        first = rng.integers(0, max(count - 4, 1))
        last = first + rng.integers(4, 16)
        whole = _strand(
            chain, chain.across(wander) * chain.radius[:, None], width
        )
        yield whole[np.arange(len(whole))[first:last]]


def _mitochondria(
    chain: _Chain, rng: np.random.Generator
) -> Iterator[nearest.Capsules]:
    """Rods one after the other; in thick shafts, in rows side by side."""
    typical = float(np.median(chain.radius))
    if chain.kind == "glia" or typical < 45:
        return
    lengths = np.sqrt((np.diff(chain.position, axis=0) ** 2).sum(1))
    rows = 1 if typical < 220 else 2 if typical < 300 else 3
    turn = rng.uniform(0, 2 * np.pi)
    for row in range(rows):
        angle = turn + 2 * np.pi * row / rows
        node = int(rng.integers(0, 4))
        while node < len(lengths) - 1:
            last, span = node, 0.0
            reach = rng.uniform(250, 1300)
            while last < len(lengths) and span < reach:
                span += lengths[last]
                last += 1
            inner = chain.radius[node : last + 1]
            if inner.min() > 55 and rng.uniform() < 0.65:
                yield _mitochondrion(chain, node, last, rows, angle, rng)
            node = last + 1 + int(rng.exponential(7))


def _mitochondrion(
    chain: _Chain,
    first: int,
    last: int,
    rows: int,
    angle: float,
    rng: np.random.Generator,
) -> nearest.Capsules:
    """The rod along nodes `first..last` of a chain."""
    tangent = chain.tangents()
    side = chain.across(np.array([[0.36, 0.48, 0.8]]))
    side /= np.sqrt((side * side).sum(1, keepdims=True)) + 1e-9
    angle += rng.normal(0, 0.3)
    side = np.cos(angle) * side + np.sin(angle) * np.cross(tangent, side)
    padded = np.pad(chain.radius, 1, mode="edge")
    room = np.minimum(np.minimum(padded[:-2], padded[2:]), padded[1:-1])
    if rows == 1:
        radius = room * rng.uniform(0.55, 0.82)
    else:
        radius = room * rng.uniform(0.3, 0.5)
    radius = np.minimum(radius, rng.uniform(110, 260))
    spare = np.maximum(room - radius - 25, 0)
    spare *= rng.uniform(0, 0.8) if rows == 1 else rng.uniform(0.7, 1)
    ends = np.abs(np.linspace(-1, 1, last - first + 1))
    radius[first : last + 1] *= 1 - 0.35 * ends**3
    whole = _strand(chain, side * spare[:, None], radius)
    return whole[np.arange(len(whole))[first:last]]


def _ball(
    center: np.ndarray, radius: float, count: int, rng: np.random.Generator
) -> np.ndarray:
    """`count` points uniform in a ball: [count, 3]."""
    points = rng.standard_normal((count, 3))
    points /= np.sqrt((points * points).sum(1, keepdims=True))
    return center + points * radius * np.cbrt(rng.uniform(size=(count, 1)))


def _balls(
    points: np.ndarray, radius: np.ndarray, owner: np.ndarray
) -> nearest.Capsules:
    return nearest.Capsules(points, points, radius, radius, owner)


def _none() -> nearest.Capsules:
    return _balls(np.empty((0, 3)), np.empty(0), np.empty(0, np.int64))


def _vesicles(
    chain: _Chain, rng: np.random.Generator
) -> Iterator[nearest.Capsules]:
    for node in np.flatnonzero(chain.part == growth.BOUTON):
        radius = float(chain.radius[node])
        if radius < 60:
            continue
        crowd = rng.uniform(0.15, 1.0)
        count = rng.poisson(crowd * 0.75 * (radius / 30) ** 2.6)
        points = _ball(chain.position[node], 0.82 * radius, count, rng)
        size = rng.normal(*chain.interior.vesicle_nm, count)
        yield _balls(points, size, np.full(count, chain.owner))


def _dense_cores(
    chain: _Chain, rng: np.random.Generator
) -> Iterator[nearest.Capsules]:
    if chain.kind != "axon":
        return
    wide = np.flatnonzero(chain.radius > 70)
    count = rng.binomial(len(wide), chain.interior.dense_cores)
    for node in rng.permutation(wide)[:count]:
        points = _ball(chain.position[node], 0.6 * chain.radius[node], 1, rng)
        size = rng.uniform(28, 42, 1)
        yield _balls(points, size, np.array([chain.owner]))


def _nuclei(tree: growth.Tree, position: np.ndarray, owner: int) -> list:
    """Of a cell body: a ball around its root."""
    radius = np.array([0.62 * tree.radius[0]])
    if tree.kind != "soma" or radius < 250:
        return []
    return [_balls(position[:1], radius, np.array([owner]))]


def _synapses(
    trees: list[growth.Tree],
    positions: list[np.ndarray],
    rng: np.random.Generator,
) -> Synapses:
    """Up to three contacts of each bouton, to its closest neighbours."""
    owner = np.concatenate([np.full(len(t), n) for n, t in enumerate(trees, 1)])
    radius = np.concatenate([t.radius for t in trees])
    part = np.concatenate([t.part for t in trees])
    glial = np.concatenate([np.full(len(t), t.kind == "glia") for t in trees])
    position = np.concatenate(positions)
    boutons = np.flatnonzero((part == growth.BOUTON) & (radius > 60))
    tree = spatial.cKDTree(position)
    found: list[tuple[np.ndarray, np.ndarray, float, int]] = []
    for node in boutons:
        near = np.array(
            tree.query_ball_point(position[node], radius[node] + 300)
        )
        near = near[(owner[near] != owner[node]) & ~glial[near]]
        offset = position[near] - position[node]
        away = np.sqrt((offset * offset).sum(1))
        gap = away - radius[near] - radius[node]
        keep = near[np.argsort(gap)][:3]
        for other in keep[rng.uniform(size=len(keep)) < 0.3]:
            offset = position[other] - position[node]
            away = float(np.sqrt((offset * offset).sum()))
            gap = away - radius[other] - radius[node]
            if gap > 70:
                continue
            axis = offset / away
            place = position[node] + axis * (radius[node] + gap / 2)
            found.append((place, axis, rng.uniform(50, 120), owner[node]))
    if not found:
        return Synapses(
            np.empty((0, 3)), np.empty((0, 3)), np.empty(0), np.empty(0, int)
        )
    return Synapses(*(np.array(column) for column in zip(*found)))


def furnish(
    trees: list[growth.Tree],
    cells: tuple[int, ...],
    positions: list[np.ndarray],
    seed: int,
) -> Organelles:
    """The organelles of grown neurites.

    Args:
      trees: as grown; neurite k + 1 is trees[k].
      cells: the type of each, an index of cells.INTERIORS.
      positions: [n, 3] nm each, where the nodes are in the bent tissue.
      seed: which tissue.
    """
    rng = np.random.default_rng([seed, 1])
    parts: dict[str, list[nearest.Capsules]] = {
        "microtubules": [_none()],
        "reticulum": [_none()],
        "vesicles": [_none()],
        "dense_cores": [_none()],
        "nuclei": [_none()],
    }
    rods: list[nearest.Capsules] = []
    for number, (tree, position) in enumerate(zip(trees, positions), 1):
        parts["nuclei"] += _nuclei(tree, position, number)
    for chain in _chains(trees, cells, positions):
        rods += _mitochondria(chain, rng)
        parts["microtubules"] += _microtubules(chain, rng)
        parts["reticulum"] += _reticulum(chain, rng)
        parts["vesicles"] += _vesicles(chain, rng)
        parts["dense_cores"] += _dense_cores(chain, rng)
    numbered = [
        dataclasses.replace(rod, owner=np.full(len(rod), number))
        for number, rod in enumerate(rods)
    ]
    return Organelles(
        mitochondria=nearest.Capsules.joined([_none(), *numbered]),
        mitochondrion_of=np.array([rod.owner[0] for rod in rods], np.int64),
        synapses=_synapses(trees, positions, rng),
        **{name: nearest.Capsules.joined(part) for name, part in parts.items()},
    )
