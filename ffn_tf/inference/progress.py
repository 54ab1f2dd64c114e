"""The progress line of a run: rate, voxels, segments, time left.

    34 %  5.4 FOVs/s  3.12 Mvx in 61 segments  20:11 gone, 39:02 left
    34 %  4/12, 1 failed  5.4 FOVs/s  ...      of several subvolumes

How much is left is an estimate. A dense volume takes about 1.3 steps for each
lattice cell of `deltas` that the field of view can be centred in (seen on
FIB-25: 294 steps for 80^3 voxels, 25,709 for 250^3); and since seeds are tried
in order through the volume, the share of seeds tried is a lower bound. Both
count what earlier attempts at the same canvases did; the rate does not.
"""

from __future__ import annotations

from collections.abc import Sequence
import math
import sys

from ffn_tf.inference import canvas as canvas_lib
from ffn_tf.model import fov
from ffn_tf.program import progress
from ffn_tf.volume import Box

STEPS_PER_CELL = 1.3


def margin(
    view: fov.FieldOfView, deltas: Sequence[int], reach_borders: bool
) -> tuple[int, int, int]:
    """Voxels at each border without a cell of the lattice of steps.

    Steps that end at the border add half a cell there.
    """
    z, y, x = (
        m - d // 2 if reach_borders else m for m, d in zip(view.margin, deltas)
    )
    return z, y, x


def expected_steps(
    boxes: Sequence[Box],
    view: fov.FieldOfView,
    deltas: Sequence[int],
    reach_borders: bool = False,
) -> float:
    """Network calls that segmenting `boxes` will take, roughly."""
    cell = math.prod(max(d, 1) for d in deltas)
    without = margin(view, deltas, reach_borders)
    centres = sum(
        math.prod(n - 2 * m for n, m in zip(box.size, without)) for box in boxes
    )
    return max(1.0, STEPS_PER_CELL * centres / cell)


def note(text: str) -> None:
    """A line about what takes a while."""
    print(text, file=sys.stderr, flush=True)


def begin(num_boxes: int, num_todo: int, num_half: int) -> None:
    """Says whether a run starts anew, or where it goes on.

    Args:
      num_boxes: subvolumes of the run.
      num_todo: those of them that are not finished.
      num_half: those of them that have a saved state.
    """
    done = num_boxes - num_todo
    if not done and not num_half:
        note(f"Starting anew: {num_boxes} subvolume(s).")
        return
    more = f" and {num_half} half done" if num_half else ""
    note(f"Going on: {done} of {num_boxes} subvolume(s) done{more}.")


class Progress:
    """One line on standard error each second (in a log, fewer).

    Args:
      num_canvases: how many will be segmented.
      steps: network calls that they will take, roughly.
    """

    def __init__(self, num_canvases: int, steps: float) -> None:
        self._line = progress.Line()
        self._num_canvases = num_canvases
        self._expected = steps
        self._done = self._steps = self._segments = self._voxels = 0
        self._failed = 0

    def update(
        self,
        canvases: Sequence[canvas_lib.Canvas] = (),
        steps: int | None = None,
    ) -> None:
        """Shows how far it is.

        Args:
          canvases: that are in flight here; of other processes, none are known.
          steps: calls of this attempt; by default, those of what is finished.
        """
        gone = self._line.due()
        if gone is None:
            return
        tried = self._done + sum(canvas.share_tried for canvas in canvases)
        ever = self._steps + sum(c.counters["steps"] for c in canvases)
        share = max(
            min(ever / self._expected, 0.99), tried / self._num_canvases
        )
        segments = self._segments + sum(len(c.origins) for c in canvases)
        voxels = self._voxels + sum(
            c.counters["voxels-segmented"] for c in canvases
        )
        steps = self._steps if steps is None else steps
        left = (ever / share - ever) * gone / max(steps, 1)
        self._line.show(
            f"{100 * share:3.0f} %  {self._counted()}"
            f"{steps / gone:.1f} FOVs/s  "
            f"{voxels / 1e6:.2f} Mvx in {segments} segments  "
            f"{progress.clock(gone)} gone, {progress.clock(left)} left"
        )

    def _counted(self) -> str:
        failed = f", {self._failed} failed" if self._failed else ""
        if self._num_canvases == 1:
            return ""
        return f"{self._done}/{self._num_canvases}{failed}  "

    def failed(self) -> None:
        """One more is given up."""
        self._failed += 1

    def finished(self, steps: int, segments: int, voxels: int) -> None:
        """Moves a canvas from those in flight to those done."""
        self._done += 1
        self._steps += steps
        self._segments += segments
        self._voxels += voxels

    def close(self) -> None:
        """Ends the line on a terminal."""
        self._line.end()
