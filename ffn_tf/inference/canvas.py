"""Canvas: one subvolume being flood-filled.

A canvas owns an image, the segmentation so far, and the logits of the object
in progress. It never calls a network: `segment_all` is a generator that yields
lists of requests of its field (field.py) and is sent the answers, so a
scheduler can serve many canvases with one batched step and nothing here depends
on who shares the batch.

    flood = canvas.segment_all()
    requests = next(flood)
    while True:
        requests = flood.send([predict(r.image, r.seed) for r in requests])

A list has one request, or up to `moves_in_flight`, whose fields of view do not
meet. With more than one the order of steps is not google/ffn's.

Arrays are [z, y, x]:
    image         float32, normalised
    field         float32 logits of the object in progress; NaN = untouched
    segmentation  int32; 0 free, > 0 an object, -1 a seed that was rejected
                  (such a voxel may still be taken by a later object)
    blocked       bool; no field of view is centred there (restriction.py)

The rules are google/ffn's, to the voxel (Januszewski et al., 2018):
 (1) seeds are tried in order; one that is segmented, or within
     `min_boundary_dist` of an object, is rejected;
 (2) the object grows while its seed stays at or above `move_threshold`;
 (3) each step may not raise what an earlier step of the same object put below
     p = 0.5, if more than `disco_seed_threshold` of the field of view is above
     `move_threshold` (negative disables);
 (4) the object is the voxels at or above `segment_threshold` that are free; it
     is kept if there are at least `min_segment_size` of them.

Objects that are there from the beginning (`initial`, ids 1 to n) are obstacles
like earlier ones; ids go on after theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
import dataclasses
import functools
import hashlib
from typing import Any

import numpy as np
from scipy import special

from ffn_tf.inference import field as field_lib
from ffn_tf.inference import keepsakes, movement
from ffn_tf.inference import options as options_lib
from ffn_tf.model import fov

Position = movement.Position


@dataclasses.dataclass(frozen=True)
class Origin:
    """How an object came to be.

    Attributes:
      start_zyx: its seed, counted from the corner of the canvas.
      num_steps: network calls that it took.
    """

    start_zyx: Position
    num_steps: int


class Canvas:
    """See the module.

    Args:
      image: [z, y, x] float32, normalised.
      view: the network's field of view.
      options: thresholds, as probabilities.
      seeds: [n, 3] positions to try, zyx, each with a whole field of view.
      deltas: movement step, zyx; None takes the network's.
      corner_zyx: where the image's first voxel lies in its volume.
      stages: functions of the segmentation that give more seeds, [n, 3]; each
        is called when the seeds before it are used up.
      blocked: [z, y, x] bool: no field of view is centred there.
      initial: [z, y, x] ids 1 to n of objects that are there already.
      keep: what is kept beside the segmentation.
      reach_borders: a step that would leave the image is shortened.
      moves_in_flight: how many steps are asked for at once.
    """

    def __init__(
        self,
        image: np.ndarray,
        view: fov.FieldOfView,
        options: options_lib.InferenceOptions,
        seeds: np.ndarray,
        deltas: Position | None = None,
        corner_zyx: Position = (0, 0, 0),
        *,
        stages: Sequence[Callable[[np.ndarray], np.ndarray]] = (),
        blocked: np.ndarray | None = None,
        initial: np.ndarray | None = None,
        keep: keepsakes.Keep = keepsakes.NOTHING,
        reach_borders: bool = False,
        moves_in_flight: int = 1,
    ) -> None:
        self.corner_zyx = corner_zyx
        self.image = image
        self.seeds = seeds
        self.next_seed = 0
        self._stages, self._next_stage = stages, 0
        # What there was when each stage began: steps, segments, voxels.
        self.before_stages: list[tuple[int, int, int]] = []
        self.segmentation = np.zeros(image.shape, np.int32)
        self.num_initial = 0
        if initial is not None:
            self.segmentation[...] = initial
            self.num_initial = int(initial.max(initial=0))
        self._blocked = blocked
        self.kept = keepsakes.Keepsakes(keep, self.segmentation)
        self.origins: dict[int, Origin] = {}
        # id -> [2, n] int64: ids that the object overlapped, and voxels.
        self.overlaps: dict[int, np.ndarray] = {}
        self.counters: dict[str, int] = dict.fromkeys(_COUNTERS, 0)
        self._options = options
        self._half = view.margin
        self._move = options.logit("move_threshold")
        self._segment = options.logit("segment_threshold")
        deltas = deltas or view.deltas
        self._movement = movement.FaceMaxMovement(
            deltas,
            # google/ffn compares candidates with the unrounded logit.
            float(special.logit(options.move_threshold)),
            view.size,
            [(h, n - h - 1) for h, n in zip(self._half, image.shape)]
            if reach_borders
            else None,
        )
        self.rule = field_lib.Rule.of(options, view.size, deltas)
        self.field: field_lib.Field = field_lib.HostField(image, self.rule)
        # The object in progress; None between objects.
        self._start: Position | None = None
        self._pending: list[Position] = []  # Yielded, not yet answered.
        self._moves_in_flight = moves_in_flight
        self._steps = 0
        self._low = self._high = (0, 0, 0)

    def move_to(self, field: field_lib.Field) -> None:
        """Goes on with the logits of the object in progress in `field`."""
        if self._start is not None:
            field.write(self._hull(), self.field.read(self._hull()))
        self.field = field

    # -- the flood ---------------------------------------------------------

    @functools.cached_property
    def image_digest(self) -> str:
        """Of the voxels, so that a state is not taken for another image's."""
        return hashlib.sha256(self.image.tobytes()).hexdigest()

    @property
    def share_tried(self) -> float:
        """Of the seeds, as far as their stages have been found."""
        here = self.next_seed / max(len(self.seeds), 1)
        if not self._stages:
            return here
        return (max(self._next_stage - 1, 0) + here) / len(self._stages)

    def segment_all(self) -> Generator[Any, Any, None]:
        """Tries every remaining seed, in order."""
        while self._start is not None or self._has_seeds():
            if self._start is None and not self._begin():
                continue
            yield from self._grow()
            self._finish()
        self.field.close()

    def _has_seeds(self) -> bool:
        """Whether there is one more; goes on to the next stage for it."""
        while self.next_seed == len(self.seeds):
            if self._next_stage == len(self._stages):
                return False
            self.seeds = self._stages[self._next_stage](self.segmentation)
            self._next_stage += 1
            self.next_seed = 0
            self.before_stages.append(self.so_far)
        return True

    @property
    def so_far(self) -> tuple[int, int, int]:
        """Steps, segments, voxels."""
        steps, voxels = (
            self.counters[name] for name in ("steps", "voxels-segmented")
        )
        return steps, len(self.origins), voxels

    def _begin(self) -> bool:
        """Takes the next seed; False if it is rejected (rule 1)."""
        z, y, x = (int(v) for v in self.seeds[self.next_seed])
        self.next_seed += 1
        if self.segmentation[z, y, x] > 0:
            self.counters["seeds-already-segmented"] += 1
            return False
        if self._blocked is not None and self._blocked[z, y, x]:
            self.counters["seeds-restricted"] += 1
            return False
        around = tuple(
            slice(max(p - d, 0), p + d + 1)
            for p, d in zip((z, y, x), self._options.min_boundary_dist_zyx)
        )
        if (self.segmentation[around] > 0).any():
            self.segmentation[z, y, x] = -1
            self.counters["seeds-too-close"] += 1
            return False
        self._start = self._low = self._high = (z, y, x)
        self._steps = 0
        self.field.begin((z, y, x))
        self._movement.start((z, y, x))
        return True

    def _is_free(self, position: Position) -> bool:
        """True if the field of view may move to `position`."""
        if self.field.at(position) < self._move:
            self.counters["moves-below-threshold"] += 1
            return False
        inside = all(
            h <= p < n - h
            for p, h, n in zip(position, self._half, self.image.shape)
        )
        if not inside or self.segmentation[position] > 0:
            self.counters["moves-invalid"] += 1
            return False
        if self._blocked is not None and self._blocked[position]:
            self.counters["moves-restricted"] += 1
            return False
        return True

    def _watched(self) -> list[Position]:
        """Whose logits decide what comes after a step."""
        assert self._start is not None
        queued = self._movement.upcoming(field_lib.WATCHED - 1)
        return [self._start, *queued]

    def _grow(self) -> Generator[Any, Any, None]:
        """Steps through one object until its queue is empty (rule 2)."""
        assert self._start is not None
        while positions := self._movement.pop_apart(
            self._moves_in_flight, self.rule.meet, self._is_free
        ):
            if self.field.at(self._start) < self._move:
                self.counters["seeds-got-too-weak"] += 1
                break
            self._pending = positions
            found = yield from field_lib.together(
                [self.field.step(p, self._watched) for p in positions]
            )
            self._pending = []
            for position, step in zip(positions, found):
                self._visited(position, step)

    def _visited(self, position: Position, step: field_lib.Found) -> None:
        self.kept.visited(position, step.deleted)
        z, y, x = (min(a, b) for a, b in zip(self._low, position))
        self._low = (z, y, x)
        z, y, x = (max(a, b) for a, b in zip(self._high, position))
        self._high = (z, y, x)
        self._steps += 1
        self.counters["steps"] += 1
        self._movement.update(step.strongest, position)

    def _finish(self) -> None:
        """Accepts or rejects the grown object (rule 4), and cleans up."""
        start, self._start = self._start, None
        assert start is not None
        touched = self._hull()
        if self._steps == 0:
            self.counters["seeds-without-steps"] += 1
        elif self.field.at(start) < self._move:
            self._reject(start, "seeds-weak")
        else:
            seed, taken = self.field.read(touched), self.segmentation[touched]
            with np.errstate(invalid="ignore"):
                mask = seed >= self._segment
            ids, counts = np.unique(taken[mask], return_counts=True)
            mask &= taken <= 0
            size = int(np.count_nonzero(mask))
            if size < self._options.min_segment_size:
                self._reject(start, "seeds-too-small")
            else:
                label = self.num_initial + len(self.origins) + 1
                taken[mask] = label
                self.kept.accepted(label, touched, mask, seed)
                self.origins[label] = Origin(start, self._steps)
                kept = np.stack([ids, counts])[:, ids > 0].astype(np.int64)
                self.overlaps[label] = kept
                self.counters["voxels-segmented"] += size
                self.counters["voxels-overlapping"] += int(kept[1].sum())
        self.kept.forget()
        self.field.clear(touched)

    def _reject(self, start: Position, reason: str) -> None:
        self.counters[reason] += 1
        if self.segmentation[start] == 0:
            self.segmentation[start] = -1

    # -- durability --------------------------------------------------------

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """(arrays, JSON values) from which `restore` goes on.

        May be taken between any two requests. The logits are those of the
        object's hull only.
        """
        touched = self._hull()
        arrays = {
            "segmentation": self.segmentation,
            "seeds": self.seeds,
            "hull": self.field.read(touched),
        }
        arrays |= self.kept.arrays()
        values = self.kept.values() | {
            "next_stage": self._next_stage,
            "before_stages": self.before_stages,
            "next_seed": self.next_seed,
            "start": self._start,
            "steps": self._steps,
            "low": self._low,
            "high": self._high,
            "movement": self._movement.state(self._pending),
            "counters": self.counters,
            "origins": {
                label: [origin.start_zyx, origin.num_steps]
                for label, origin in self.origins.items()
            },
            "overlaps": {
                label: kept.tolist() for label, kept in self.overlaps.items()
            },
        }
        return arrays, values

    def _hull(self) -> tuple[slice, ...]:
        """All that the fields of view of the object have covered."""
        return tuple(
            slice(max(a - h, 0), b + h + 1)
            for a, b, h in zip(self._low, self._high, self._half)
        )

    def restore(
        self, arrays: dict[str, np.ndarray], values: dict[str, Any]
    ) -> None:
        """Goes on from an earlier `state` of a canvas of the same image."""
        self.segmentation = arrays["segmentation"].copy()
        self.seeds = arrays["seeds"]
        self._next_stage = int(values["next_stage"])
        self.before_stages = [
            movement.as_position(found) for found in values["before_stages"]
        ]
        self.next_seed = int(values["next_seed"])
        self._steps = int(values["steps"])
        self._low = movement.as_position(values["low"])
        self._high = movement.as_position(values["high"])
        start = values["start"]
        self._start = None if start is None else movement.as_position(start)
        self.field.write(self._hull(), arrays["hull"])
        self._movement.restore(values["movement"])
        self.kept.restore(arrays, values)
        counters = values["counters"]
        self.counters = {name: int(counters[name]) for name in _COUNTERS}
        self.origins = {
            int(label): Origin(movement.as_position(start_zyx), steps)
            for label, (start_zyx, steps) in values["origins"].items()
        }
        self.overlaps = {
            int(label): np.array(kept, np.int64).reshape(2, -1)
            for label, kept in values["overlaps"].items()
        }


_COUNTERS = (
    "steps",
    "voxels-segmented",
    "voxels-overlapping",
    "seeds-already-segmented",
    "seeds-too-close",
    "seeds-restricted",
    "seeds-without-steps",
    "seeds-weak",
    "seeds-too-small",
    "seeds-got-too-weak",
    "moves-below-threshold",
    "moves-invalid",
    "moves-restricted",
)
