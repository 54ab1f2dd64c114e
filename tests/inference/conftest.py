"""A predictor that knows the truth, so that floods are worked out by hand."""

from __future__ import annotations

import hypothesis
import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.inference import canvas as canvas_lib
from ffn_tf.inference import options as options_lib
from ffn_tf.model import fov

# Laws are checked without a deadline: the machine may be busy.
hypothesis.settings.register_profile("inference", deadline=None)
hypothesis.settings.load_profile("inference")


def _same_label(image, seed, greedy=0):
    """About +5 where the image has the label of its centre, -5 elsewhere.

    A little less far from the centre, so that there are no ties. From the
    label `greedy` it is +5 everywhere.
    """
    del seed
    grid = np.indices(image.shape).T - np.array(image.shape) // 2
    distance = np.abs(grid).sum(-1).T
    z, y, x = (n // 2 for n in image.shape)
    taken = (image == image[z, y, x]) | (image[z, y, x] == greedy)
    return np.where(taken, 5 - 0.01 * distance, -5).astype(np.float32)


@pytest.fixture(scope="session")
def oracle():
    """oracle(image, seed): logits, if the image shows labels."""
    return _same_label


@pytest.fixture(scope="session")
def flood():
    """flood(flooding, predict, steps): answers that many times, or always."""

    def run(flooding, predict=_same_label, steps=None):
        requests = next(flooding, None)
        answered = 0
        while requests is not None and answered != steps:
            logits = [predict(one.image, one.seed) for one in requests]
            answered += 1
            try:
                requests = flooding.send(logits)
            except StopIteration:
                requests = None
        return answered

    return run


@pytest.fixture(scope="session")
def make_canvas():
    """make_canvas(labels, seeds, ...): a canvas whose image is `labels`."""

    def make(labels, seeds, size=(5, 5, 5), deltas=(1, 1, 1), **options):
        own = ("corner_zyx", "stages", "blocked", "initial", "keep")
        own += ("moves_in_flight",)
        others = {name: options.pop(name) for name in own if name in options}
        return canvas_lib.Canvas(
            labels.astype(np.float32),
            fov.FieldOfView(size, deltas),
            options_lib.InferenceOptions(
                **{
                    "min_segment_size": 1,
                    "min_boundary_dist_zyx": (0, 0, 0),
                    **options,
                }
            ),
            np.array(seeds, np.int64).reshape(-1, 3),
            **others,
        )

    return make


@pytest.fixture(scope="session")
def blocks():
    """Labels 1 to 4 that fill [9, 11, 13] in blocks of different shapes."""
    labels = np.zeros((9, 11, 13), np.int32)
    for label, box in enumerate(
        (
            volume.Box((0, 0, 0), (9, 6, 5)),
            volume.Box((0, 0, 5), (9, 6, 13)),
            volume.Box((0, 6, 0), (5, 11, 13)),
            volume.Box((5, 6, 0), (9, 11, 13)),
        ),
        start=1,
    ):
        labels[box.slices] = label
    assert labels.all()
    return labels
