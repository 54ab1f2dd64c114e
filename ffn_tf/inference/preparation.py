"""Preparation: from a box of a volume to a canvas that is ready to be flooded.

    image        read, normalised; NaN and infinity are errors
    restriction  where no field of view is centred, no object begins
    initial      objects that are there already, renumbered from 1
    stages       of seeds, each found when those before it are used up

Voxels of missing data, and what is masked, cost nothing: a subvolume without a
seed has a result like any other, without objects.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import dataclasses

import numpy as np

from ffn_tf import model, volume
from ffn_tf.inference import canvas as canvas_lib
from ffn_tf.inference import intensity, keepsakes, restriction, seeds
from ffn_tf.inference import request as request_lib

# Something that is entered while a stage goes on.
During = Callable[[str], contextlib.AbstractContextManager[object]]
# google/ffn#33: thin processes are left blank.
_FILL = "PolicyFillEmptySpace"


@dataclasses.dataclass(frozen=True, eq=False)
class Prepared:
    """A canvas, and what its file says besides.

    Attributes:
      initial_ids: [n + 1] uint64: the ids of the objects that were there, by
        their numbers in the canvas; None if nobody asked for any.
    """

    canvas: canvas_lib.Canvas
    initial_ids: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class Preparation:
    """All that the canvases of a run have in common.

    Attributes:
      request: what is asked for.
      image: open.
      view, deltas: of the network; of the movement.
      restrictor: of the request.
      initial: labels, open.
      voxel_size_zyx: as seeds are to see it.
      keep: what canvases keep.
      fill: whether what is left is seeded once more.
      reach_borders, moves_in_flight: see canvas.Canvas.
    """

    request: request_lib.InferenceRequest
    image: volume.Volume
    view: model.FieldOfView
    deltas: tuple[int, int, int]
    restrictor: restriction.Restrictor
    initial: volume.Volume | None
    voxel_size_zyx: tuple[float, float, float]
    keep: keepsakes.Keep
    fill: bool
    reach_borders: bool
    moves_in_flight: int

    def of(
        self, box: volume.Box, during: During = contextlib.nullcontext
    ) -> Prepared:
        """The canvas of a box, at its beginning.

        Args:
          box: which.
          during: entered for "reading" and, each time that the canvas looks
            for seeds, for "seeding".

        Raises:
          ValueError: NaN or infinity in the image.
          OSError: something cannot be read.
        """
        initial, ids = None, None
        with during("reading"):
            raw = self.image.read(box)
            image = self._normalised(raw, box)
            found = self.restrictor.of(box, raw)
            if self.initial is not None:
                initial, old = volume.labels.contiguous(self.initial.read(box))
                ids = old.astype(np.uint64)
        stages = seeds.stages(
            self.request.seed_policy,
            self.request.seed_policy_args,
            self.voxel_size_zyx,
            box.start,
        )
        if self.fill:
            stages += seeds.stages(_FILL, {}, self.voxel_size_zyx, box.start)
        canvas = canvas_lib.Canvas(
            image,
            self.view,
            self.request.options,
            np.zeros((0, 3), np.int64),
            deltas=self.deltas,
            corner_zyx=box.start,
            stages=[
                self._stage(s, image, found.unseeded, during) for s in stages
            ],
            blocked=found.blocked,
            initial=initial,
            keep=self.keep,
            reach_borders=self.reach_borders,
            moves_in_flight=self.moves_in_flight,
        )
        return Prepared(canvas, ids)

    def _stage(
        self,
        stage: seeds.Stage,
        image: np.ndarray,
        unseeded: np.ndarray,
        during: During,
    ) -> Callable[[np.ndarray], np.ndarray]:
        def find(segmentation: np.ndarray) -> np.ndarray:
            with during("seeding"):
                return stage.find(
                    image,
                    unseeded,
                    margin=self.view.margin,
                    segmentation=segmentation,
                )

        return find

    def _normalised(self, raw: np.ndarray, box: volume.Box) -> np.ndarray:
        with np.errstate(over="ignore"):
            image = intensity.normalised(
                raw, self.request.image_mean, self.request.image_stddev
            )
        if not np.isfinite(image).all():
            z, y, x = (np.argwhere(~np.isfinite(image))[0] + box.start).tolist()
            raise ValueError(
                f"The image {self.request.image} holds NaN or infinity in "
                f"{box} (or values too large for float32), first at zyx "
                f"{z, y, x}. Fill such voxels (with the mean, say) before "
                f"segmenting."
            )
        return image
