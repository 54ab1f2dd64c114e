"""What a network of ours learns: on phantoms, and on real EM.

`phantom` segments a phantom that the shipped network has never seen.

`fib25` trains the shipped network further on one half of FIB-25 (z < 125),
segments the other half, and scores that beside what it began with, Google's
network (its published segmentation of the same voxels) and a watershed, whose
parameters were the best of GRID on the half that is trained on.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import pathlib
from typing import Any

import fib25 as data
import numpy as np
from scipy import ndimage
from skimage import feature, segmentation
from volumes import table

from ffn_tf import (
    build_coordinates,
    compute_partitions,
    evaluate,
    evaluation,
    model,
    train,
    volume,
)
from ffn_tf.inference import engine as engine_lib
from ffn_tf.inference import intensity, options
from ffn_tf.phantom import options as phantom_options
from ffn_tf.phantom import voxels as phantom_voxels
from ffn_tf.program.progress import Line
from ffn_tf.training import step
from ffn_tf.training.augmentation import AugmentOptions
from ffn_tf.training.options import TrainOptions
from ffn_tf.validation import checkpoint

# Seeds of the shipped network's tissue: ffn_tf/model/shipped/README.md.
UNSEEN_SEED = 7
_HALF = 125
_CENTERS_MARGIN = 18
# Larger than that of segmenting: docs/decisions/007-training-from-nothing.md.
_TRAINED_VIEW = {"fov_size": [25, 25, 25], "deltas": [6, 6, 6]}


def _scores(truth: np.ndarray, labels: np.ndarray) -> evaluation.Comparison:
    return evaluation.compare(evaluation.count(truth, labels))


def _told(name: str, found: evaluation.Comparison) -> None:
    """A row: over voxels where both have a label, and over all of the truth."""
    assert found.both is not None
    both, all_ = found.both, found.truth
    print(
        f"{name:<38}{found.coverage:6.3f}"
        f"  {both.voi_split:6.3f} + {both.voi_merge:5.3f} = {both.voi:5.3f}"
        f"  {both.adapted_rand_error:6.3f}"
        f"  {all_.voi_split:6.3f} + {all_.voi_merge:5.3f} = {all_.voi:5.3f}"
        f"  {all_.adapted_rand_error:6.3f}"
    )


def _head(what: str) -> None:
    table.heading(what)
    print(
        f"{'':<38}{'cover':>6}  {'VOI split + merge':>22}  {'ARE':>6}"
        f"  {'with 0 as a segment':>22}  {'ARE':>6}"
    )


def _segmented(folder: str, image: np.ndarray) -> np.ndarray:
    """By the shipped network, or one trained from it, as run_inference does."""
    network = model.load(folder, model.load(model.SHIPPED).view)
    engine = engine_lib.create(network, *engine_lib.resolve("auto", "auto"))
    opened = volume.from_array(image)
    mean, stddev = volume.grey.measured(opened)
    return checkpoint.segmented(
        network,
        engine,
        intensity.normalised(image, mean, stddev),
        options.SHIPPED,
    )


def phantom(edge: int) -> dict[str, Any]:
    """Scores of the shipped network; the phantom's options are the defaults."""
    _head(f"phantom {UNSEEN_SEED}, {edge}^3, never seen")
    made = phantom_voxels.generate(
        phantom_options.Options(seed=UNSEEN_SEED, size_zyx=(edge,) * 3)
    )
    labels = _segmented(model.SHIPPED, made.image)
    found = _scores(made.labels, labels)
    _told("the shipped network", found)
    assert found.both is not None
    return {
        "phantom_voi": round(found.both.voi, 3),
        "phantom_are": round(found.both.adapted_rand_error, 3),
        "phantom_coverage": round(found.coverage, 3),
        "phantom_voi_with_0": round(found.truth.voi, 3),
    }


# -----------------------------------------------------------------------------
# Real EM
# -----------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Watershed:
    """Basins of the smoothed grey values, from the middles of bright places.

    Attributes:
      sigma: of the smoothing, voxels.
      share: of the voxels, the darkest, that are membrane.
      distance: between two middles, voxels at least.
    """

    sigma: float
    share: float
    distance: int

    def labels(self, image: np.ndarray) -> np.ndarray:
        smooth = ndimage.gaussian_filter(image.astype(np.float32), self.sigma)
        inside = smooth > np.quantile(smooth, self.share)
        depth = ndimage.distance_transform_edt(inside)
        middles = feature.peak_local_max(depth, min_distance=self.distance)
        markers = np.zeros(image.shape, np.int32)
        markers[tuple(middles.T)] = np.arange(1, len(middles) + 1)
        return np.asarray(segmentation.watershed(-depth, markers))


GRID = [
    _Watershed(*parameters)
    for parameters in itertools.product(
        (1.0, 1.5), (0.15, 0.25, 0.35), (6, 10, 16)
    )
]


def fib25(folder: pathlib.Path, max_steps: int) -> dict[str, Any]:
    """Scores of the other half; the curve over steps is printed.

    Args:
      folder: of the training, which goes on where it was.
      max_steps: of batches of 8.
    """
    with volume.open(data.IMAGE) as em, volume.open(data.TRUTH) as truth:
        image, labels = em.read(), truth.read()
    _write_halves(folder, image, labels)
    _head("the other half of FIB-25, z >= 125")
    seen, other = np.s_[:_HALF], np.s_[_HALF:]
    result: dict[str, Any] = {}

    def told(name: str, key: str, found: np.ndarray) -> None:
        score = _scores(labels[other], found)
        _told(name, score)
        assert score.both is not None
        result[f"{key}_voi"] = round(score.both.voi, 3)
        result[f"{key}_are"] = round(score.both.adapted_rand_error, 3)
        result[f"{key}_coverage"] = round(score.coverage, 3)
        result[f"{key}_voi_with_0"] = round(score.truth.voi, 3)

    with volume.open(data.PUBLISHED) as published:
        told("Google's network (published)", "google", published.read()[other])
    best = min(
        GRID,
        key=lambda w: _scores(labels[seen], w.labels(image[seen])).truth.voi,
    )
    told("watershed (scikit-image)", "watershed", best.labels(image[other]))
    told("shipped", "before", _segmented(model.SHIPPED, image[other]))
    trained = _trained(folder, max_steps)
    told(
        f"trained, {max_steps:,} steps",
        "after",
        _segmented(trained, image[other]),
    )
    return result


def _write_halves(
    folder: pathlib.Path, image: np.ndarray, labels: np.ndarray
) -> None:
    halves = {"seen": np.s_[:_HALF], "other": np.s_[_HALF:]}
    for name, array in (("em", image), ("labels", labels)):
        for half, where in halves.items():
            address = folder / f"{name}_{half}.zarr"
            if address.exists():
                continue
            part = array[where]
            info = volume.VolumeInfo(
                volume.Box.from_shape(part.shape), part.dtype, (10, 10, 10)
            )
            with volume.staged(str(address), info) as made:
                made.write(info.domain, part)


def _trained(folder: pathlib.Path, max_steps: int) -> str:
    """The checkpoint of the shipped network, trained on the first half."""
    compute_partitions.run(
        compute_partitions.Options(
            input_volume=f"{folder}/labels_seen.zarr",
            output_volume=f"{folder}/partitions.zarr",
            thresholds=(0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
            lom_radius=(8, 8, 8),
            min_size=1000,
            ignore_borders=True,
        )
    )
    build_coordinates.run(
        build_coordinates.Options(
            partition_volumes=(f"v:{folder}/partitions.zarr",),
            coordinate_output=f"{folder}/coordinates",
            margin=(_CENTERS_MARGIN,) * 3,
            max_per_class=50_000,
        )
    )

    _, fastest = engine_lib.resolve("auto", "auto")
    line = Line()
    summary = train.run(
        TrainOptions(
            train_coords=f"{folder}/coordinates",
            data_volumes=(f"v:{folder}/em_seen.zarr",),
            label_volumes=(f"v:{folder}/labels_seen.zarr",),
            train_dir=f"{folder}/training",
            init_checkpoint=model.SHIPPED,
            model_args=json.dumps(_TRAINED_VIEW),
            compute_dtype="bfloat16" if fastest == "bfloat16" else "float32",
            batch_size=8,
            mix_num_batches=8,
            max_steps=max_steps,
            checkpoint_interval=300,
            keep_checkpoints=0,
        ),
        step.OptimizerOptions(
            optimizer="adam",
            learning_rate=0.0003,
            learning_rate_schedule="cosine",
            warmup_steps=100,
            ema_decay=0.999,
        ),
        AugmentOptions(permutable_axes=(0, 1, 2)),
        checkpoint.ValidationOptions(
            eval_volume=f"{folder}/em_other.zarr",
            eval_truth=f"{folder}/labels_other.zarr",
        ),
        tell=lambda progress: line.show(train.as_line(progress)),
        tell_s=line.interval,
    )
    line.end()
    print("The curve: 96^3 of the other half, all voxels with a truth.")
    evaluate.rank(
        evaluate.Options(
            checkpoints=f"{folder}/training", output_dir=f"{folder}/ranking"
        ),
        print,
    )
    return str(summary.checkpoint)
