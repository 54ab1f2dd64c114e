"""Examples in which every voxel differs, and operations one at a time."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from ffn_tf.training import augmentation

OFF = {"permutable_axes": (), "reflectable_axes": ()}

# Each operation alone, on every example.
ALONE = {
    "permute": OFF | {"permutable_axes": (1, 2)},
    "reflect": OFF | {"reflectable_axes": (0, 1, 2)},
    "rotate": OFF | {"rotation_probability": 1.0},
    "rotate in space": OFF | {"rotation_probability": 1.0, "rotation_3d": True},
    "elastic": OFF
    | {
        "elastic_probability": 1.0,
        "elastic_displacement": 3.0,
        "elastic_spacing": 6,
    },
    "misalign": OFF
    | {"misalignment_probability": 1.0, "misalignment_voxels": 3},
    "defocus": OFF | {"out_of_focus_probability": 1.0},
    "contrast": OFF | {"contrast_probability": 1.0},
    "brightness": OFF | {"brightness_probability": 1.0},
    "gamma": OFF | {"gamma_probability": 1.0},
    "missing": OFF | {"missing_section_probability": 1.0},
}
ALL = {key: value for alone in ALONE.values() for key, value in alone.items()}
ALL |= {"permutable_axes": (1, 2), "reflectable_axes": (0, 1, 2)}


@pytest.fixture(scope="session")
def numbered():
    """numbered(size): an example whose voxels all differ, of grey 1 to 254.

    Labels are numbers from 1, weights all 1.
    """

    def make(size):
        count = int(np.prod(size))
        shuffled = np.random.default_rng(7).permutation(count).reshape(size)
        image = 1 + shuffled * (253 / count)
        return augmentation.Example(
            tf.constant(image, tf.float32),
            tf.constant(shuffled + 1, tf.int32),
            tf.ones(size),
        )

    return make


@pytest.fixture(scope="session")
def results(numbered):
    """results(options, size, count): an example's results for many seeds.

    They are computed in a graph: image, labels, weights [count, z, y, x].
    """

    def make(options, size, count, voxel_size_zyx=(1.0, 1.0, 1.0)):
        padded = augmentation.padded_size(size, options, voxel_size_zyx)
        example = numbered(padded)
        found = tf.data.Dataset.range(count).map(
            lambda number: augmentation.augment(
                example,
                tf.stack([3, tf.cast(number, tf.int32)]),
                options,
                size,
                voxel_size_zyx,
            )
        )
        batch = next(iter(found.batch(count)))
        return example, augmentation.Example(*(a.numpy() for a in batch))

    return make


@dataclasses.dataclass(frozen=True)
class Operation:
    """An operation alone, or all, and what 40 seeds make of an example."""

    name: str
    options: augmentation.AugmentOptions
    size: tuple[int, int, int]
    example: augmentation.Example
    found: augmentation.Example


@pytest.fixture(scope="session", params=[*ALONE, "all"])
def operation(request, results):
    changes = ALL if request.param == "all" else ALONE[request.param]
    options = augmentation.AugmentOptions(**changes)
    size = (7, 9, 9)
    return Operation(request.param, options, size, *results(options, size, 40))
