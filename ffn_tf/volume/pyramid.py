"""Pyramids: all scales of a volume, written in one pass.

    unfinished.create(info, num_scales=None)             # staging.Unfinished
    scales = pyramid.Pyramid(unfinished.scales(), block_zyx)
    for box in scales.blocks():
        scales.write(box, voxels)
    scales.finish()

A block that is written is made coarser at once, step by step, and every step
is written to its scale. Blocks never need their neighbours, so that processes
can write different ones: a scale is made in the pass where the borders of
blocks are borders of its cells (scales.py), that is where its voxel, counted in
voxels of the base, divides the block's size and the domain's first voxel.

    base    |       block       |       block       |
    scale 1 | . . . . . . . . . | . . . . . . . . . |
    scale 2 |   .   .   .   .   |   .   .   .   .   |
    scale 3 |     .       .       .       .         |   not in the pass

The scales beyond are small, or the domain begins at an odd voxel. `finish`
makes them, when all blocks are written, each from the one before it as it is
stored. So every scale is what the whole scale before it would give at once,
whatever the blocks; but where jpeg stores it, scales that `finish` makes have
lost as much as the scale they are made of.

Law (tests/volume/test_pyramid.py):
    scale n of any volume, written in any blocks, by any number of processes,
    is the whole of scale n - 1 made coarser in memory
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import contextlib

import numpy as np

from ffn_tf.volume import grid, store, writing
from ffn_tf.volume.box import Box, Triple, triple
from ffn_tf.volume.formats import scales as scales_lib
from ffn_tf.volume.store import Volume

# Edge of what `finish` makes at a time, at least.
_FINISH_ZYX = (128, 128, 128)


class Pyramid:
    """The scales of one volume, open for writing.

    Attributes:
      volumes: the scales, the finest first.
      block_zyx: what is written at a time.
      num_in_pass: how many scales `write` makes.
    """

    def __init__(self, volumes: Sequence[Volume], block_zyx: Triple) -> None:
        self.volumes = tuple(volumes)
        self.block_zyx = block_zyx
        self._factors = [
            scales_lib.factors(fine.info, coarse.info)
            for fine, coarse in zip(self.volumes, self.volumes[1:])
        ]
        self._check_block()
        self.num_in_pass = 1 + self._reach()

    def _check_block(self) -> None:
        base = self.volumes[0]
        if min(self.block_zyx) < 1:
            raise ValueError(
                f"{base.address}: blocks need a size of at least 1, found "
                f"{self.block_zyx}."
            )
        unit = writing.unit(base)
        whole = all(
            block % step == 0 or block >= extent
            for block, step, extent in zip(
                self.block_zyx, unit, base.domain.size
            )
        )
        if writing.loses(base) and not whole:
            raise ValueError(
                f"{base.address}: is stored as jpeg, which loses something "
                f"each time that a part of a chunk is written; expected blocks "
                f"of whole units of writing, {unit} (z, y, x), found "
                f"{self.block_zyx}."
            )

    def _reach(self) -> int:
        """How many scales' cells end at all borders of blocks."""
        domain, by = self.volumes[0].domain, (1, 1, 1)
        for reached, factors in enumerate(self._factors):
            by = triple(old * new for old, new in zip(by, factors))
            # A block that covers an axis has no borders there.
            if any(
                block < extent and (start % factor or block % factor)
                for block, extent, start, factor in zip(
                    self.block_zyx, domain.size, domain.start, by
                )
            ):
                return reached
        return len(self._factors)

    def blocks(self) -> Iterator[Box]:
        """All blocks of the volume."""
        return grid.tile(self.volumes[0].domain, self.block_zyx)

    def write(
        self,
        box: Box,
        voxels: np.ndarray,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Writes a block, or a box of several, to the scales of the pass.

        Args:
          box: the block.
          voxels: of it.
          progress: called with the number of voxels of the finest scale that
            have been written since the last call.

        Raises:
          ValueError: not a block; or as Volume.write.
          OSError: the storage failed.
        """
        base = self.volumes[0]
        around = box.aligned(self.block_zyx, base.domain.start)
        if around.clipped(base.domain) != box:
            raise ValueError(
                f"{base.address}: box {box} is not a block; blocks are "
                f"{self.block_zyx} voxels (z, y, x), counted from "
                f"{base.domain.start}."
            )
        unit, start = writing.unit(base), base.domain.start
        slab = (1, *self.block_zyx[1:])
        for part in grid.aligned(box, unit, start, slab):
            base.write(part, voxels[part.relative_to(box.start).slices])
            if progress is not None:
                progress(part.num_voxels)
        for mip in range(1, self.num_in_pass):
            voxels, box = scales_lib.coarser(
                voxels, box, self._factors[mip - 1], base.info
            )
            self.volumes[mip].write(box, voxels)

    @property
    def num_to_finish(self) -> int:
        """How many voxels `finish` makes."""
        left = self.volumes[self.num_in_pass :]
        return sum(scale.domain.num_voxels for scale in left)

    def finish(self, progress: Callable[[int], None] | None = None) -> None:
        """Makes the scales beyond the pass; all blocks must be written.

        Args:
          progress: called with the number of voxels that have been made since
            the last call.

        Raises:
          OSError: the storage failed, or a block is missing.
        """
        for mip in range(self.num_in_pass, len(self.volumes)):
            fine, target = self.volumes[mip - 1], self.volumes[mip]
            if writing.loses(fine):
                fine = writing.stored(fine)
            unit, start = writing.unit(target), target.domain.start
            for box in grid.aligned(target.domain, unit, start, _FINISH_ZYX):
                self._coarsen(fine, target, box)
                if progress is not None:
                    progress(box.num_voxels)

    def _coarsen(self, fine: Volume, target: Volume, box: Box) -> None:
        """Makes a box of one scale from the scale before it."""
        by = scales_lib.factors(fine.info, target.info)
        part = box.scaled(by, (1, 1, 1)).clipped(fine.domain)
        voxels, _ = scales_lib.coarser(fine.read(part), part, by, fine.info)
        target.write(box, voxels)


def opened(base: Volume, block_zyx: Triple | None = None) -> Pyramid:
    """The pyramid whose finest scale is `base`, open for writing.

    For one of several processes: each writes its blocks, and when all are
    written, one calls `finish`.

    Args:
      base: scale 0 of a volume; one scale is a pyramid, too.
      block_zyx: what will be written at a time; by default the unit of
        writing.
    """
    separator = "&" if "?" in base.address else "?"
    others = [
        store.open(f"{base.address}{separator}mip={mip}", mode="r+")
        for mip in range(1, len(base.scales_nm))
    ]
    return Pyramid([base, *others], block_zyx or writing.unit(base))


@contextlib.contextmanager
def filling(base: Volume, block_zyx: Triple | None = None) -> Iterator[Pyramid]:
    """`opened`, and finished at the end unless there is an exception."""
    pyramid = opened(base, block_zyx)
    with contextlib.ExitStack() as stack:
        for scale in pyramid.volumes[1:]:
            stack.enter_context(scale)
        yield pyramid
        pyramid.finish()
