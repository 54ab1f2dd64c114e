"""Render: what a microscope would see of a block of tissue.

Grey levels are those of stained tissue in back-scatter or inverted
transmission: lumen bright, membrane and protein dark. A voxel's grey is built
up from the inside out:

  (1) cytoplasm      a level for each neurite, cloudy, with dark grains
  (2) fibres         microtubules, reticulum, vesicles, dense cores
  (3) mitochondria   dark, with cristae; cover what is beneath
      nuclei         pale, with dark clumps, in an envelope
  (4) membranes      two dark lines and a cleft at the borders of neurites
  (5) synapses       dark material on both sides of a membrane
  (6) optics         blurred by the point spread

Detector noise and sections come later (voxels.py): they belong to voxels,
not to the tissue.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ffn_tf.phantom import cells, nearest, noise, organelles
from ffn_tf.phantom import samples as samples_lib
from ffn_tf.phantom import tissue as tissue_lib

# Standard deviation of the point spread: a FIB-SEM's at 10 nm; where samples
# are finer, so is the beam. And how far it is followed.
_BLUR_NM = 11.5
_BLUR_SAMPLES = 1.15
_BLUR_STDS = 3.0

# Thin capsules are painted as balls this far apart.
_BALL_NM = 8.0
# Beyond this, a mitochondrion is not seen.
_SEAM_NM = 100.0
# Samples that are painted at a time.
_CHUNK = 1 << 20


def _key(seed: int, what: int) -> int:
    return 64 * seed + 32 + what


def _uniform(seed: int, what: int, numbers: np.ndarray) -> np.ndarray:
    """A value in [0, 1) for each number (of a neurite, ...): float32."""
    return noise.hashed(_key(seed, what), numbers) * np.float32(2**-32)


def _hat(x: np.ndarray, width: float) -> np.ndarray:
    """Like _bump, but exactly 0 from `3 * width` on."""
    t = np.maximum(1 - np.square(x / np.float32(3 * width)), 0)
    return t * t * t * t


def _bump(x: np.ndarray, width: float) -> np.ndarray:
    """1 at x = 0, falling like a Gaussian of std `width`."""
    return np.exp(-0.5 * np.square(x / np.float32(width)))


def _rise(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((x - np.float32(low)) / np.float32(high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _within(
    contents: nearest.Capsules, samples: samples_lib.Samples, reach: float
) -> np.ndarray:
    """Signed distance to the surface of thin capsules, up to `reach`.

    Capsules are taken as rows of balls, close enough to look smooth.
    """
    field = np.full(samples.box.size, np.float32(reach))
    near = contents.near(samples.low_nm - reach, samples.high_nm + reach)
    if not len(near):
        return field
    length = np.sqrt(((near.b - near.a) ** 2).sum(1))
    count = np.maximum(np.ceil(length / _BALL_NM), 1).astype(np.int64)
    which = np.repeat(np.arange(len(near)), count)
    turn = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    t = turn / count[which]
    centers = near.a[which] + t[:, None] * (near.b - near.a)[which]
    radii = near.ra[which] + t * (near.rb - near.ra)[which]
    _paint_balls(field, centers, radii, samples, reach)
    return field


def _paint_balls(
    field: np.ndarray,
    centers: np.ndarray,
    radii: np.ndarray,
    samples: samples_lib.Samples,
    reach: float,
) -> None:
    """Lowers `field` to the signed distance from balls, where less."""
    step = np.array(samples.step_nm)
    half = np.ceil((radii.max() + reach) / step).astype(np.int64)
    chunk = max(1, _CHUNK // int(np.prod(2 * half + 1)))
    flat = field.reshape(-1)
    for first in range(0, len(centers), chunk):
        part = centers[first : first + chunk]
        index = np.zeros(1, np.int64)
        squared = np.zeros(1)
        inside = np.ones(1, np.bool_)
        for axis, positions in enumerate(samples.axes):
            at = np.floor(part[:, axis] / step[axis]).astype(np.int64)
            at -= samples.box.start[axis]
            window = at[:, None] + np.arange(-half[axis], half[axis] + 1)
            valid = (window >= 0) & (window < len(positions))
            window = np.clip(window, 0, len(positions) - 1)
            offset = positions[window] - part[:, axis, None]
            shape = [len(part), 1, 1, 1]
            shape[axis + 1] = -1
            index = index * len(positions) + window.reshape(shape)
            squared = squared + (offset * offset).reshape(shape)
            inside = inside & valid.reshape(shape)
        distance = np.sqrt(squared).astype(np.float32)
        distance -= radii[first : first + chunk, None, None, None].astype(
            np.float32
        )
        keep = inside & (distance < reach)
        np.minimum.at(flat, index[keep], distance[keep])


def _cytoplasm(
    tissue: tissue_lib.Tissue,
    owner: np.ndarray,
    distance: np.ndarray,
    samples: samples_lib.Samples,
) -> np.ndarray:
    """(1) Level, clouds and grains; denser near the membrane."""
    seed = tissue.seed
    numbers = np.arange(len(tissue.kinds) + 1)
    first, second = _uniform(seed, 0, numbers), _uniform(seed, 1, numbers)
    level = np.zeros(len(numbers), np.float32)
    grain = np.zeros(len(numbers), np.float32)
    for index, kind in enumerate(tissue.kinds, 1):
        bright, range_, coarse = {
            "dendrite": (156, 26, 29),
            "axon": (130, 46, 24),
            "glia": (104, 24, 20),
            "soma": (146, 26, 26),
        }[kind]
        level[index] = bright + range_ * first[index]
        grains_of = cells.INTERIORS[tissue.cells[index - 1]].grains
        grain[index] = coarse * grains_of * (0.7 + 0.6 * second[index])
    clouds = noise.smooth_on(_key(seed, 2), 110.0, samples.axes)
    grains = noise.smooth_on(_key(seed, 3), 25.0, samples.axes)
    grains += 0.7 * clouds
    grains -= 0.3
    np.clip(grains, -0.4, 1.6, out=grains)
    broad = noise.smooth_on(_key(seed, 4), 55.0, samples.axes)
    rim = 14 * np.exp(distance * np.float32(-1 / 22))
    return level[owner] - grain[owner] * grains + 4 * broad - rim


def _fibres(
    grey: np.ndarray,
    depth: np.ndarray,
    contents: organelles.Organelles,
    samples: samples_lib.Samples,
) -> None:
    """(2) Thin things inside; they fade at the membrane."""
    clear = _rise(depth, 8, 18)
    field = _within(contents.microtubules, samples, 15)
    grey -= 26 * clear * _bump(field + organelles.MICROTUBULE_NM, 8)
    field = _within(contents.reticulum, samples, 20)
    grey -= clear * (36 * _bump(field, 7) - 10 * _rise(-field, 6, 14))
    field = _within(contents.vesicles, samples, 16)
    grey -= clear * (44 * _bump(field, 6) + 6 * _rise(-field, 6, 12))
    field = _within(contents.dense_cores, samples, 16)
    grey -= clear * (20 * _bump(field, 6) + 70 * _rise(-field, 4, 14))


def _mitochondria(
    grey: np.ndarray,
    owner: np.ndarray,
    depth: np.ndarray,
    tissue: tissue_lib.Tissue,
    samples: samples_lib.Samples,
) -> None:
    """(3) Rods that stay inside their neurite; a bright seam around them."""
    contents, seed = tissue.contents, tissue.seed
    low, high = samples.low_nm - _SEAM_NM, samples.high_nm + _SEAM_NM
    near = contents.mitochondria.near(low, high)
    uneven = None
    for number in np.unique(near.owner):
        rod = near[near.owner == number]
        where = samples.around(*rod.bounds(_SEAM_NM))
        if where is None:
            continue
        inside = owner[where] == contents.mitochondrion_of[number]
        points = samples.points(where)[inside]
        if not len(points):
            continue
        if uneven is None:
            uneven = noise.smooth_on(_key(seed, 5), 110.0, samples.axes)
        bend = np.clip(uneven[where][inside], -2.5, 2.5)
        surface = rod.distance(points).min(1).astype(np.float32) + 9 * bend
        surface = np.maximum(surface, 24 - depth[where][inside])
        cell = tissue.cells[contents.mitochondrion_of[number] - 1]
        core = _matrix(
            seed,
            int(number),
            cells.INTERIORS[cell],
            surface,
            points,
            bend,
        )
        block = grey[where]
        block[inside] += _rise(-surface, -7, 9) * (core - block[inside])
        block[inside] += 8 * _hat(surface - 22, 9)


def _matrix(
    seed: int,
    number: int,
    interior: cells.Interior,
    surface: np.ndarray,
    points: np.ndarray,
    bend: np.ndarray,
) -> np.ndarray:
    """Inside a mitochondrion: grey [n] at `points` [n, 3]."""
    axis = _uniform(seed, 6, number * 3 + np.arange(3)) - 0.5
    axis = axis / (np.sqrt((axis * axis).sum()) + 1e-6)
    z, y, x = (points[:, k] * axis[k] for k in range(3))
    wave = 2 * np.pi / interior.crista_nm
    phase = ((z + y + x) * wave).astype(np.float32) + 5 * bend
    cristae = np.maximum(np.cos(phase), 0) ** 3
    pale = float(_uniform(seed, 7, np.array([number]))[0])
    level = 70 + 10 * pale if pale < 0.7 else 96 + 12 * pale
    level += interior.matrix
    grey = level + 24 * cristae * _rise(-surface, 14, 30)
    return grey - (level - 66) * _bump(surface + 7, 7)


def _nuclei(
    grey: np.ndarray,
    owner: np.ndarray,
    depth: np.ndarray,
    tissue: tissue_lib.Tissue,
    samples: samples_lib.Samples,
) -> None:
    """(3) Balls that stay inside their cell body."""
    low, high = samples.low_nm - _SEAM_NM, samples.high_nm + _SEAM_NM
    near = tissue.contents.nuclei.near(low, high)
    if not len(near):
        return
    clumps = noise.smooth_on(_key(tissue.seed, 10), 160.0, samples.axes)
    for number in np.unique(near.owner):
        ball = near[near.owner == number]
        where = samples.around(*ball.bounds(_SEAM_NM))
        if where is None:
            continue
        inside = owner[where] == number
        points = samples.points(where)[inside]
        if not len(points):
            continue
        surface = ball.distance(points).min(1).astype(np.float32)
        surface = np.maximum(surface, 60 - depth[where][inside])
        core = 150 - 34 * np.clip(clumps[where][inside], 0, 2)
        core -= 30 * _bump(surface + 45, 25)  # Chromatin at the envelope.
        block = grey[where]
        block[inside] += _rise(-surface, -7, 9) * (core - block[inside])
        block[inside] -= 70 * (_bump(surface + 14, 8) + _bump(surface - 14, 8))


def _membrane_distance(
    depth: np.ndarray, samples: samples_lib.Samples
) -> np.ndarray:
    """Distance to the membrane in nm, from `depth`, which may be steeper.

    Where neurites meet at an angle or space is bent, depth does not grow by
    1 nm in each nm; dividing by its slope near the membrane makes lines of
    even width.
    """
    slope = np.zeros_like(depth)
    for axis, step in enumerate(samples.step_nm):
        along = np.gradient(depth, step, axis=axis)
        slope += np.square(along)
    # At the membrane itself depth has a crease and its slope reads low;
    # the steepest neighbour knows better.
    slope = ndimage.maximum_filter(np.sqrt(slope), size=3)
    return depth / np.clip(slope, 0.6, 1.5)


def _membranes(
    grey: np.ndarray,
    distance: np.ndarray,
    seed: int,
    samples: samples_lib.Samples,
) -> None:
    """(4) Two dark leaves, a cleft between them that opens here and there."""
    uneven = noise.smooth_on(_key(seed, 8), 260.0, samples.axes)
    leaf = 7 + 4 * np.clip(uneven, -1.2, 2.5)
    dark = 75 - 9 * noise.smooth_on(_key(seed, 9), 200.0, samples.axes)
    cover = np.maximum(
        _bump(distance - leaf, 6.5), _rise(leaf - distance, 0, 1) * 0.82
    )
    grey += cover * (dark - grey)


def _synapses(
    grey: np.ndarray,
    owner: np.ndarray,
    distance: np.ndarray,
    tissue: tissue_lib.Tissue,
    samples: samples_lib.Samples,
) -> None:
    """(5) Dark on both sides of a membrane; a dense bar in the bouton."""
    low, high = samples.low_nm - 300, samples.high_nm + 300
    synapses = tissue.contents.synapses.near(low, high)
    for number, center in enumerate(synapses.position):
        radius = float(synapses.radius[number])
        where = samples.around(center - radius - 60, center + radius + 60)
        if where is None:
            continue
        offset = samples.points(where) - center
        z, y, x = (offset[..., k] for k in range(3))
        axis = synapses.axis[number]
        height = z * axis[0] + y * axis[1] + x * axis[2]
        spread = np.sqrt(
            np.maximum(z * z + y * y + x * x - height * height, 0)
        ).astype(np.float32)
        height = height.astype(np.float32)
        disc = _rise(-spread, -radius, -0.6 * radius)
        disc *= _rise(-np.abs(height), -70, -45)
        before = owner[where] == synapses.owner[number]
        cell = tissue.cells[synapses.owner[number] - 1]
        coat_nm = np.float32(cells.INTERIORS[cell].coat_nm)
        thick = np.where(before, np.float32(10), coat_nm)
        coat = disc * _rise(thick + 12 - distance[where], 0, 12)
        bar = before * _hat(height + 26, 14) * _hat(spread, 18)
        cover = np.maximum(0.75 * coat, 0.9 * bar)
        grey[where] += cover * (66 - grey[where])


def halo(step_nm: tuple[float, float, float]) -> np.ndarray:
    """How many samples [3] at the faces of a block are not exact."""
    reach = [np.ceil(_BLUR_STDS * _blur(step)) for step in step_nm]
    # The slope of depth looks one sample further, its maximum one more.
    return np.array(reach, np.int64) + 2


def _blur(step: float) -> float:
    """Standard deviation of the point spread along an axis, samples."""
    return min(_BLUR_NM / step, _BLUR_SAMPLES)


def render(
    tissue: tissue_lib.Tissue,
    owner: np.ndarray,
    depth: np.ndarray,
    samples: samples_lib.Samples,
) -> np.ndarray:
    """Grey levels of a block, before noise.

    Args:
      tissue: what is seen.
      owner: [z, y, x] int32, the neurite of each sample.
      depth: [z, y, x] float32, from nearest.divide.
      samples: the block.

    Returns:
      [z, y, x] float32; exact from `halo` samples inside its faces on.
    """
    distance = _membrane_distance(depth, samples)
    grey = _cytoplasm(tissue, owner, distance, samples)
    _fibres(grey, distance, tissue.contents, samples)
    _mitochondria(grey, owner, distance, tissue, samples)
    _nuclei(grey, owner, depth, tissue, samples)
    _membranes(grey, distance, tissue.seed, samples)
    _synapses(grey, owner, distance, tissue, samples)
    for axis, step in enumerate(samples.step_nm):
        grey = ndimage.gaussian_filter1d(
            grey, _blur(step), axis, truncate=_BLUR_STDS
        )
    return grey
