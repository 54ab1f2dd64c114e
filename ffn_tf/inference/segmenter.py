"""Segmenter: works off boxes of a run; each process that does has one.

    box -> canvas, from its state if there is one -> scheduler -> file

A box is reported when its file is there. One that cannot be done is reported
with the reason, and the others go on. Signals wait until the states of what
is under way are saved.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
import dataclasses
import time

import numpy as np

from ffn_tf import program, volume
from ffn_tf.inference import (
    calibration,
    run_options,
    scheduler,
    states,
    subvolume,
)
from ffn_tf.inference import canvas as canvas_lib
from ffn_tf.inference import engine as engine_lib
from ffn_tf.inference import progress as progress_lib
from ffn_tf.inference import request as request_lib
from ffn_tf.inference import run as run_lib
from ffn_tf.inference import timing as timing_lib
from ffn_tf.jobs.tasks import Done, Failed, Outcome

# Is told now and then how far the work is: the canvases in flight in this
# process, and its clock, if it works itself.
Watch = Callable[[list[canvas_lib.Canvas], timing_lib.Clock | None], None]
# Counters of the second pass, in files of runs that have one.
FILLED = ("fill-segments", "fill-voxels", "fill-steps")


@dataclasses.dataclass(frozen=True)
class Segmented:
    """What a finished subvolume holds: small, to be sent between processes.

    Attributes:
      segments, voxels: that were found.
      steps: network calls that it took, over all attempts.
      filled: segments, voxels and steps of the second pass, if there was one.
    """

    segments: int
    voxels: int
    steps: int
    filled: tuple[int, int, int] = (0, 0, 0)


class Segmenter:
    """See the module.

    Args:
      run: checked, and its folder settled.
      name: of the process, among those that work on the run; for its timing.
      engine: predicts instead of the one that the run asks for.
      watch: is told after each batch.
    """

    def __init__(
        self,
        run: run_lib.Run,
        name: str = "",
        engine: engine_lib.Engine | None = None,
        watch: Watch = lambda canvases, clock: None,
    ) -> None:
        self._run, self._watch = run, watch
        self._clock = timing_lib.Clock(run.folder, name)
        self._engine = engine or create_engine(run)
        self._clock.start(self._engine)
        self._saved_at = time.monotonic()
        # Of boxes of which there is no canvas.
        self._others: deque[Outcome] = deque()
        self._initial_ids: dict[canvas_lib.Position, np.ndarray | None] = {}

    def __call__(self, boxes: Iterable[volume.Box]) -> Iterator[Outcome]:
        """Segments the boxes; an outcome for each, in any order."""
        with program.HeldBack() as signals:

            def after_round(canvases: list[canvas_lib.Canvas]) -> None:
                self._watch(canvases, self._clock)
                self._save_states(canvases, signals.is_due)
                signals.deliver()

            canvases = scheduler.segment(
                self._canvases(boxes, signals),
                self._engine,
                self._run.in_flight,
                after_round,
            )
            for canvas in canvases:
                yield self._finished(canvas)
                del canvas  # The next one may need its room.
                while self._others:
                    yield self._others.popleft()
            yield from self._others
            self._others.clear()
        self._clock.save()

    def _canvases(
        self, boxes: Iterable[volume.Box], signals: program.HeldBack
    ) -> Iterator[canvas_lib.Canvas]:
        for box in boxes:
            if not self._engine.steps:  # Nothing is under way that could go.
                signals.deliver()
            try:
                if self._run.results.is_done(box):
                    self._others.append(Done(box, self._found(box)))
                else:
                    yield self.canvas(box)
            except program.INPUT_ERRORS as error:
                self._others.append(Failed(box, error))

    def _found(self, box: volume.Box) -> Segmented:
        """What another has finished, who died before he could tell."""
        saved = subvolume.load(subvolume.path_for(self._run.folder, box.start))
        return Segmented(
            len(saved.origins),
            saved.counters["voxels-segmented"],
            saved.counters["steps"],
            volume.box.triple(saved.counters.get(name, 0) for name in FILLED),
        )

    def canvas(self, box: volume.Box) -> canvas_lib.Canvas:
        """The canvas of a box, as far as an earlier attempt has come.

        Raises:
          ValueError, OSError: its image or its state cannot be used.
        """
        prepared = self._run.preparation.of(box, self._clock.during)
        self._initial_ids[box.start] = prepared.initial_ids
        states.tidy(self._run.folder, box.start)
        if states.path_for(self._run.folder, box.start).exists():
            states.restore(
                self._run.folder, prepared.canvas, self._run.results.digest
            )
        return prepared.canvas

    def _save_states(
        self, canvases: list[canvas_lib.Canvas], at_once: bool
    ) -> None:
        interval = self._run.request.checkpoint_interval
        is_due = at_once or time.monotonic() - self._saved_at >= interval
        if not interval or not is_due:
            return
        with self._clock.during("saving"):
            for canvas in canvases:
                states.save(self._run.folder, canvas, self._run.results.digest)
        self._clock.save()
        self._saved_at = time.monotonic()
        if at_once:
            progress_lib.note("Saved: the same command goes on.")

    def _finished(self, canvas: canvas_lib.Canvas) -> Outcome:
        box = volume.Box.from_size(canvas.corner_zyx, canvas.image.shape)
        try:
            with self._clock.during("saving"):
                filled = self._save(canvas, box)
        except program.INPUT_ERRORS as error:
            return Failed(box, error)
        steps, segments, voxels = canvas.so_far
        return Done(box, Segmented(segments, voxels, steps, filled))

    def _save(
        self, canvas: canvas_lib.Canvas, box: volume.Box
    ) -> tuple[int, int, int]:
        """Writes the result; returns what the second pass has found."""
        run, counters, filled = self._run, canvas.counters, (0, 0, 0)
        if run.options.fill:
            steps, segments, voxels = np.subtract(
                canvas.so_far, canvas.before_stages[-1]
            ).tolist()
            filled = segments, voxels, steps
            counters = counters | dict(zip(FILLED, filled))
        subvolume.save(
            run.folder,
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
                counters,
                request_lib.serialized(run.request_of_results()),
                {
                    **run.provenance(),
                    "start_zyx": box.start,
                    "size_zyx": box.size,
                },
                self._extra(canvas),
                canvas.kept.probabilities,
            ),
        )
        states.remove(run.folder, box.start)
        return filled

    def _extra(self, canvas: canvas_lib.Canvas) -> dict[str, np.ndarray]:
        extra = {}
        initial_ids = self._initial_ids.pop(canvas.corner_zyx)
        if initial_ids is not None:
            extra["initial_ids"] = initial_ids
        if self._run.options.keep_history:
            rows = np.array(canvas.kept.history, np.int32)
            extra["history"] = rows.reshape(-1, 5)
        return extra


def create_engine(run: run_lib.Run) -> engine_lib.Engine:
    """The engine that the run asks for; int8's calibration is in its folder."""
    progress_lib.note(
        f"Preparing the network for {run.engine} {run.compute_dtype} ..."
    )
    engine = engine_lib.create(
        run.network,
        run.engine,
        run.compute_dtype,
        run.batch_size,
        lambda: calibration.samples(run.image, run.network.view, run.request),
        run.folder / "int8.npz",
    )
    z, y, x = np.max([box.size for box in run.boxes], axis=0).tolist()
    engine.reserve(min(run.in_flight, len(run.boxes)), (z, y, x))
    return engine


def in_its_process(
    request: request_lib.InferenceRequest,
    options: run_options.RunOptions,
    name: str,
    index: int,
) -> Segmenter:
    """The segmenter of worker `index` of the process `name`.

    Raises:
      FileNotFoundError: the run has not begun in the folder that is seen here.
    """
    run = run_lib.Run(request, options)
    run.results.check_begun()
    parts = [name] if name else []
    return Segmenter(run, "-".join([*parts, f"worker-{index}"]))
