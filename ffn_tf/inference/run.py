"""A run: a box of a volume, cut into subvolumes; checked, and nothing done yet.

Whoever works on it, in this process or another, has one of these: the inputs,
open; the boxes; and what decides the voxels, which its folder is held to.
"""

from __future__ import annotations

from collections.abc import Sequence
import contextlib
import dataclasses
import hashlib
import shutil
from types import TracebackType
from typing import Any

import numpy as np

from ffn_tf import model, program, volume
from ffn_tf.inference import (
    batch_size,
    extent,
    field,
    geometry,
    keepsakes,
    preparation,
    restriction,
    results,
    run_options,
    seeds,
    subvolume,
    tiling,
)
from ffn_tf.inference import engine as engine_lib
from ffn_tf.inference import request as request_lib
from ffn_tf.volume import tissue


class Run:
    """A checked run, a context manager that closes what it has opened.

    Attributes:
      request, options: what is asked for.
      folder: of the results.
      engine, compute_dtype: what "auto" became.
      image, network, deltas: open, loaded.
      boxes: all the subvolumes.
      tiling: what the folder keeps of them.
      batch_size: given, or found.
      preparation: makes their canvases.
      results: what is in the folder.

    Raises (from the constructor; nothing is written):
      ValueError: options or inputs that cannot work.
      FileNotFoundError: no such volume or checkpoint.
    """

    def __init__(
        self,
        request: request_lib.InferenceRequest,
        options: run_options.RunOptions,
    ) -> None:
        self.request, self.options = request, options
        self._code = program.describe_code()  # Of now: it may change meanwhile.
        self.folder = results.folder(request.segmentation_output_dir)
        self.engine, self.compute_dtype = engine_lib.resolve(
            options.engine, options.compute_dtype
        )
        with contextlib.ExitStack() as opened:
            self.image = opened.enter_context(extent.opened(request.image))
            self._check(opened)
            self._opened = opened.pop_all()

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._opened.__exit__(kind, error, where)

    def _check(self, opened: contextlib.ExitStack) -> None:
        request, options = self.request, self.options
        request.options.check_seeds_move()
        view = geometry.field_of_view(request)
        self.network = model.load(request.model_checkpoint, view)
        self.checkpoint = model.describe(request.model_checkpoint)
        geometry.check_architecture(request, self.network)
        seeds.check_arguments(request.seed_policy, request.seed_policy_args)
        view = self.network.view
        self.deltas = geometry.deltas(request, view, options.fast)
        self.box = extent.asked(self.image, options.bounding_box)
        self.preparation = self._preparation(opened)
        subvolume.path_for(self.folder, self.box.start)  # It has a name.
        request_lib.serialized(request)  # It can be written at the end.
        cut = self.box, options.subvolume_zyx, options.overlap_zyx
        pieces = extent.subvolumes(*cut, self.network.view)
        mask = tissue.opened(options.tissue, self.image)
        self.boxes = extent.with_tissue(pieces, *cut, mask)
        self.tiling = tiling.Tiling(
            volume.grid.intervals(self.box, cut[1], overlap=cut[2]),
            frozenset(box.start for box in self.boxes),
        )
        self.batch_size = self._batch_size()
        self.results = results.Results(self.folder, self._fingerprint())
        self.results.check()

    def _preparation(
        self, opened: contextlib.ExitStack
    ) -> preparation.Preparation:
        request, options = self.request, self.options
        restrictor = restriction.Restrictor(
            request,
            self.image,
            self.network.view.size,
            skip_blank=options.skip_blank,
        )
        isotropic = options.isotropic_seeds
        return preparation.Preparation(
            request,
            self.image,
            self.network.view,
            self.deltas,
            opened.enter_context(restrictor),
            self._initial(opened),
            (1.0, 1.0, 1.0) if isotropic else self.image.voxel_size_nm,
            keepsakes.Keep(options.keep_probability_maps, options.keep_history),
            options.fill,
            reach_borders=options.fast,
            moves_in_flight=options.moves_in_flight,
        )

    def _initial(self, opened: contextlib.ExitStack) -> volume.Volume | None:
        """The objects that are there from the beginning."""
        if not self.request.init_segmentation:
            return None
        found = volume.open(self.request.init_segmentation)
        opened.enter_context(found)
        if self.box.clipped(found.domain) != self.box:
            raise ValueError(
                f"init_segmentation: {found.address} has {found.domain}, "
                f"expected all of {self.box}."
            )
        return found

    def todo(self, boxes: Sequence[volume.Box]) -> list[volume.Box]:
        """Those of the boxes that have no result yet.

        Raises:
          ValueError: a file of other options, or of another box.
          OSError: not enough room for the missing ones.
        """
        todo = [box for box in boxes if not self.results.is_done(box)]
        largest = max((box.num_voxels for box in todo), default=0)
        in_flight = min(self.in_flight, len(todo))
        # A state and a result, uncompressed: int32 ids, logits, the result.
        needed = in_flight * largest * 12
        folders = [self.folder, *self.folder.parents]
        free = shutil.disk_usage(next(f for f in folders if f.exists())).free
        if free < needed:
            raise OSError(
                f"Not enough room in {self.folder}: {in_flight} subvolume(s) "
                f"of {largest} voxels may need {needed / 1e6:.1f} MB, "
                f"{free / 1e6:.1f} MB are free. Free some, or use another "
                f"folder or smaller subvolumes."
            )
        return todo

    @property
    def in_flight(self) -> int:
        """Subvolumes under way at once; a batch needs as many."""
        needed = -(-self.batch_size // self.options.moves_in_flight)
        return max(self.request.concurrent_requests, needed)

    # -- what decides the voxels ---------------------------------------------

    def _batch_size(self) -> int:
        """What the network is compiled for, however little is left to do.

        The last digits of its logits depend on it. A batch that all the
        subvolumes together cannot fill would only be padded.
        """
        request, moves = self.request, self.options.moves_in_flight
        if request.batch_size:
            most = min(request.batch_size, moves * len(self.boxes))
            return max(most, moves)
        size, deltas = self.network.view.size, self.deltas
        return batch_size.recorded(self.folder) or batch_size.found(
            self.network,
            field.Rule.of(request.options, size, deltas),
            self.compute_dtype,
            moves * min(request.concurrent_requests, len(self.boxes)),
            moves,
            engine_lib.is_resident(self.engine),
        )

    def request_of_results(self) -> request_lib.InferenceRequest:
        """The request without what does not decide the voxels."""
        return dataclasses.replace(
            self.request,
            segmentation_output_dir="",
            batch_size=self.batch_size,
            concurrent_requests=1,
            checkpoint_interval=0,
        )

    def _samples_digest(self) -> str:
        """Tells images apart that lie, or lay, at the same address."""
        domain = self.image.domain
        size = np.minimum(self.network.view.size, domain.size).tolist()
        found = volume.grey.samples(self.image, domain, size)
        return hashlib.sha256(b"".join(v.tobytes() for v in found)).hexdigest()

    def _fingerprint(self) -> dict[str, Any]:
        """What decides the voxels; a folder holds results of one."""
        return {
            **dataclasses.asdict(self.request_of_results()),
            "image_size_zyx": self.image.domain.size,
            "image_dtype": str(self.image.dtype),
            "image_samples": self._samples_digest(),
            "model_checkpoint": self.checkpoint["digest"],
            "fov_size_zyx": self.network.view.size,
            "deltas_zyx": self.deltas,
            "engine": self.engine,
            "compute_dtype": self.compute_dtype,
            "emulated": engine_lib.is_emulated(self.engine, self.compute_dtype),
            "subvolume_zyx": self.options.subvolume_zyx,
            "overlap_zyx": self.options.overlap_zyx,
            "subvolumes_from_zyx": self.box.start,
            "skip_blank": self.options.skip_blank,
            "fill": self.options.fill,
            "fast": self.options.fast,
            "moves_in_flight": self.options.moves_in_flight,
            "tissue": self.options.tissue,
            "seeds_voxel_size": self.preparation.voxel_size_zyx,
            "keep_probability_maps": self.options.keep_probability_maps,
            "keep_history": self.options.keep_history,
        }

    def provenance(self) -> dict[str, Any]:
        """What made a result, which is written into it."""
        return {
            **self._fingerprint(),
            "model": self.checkpoint,
            "code": self._code,
            "voxel_size_nm": self.image.voxel_size_nm,
        }
