"""Growth: neurites one after another, each into the room that is left.

A tip steps forward: it tries a fan of directions, looks at the clearance one
and two steps on, and takes the one with room for its radius that bends least.
It swells to the radius of its profile where there is room, squeezes through
where there is not, and stops where even its thinnest would not fit. So no
centre line ever runs inside another neurite, whatever the crowding.

  (1) `grow` fills a world habit by habit: roots where there is room, until
      the habit has its share or no room is left;
  (2) `_grow_tree` grows one neurite: two arms, their branches, their twigs;
  (3) `_grow_path` grows one unbranched path.

The result is a list of `Tree`: nodes with position, radius and parent. An
edge is a round cone from radius `base` at the parent to `radius` at the node.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ffn_tf.phantom import clearance, habits

# What a node is part of.
SHAFT, BOUTON, TWIG, HEAD = range(4)

# Neurites live this far beyond the volume, so that its faces cut through
# grown tissue.
MARGIN_NM = 400.0

_FAN = 16
_MAX_NODES = 4000
_MIN_NODES = 4


@dataclasses.dataclass
class Tree:
    """A neurite while it grows; parents come before children.

    Attributes:
      kind: one of habits.TYPES.
      position: [3] nm each.
      radius: at the node, nm.
      base: of the cone at the parent's end, nm.
      parent: index, -1 for the root.
      part: SHAFT, BOUTON, TWIG or HEAD.
      path: which unbranched path; a path's first node hangs on another path.
    """

    kind: str
    position: list[np.ndarray] = dataclasses.field(default_factory=list)
    radius: list[float] = dataclasses.field(default_factory=list)
    base: list[float] = dataclasses.field(default_factory=list)
    parent: list[int] = dataclasses.field(default_factory=list)
    part: list[int] = dataclasses.field(default_factory=list)
    path: list[int] = dataclasses.field(default_factory=list)

    def __len__(self) -> int:
        return len(self.position)

    def add(
        self,
        position: np.ndarray,
        radius: float,
        base: float,
        parent: int,
        part: int,
        path: int,
    ) -> int:
        """Appends a node; its index."""
        self.position.append(position)
        self.radius.append(radius)
        self.base.append(base)
        self.parent.append(parent)
        self.part.append(part)
        self.path.append(path)
        return len(self.position) - 1

    def volume(self) -> float:
        """Of its tubes, nm^3, as cylinders."""
        position = np.array(self.position)
        parents = position[np.maximum(self.parent, 0)]
        lengths = np.sqrt(((position - parents) ** 2).sum(1))
        return float((np.pi * lengths * np.square(self.radius)).sum())


@dataclasses.dataclass(frozen=True)
class _World:
    low: np.ndarray
    high: np.ndarray
    space: clearance.Clearance
    rng: np.random.Generator

    def holds(self, point: np.ndarray) -> bool:
        return bool((point > self.low).all() and (point < self.high).all())


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.sqrt((vectors * vectors).sum(-1, keepdims=True))


def _stride(radius: float) -> float:
    return min(max(0.8 * radius, 50.0), 160.0)


def _sideways(along: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random unit vector across `along`."""
    vector = rng.standard_normal(3)
    return _unit(vector - along * (vector * along).sum())


class _Others:
    """The parts of a tree that a new path of it must keep away from."""

    _KEEP = 600.0

    def __init__(self, tree: Tree, root: int, radius: float, gap: float):
        positions, radii = np.array(tree.position), np.array(tree.radius)
        away = np.sqrt(((positions - positions[root]) ** 2).sum(1))
        far = away > 1.8 * radii[root] + radius + 60
        self._positions = positions[far]
        self._surface = radii[far] + gap
        self._near_count = 0

    def clearance(self, points: np.ndarray, steps: int) -> np.ndarray | None:
        """Distance of `points` [n, 3] to its surface: [n] nm."""
        if not len(self._positions):
            return None
        if steps % 4 == 0:
            offset = self._positions - points[0]
            reach = self._KEEP + self._surface
            near = (offset * offset).sum(1) < reach * reach
            self._near = self._positions[near], self._surface[near]
        positions, surface = self._near
        if not len(positions):
            return None
        offset = points[:, None] - positions
        return (np.sqrt((offset * offset).sum(-1)) - surface).min(1)


def _grow_path(
    world: _World,
    tree: Tree,
    root: int,
    direction: np.ndarray,
    habit: habits.Habit,
    radius: float,
    length: float,
    part: int = SHAFT,
) -> list[tuple[int, np.ndarray]]:
    """(3) Grows a path from node `root`; (node, direction) along it."""
    rng, point, parent = world.rng, tree.position[root], root
    profile = habits.profile(habit, radius, length, rng)
    others = _Others(tree, root, radius, 40.0)
    path = tree.path[-1] + 1
    grown: list[tuple[int, np.ndarray]] = []
    last, travelled = min(radius, tree.radius[root]), 0.0
    while travelled < length and world.holds(point):
        step = _stride(last)
        if not grown and root > 0:
            step = max(0.95 * tree.radius[root], step)
        wish, is_bouton = profile(travelled + step)
        fan = _unit(direction + habit.wiggle * rng.standard_normal((_FAN, 3)))
        ends = point + step * fan
        room = world.space.at(ends)
        room_ahead = world.space.at(point + 2.2 * step * fan)
        own = others.clearance(ends, len(grown))
        if own is not None:
            room = np.minimum(room, own)
        wish = max(wish, habit.thinnest)
        wanted = wish + habit.gap
        score = (
            np.minimum(room, wanted) + 0.6 * np.minimum(room_ahead, wanted)
        ) / wanted + habit.stiffness * (fan * direction).sum(1)
        if habit.hugs:
            adrift = np.minimum(room, room_ahead) - 1.3 * wanted
            score -= habit.hugs * np.maximum(adrift, 0) / wanted
        best = int(np.argmax(score))
        if room[best] < habit.thinnest + habit.gap:
            break
        point = ends[best]
        direction = _unit(direction + fan[best])
        found = min(wish, float(room[best]) - habit.gap, last + 0.6 * step)
        base = last if grown else min(last, 1.5 * found)
        what = BOUTON if is_bouton and part == SHAFT else part
        parent = tree.add(point, found, base, parent, what, path)
        grown.append((parent, direction))
        last, travelled = found, travelled + step
    _taper(tree, [node for node, _ in grown])
    return grown


def _taper(tree: Tree, nodes: list[int]) -> None:
    """Thins a path towards its narrows, so that no cone is too steep."""
    for node, after in zip(reversed(nodes[:-1]), reversed(nodes[1:])):
        steepest = tree.radius[after] + 0.7 * _stride(tree.radius[node])
        tree.radius[node] = min(tree.radius[node], steepest)
        tree.base[after] = tree.radius[node]


def _roomiest(world: _World, point: np.ndarray, radius: float) -> np.ndarray:
    """The axis through `point` with most room both ways."""
    axes = _unit(world.rng.standard_normal((24, 3)))
    ahead = np.array([80.0, 200.0, 400.0, 700.0])[:, None, None] * axes
    room = np.minimum(world.space.at(point + ahead), radius)
    room += np.minimum(world.space.at(point - ahead), radius)
    return axes[int(np.argmax(room.sum(0)))]


def _grow_tree(world: _World, habit: habits.Habit, point: np.ndarray) -> Tree:
    """(2) Grows one neurite from a root at `point`."""
    rng = world.rng
    tree = Tree(habit.kind)
    wish = habits.log_uniform(rng, *habit.radius)
    radius = min(wish, float(world.space.at(point)) - habit.gap)
    tree.add(point, radius, radius, -1, SHAFT, 0)
    axis = _roomiest(world, point, wish)
    todo = [
        (0, direction, wish, habit.depth, rng.uniform(*habit.length))
        for direction in (axis, -axis)
    ]
    shaft = []
    while todo and len(tree) < _MAX_NODES:
        root, direction, wish, depth, length = todo.pop(0)
        grown = _grow_path(world, tree, root, direction, habit, wish, length)
        shaft += grown
        for node, along in grown if depth else []:
            rate = habit.branches * _stride(tree.radius[node]) / 1000
            if rng.uniform() < rate:
                side = _unit(_sideways(along, rng) + 0.6 * along)
                thinner = wish * rng.uniform(*habit.branch_radius)
                thinner = max(thinner, 1.05 * habit.thinnest)
                reach = 0.6 * rng.uniform(*habit.length)
                todo.append((node, side, thinner, depth - 1, reach))
    for node, along in shaft if habit.twigs else []:
        rate = habit.twigs * _stride(tree.radius[node]) / 1000
        for _ in range(rng.poisson(rate)):
            _grow_twig(world, tree, node, _sideways(along, rng))
    return tree


def _grow_twig(
    world: _World, tree: Tree, node: int, direction: np.ndarray
) -> None:
    """A thin side process; with a head, most of them (then it is a spine)."""
    rng, habit = world.rng, habits.TWIG
    length = tree.radius[node] + habits.log_uniform(rng, *habit.length)
    radius = rng.uniform(*habit.radius)
    grown = _grow_path(
        world, tree, node, direction, habit, radius, length, TWIG
    )
    head = rng.uniform(*habits.SPINE_HEAD)
    if not grown or rng.uniform() > habits.SPINE_SHARE:
        return
    tip, along = grown[-1]
    center = tree.position[tip] + 0.8 * head * along
    head = min(head, float(world.space.at(center)) - habit.gap)
    if head > 60:
        base = max(tree.radius[tip], 0.5 * head)
        tree.add(center, head, base, tip, HEAD, tree.path[tip])


def _paint(world: _World, tree: Tree, reach: float) -> None:
    for node, parent in enumerate(tree.parent):
        world.space.paint(
            tree.position[max(parent, 0)],
            tree.position[node],
            tree.base[node],
            tree.radius[node],
            reach,
        )


def grow(
    size_nm: tuple[float, float, float],
    seed: int,
    which: tuple[habits.Habit, ...] = habits.HABITS,
) -> list[Tree]:
    """(1) The neurites of a world around the box `0..size_nm` (zyx).

    Args:
      size_nm: edge lengths of the volume that is to be filled.
      seed: which tissue.
      which: habits, in the order in which they come.

    Returns:
      Trees, in nm, in the order in which they grew.
    """
    low = np.full(3, -MARGIN_NM)
    high = np.array(size_nm) + MARGIN_NM
    world = _World(
        low,
        high,
        clearance.Clearance(low, high),
        np.random.default_rng(seed),
    )
    trees: list[Tree] = []
    for index, habit in enumerate(which):
        widest = max(h.widest for h in which[index:])
        trees += _populate(world, habit, reach=widest + 40)
    return trees


def _populate(world: _World, habit: habits.Habit, reach: float) -> list[Tree]:
    """Grows neurites of `habit` until it has its share of the world."""
    wanted = habit.share * float(np.prod(world.high - world.low))
    needed = habit.radius[0] * habit.room + habit.gap
    trees: list[Tree] = []
    filled, failed = 0.0, 0
    while filled < wanted and failed < 2:
        free = np.flatnonzero(world.space.grid > needed)
        roots = world.space.position(world.rng.permutation(free)[:400])
        failed += 1
        for root in roots:
            if filled >= wanted:
                break
            if not world.holds(root) or world.space.at(root) < needed:
                continue
            tree = _grow_tree(world, habit, root)
            if len(tree) >= _MIN_NODES:
                _paint(world, tree, reach)
                trees.append(tree)
                filled += tree.volume()
                failed = 0
    return trees
