"""Box: an axis-aligned region of voxels.

A box is half-open, `start <= voxel < end`, in ZYX order, in integer voxels of
one scale of one volume. Boxes may be empty (some `size` is 0), never inverted.

    start_zyx            end_zyx
       |<------ size ------>|
       [xxxxxxxxxxxxxxxxxxxx)

Laws (tests/volume/test_box.py):
    a.intersected(b) == b.intersected(a);  a.hulled(a) == a
    a.padded(r).padded(-r) == a
    a.translated(t).translated(-t) == a
    array[a.slices].shape == a.size        for a inside array
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import dataclasses
import math

import numpy as np

Triple = tuple[int, int, int]


def triple(values: int | Iterable[int], what: str = "zyx") -> Triple:
    """`values` as three Python ints; one int stands for all three axes.

    Raises:
      ValueError: not three values, or a value that is not an integer.
    """
    if isinstance(values, (int, np.integer)):
        values = (values,) * 3
    found = tuple(values)
    if len(found) != 3:
        raise ValueError(f"{what}: expected 3 integers, found {found}.")
    if type(found[0]) is type(found[1]) is type(found[2]) is int:
        return found  # Nearly always; boxes are made by the million.
    if any(int(value) != value for value in found):
        raise ValueError(f"{what}: expected integers, found {found}.")
    z, y, x = (int(value) for value in found)
    return z, y, x


@dataclasses.dataclass(frozen=True, order=True)
class Box:
    """A half-open box of voxels.

    Attributes:
      start: first voxel, zyx.
      end: one past the last voxel, zyx; `end >= start` on every axis.
    """

    start: Triple
    end: Triple

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", triple(self.start, "start"))
        object.__setattr__(self, "end", triple(self.end, "end"))
        if min(self.size) < 0:
            raise ValueError(
                f"A box must not end before it starts: found start_zyx "
                f"{self.start}, end_zyx {self.end}."
            )

    @classmethod
    def from_size(cls, start: Sequence[int], size: int | Iterable[int]) -> Box:
        """The box of `size` voxels (zyx) whose first voxel is `start`."""
        first = triple(start, "start")
        extent = triple(size, "size")
        if min(extent) < 0:
            raise ValueError(f"A size cannot be negative: found {extent}.")
        (z, y, x), (depth, height, width) = first, extent
        return cls(first, (z + depth, y + height, x + width))

    @classmethod
    def from_shape(cls, shape: Sequence[int]) -> Box:
        """The box of a whole array [z, y, x], starting at zero."""
        return cls.from_size((0, 0, 0), shape)

    @property
    def size(self) -> Triple:
        """Edge lengths in voxels, zyx."""
        (z, y, x), (z_end, y_end, x_end) = self.start, self.end
        return z_end - z, y_end - y, x_end - x

    @property
    def num_voxels(self) -> int:
        return math.prod(self.size)

    @property
    def is_empty(self) -> bool:
        return 0 in self.size

    @property
    def center(self) -> Triple:
        """The middle voxel; the upper one of two where a size is even."""
        return triple((s + e) // 2 for s, e in zip(self.start, self.end))

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Index of this box in an array [z, y, x] whose origin is zero."""
        (z, y, x), (z_end, y_end, x_end) = self.start, self.end
        return slice(z, z_end), slice(y, y_end), slice(x, x_end)

    def contains(self, other: Box) -> bool:
        """True if every voxel of `other` is in this box."""
        # Written out, because every read of a volume asks it.
        (z, y, x), (z_end, y_end, x_end) = self.start, self.end
        (a, b, c), (a_end, b_end, c_end) = other.start, other.end
        return (
            z <= a
            and y <= b
            and x <= c
            and a_end <= z_end
            and b_end <= y_end
            and c_end <= x_end
        )

    def intersected(self, other: Box) -> Box:
        """The voxels in both; an empty box where they do not meet."""
        start = triple(max(s, t) for s, t in zip(self.start, other.start))
        end = triple(
            max(s, min(e, f)) for s, e, f in zip(start, self.end, other.end)
        )
        return Box(start, end)

    clipped = intersected

    def hulled(self, other: Box) -> Box:
        """The smallest box around both."""
        return Box(
            triple(min(s, t) for s, t in zip(self.start, other.start)),
            triple(max(e, f) for e, f in zip(self.end, other.end)),
        )

    def padded(self, margin: int | Iterable[int]) -> Box:
        """Grown by `margin` (zyx) on both sides; shrunk where negative.

        Raises:
          ValueError: shrunk by more than there is.
        """
        by = triple(margin, "margin")
        return Box(
            triple(s - m for s, m in zip(self.start, by)),
            triple(e + m for e, m in zip(self.end, by)),
        )

    def translated(self, offset: Iterable[int]) -> Box:
        """Moved by `offset`, zyx."""
        by = triple(offset, "offset")
        return Box(
            triple(s + o for s, o in zip(self.start, by)),
            triple(e + o for e, o in zip(self.end, by)),
        )

    def relative_to(self, origin: Sequence[int]) -> Box:
        """The same box counted from voxel `origin` (zyx)."""
        return self.translated(-o for o in triple(origin, "origin"))

    def aligned(self, chunk: int | Iterable[int], origin: Sequence[int]) -> Box:
        """Grown to whole chunks of a grid with a corner at `origin`, zyx."""
        step = triple(chunk, "chunk")
        base = triple(origin, "origin")
        return Box(
            triple(
                b + (s - b) // c * c for s, b, c in zip(self.start, base, step)
            ),
            triple(
                b - (b - e) // c * c for e, b, c in zip(self.end, base, step)
            ),
        )

    def scaled(
        self, numerator: Iterable[int], denominator: Iterable[int]
    ) -> Box:
        """In voxels of another scale, grown to whole voxels there.

        One voxel here is `numerator / denominator` voxels there, zyx.
        """
        up = triple(numerator, "numerator")
        down = triple(denominator, "denominator")
        return Box(
            triple(s * n // d for s, n, d in zip(self.start, up, down)),
            triple(-(-e * n // d) for e, n, d in zip(self.end, up, down)),
        )

    def __str__(self) -> str:
        return f"zyx {self.start}..{self.end} (size {self.size})"
