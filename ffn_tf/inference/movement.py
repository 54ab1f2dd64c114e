"""Movement: where the field of view goes next within an object.

`FaceMaxMovement` is google/ffn's policy. After each step the six faces of the
box of +-deltas around the position are searched; the strongest voxel of a
face is the next candidate if it reaches the threshold:

      +----o-----+      o  the maximum of each face
      |          |      p  the position
      |    p     o
      o          |
      +-----o----+

Candidates wait in one queue, first in, first out; those of one step enter it
by descending score. Positions are visited once per cell of a lattice of
`deltas`, whose origin cell is centred on the object's seed.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Sequence
import itertools
from typing import Any

from ffn_tf.model import fov

Position = tuple[int, int, int]

# Positions that are passed over for one that can be stepped at the same time.
_LOOK_AHEAD = 64


class FaceMaxMovement:
    """The queue of one object; `start` begins the next one.

    Args:
      deltas: step, zyx; an axis with 0 is not moved along.
      score_threshold: a candidate's least logit.
      shape: size of the predicted logits, zyx.
      within: first and last position of each axis, to which candidates beyond
        are moved back. google/ffn gives them up, and with them what lies
        between its last step and the border.
    """

    def __init__(
        self,
        deltas: Sequence[int],
        score_threshold: float,
        shape: Sequence[int],
        within: Sequence[tuple[int, int]] | None = None,
    ) -> None:
        self._within = within
        self._deltas = tuple(int(d) for d in deltas)
        self._cell = tuple(max(d, 1) for d in self._deltas)
        self._half = tuple(d // 2 for d in self._deltas)
        self._threshold = score_threshold
        self.faces = fov.Faces(self._deltas, shape)
        self.start((0, 0, 0))

    def start(self, position: Position) -> None:
        """Forgets the last object; `position` is the seed of the next."""
        self._origin = position
        self._queue: collections.deque[Position] = collections.deque([position])
        self._visited: set[Position] = set()

    def _cell_of(self, position: Position) -> Position:
        (z, y, x), (z0, y0, x0) = position, self._origin
        (hz, hy, hx), (cz, cy, cx) = self._half, self._cell
        return (z - z0 + hz) // cz, (y - y0 + hy) // cy, (x - x0 + hx) // cx

    def pop(self) -> Position | None:
        """The next position whose cell has not been visited, or None."""
        while self._queue:
            position = self._queue.popleft()
            if self._cell_of(position) not in self._visited:
                return position
        return None

    def upcoming(self, most: int) -> list[Position]:
        """The next positions in the queue that `pop` may give."""
        near = itertools.islice(self._queue, 4 * most)
        found = [p for p in near if self._cell_of(p) not in self._visited]
        return found[:most]

    def update(
        self, strongest: Sequence[tuple[float, int]], position: Position
    ) -> None:
        """Marks `position` visited and queues the candidates around it.

        Args:
          strongest: of the faces of the prediction at `position`.
          position: zyx.
        """
        self._visited.add(self._cell_of(position))
        for _, (z, y, x) in self.faces.ranked(strongest, self._threshold):
            candidate = position[0] + z, position[1] + y, position[2] + x
            self._queue.append(self._moved_back(candidate))

    def _moved_back(self, position: Position) -> Position:
        if self._within is None:
            return position
        z, y, x = (
            min(max(p, first), last)
            for p, (first, last) in zip(position, self._within)
        )
        return z, y, x

    def pop_apart(
        self,
        most: int,
        meet: Callable[[Position, Position], bool],
        is_free: Callable[[Position], bool],
    ) -> list[Position]:
        """The next free position, and others that can be stepped with it.

        Those that meet one of them stay at the head of the queue.
        """
        found: list[Position] = []
        later: list[Position] = []
        while len(found) < most and len(later) < _LOOK_AHEAD:
            position = self.pop()
            if position is None:
                break
            if any(meet(position, other) for other in found):
                later.append(position)
            elif is_free(position):
                found.append(position)
        self._queue.extendleft(reversed(later))
        return found

    def state(self, pending: Sequence[Position]) -> dict[str, Any]:
        """Everything that `restore` needs, as JSON values.

        Args:
          pending: popped positions whose `update` is still to come; they go
            back to the head of the queue.
        """
        return {
            "origin": list(self._origin),
            "queue": [list(p) for p in [*pending, *self._queue]],
            "visited": sorted(list(p) for p in self._visited),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from an earlier `state`."""
        self._origin = as_position(state["origin"])
        self._queue = collections.deque(map(as_position, state["queue"]))
        self._visited = set(map(as_position, state["visited"]))


def as_position(values: Any) -> Position:
    """Three integers, as they come from JSON."""
    z, y, x = (int(v) for v in values)
    return z, y, x
