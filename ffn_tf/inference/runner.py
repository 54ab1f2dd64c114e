"""Runner: a checked run becomes a folder of results, whoever works on it.

    (1) check      what can be wrong; nothing is written (run.py)
    (2) settle     the folder must be of this run (results.py)
    (3) segment    boxes to workers (jobs/run.py, segmenter.py)

A run's folder holds

    run.json                      what decides the voxels (results.py)
    subvolumes.npz                into which subvolumes it is cut (tiling.py)
    int8.npz                      the calibration of int8, if that is used
    timing*.json                  how long it took; see timing
    *.lock                        who works on a shard, or calibrates int8
    <x>/<y>/seg-<x>_<y>_<z>.npz   finished subvolumes
    <x>/<y>/seg-<x>_<y>_<z>.prob  how sure the network was, if that is kept
    <x>/<y>/seg-<x>_<y>_<z>.cpoint  states of unfinished ones

A finished subvolume is not done again, unless its file is damaged; an
unfinished one goes on from its state, and ends in the same bytes as if it had
not been interrupted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import dataclasses
import functools
import time

import numpy as np

from ffn_tf import program, volume
from ffn_tf.inference import canvas as canvas_lib
from ffn_tf.inference import engine as engine_lib
from ffn_tf.inference import (
    intensity,
    results,
    segmenter,
    states,
    subvolume,
    tiling,
)
from ffn_tf.inference import progress as progress_lib
from ffn_tf.inference import run as run_lib
from ffn_tf.inference import timing as timing_lib
from ffn_tf.jobs import run as jobs
from ffn_tf.jobs.tasks import Failed


@dataclasses.dataclass(frozen=True)
class Summary:
    """What a run did, this time.

    Attributes:
      boxes: all its subvolumes; of a shard, its own.
      skipped: how many of them were there already.
      engine, compute_dtype: what "auto" became.
      timing: of this attempt alone, of all workers together.
      seconds: wall time.
      segments, voxels: of the subvolumes that were finished this time.
      filled: segments, voxels and network calls of their second pass.
    """

    output_dir: str
    boxes: tuple[volume.Box, ...]
    skipped: int
    engine: str
    compute_dtype: str
    timing: timing_lib.Timing
    seconds: float
    segments: int
    voxels: int
    filled: tuple[int, int, int] = (0, 0, 0)

    @property
    def made(self) -> int:
        """Subvolumes that were finished this time."""
        return len(self.boxes) - self.skipped


def execute(
    run: run_lib.Run,
    options: jobs.Options = jobs.INLINE,
    engine: engine_lib.Engine | None = None,
    watch: segmenter.Watch = lambda canvases, clock: None,
) -> Summary:
    """Segments what is missing; the results are files in the run's folder.

    Args:
      run: is closed at the end.
      options: who works.
      engine: predicts instead of the one that the run asks for; in this
        process only.
      watch: is told after each batch of this process, or when others have
        finished a subvolume.

    Raises:
      jobs.TasksFailed: some subvolumes could not be done; the others are.
      ValueError, OSError: the folder is another run's or in use, or has no
        room.
    """
    with run:
        boxes = options.share(run.boxes)
        run.todo(boxes)  # What is wrong with the folder is told first.
        with results.locked(run.folder, options.name):
            run.results.settle(options.name)
            tiling.write(run.folder, run.tiling)
            # Another process may have finished some meanwhile.
            todo = run.todo(boxes)
            name = options.name
            before = timing_lib.read(run.folder, name)
            start = time.perf_counter()
            found = []
            if todo:
                _begin(run, boxes, todo)
                found = list(_segmented(run, todo, options, engine, watch))
            filled = np.array([one.filled for one in found]).reshape(-1, 3)
            return Summary(
                output_dir=str(run.folder),
                boxes=tuple(boxes),
                skipped=len(boxes) - len(todo),
                engine=run.engine,
                compute_dtype=run.compute_dtype,
                timing=timing_lib.read(run.folder, name).since(before),
                seconds=time.perf_counter() - start,
                segments=sum(one.segments for one in found),
                voxels=sum(one.voxels for one in found),
                filled=volume.box.triple(filled.sum(0)),
            )


def _begin(
    run: run_lib.Run, boxes: Sequence[volume.Box], todo: Sequence[volume.Box]
) -> None:
    """Says where the run goes on, and what looks wrong."""
    half = [states.path_for(run.folder, box.start) for box in todo]
    num_half = sum(path.exists() for path in half)
    progress_lib.begin(len(boxes), len(todo), num_half)
    for box in todo:
        path = subvolume.path_for(run.folder, box.start)
        if path.exists():
            program.warn(f"{path} is damaged, and is made anew.")
    doubt = intensity.doubt(
        volume.grey.samples(run.image, run.box, run.network.view.size),
        run.request.image_mean,
        run.request.image_stddev,
    )
    if doubt:
        program.warn(doubt)


def _segmented(
    run: run_lib.Run,
    todo: Sequence[volume.Box],
    options: jobs.Options,
    engine: engine_lib.Engine | None,
    watch: segmenter.Watch,
) -> Iterator[segmenter.Segmented]:
    """What is found in each subvolume, as they are finished."""
    expected = progress_lib.expected_steps(
        todo, run.network.view, run.deltas, run.options.fast
    )
    progress = progress_lib.Progress(len(todo), expected)

    def told(failed: Failed, again: bool) -> None:
        if again:
            program.warn(f"{failed.task}: {failed.error}. It is tried again.")
        else:
            progress.failed()

    def after_batch(
        canvases: list[canvas_lib.Canvas], clock: timing_lib.Clock | None
    ) -> None:
        assert clock is not None
        progress.update(canvases, clock.steps)
        watch(canvases, clock)

    if options.executor == "inline":

        def make(index: int) -> segmenter.Segmenter:
            del index
            return segmenter.Segmenter(run, options.name, engine, after_batch)
    else:
        make = functools.partial(
            segmenter.in_its_process, run.request, run.options, options.name
        )
    try:
        for done in jobs.run(make, todo, options, run.in_flight, told):
            found = done.result
            progress.finished(found.steps, found.segments, found.voxels)
            if options.executor != "inline":
                progress.update()
                watch([], None)
            yield found
    finally:
        progress.close()
