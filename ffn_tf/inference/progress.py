"""The progress line of a run: rate, voxels, segments, time left."""

from __future__ import annotations

import sys
import time

import tqdm

from ffn_tf.inference import canvas as canvas_lib


class Progress:
    """One line on standard error, by the second (by the minute in a log).

    Seeds are tried in order through the volume, so the share of seeds tried
    is the share done; the time left follows from it.
    """

    def __init__(self, num_canvases: int) -> None:
        interval = 1.0 if sys.stderr.isatty() else 60.0
        self._num_canvases = num_canvases
        self._done = 0
        self._segments = 0
        self._voxels = 0
        self._start = time.monotonic()
        self._bar = tqdm.tqdm(
            total=100.0,
            unit="%",
            mininterval=interval,
            maxinterval=interval,
            bar_format=(
                "{percentage:3.0f}%|{bar}| {elapsed}<{remaining} {postfix}"
            ),
        )

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def update(self, canvases: list[canvas_lib.Canvas], steps: int) -> None:
        """Shows `canvases`, which are in flight, after `steps` in all."""
        share = self._done + sum(
            canvas.next_seed / max(len(canvas.seeds), 1) for canvas in canvases
        )
        rate = steps / (time.monotonic() - self._start)
        segments = self._segments + sum(len(c.origins) for c in canvases)
        voxels = self._voxels + sum(
            c.counters["voxels-segmented"] for c in canvases
        )
        self._bar.set_postfix_str(
            f"{rate:.1f} FOVs/s, {voxels / 1e6:.2f} Mvx in {segments} segments",
            refresh=False,
        )
        self._bar.update(100.0 * share / self._num_canvases - self._bar.n)

    def finished(self, canvas: canvas_lib.Canvas) -> None:
        """Moves a canvas from those in flight to those done."""
        self._done += 1
        self._segments += len(canvas.origins)
        self._voxels += canvas.counters["voxels-segmented"]
