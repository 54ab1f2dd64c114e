"""(2) Checkpoint: one network, segmenting and scored on a small box.

    image, truth, skeletons of the box: read once, checked before training
    checkpoint ─ network, grey values as in training ─ flood filling ─ labels
    labels, truth      -> coverage, VOI, adapted Rand error
    labels, skeletons  -> run length

The grey values are normalised as in training (`origin` of model.json). Where
its volumes had several normalisations, that of the volume is measured, as
training does. The network sees a whole field of view, so no object begins
within half of one of the border: in small boxes coverage is low for all.
"""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
import dataclasses
import pathlib
import time
from typing import Any

import numpy as np

from ffn_tf import evaluation, model, program, skeleton, volume
from ffn_tf.evaluation import skeleton_metrics
from ffn_tf.inference import box_text, intensity, scheduler, seeds
from ffn_tf.inference import canvas as canvas_lib
from ffn_tf.inference import engine as engine_lib
from ffn_tf.inference import options as options_lib
from ffn_tf.validation import record
from ffn_tf.volume import source

_THRESHOLDS = options_lib.OF_TRAINING
_EDGE = 96  # Of the box that nobody has asked for.


@dataclasses.dataclass(frozen=True)
class ValidationOptions:
    """What each checkpoint is tried on."""

    eval_volume: str = program.option(
        "",
        help="Address of EM of which each checkpoint segments a small box, to "
        "be scored. Empty: none.",
    )
    eval_truth: str = program.option(
        "", help="Address of the labels of --eval_volume; 0 is unlabelled."
    )
    eval_box: str = program.option(
        "",
        help=f"That box: {box_text.HELP}. Empty: {_EDGE}^3 in the middle.",
    )
    eval_skeletons: str = program.option(
        "", help="Path of skeletons (as of evaluate), for the run length."
    )
    eval_merge_threshold: int = program.option(
        0, help="Nodes of each of two skeletons that make a segment a merge."
    )

    def __post_init__(self) -> None:
        if bool(self.eval_volume) != bool(self.eval_truth):
            raise ValueError(
                "--eval_volume and --eval_truth go together: give both or "
                "neither."
            )
        rest = self.eval_box, self.eval_skeletons, self.eval_merge_threshold
        if not self.eval_volume and any(rest):
            raise ValueError(
                "--eval_box, --eval_skeletons and --eval_merge_threshold are "
                "for --eval_volume; give that and --eval_truth too."
            )


class Validator:
    """A box with its truth. All that can be wrong is found in the beginning.

    Attributes:
      box: the voxels that are segmented.
      settings: of record.Record.
    """

    def __init__(self, options: ValidationOptions) -> None:
        """Reads the box.

        Raises:
          ValueError: volumes or skeletons that do not fit, or hold nothing
            that can be scored.
          OSError: they cannot be read.
        """
        self._address = options.eval_volume
        with contextlib.ExitStack() as stack:
            image = stack.enter_context(volume.open(options.eval_volume))
            truth = stack.enter_context(volume.open(options.eval_truth))
            voxel_size_nm = evaluation.shared_voxel_size([image, truth])
            self.box = _box(options.eval_box, image, truth)
            self._image = image.read(self.box)
            self._truth = truth.read(self.box)
        if not np.isfinite(self._image).all():
            raise ValueError(
                f"{self._address}: NaN or infinity in {self.box}. Fill such "
                f"voxels, or name another box."
            )
        self._voi_of_nothing = self._compared(
            np.zeros(self.box.size, np.uint8)
        ).truth.voi
        self._threshold = options.eval_merge_threshold
        self._lines: list[skeleton.Skeleton] = []
        if options.eval_skeletons:
            self._lines, self._nodes = _lines(
                options.eval_skeletons, self.box, voxel_size_nm
            )
        self._run_length(np.zeros(self.box.size, np.uint8))
        self.settings = {
            "image": options.eval_volume,
            "truth": options.eval_truth,
            "start_zyx": list(self.box.start),
            "size_zyx": list(self.box.size),
            "skeletons": options.eval_skeletons or None,
            "merge_threshold": options.eval_merge_threshold,
            "disco_seed_threshold": _THRESHOLDS.disco_seed_threshold,
        }

    def check_view(self, view: model.FieldOfView) -> None:
        """Raises a ValueError if a field of view is larger than the box."""
        if any(n < m for n, m in zip(self.box.size, view.size)):
            raise ValueError(
                f"The box {self.box} of {self._address} is smaller than the "
                f"network's field of view, size_zyx {view.size}: nothing could "
                f"be segmented. Name a larger one."
            )

    def validated(self, folder: pathlib.Path, step: int) -> record.Record:
        """Segments with the checkpoint in `folder`, and scores that.

        Raises:
          FileNotFoundError: no network is there.
          ValueError: it is damaged, or its field of view too large.
        """
        begin = time.monotonic()
        network = model.load(str(folder))
        self.check_view(network.view)
        mean, stddev = self._normalisation(model.origin(str(folder)))
        engine = engine_lib.create(network, *engine_lib.resolve("auto", "auto"))
        labels = segmented(
            network,
            engine,
            intensity.normalised(self._image, mean, stddev),
            _THRESHOLDS,
        )
        comparison = self._compared(labels)
        runs = self._run_length(labels)
        scores = record.Scores(
            coverage=comparison.coverage,
            voi_split=comparison.truth.voi_split,
            voi_merge=comparison.truth.voi_merge,
            arand=comparison.truth.adapted_rand_error,
            segments=int(labels.max()),
            seconds=time.monotonic() - begin,
            voi_of_nothing=self._voi_of_nothing,
            erl_nm=runs.erl_nm if runs else None,
            normalised_erl=runs.normalised_erl if runs else None,
        )
        made_by = {
            "image_mean": mean,
            "image_stddev": stddev,
            "engine": engine.name,
            "compute_dtype": engine.compute_dtype,
            "code": program.describe_code(),
        }
        return record.Record(step, scores, self.settings, made_by)

    def _compared(self, labels: np.ndarray) -> evaluation.Comparison:
        return evaluation.compare(evaluation.count(self._truth, labels))

    def _run_length(
        self, labels: np.ndarray
    ) -> evaluation.SkeletonScores | None:
        if not self._lines:
            return None
        found = labels[tuple(self._nodes.T)]
        return skeleton_metrics.score(self._lines, found, self._threshold)

    def _normalisation(self, origin: Mapping[str, Any]) -> tuple[float, float]:
        known = intensity.of_training(origin)
        if len(known) == 1:
            return known[0]
        with volume.open(self._address) as image:
            return volume.grey.measured(image)


def segmented(
    network: model.ConvStack,
    engine: engine_lib.Engine,
    image: np.ndarray,
    options: options_lib.InferenceOptions,
) -> np.ndarray:
    """Flood filling of one box, as run_inference does.

    Args:
      network: whose geometry counts.
      engine: what predicts, of a batch of 1.
      image: [z, y, x] float32, normalised.
      options: thresholds.

    Returns:
      [z, y, x] int32, ids from 1 on, none left out.
    """
    canvas = canvas_lib.Canvas(
        image,
        network.view,
        options,
        seeds.find(
            "PolicyPeaks",
            image,
            np.zeros(image.shape, bool),
            network.view.margin,
        ),
    )
    for _ in scheduler.segment([canvas], engine, 1, lambda _: None):
        pass
    return np.maximum(canvas.segmentation, 0)


def _box(text: str, image: volume.Volume, truth: volume.Volume) -> volume.Box:
    """The part of the box that is asked for in which both volumes are."""
    shared = image.domain.intersected(truth.domain)
    if text:
        box = box_text.parse(text)
    else:
        corner = [
            start + max(n - _EDGE, 0) // 2
            for start, n in zip(shared.start, shared.size)
        ]
        box = volume.Box.from_size(corner, _EDGE)
    clipped = box.clipped(shared)
    if clipped.is_empty:
        raise ValueError(
            f"Nothing to validate on: {image.address} is {image.domain}, its "
            f"truth {truth.address} is {truth.domain}, and the box {box}. "
            f"Name a box in which both are."
        )
    return clipped


def _lines(
    path: str, box: volume.Box, voxel_size_nm: tuple[float, float, float]
) -> tuple[list[skeleton.Skeleton], np.ndarray]:
    """Skeletons, cut where the box ends, and their nodes [n, 3] in it."""
    if voxel_size_nm == source.UNKNOWN_VOXEL_SIZE:
        raise ValueError(
            "Skeletons are in nanometres, and neither the image nor the truth "
            "has a voxel size. Name one of them in a dataset file "
            "(configs/datasets/fib25.yaml#truth)."
        )
    lines, nodes = [], []
    for line in skeleton.read(path):
        voxels = line.voxels_zyx(voxel_size_nm)
        keep = np.all((voxels >= box.start) & (voxels < box.end), axis=1)
        lines.append(line.cut(keep))
        nodes.append(voxels[keep] - box.start)
    if not any(line.length_nm for line in lines):
        raise ValueError(
            f"{path}: no edge of {len(lines)} skeletons lies in {box}, in "
            f"voxels of {voxel_size_nm} nm (zyx). Name another box, or leave "
            f"the skeletons out."
        )
    return lines, np.concatenate(nodes)
