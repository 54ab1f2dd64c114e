"""Voxels: blocks of a phantom.

A voxel is a function of the options and its index: whichever blocks are asked
for, they fit (`generate(o, box)` is `generate(o)` cut at `box`, byte by byte).

  (1) `_still`     tissue sampled, divided, rendered
  (2) `_sections`  each section moved a little, as an imperfect alignment does
  (3) `generate`   detector noise, brightness of sections, grey levels
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ffn_tf import volume
from ffn_tf.phantom import nearest, noise, render, warp
from ffn_tf.phantom import options as options_lib
from ffn_tf.phantom import samples as samples_lib
from ffn_tf.phantom import tissue as tissue_lib

# Voxels thicker than this are averages of three samples.
_THICKEST_NM = 20.0


@dataclasses.dataclass(frozen=True, eq=False)
class Phantom:
    """A block of a phantom.

    Attributes:
      box: which voxels.
      image: [z, y, x] uint8.
      labels: [z, y, x] uint64, 1..n, no background.
    """

    box: volume.Box
    image: np.ndarray
    labels: np.ndarray


def generate(
    options: options_lib.Options, box: volume.Box | None = None
) -> Phantom:
    """(3) The block `box` (default: all) of the phantom `options`.

    Raises:
      ValueError: the box is empty or reaches beyond the phantom.
    """
    box = options.domain if box is None else box
    if box.is_empty or not options.domain.contains(box):
        raise ValueError(
            f"A block must lie in the phantom and not be empty: found {box}, "
            f"expected one in {options.domain}."
        )
    tissue = tissue_lib.of(options)
    grey, labels = _sections(tissue, options, box)
    if options.inverted:
        grey = 255 - grey
    indices = [np.arange(s, e) for s, e in zip(box.start, box.end)]
    key = 64 * options.seed
    grey += np.float32(options.noise) * _detector_noise(key + 60, indices)
    one = np.zeros(1, np.int64)
    flicker = noise.white_on(key + 61, [indices[0], one, one])
    grey += np.float32(options.section_jitter) * flicker
    return Phantom(box, np.clip(np.rint(grey), 0, 255).astype(np.uint8), labels)


def _detector_noise(key: int, indices: list[np.ndarray]) -> np.ndarray:
    """Noise of std 1 that runs on a little, most along the scan lines (x)."""
    wider = [np.arange(i[0] - 1, i[-1] + 2) for i in indices]
    grey = noise.white_on(key, wider)
    for axis, side in enumerate((0.1, 0.1, 0.17)):
        count = len(indices[axis])
        first, middle, last = (
            np.take(grey, np.arange(k, k + count), axis) for k in range(3)
        )
        weight = np.float32(1 - 2 * side)
        scale = np.float32((2 * side**2 + (1 - 2 * side) ** 2) ** -0.5)
        grey = (np.float32(side) * (first + last) + weight * middle) * scale
    return grey


def section_shifts(options: options_lib.Options) -> np.ndarray:
    """In-plane shift of each section, whole voxels: [z, 2] int64 (y, x)."""
    sections = np.arange(options.size_zyx[0])
    plane = noise.white_on(
        64 * options.seed + 62, [sections, np.arange(2), np.zeros(1, np.int64)]
    )[..., 0]
    voxel = np.array(options.voxel_size_nm[1:])
    return np.rint(plane * options.misalignment_nm / voxel).astype(np.int64)


def _sections(
    tissue: tissue_lib.Tissue, options: options_lib.Options, box: volume.Box
) -> tuple[np.ndarray, np.ndarray]:
    """(2) Grey [z, y, x] float32 and labels uint64, sections moved."""
    shifts = section_shifts(options)[box.start[0] : box.end[0]]
    low, high = shifts.min(0), shifts.max(0)
    wider = volume.Box(
        (box.start[0], box.start[1] - high[0], box.start[2] - high[1]),
        (box.end[0], box.end[1] - low[0], box.end[2] - low[1]),
    )
    grey, labels = _still(tissue, options, wider)
    _, height, width = box.size
    section = np.arange(len(shifts))[:, None, None]
    row = (high[0] - shifts[:, 0])[:, None] + np.arange(height)
    column = (high[1] - shifts[:, 1])[:, None] + np.arange(width)
    where = section, row[:, :, None], column[:, None, :]
    return grey[where], labels[where]


def _still(
    tissue: tissue_lib.Tissue, options: options_lib.Options, box: volume.Box
) -> tuple[np.ndarray, np.ndarray]:
    """(1) Grey and labels of a block in place."""
    voxel = options.voxel_size_nm
    # An odd number, so that one sample is at the voxel's middle: the label's.
    parts = volume.box.triple(3 if v > _THICKEST_NM else 1 for v in voxel)
    step = (voxel[0] / parts[0], voxel[1] / parts[1], voxel[2] / parts[2])
    fine = box.scaled(parts, (1, 1, 1))
    halo = volume.box.triple(render.halo(step))
    samples = samples_lib.Samples(fine.padded(halo), step).tiled()
    coordinates = warp.grown_on(tissue.seed, samples.axes)
    owner, depth = nearest.divide(tissue.tubes, coordinates, samples)
    grey = render.render(tissue, owner, depth, samples)
    inner = fine.relative_to(samples.box.start).slices
    grey, owner = grey[inner], owner[inner]
    middle = tuple(slice(p // 2, None, p) for p in parts)
    for axis, count in enumerate(parts):
        grey = _averaged(grey, axis, count)
    return grey, owner[middle].astype(np.uint64)


def _averaged(grey: np.ndarray, axis: int, count: int) -> np.ndarray:
    """Means of `count` neighbours along an axis, summed in one order."""
    groups = np.moveaxis(grey, axis, 0)
    total = groups[0::count]
    for index in range(1, count):
        total = total + groups[index::count]
    return np.moveaxis(total / np.float32(count), 0, axis)
