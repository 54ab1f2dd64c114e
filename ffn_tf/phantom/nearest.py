"""Which neurite a place belongs to, and how far its membrane is.

Space is divided among capsules by signed distance to their surfaces: a place
belongs to the neurite that it is deepest inside of, or least far outside of
(an Apollonius diagram). Nothing is left over, and the straight way from any
place to the centre line that claimed it stays in that neurite, so labels are
connected if their centre lines are.

With d1 the distance to the nearest neurite and d2 to the second nearest, the
membrane between the two is where d1 == d2, and (d2 - d1) / 2 grows from it
like a distance on both sides.

The work is cut into tiles that are aligned to the voxel grid, not to what was
asked for, and every tile is computed whole; so a voxel's value cannot depend
on the block around it.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ffn_tf.phantom import samples as samples_lib

# (d2 - d1) / 2 is known up to here; nothing further in depends on it.
DEPTH_NM = 60.0

# Rounding of float32 distances within a tile.
_SLACK_NM = 0.5


@dataclasses.dataclass(frozen=True, eq=False)
class Capsules:
    """Round cones, sorted by owner.

    Attributes:
      a, b: ends of the axis, [n, 3] float64 nm.
      ra, rb: radii there, [n] float64 nm.
      owner: [n] int64, the neurite or organelle, not decreasing.
    """

    a: np.ndarray
    b: np.ndarray
    ra: np.ndarray
    rb: np.ndarray
    owner: np.ndarray

    def __len__(self) -> int:
        return len(self.owner)

    def __getitem__(self, chosen: np.ndarray | slice) -> Capsules:
        return Capsules(*(getattr(self, f)[chosen] for f in self._fields()))

    @classmethod
    def _fields(cls) -> list[str]:
        return [field.name for field in dataclasses.fields(cls)]

    @classmethod
    def joined(cls, parts: list[Capsules]) -> Capsules:
        """One after the other."""
        return cls(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in cls._fields()
            )
        )

    def relevant(self, low: np.ndarray, high: np.ndarray) -> Capsules:
        """Those that may decide anything in the box `low..high` (nm)."""
        return self[_close(self, low[None], high[None])[0]]

    def near(self, low: np.ndarray, high: np.ndarray) -> Capsules:
        """Those whose bounding box meets the box `low..high` (nm)."""
        radius = np.maximum(self.ra, self.rb)[:, None]
        first = np.minimum(self.a, self.b) - radius
        last = np.maximum(self.a, self.b) + radius
        return self[((first <= high) & (last >= low)).all(1)]

    def bounds(self, margin: float) -> tuple[np.ndarray, np.ndarray]:
        """The box around all of them: low, high [3] nm."""
        radius = np.maximum(self.ra, self.rb)[:, None] + margin
        low = (np.minimum(self.a, self.b) - radius).min(0)
        high = (np.maximum(self.a, self.b) + radius).max(0)
        return low, high

    @property
    def steepness(self) -> np.ndarray:
        """[n]: how much `distance` changes from place to place, at most.

        1 nm for each, and more where the radius changes along the axis.
        """
        along = self.b - self.a
        length2 = np.maximum((along * along).sum(1), 1e-9)
        found: np.ndarray = np.sqrt(1 + (self.rb - self.ra) ** 2 / length2)
        return found

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distance of `points` [m, 3] to each surface: [m, n]."""
        along = self.b - self.a
        length2 = np.maximum((along * along).sum(1), 1e-9)
        dot = np.zeros((len(points), len(self)))
        squared = np.zeros_like(dot)
        for axis in range(3):
            offset = points[:, axis, None] - self.a[:, axis]
            dot += offset * along[:, axis]
            squared += offset * offset
        t = np.clip(dot / length2, 0, 1)
        squared -= t * (2 * dot - t * length2)
        radius = self.ra + (self.rb - self.ra) * t
        return np.sqrt(np.maximum(squared, 0)) - radius


def divide(
    capsules: Capsules, coordinates: np.ndarray, samples: samples_lib.Samples
) -> tuple[np.ndarray, np.ndarray]:
    """Divides a block among the neurites that `capsules` are of.

    Args:
      capsules: all of the tissue.
      coordinates: [3, z, y, x] float32, where each sample is in the space of
        the capsules, nm.
      samples: the block; whole tiles.

    Returns:
      owner: [z, y, x] int32.
      depth: [z, y, x] float32, (d2 - d1) / 2 up to DEPTH_NM.
    """
    tile, start = samples.tile, np.array(samples.box.start)
    shape = np.array(samples.box.size)
    owner = np.empty(shape, np.int32)
    depth = np.empty(shape, np.float32)
    flat = coordinates.reshape(3, -1)
    capsules = capsules.relevant(flat.min(1), flat.max(1))
    # Neighbouring tiles share their arithmetic, so which are neighbours must
    # not depend on the block either.
    group = 4 * tile
    first, last = start // group, -(-(start + shape) // group)
    for offset in np.ndindex(*(last - first)):
        corner = (first + offset) * group
        low = np.maximum(corner - start, 0)
        high = np.minimum(corner + group - start, shape)
        where = tuple(map(slice, low, high))
        points = _as_tiles(coordinates[(slice(None), *where)], tile)
        middle = (corner + group / 2) * np.array(samples.step_nm)
        owners, depths = _divide_tiles(capsules, points, middle)
        owner[where] = _from_tiles(owners, high - low, tile)
        depth[where] = _from_tiles(depths, high - low, tile)
    return owner, depth


def _as_tiles(block: np.ndarray, tile: np.ndarray) -> np.ndarray:
    """[c, z, y, x] -> [tiles, c, voxels of a tile]."""
    channels, *shape = block.shape
    nz, ny, nx = np.array(shape) // tile
    tz, ty, tx = tile
    split = block.reshape(channels, nz, tz, ny, ty, nx, tx)
    split = split.transpose(1, 3, 5, 0, 2, 4, 6)
    return split.reshape(nz * ny * nx, channels, tz * ty * tx)


def _from_tiles(
    tiles: np.ndarray, shape: np.ndarray, tile: np.ndarray
) -> np.ndarray:
    """[tiles, voxels of a tile] -> [z, y, x]."""
    split = tiles.reshape(*(shape // tile), *tile)
    return split.transpose(0, 3, 1, 4, 2, 5).reshape(shape)


def _close(capsules: Capsules, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """For boxes `low..high` [m, 3], which capsules can matter: [m, n] bool.

    One matters if somewhere in the box it may be the first or the second
    neurite, and at most 2 * DEPTH_NM behind the first.
    """
    center = (low.astype(np.float64) + high) / 2
    half = np.sqrt(((high - center) ** 2).sum(1))[:, None] + _SLACK_NM
    distance = capsules.distance(center)
    starts = np.flatnonzero(np.diff(capsules.owner, prepend=-1))
    nearest = np.minimum.reduceat(distance, starts, axis=1)
    first = nearest.min(1, keepdims=True)
    if nearest.shape[1] > 1:
        second = np.partition(nearest, 1, axis=1)[:, 1:2]
        worst = np.minimum(second, first + 2 * DEPTH_NM)
    else:
        worst = first
    steepness = capsules.steepness
    found: np.ndarray = (
        distance - half * steepness <= worst + half * steepness.max(initial=1)
    )
    return found


def _divide_tiles(
    capsules: Capsules, points: np.ndarray, middle: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Divides neighbouring tiles.

    Args:
      capsules: those that matter.
      points: [n, 3, v] float32, the places in each tile.
      middle: [3], from where float32 lengths are counted.

    Returns:
      owner: [n, v] int32; depth: [n, v] float32.
    """
    low, high = points.min(2), points.max(2)
    some = capsules.relevant(low.min(0), high.max(0))
    chosen = _close(some, low, high)
    cones = _Cones.around(some, middle)
    local = (points - middle[:, None]).astype(np.float32)
    z, y, x = local[:, 0], local[:, 1], local[:, 2]
    squares = (z * z + y * y + x * x)[:, None]
    features = np.concatenate([local, squares, np.ones_like(squares)], 1)
    owner = np.empty((len(points), points.shape[2]), np.int32)
    depth = np.full(owner.shape, DEPTH_NM, np.float32)
    for index, few in enumerate(chosen):
        owners = some.owner[few]
        starts = np.flatnonzero(owners[1:] != owners[:-1]) + 1
        if not len(starts):
            owner[index] = owners[0]
            continue
        starts = np.concatenate([[0], starts])
        distance = cones.distance(few, features[index])
        nearest = np.minimum.reduceat(distance, starts, axis=0)
        first = nearest.argmin(0)
        each = np.arange(len(first))
        d1 = nearest[first, each]
        nearest[first, each] = np.inf
        owner[index] = owners[starts][first]
        depth[index] = (nearest.min(0) - d1) / 2
    return owner, np.minimum(depth, np.float32(DEPTH_NM))


@dataclasses.dataclass(frozen=True, eq=False)
class _Cones:
    """Capsules as float32 rows for matrix products with (p, |p|^2, 1).

    For a place p, `squared @ f` is |p - a|^2 and `turn @ f` is how far along
    a..b p is, in lengths of a..b.
    """

    squared: np.ndarray
    turn: np.ndarray
    length2: np.ndarray
    radius: np.ndarray
    slope: np.ndarray

    @classmethod
    def around(cls, capsules: Capsules, origin: np.ndarray) -> _Cones:
        a = capsules.a - origin
        along = capsules.b - capsules.a
        length2 = np.maximum((along * along).sum(1), 1e-6)[:, None]
        one = np.ones((len(a), 1))
        squared = [-2 * a, one, (a * a).sum(1, keepdims=True)]
        turn = [along, 0 * one, -(a * along).sum(1, keepdims=True)]
        columns = (
            np.concatenate(squared, 1),
            np.concatenate(turn, 1) / length2,
            length2,
            capsules.ra[:, None],
            (capsules.rb - capsules.ra)[:, None],
        )
        return cls(*(column.astype(np.float32) for column in columns))

    def distance(self, few: np.ndarray, features: np.ndarray) -> np.ndarray:
        """Signed distance of places [5, v] to the surfaces of `few`."""
        free = self.turn[few] @ features
        t = np.clip(free, 0, 1)
        # |p - a - t (b - a)|^2 = |p - a|^2 - t (2 free - t) |b - a|^2
        free *= 2
        free -= t
        free *= t
        free *= self.length2[few]
        distance = self.squared[few] @ features
        distance -= free
        np.maximum(distance, 0, out=distance)
        np.sqrt(distance, out=distance)
        t *= self.slope[few]
        t += self.radius[few]
        distance -= t
        return distance
