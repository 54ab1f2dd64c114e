"""Report: the page of a run, written while it goes on and at the end.

    report = Report(folder, image_address, num_subvolumes, expected_steps)
    report.watch(canvases, clock)    as often as you like: it is written anew
                                     each minute
    report.write()                   at the end

What cannot be drawn is a warning: the run goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
import json
import pathlib
import time

import numpy as np

from ffn_tf import program, volume
from ffn_tf.inference import canvas as canvas_lib
from ffn_tf.inference import timing as timing_lib
from ffn_tf.viewer import findings as findings_lib
from ffn_tf.viewer import page
from ffn_tf.volume import files

NAME = "report.html"


class Report:
    """See the module.

    Args:
      folder: of the run's results.
      image: address of the EM.
      total: subvolumes of the run.
      expected_steps: network calls that they will take, roughly.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        image: str,
        total: int,
        expected_steps: float,
    ) -> None:
        self.path = folder / NAME
        self._folder, self._image = folder, image
        self._total, self._expected = total, expected_steps
        self._known = findings_lib.Folder(folder)
        self._written_at = time.monotonic()
        self._begin = self._written_at, timing_lib.read(folder).steps
        self._works_here = False

    def watch(
        self,
        canvases: Sequence[canvas_lib.Canvas],
        clock: timing_lib.Clock | None,
    ) -> None:
        """Tells how far the work is; see segmenter.Watch."""
        now = time.monotonic()
        if clock is not None and not self._works_here:  # It is set up.
            self._begin = now, clock.everybody().steps
            self._works_here = True
        if now - self._written_at >= page.REFRESH_S:
            self.write(canvases, clock)

    def write(
        self,
        canvases: Sequence[canvas_lib.Canvas] = (),
        clock: timing_lib.Clock | None = None,
    ) -> None:
        """Writes the page."""
        try:
            with volume.open(self._image) as image:
                facts = self._facts(canvases, clock, image)
                files.write_text(self.path, page.written(facts))
        except program.INPUT_ERRORS as error:
            program.warn(f"{self.path} could not be written: {error}")
        self._written_at = time.monotonic()

    def _facts(
        self,
        canvases: Sequence[canvas_lib.Canvas],
        clock: timing_lib.Clock | None,
        image: volume.Volume,
    ) -> page.Facts:
        done, found = self._known.read()
        for canvas in canvases:
            found += findings_lib.of_canvas(canvas)
        timing = clock.everybody() if clock else timing_lib.read(self._folder)
        since, steps = self._begin
        rate = (timing.steps - steps) / max(time.monotonic() - since, 1e-9)
        return page.Facts(
            title=str(self._folder),
            done=done,
            total=self._total,
            expected_steps=self._expected,
            found=found,
            steps=timing.steps,
            steps_per_s=rate,
            seconds=timing.stages(),
            peak_memory_bytes=timing.peak_memory_bytes,
            shown=_labels(canvases[0], image)
            if canvases
            else self._known.middle(),
            image=image,
            shown_is="A subvolume that is "
            + ("under way" if canvases else "finished"),
            options=json.loads((self._folder / "run.json").read_text("utf-8")),
        )


def _labels(canvas: canvas_lib.Canvas, image: volume.Volume) -> volume.Volume:
    return volume.from_array(
        np.maximum(canvas.segmentation, 0),
        voxel_size_nm=image.voxel_size_nm,
        start=canvas.corner_zyx,
    )
