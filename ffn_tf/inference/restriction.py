"""Restrictions: where a field of view may not be centred, nor an object begin.

    blocked    no field of view is centred there, so no object begins there:
               masks; large shifts (shift_mask); no data
    unseeded   no object begins there, though it may grow there: seed masks

Voxels of an object may lie in both: masks are about centres.

A shift mask tells, for tiles of shift_mask_scale^2 voxels of each section, how
far they were moved in x (channel 0) and y (channel 1) when sections were
aligned. Where a shift of shift_mask_threshold or more is in the box
shift_mask_fov around a place, the place is blocked.

No data are tiles of 8 x 8 voxels of a section that all have one value: beyond
the border of the tissue, or sections that were lost.

Laws (tests/inference/test_restriction.py):
    of(box)[part of it] == of(part), but for shifts at its border and tiles
"""

from __future__ import annotations

import contextlib
import dataclasses

import numpy as np

from ffn_tf import volume
from ffn_tf.inference import box_text, mask
from ffn_tf.inference import request as request_lib
from ffn_tf.volume import grid
from ffn_tf.volume.box import Triple

_TILE = 8


@dataclasses.dataclass(frozen=True, eq=False)
class Restriction:
    """Of one subvolume, [z, y, x] bool each.

    Attributes:
      blocked: no field of view is centred here.
      unseeded: no object begins here; all that is blocked, too.
    """

    blocked: np.ndarray
    unseeded: np.ndarray


class Restrictor:
    """The restrictions of a request. A context manager, which closes volumes.

    Args:
      request: names the masks.
      image: that they are about.
      view_zyx: size of the field of view.
      skip_blank: whether places without data are blocked.

    Raises:
      ValueError: a mask that is not about this image: elsewhere, or of voxels
        of another size; or not a mask.
      OSError: a mask cannot be read.
    """

    def __init__(
        self,
        request: request_lib.InferenceRequest,
        image: volume.Volume,
        view_zyx: Triple,
        *,
        skip_blank: bool,
    ) -> None:
        self._request = request
        self._skip_blank = skip_blank
        with contextlib.ExitStack() as opened:
            self._masks, self._seed_masks = (
                opened.enter_context(mask.parse(text, name))
                for text, name in (
                    (request.masks, "masks"),
                    (request.seed_masks, "seed_masks"),
                )
            )
            for masks in (self._masks, self._seed_masks):
                masks.check(image)
            self._shifts: list[volume.Volume] = []
            if request.shift_mask:
                joint = "&" if "?" in request.shift_mask else "?"
                for channel in (0, 1):
                    address = f"{request.shift_mask}{joint}channel={channel}"
                    found = opened.enter_context(volume.open(address))
                    self._shifts.append(found)
                self._check_shifts(image)
            self._opened = opened.pop_all()
        self._shift_fov = (
            box_text.parse(request.shift_mask_fov)
            if request.shift_mask_fov
            else volume.Box.from_size([-(n // 2) for n in view_zyx], view_zyx)
        )

    def _check_shifts(self, image: volume.Volume) -> None:
        wanted = self._shift_box(image.domain)
        for found in self._shifts:
            if wanted.clipped(found.domain) != wanted:
                raise ValueError(
                    f"shift_mask: {found.address} has {found.domain}; the "
                    f"image {image.address} needs {wanted} at "
                    f"shift_mask_scale {self._request.shift_mask_scale}."
                )

    def _shift_box(self, box: volume.Box) -> volume.Box:
        scale = self._request.shift_mask_scale
        return box.scaled((1, 1, 1), (1, scale, scale))

    def of(self, box: volume.Box, raw: np.ndarray) -> Restriction:
        """The restrictions in a box.

        Args:
          box: within the image.
          raw: [z, y, x] its grey values, not normalised.
        """
        blocked = self._masks.read(box, raw)
        if self._shifts:
            blocked |= self._shifted(box)
        if self._skip_blank:
            blocked |= blank(raw)
        return Restriction(blocked, blocked | self._seed_masks.read(box, raw))

    def _shifted(self, box: volume.Box) -> np.ndarray:
        within = self._shift_box(box)
        scale = self._request.shift_mask_scale
        found = np.zeros(within.size, bool)
        for shifts in self._shifts:
            size = np.abs(shifts.read(within).astype(np.float64))
            found |= size >= self._request.shift_mask_threshold
        for axis, step in enumerate((1, scale, scale)):
            places = np.arange(box.start[axis], box.end[axis])
            first = (places + self._shift_fov.start[axis]) // step
            last = (places + self._shift_fov.end[axis] - 1) // step
            found = grid.any_within(
                found,
                axis,
                first - within.start[axis],
                last - within.start[axis],
            )
        return found

    def close(self) -> None:
        self._opened.close()

    def __enter__(self) -> Restrictor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def blank(raw: np.ndarray) -> np.ndarray:
    """Voxels [z, y, x] bool of tiles that have one value."""
    starts = [np.arange(0, n, _TILE) for n in raw.shape[1:]]
    least, most = raw, raw
    for axis, at in enumerate(starts, 1):
        least = np.minimum.reduceat(least, at, axis)
        most = np.maximum.reduceat(most, at, axis)
    found: np.ndarray = least == most
    for axis, length in enumerate(raw.shape[1:], 1):
        found = found.repeat(_TILE, axis)
        found = found.take(range(length), axis)
    return found
