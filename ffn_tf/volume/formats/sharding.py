"""How chunks are divided among shards: files that hold many of them.

A shard is written whole, and its chunks are read one by one. It is a box of
2^a x 2^b x 2^c chunks, because precomputed numbers its chunks in an order
(compressed Morton code) that takes one bit of x, of y, of z in turn and leaves
out the bits that an axis has no chunks for:

    grid of 4 x 2 x 1 chunks, x y z      number = x0 + 2 y0 + 4 x1
    x        0   1   2   3
    y = 0    0   1   4   5
    y = 1    2   3   6   7               shards of 4 chunks: 0..3 and 4..7

Chunks whose numbers share all but the lowest n bits are in one shard. zarr 3
allows any box of chunks; it gets the same ones.

A shard of zarr 3 holds chunks of zeros, and one of precomputed does not, if
TensorStore writes it; zeros.py adds them.
"""

from __future__ import annotations

from collections.abc import Iterable
import dataclasses
import math

from ffn_tf.volume.box import Triple, triple

# Voxels of a shard before compression: what a writer holds in memory.
SHARD_BYTES = 2**27
# One index for so many chunks; each read of a chunk reads an index first.
_MINISHARD_BITS = 9
_XYZ = (2, 1, 0)


def _bits(count: int) -> int:
    """How many bits it takes to number `count` chunks from 0."""
    return (count - 1).bit_length()


def _order(grid_zyx: Triple) -> Iterable[tuple[int, int]]:
    """(axis, bit of its index) of each bit of a chunk's number."""
    bits = [_bits(count) for count in grid_zyx]
    for bit in range(max(bits)):
        for axis in _XYZ:
            if bit < bits[axis]:
                yield axis, bit


def morton(chunk: Triple, grid_zyx: Triple) -> int:
    """The number of a chunk, given its index and how many there are, zyx."""
    number = 0
    for at, (axis, bit) in enumerate(_order(grid_zyx)):
        number |= (chunk[axis] >> bit & 1) << at
    return number


@dataclasses.dataclass(frozen=True)
class Division:
    """How the chunks of a volume are divided among shards.

    Attributes:
      grid_zyx: how many chunks there are.
      chunks_zyx: how many are in a shard; powers of two.
    """

    grid_zyx: Triple
    chunks_zyx: Triple

    @property
    def bits(self) -> Triple:
        """Bits of a chunk's number: in a minishard, of minishards, of shards.

        From the lowest; precomputed calls them preshift, minishard and shard.
        """
        inside = _bits(math.prod(self.chunks_zyx))
        minishard = min(inside, _MINISHARD_BITS)
        total = sum(_bits(count) for count in self.grid_zyx)
        return minishard, inside - minishard, total - inside


def divided(grid_zyx: Triple, most: int, within_zyx: Triple) -> Division:
    """The largest shards that are allowed.

    Args:
      grid_zyx: how many chunks there are.
      most: how many may be in a shard.
      within_zyx: how many along each axis.
    """
    chunks = [1, 1, 1]
    for axis, _ in _order(grid_zyx):
        if math.prod(chunks) * 2 > most or chunks[axis] * 2 > within_zyx[axis]:
            break
        chunks[axis] *= 2
    return Division(grid_zyx, triple(chunks))
