"""A run: a box of a volume, cut into subvolumes, each segmented and saved.

    (1) plan       check everything that can be wrong; nothing is written
    (2) settle     the folder must be of this run (results.py)
    (3) segment    canvases through the scheduler; files as they finish

A run's folder holds

    run.json                      what decides the voxels (results.py)
    int8.npz                      the calibration of int8, if that is used
    timing.json                   how long it took; see timing
    <x>/<y>/seg-<x>_<y>_<z>.npz   finished subvolumes
    <x>/<y>/seg-<x>_<y>_<z>.cpoint  states of unfinished ones

A finished subvolume is not done again, unless its file is damaged; an
unfinished one goes on from its state, and ends in the same bytes as if it had
not been interrupted.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import dataclasses
import hashlib
import shutil
import time
from typing import Any

import numpy as np

from ffn_tf import model, program, volume
from ffn_tf.inference import (
    calibration,
    extent,
    geometry,
    intensity,
    keepsakes,
    preparation,
    restriction,
    results,
    run_options,
    scheduler,
    seeds,
    states,
    subvolume,
)
from ffn_tf.inference import canvas as canvas_lib
from ffn_tf.inference import engine as engine_lib
from ffn_tf.inference import progress as progress_lib
from ffn_tf.inference import request as request_lib
from ffn_tf.inference import timing as timing_lib
from ffn_tf.volume import tissue


@dataclasses.dataclass(frozen=True)
class Summary:
    """What a run did, this time.

    Attributes:
      boxes: all its subvolumes.
      skipped: how many of them were there already.
      engine, compute_dtype: what "auto" became.
      timing: of this attempt alone.
      segments, voxels: of the subvolumes that were finished this time.
    """

    output_dir: str
    boxes: tuple[volume.Box, ...]
    skipped: int
    engine: str
    compute_dtype: str
    timing: timing_lib.Timing
    segments: int
    voxels: int


class Run:
    """A checked run; `execute` does it.

    Raises (from the constructor, before anything is written):
      ValueError: options or inputs that cannot work.
      FileNotFoundError: no such volume or checkpoint.
      OSError: not enough room for the results.
    """

    def __init__(
        self,
        request: request_lib.InferenceRequest,
        options: run_options.RunOptions,
    ) -> None:
        self.request, self.options = request, options
        self.code = program.describe_code()  # Of now: it may change meanwhile.
        self.folder = results.folder(request.segmentation_output_dir)
        self.engine, self.compute_dtype = engine_lib.resolve(
            options.engine, options.compute_dtype
        )
        with contextlib.ExitStack() as opened:
            self.image = opened.enter_context(volume.open(request.image))
            self._check(opened)
            self._opened = opened.pop_all()

    # -- (1) plan ------------------------------------------------------------

    def _check(self, opened: contextlib.ExitStack) -> None:
        request, options = self.request, self.options
        request.options.check_seeds_move()
        view = geometry.field_of_view(request)
        self.network = model.load(request.model_checkpoint, view)
        self.checkpoint = model.describe(request.model_checkpoint)
        geometry.check_architecture(request, self.network)
        seeds.check_arguments(request.seed_policy, request.seed_policy_args)
        self.deltas = geometry.deltas(request, self.network.view)
        self.box = extent.asked(self.image, options.bounding_box)
        self.preparation = self._preparation(opened)
        # By corner, of canvases in flight.
        self._initial_ids: dict[canvas_lib.Position, np.ndarray | None] = {}
        subvolume.path_for(self.folder, self.box.start)  # It has a name.
        request_lib.serialized(request)  # It can be written at the end.
        cut = self.box, options.subvolume_zyx, options.overlap_zyx
        pieces = extent.subvolumes(*cut, self.network.view)
        mask = tissue.opened(options.tissue, self.image)
        self.boxes = extent.with_tissue(pieces, *cut, mask)
        self.results = results.Results(self.folder, self._fingerprint())
        self.results.check()
        self.todo = [box for box in self.boxes if not self.results.is_done(box)]
        self._check_room()

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

    def _check_room(self) -> None:
        """Unfinished work must fit: a state and a result, uncompressed."""
        largest = max((box.num_voxels for box in self.todo), default=0)
        in_flight = min(self._in_flight(), len(self.todo))
        needed = in_flight * largest * 12  # int32 ids, logits, the result.
        folders = [self.folder, *self.folder.parents]
        free = shutil.disk_usage(next(f for f in folders if f.exists())).free
        if free < needed:
            raise OSError(
                f"Not enough room in {self.folder}: {in_flight} subvolume(s) "
                f"of {largest} voxels may need {needed / 1e6:.1f} MB, "
                f"{free / 1e6:.1f} MB are free. Free some, or use another "
                f"folder or smaller subvolumes."
            )

    def _in_flight(self) -> int:
        """Subvolumes under way at once; a batch needs as many."""
        return max(self.request.concurrent_requests, self.request.batch_size)

    # -- (2) settle: what decides the voxels ---------------------------------

    def _batch_size(self) -> int:
        """What the network is compiled for, however little is left to do.

        The last digits of its logits depend on it. A batch that all the
        subvolumes together cannot fill would only be padded.
        """
        return min(self.request.batch_size, len(self.boxes))

    def _request_of_results(self) -> request_lib.InferenceRequest:
        """The request without what does not decide the voxels."""
        return dataclasses.replace(
            self.request,
            segmentation_output_dir="",
            batch_size=self._batch_size(),
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
            **dataclasses.asdict(self._request_of_results()),
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
            "tissue": self.options.tissue,
            "seeds_voxel_size": self.preparation.voxel_size_zyx,
            "keep_probability_maps": self.options.keep_probability_maps,
            "keep_history": self.options.keep_history,
        }

    # -- (3) segment ---------------------------------------------------------

    def execute(self, engine: engine_lib.Engine | None = None) -> Summary:
        """Segments what is missing; the results are files in the folder.

        Args:
          engine: predicts instead of the one that the options ask for.
        """
        with self.results.locked(), self._opened:
            self.results.settle()
            # Another process may have finished some since the plan was made.
            self.todo = [b for b in self.todo if not self.results.is_done(b)]
            return self._executed(engine)

    def _executed(self, engine: engine_lib.Engine | None) -> Summary:
        todo = self.todo
        segments = voxels = 0
        timing = timing_lib.Timing()
        if todo:
            half = [states.path_for(self.folder, b.start) for b in todo]
            num_half = sum(path.exists() for path in half)
            progress_lib.begin(len(self.boxes), len(todo), num_half)
            self._warn()
            clock = timing_lib.Clock(self.folder)
            engine = engine or self._engine()
            clock.start(engine)
            expected = progress_lib.expected_steps(
                todo, self.network.view, self.deltas
            )
            progress = progress_lib.Progress(len(todo), expected)
            with program.HeldBack() as signals:
                for canvas in self._segmented(engine, progress, clock, signals):
                    self._save(canvas)
                    progress.finished(canvas)
                    segments += len(canvas.origins)
                    voxels += canvas.counters["voxels-segmented"]
                    del canvas  # The next one may need its room.
                progress.close()
                timing = clock.save()
        return Summary(
            output_dir=str(self.folder),
            boxes=self.boxes,
            skipped=len(self.boxes) - len(todo),
            engine=self.engine,
            compute_dtype=self.compute_dtype,
            timing=timing,
            segments=segments,
            voxels=voxels,
        )

    def _warn(self) -> None:
        for box in self.todo:
            path = subvolume.path_for(self.folder, box.start)
            if path.exists():
                program.warn(f"{path} is damaged, and is made anew.")
        doubt = intensity.doubt(
            volume.grey.samples(self.image, self.box, self.network.view.size),
            self.request.image_mean,
            self.request.image_stddev,
        )
        if doubt:
            program.warn(doubt)

    def _engine(self) -> engine_lib.Engine:
        progress_lib.note(
            f"Preparing the network for {self.engine} {self.compute_dtype} ..."
        )
        return engine_lib.create(
            self.network,
            self.engine,
            self.compute_dtype,
            self._batch_size(),
            lambda: calibration.samples(
                self.image, self.network.view, self.request
            ),
            self.folder / "int8.npz",
        )

    def _segmented(
        self,
        engine: engine_lib.Engine,
        progress: progress_lib.Progress,
        clock: timing_lib.Clock,
        signals: program.HeldBack,
    ) -> Iterator[canvas_lib.Canvas]:
        saved_at = time.monotonic()

        def after_round(canvases: list[canvas_lib.Canvas]) -> None:
            nonlocal saved_at
            progress.update(canvases, engine.steps)
            interval = self.request.checkpoint_interval
            is_due = signals.is_due or time.monotonic() - saved_at >= interval
            if interval and is_due:
                for canvas in canvases:
                    states.save(self.folder, canvas, self.results.digest)
                clock.save()
                saved_at = time.monotonic()
                if signals.is_due:
                    progress_lib.note("Saved: the same command goes on.")
            signals.deliver()

        def canvases() -> Iterator[canvas_lib.Canvas]:
            for box in self.todo:
                if not engine.steps:  # Nothing is under way that could go.
                    signals.deliver()
                yield self._canvas(box)

        return scheduler.segment(
            canvases(),
            engine,
            self._in_flight(),
            after_round,
        )

    def _canvas(self, box: volume.Box) -> canvas_lib.Canvas:
        prepared = self.preparation.of(box)
        self._initial_ids[box.start] = prepared.initial_ids
        states.tidy(self.folder, box.start)
        if states.path_for(self.folder, box.start).exists():
            states.restore(self.folder, prepared.canvas, self.results.digest)
        return prepared.canvas

    def _save(self, canvas: canvas_lib.Canvas) -> None:
        box = volume.Box.from_size(canvas.corner_zyx, canvas.image.shape)
        subvolume.save(
            self.folder,
            subvolume.Subvolume(
                box,
                np.maximum(canvas.segmentation, 0),
                {
                    label: subvolume.OriginInfo(
                        origin.start_zyx, origin.num_steps
                    )
                    for label, origin in canvas.origins.items()
                },
                canvas.overlaps,
                canvas.counters,
                request_lib.serialized(self._request_of_results()),
                {
                    **self._provenance(),
                    "start_zyx": box.start,
                    "size_zyx": box.size,
                },
                self._extra(canvas),
                canvas.kept.probabilities,
            ),
        )
        states.remove(self.folder, box.start)

    def _extra(self, canvas: canvas_lib.Canvas) -> dict[str, np.ndarray]:
        extra = {}
        initial_ids = self._initial_ids.pop(canvas.corner_zyx)
        if initial_ids is not None:
            extra["initial_ids"] = initial_ids
        if self.options.keep_history:
            rows = np.array(canvas.kept.history, np.int32)
            extra["history"] = rows.reshape(-1, 5)
        return extra

    def _provenance(self) -> dict[str, Any]:
        return {
            **self._fingerprint(),
            "model": self.checkpoint,
            "code": self.code,
            "voxel_size_nm": self.image.voxel_size_nm,
        }
