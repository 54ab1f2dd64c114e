"""(3) Moves: how a field of view walks over a patch while a network is trained.

A network learns to fill an object from what it has filled so far. So an example
is not one field of view but a walk over a patch, with a canvas of logits that
the predictions are written to; every position that is visited is one step of
the optimizer.

    canvas   logit(seed_pad), logit(0.95) at the centre
    patch    size + 2 * deltas * m voxels: m steps fit on each side
             m = moves (fixed), moves + 1 (max_pred_moves)

    fixed            the centre, then each of the lattice of deltas up to
                     `moves` steps away once, in an order that is drawn once for
                     all examples (of several moves: nearer ones first); those
                     where the canvas says so
    max_pred_moves   where the prediction itself is strongest on each face
                     (fov.Faces), breadth first; those where the canvas says so,
                     and the truth as well, so never outside of the object

"The canvas says so": its logit there is at least that of `threshold`.
google/ffn's policies, with fixed ones of several moves as well.

Filling an object from a single voxel is hard to learn: for thousands of steps a
network is never sure enough to move on, so it never sees a canvas that is
partly filled, which is easy. At the beginning of a training, every other canvas
may therefore start with a ball of the truth around the centre (`seed_radius`),
which shrinks to nothing.

Laws (tests/training/test_moves.py):
    a position is visited once at most, and its field of view lies in the patch
    a walk goes on from its state as it would have without
"""

from __future__ import annotations

import collections
from collections.abc import Iterator
import dataclasses
import itertools
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import special

from ffn_tf.model.fov import Faces, FieldOfView, Offset
from ffn_tf.volume.box import Triple, triple

Kind = Literal["fixed", "max_pred_moves"]
KINDS = ("fixed", "max_pred_moves")

# Probability that the seed voxel starts with, and of the soft labels.
SEED = 0.95
INSIDE, OUTSIDE = 0.95, 0.05


class Example(NamedTuple):
    """A patch around a centre, [z, y, x] float32 each.

    Attributes:
      image: normalised.
      labels: 0.95 in the centre's object, 0.05 elsewhere.
      weights: of the loss; 0 where nothing is known.
      place: [4] int64: which volume, and x, y, z of the centre; for messages.
    """

    image: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    place: np.ndarray


class View(NamedTuple):
    """What a network is shown at one position, [z, y, x] float32 each."""

    image: np.ndarray
    seed: np.ndarray
    labels: np.ndarray
    weights: np.ndarray


class Move(NamedTuple):
    """A position that a walk considered; for statistics.

    Attributes:
      offset: from the centre, zyx.
      wanted: the truth has the object there.
      made: it was visited.
    """

    offset: Offset
    wanted: bool
    made: bool


@dataclasses.dataclass(frozen=True)
class Policy:
    """How to walk.

    Attributes:
      view: of the network.
      kind, moves: see the module.
      threshold: probability that the canvas must have.
      seed_pad: probability where nothing has been predicted.
      order: offsets of a fixed walk after the first.
    """

    view: FieldOfView
    kind: Kind = "fixed"
    moves: int = 1
    threshold: float = 0.9
    seed_pad: float = 0.05
    order: tuple[Offset, ...] = ()

    @classmethod
    def drawn(
        cls,
        view: FieldOfView,
        kind: Kind,
        moves: int,
        rng: np.random.Generator,
        *,
        threshold: float = 0.9,
        seed_pad: float = 0.05,
        shuffled: bool = True,
    ) -> Policy:
        """A policy with an order of its own.

        Raises:
          ValueError: no such kind, fewer moves than 0, or a probability that
            is not between 0 and 1.
        """
        if kind not in KINDS or moves < 0:
            raise ValueError(
                f"A policy is one of {KINDS} with 0 moves or more: found "
                f"{kind!r} with {moves}."
            )
        for name, value in (("threshold", threshold), ("seed_pad", seed_pad)):
            if not 0 < value < 1:
                raise ValueError(
                    f"{name}: expected a probability between 0 and 1, found "
                    f"{value}."
                )
        if threshold > SEED:
            raise ValueError(
                f"threshold: expected at most {SEED}, the probability of the "
                f"seed voxel, where every walk begins; found {threshold}."
            )
        order = tuple(_order(view, moves, rng, shuffled))
        return cls(view, kind, moves, threshold, seed_pad, order)

    @property
    def radius(self) -> Triple:
        """Voxels that positions lie from the centre at most, zyx."""
        steps = self.moves + (self.kind == "max_pred_moves")
        return triple(d * steps for d in self.view.deltas)

    @property
    def patch_size(self) -> Triple:
        """Of the examples, zyx."""
        return triple(n + 2 * r for n, r in zip(self.view.size, self.radius))

    @property
    def eval_size(self) -> Triple:
        """Of the middle of a patch that scores are about, zyx."""
        return triple(
            n + 2 * d * self.moves
            for n, d in zip(self.view.size, self.view.deltas)
        )


def _order(
    view: FieldOfView, moves: int, rng: np.random.Generator, shuffled: bool
) -> Iterator[Offset]:
    """Offsets of a fixed walk, nearest first where there are several moves."""
    axes = [
        [d * step for step in range(-moves, moves + 1)] if d else [0]
        for d in view.deltas
    ]
    offsets = [o for o in itertools.product(*axes) if any(o)]
    if shuffled:
        offsets = [offsets[i] for i in rng.permutation(len(offsets))]
    if moves > 1:
        steps = [max(d, 1) for d in view.deltas]
        offsets.sort(key=lambda o: sum(abs(n) // s for n, s in zip(o, steps)))
    yield from map(triple, offsets)


class Walk:
    """One example, while it is walked over.

    Attributes:
      example: of the policy's patch size.
      canvas: [z, y, x] float32 logits.
      offset: of the position to visit now, zyx from the centre; None when the
        walk has ended.
      considered: moves since they were last asked for.
    """

    def __init__(
        self, example: Example, policy: Policy, seed_radius: float = 0
    ) -> None:
        """
        Args:
          example: of the policy's patch size.
          policy: how to walk.
          seed_radius: voxels around the centre where the canvas begins with
            the truth; see the module.
        """
        self.example = example
        self.canvas = np.full(
            policy.patch_size, special.logit(policy.seed_pad), np.float32
        )
        self._policy = policy
        self._center = tuple(n // 2 for n in policy.patch_size)
        if seed_radius:
            self._fill(seed_radius)
        self.canvas[self._center] = special.logit(SEED)
        # Compared in float32, as the canvas has it.
        self._least = np.float32(special.logit(policy.threshold))
        self._faces = Faces(policy.view.deltas, policy.view.size)
        self._queue: collections.deque[Offset] = collections.deque([(0, 0, 0)])
        if policy.kind == "fixed":
            self._queue.extend(policy.order)
        self._visited: set[Offset] = set()
        self.considered: list[Move] = []
        self.offset: Offset | None = None
        self._next()

    def _fill(self, radius: float) -> None:
        axes = np.ogrid[tuple(slice(n) for n in self.canvas.shape)]
        squares = sum((a - c) ** 2 for a, c in zip(axes, self._center))
        known = (squares <= radius**2) & (self.example.labels > 0.5)
        self.canvas[known] = special.logit(SEED)

    def _at(self, offset: Offset) -> tuple[int, ...]:
        return tuple(c + o for c, o in zip(self._center, offset))

    def _field(self) -> tuple[slice, ...]:
        """The field of view at the position, in the patch."""
        assert self.offset is not None
        margin = self._policy.view.margin
        return tuple(
            slice(p - m, p + m + 1)
            for p, m in zip(self._at(self.offset), margin)
        )

    def view(self) -> View:
        """What is seen at the position."""
        field = self._field()
        image, labels, weights = (part[field] for part in self.example[:3])
        return View(image, self.canvas[field], labels, weights)

    def update(self, logits: np.ndarray) -> None:
        """Takes the prediction [z, y, x] at the position, and moves on."""
        assert self.offset is not None
        self.canvas[self._field()] = logits
        if self._policy.kind == "max_pred_moves":
            least = float(self._least)
            for _, step in self._faces.maxima(logits, least):
                z, y, x = (o + s for o, s in zip(self.offset, step))
                self._queue.append((z, y, x))
        self._next()

    def _next(self) -> None:
        """The next position that the canvas (and the truth) allows."""
        self.offset = None
        while self._queue and self.offset is None:
            offset = self._queue.popleft()
            if self._policy.kind == "max_pred_moves":
                if any(abs(o) > r for o, r in zip(offset, self._policy.radius)):
                    continue
                cell = self._cell(offset)
                if cell in self._visited:
                    continue
                self._visited.add(cell)
            at = self._at(offset)
            is_wanted = bool(self.example.labels[at] >= self._policy.threshold)
            is_made = bool(self.canvas[at] >= self._least)
            if self._policy.kind == "max_pred_moves" and any(offset):
                is_made &= is_wanted
            self.considered.append(Move(offset, is_wanted, is_made))
            if is_made:
                self.offset = offset

    def _cell(self, offset: Offset) -> Offset:
        """Of a lattice of deltas: what counts as one position."""
        z, y, x = (
            int((o + d / 2) // max(d, 1))
            for o, d in zip(offset, self._policy.view.deltas)
        )
        return z, y, x

    def state(self) -> dict[str, np.ndarray]:
        """Everything that `restored` needs."""
        return {
            **self.example._asdict(),
            "canvas": self.canvas,
            "offset": np.array(self.offset or (), np.int64),
            "queue": np.array(self._queue, np.int64).reshape(-1, 3),
            "visited": np.array(sorted(self._visited), np.int64).reshape(-1, 3),
        }

    @classmethod
    def restored(cls, state: dict[str, Any], policy: Policy) -> Walk:
        """The walk of an earlier `state`."""
        example = Example(*(state[name] for name in Example._fields))
        walk = cls(example, policy)
        walk.canvas = state["canvas"].copy()
        offset = tuple(state["offset"].tolist())
        walk.offset = triple(offset) if offset else None
        walk._queue = collections.deque(map(triple, state["queue"].tolist()))
        walk._visited = set(map(triple, state["visited"].tolist()))
        walk.considered = []
        return walk
