"""(1) FieldOfView: what a flood-filling network sees, and how it steps.

All sizes are zyx voxels. The network reads an image and a seed (the object
mask so far, as logits) of `size` voxels around a position and returns logits
of the same size; the next positions lie `deltas` away.

        |<-------- size -------->|
        +------------------------+
        |      +----------+      |     inner box: candidates for the next
        |      |    p     |      |     position are taken from its faces
        |      +----------+      |
        +------------------------+
               |<-2*deltas+1>|
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import dataclasses

import numpy as np

from ffn_tf.volume import box

Offset = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class FieldOfView:
    """Geometry of one network.

    Attributes:
      size: voxels seen and predicted, zyx; odd, so that there is a centre.
      deltas: movement step, zyx; 0 disables an axis.

    Raises:
      ValueError: an even size, or a step that leaves the field of view.
    """

    size: tuple[int, int, int] = (33, 33, 33)
    deltas: tuple[int, int, int] = (8, 8, 8)

    def __post_init__(self) -> None:
        size = box.triple(self.size, "size_zyx")
        deltas = box.triple(self.deltas, "deltas_zyx")
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "deltas", deltas)
        if any(n < 1 or n % 2 == 0 for n in size):
            raise ValueError(
                f"A field of view needs odd sizes, so that it has a centre "
                f"voxel: found size_zyx {size}."
            )
        if any(d < 0 or d > n // 2 for d, n in zip(deltas, size)):
            raise ValueError(
                f"Movement deltas must lie within half the field of view: "
                f"found deltas_zyx {deltas} for size_zyx {size}."
            )

    @property
    def margin(self) -> tuple[int, int, int]:
        """Voxels between the centre and the edge, zyx."""
        return box.triple(n // 2 for n in self.size)


class Faces:
    """The faces of the inner box: where the network asks to go next.

    Args:
      deltas: zyx; an axis with 0 is not moved along.
      shape: size of the predicted logits, zyx.
    """

    def __init__(self, deltas: Sequence[int], shape: Sequence[int]) -> None:
        faces = list(_face_slices(deltas, [n // 2 for n in shape]))
        self.slices = [slices for slices, _ in faces]
        # Of each face and place in it: its offset from the centre.
        self._offsets = [list(_offsets(*face)) for face in faces]

    def maxima(
        self, logits: np.ndarray, threshold: float
    ) -> list[tuple[float, Offset]]:
        """(logit, offset from the centre) of the strongest voxel of each face.

        Those that reach the threshold, in descending order.

        Args:
          logits: [z, y, x] float32.
        """
        return self.ranked(self.strongest(logits), threshold)

    def strongest(self, logits: np.ndarray) -> list[tuple[float, int]]:
        """(logit, place) of the first strongest voxel of each face.

        The place is that in the flattened face.
        """
        found = []
        for slices in self.slices:
            face = logits[slices]
            at = int(face.argmax())
            # In 64 bits, so that the threshold is not rounded.
            found.append((float(face.flat[at]), at))
        return found

    def ranked(
        self, strongest: Sequence[tuple[float, int]], threshold: float
    ) -> list[tuple[float, Offset]]:
        """What `maxima` makes of what `strongest` has found."""
        found = {
            (score, offsets[at])
            for (score, at), offsets in zip(strongest, self._offsets)
            if score >= threshold
        }
        return sorted(found, reverse=True)


def _offsets(slices: Sequence[slice], first: Offset) -> Iterator[Offset]:
    """Offsets of the voxels of a face, in their order."""
    for place in np.ndindex(*(s.stop - s.start for s in slices)):
        z, y, x = (f + p for f, p in zip(first, place))
        yield z, y, x


def _face_slices(
    deltas: Sequence[int], center: Sequence[int]
) -> Iterator[tuple[tuple[slice, ...], Offset]]:
    """(slices of a face, offset of its first voxel from the centre)."""
    inner = [slice(c - d, c + d + 1) for c, d in zip(center, deltas)]
    for axis, delta in enumerate(deltas):
        if delta == 0:
            continue
        for step in (-delta, delta):
            face = list(inner)
            face[axis] = slice(center[axis] + step, center[axis] + step + 1)
            first = [-d for d in deltas]
            first[axis] = step
            z, y, x = first
            yield tuple(face), (z, y, x)
