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

import dataclasses

from ffn_tf.volume import box


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
