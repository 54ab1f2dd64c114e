"""All operations: the laws that hold for each, and the sizes they need."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from ffn_tf.training import augmentation

SIZE = (7, 9, 9)

ALL = {
    f"{name}_probability": 1.0
    for name in (
        "rotation",
        "elastic",
        "misalignment",
        "out_of_focus",
        "contrast",
        "brightness",
        "gamma",
        "missing_section",
    )
}


def middle(array):
    """The centre voxel of the last three axes."""
    return array[..., *(n // 2 for n in array.shape[-3:])]


def test_one_seed_gives_the_same_bytes_eagerly_and_in_a_graph(operation):
    options, size = operation.options, operation.size
    for number in range(4):
        found = augmentation.augment(
            operation.example, tf.constant([3, number]), options, size
        )
        for one, others in zip(found, operation.found):
            np.testing.assert_array_equal(one, others[number])


def test_threads_do_not_matter(numbered):
    """All operations within one thread, and in several."""
    options = augmentation.AugmentOptions(**ALL)
    example = numbered(augmentation.padded_size(SIZE, options))
    alone = tf.data.Options()
    alone.threading.max_intra_op_parallelism = 1
    several = tf.data.Dataset.range(4).map(
        lambda number: augmentation.augment(
            example, tf.stack([8, tf.cast(number, tf.int32)]), options, SIZE
        )
    )
    for one, other in zip(several, several.with_options(alone)):
        for a, b in zip(one, other):
            np.testing.assert_array_equal(a, b)


def test_another_seed_gives_another_example(operation):
    different = {image.tobytes() for image in operation.found.image}
    # Two axes can only be permuted in two ways, reflected in eight.
    assert len(different) > {"permute": 1, "reflect": 5}.get(operation.name, 25)


def test_the_centre_stays(operation):
    example, found = operation.example, operation.found
    assert (middle(found.labels) == middle(example.labels.numpy())).all()
    assert (middle(found.weights) == 1).all()
    if operation.name not in ("contrast", "brightness", "gamma", "all"):
        assert (middle(found.image) == middle(example.image.numpy())).all()


def test_labels_are_moved_not_made(operation):
    assert operation.found.labels.dtype == np.int32
    assert operation.found.labels.shape == (40, *operation.size)
    assert np.isin(operation.found.labels, operation.example.labels).all()


def test_all_that_is_shown_comes_from_the_input(operation):
    """padded_size is enough: nothing of a result lies outside of it."""
    assert (operation.found.weights == 1).all()


def test_results_are_finite_and_of_their_range(operation):
    padded = operation.example.size
    extremes = np.random.default_rng(0).choice([0, 0.5, 255], padded)
    example = augmentation.Example(
        tf.constant(extremes, tf.float32),
        tf.ones(padded, tf.uint8),
        tf.ones(padded),
    )
    for number in range(3):
        found = augmentation.augment(
            example,
            tf.constant([0, number]),
            operation.options,
            operation.size,
        )
        assert np.isfinite(found.image).all()
        assert np.min(found.image) >= -1e-3
        assert np.max(found.image) <= 255 + 1e-3
        assert found.labels.dtype == tf.uint8


@pytest.mark.parametrize("share", list(ALL))
def test_probabilities_are_kept(share, results):
    """Of 250 examples about 0.3, changed as all would be."""
    off = {"permutable_axes": (), "reflectable_axes": ()}
    count, size = 250, (3, 5, 5)

    def images(probability):
        options = augmentation.AugmentOptions(**off, **{share: probability})
        example, found = results(options, size, count)
        still = example.cropped(size).image.numpy()
        return found.image, (found.image != still).any((1, 2, 3))

    always, changed = images(1.0)
    # A drawn strength may be about 0.
    assert changed.mean() > 0.95
    some, changed = images(0.3)
    spread = 4 * np.sqrt(0.3 * 0.7 * count)
    assert abs(changed.sum() - 0.3 * count) < spread
    np.testing.assert_array_equal(some[changed], always[changed])


def test_one_operation_more_leaves_the_draws_of_the_others(results):
    """Where sections are not lost, all else is as it was."""
    few = augmentation.AugmentOptions(
        contrast_probability=0.5, misalignment_probability=0.5
    )
    more = augmentation.AugmentOptions(
        contrast_probability=0.5,
        misalignment_probability=0.5,
        missing_section_probability=1.0,
        missing_section_value=-1.0,
    )
    _, found = results(few, SIZE, 20)
    _, spoiled = results(more, SIZE, 20)
    np.testing.assert_array_equal(found.labels, spoiled.labels)
    kept = spoiled.image != -1
    assert 0.5 < kept.mean() < 0.95
    np.testing.assert_array_equal(found.image[kept], spoiled.image[kept])


def test_nothing_on_is_the_identity(numbered):
    options = augmentation.AugmentOptions(
        permutable_axes=(), reflectable_axes=()
    )
    assert augmentation.padded_size(SIZE, options) == SIZE
    example = numbered(SIZE)
    found = augmentation.augment(example, tf.constant([1, 2]), options, SIZE)
    for one, other in zip(example, found):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (33, 49, 49)),
        ({"misalignment_probability": 0.1}, (33, 65, 65)),
        ({"elastic_probability": 0.1}, (33, 65, 65)),
        # Half a diagonal: 24 * sqrt(2) = 33.9.
        ({"rotation_probability": 0.1}, (33, 69, 69)),
        # 24 and a chord of 2 sin(5 degrees) * 33.9 = 5.9.
        (
            {"rotation_probability": 0.1, "rotation_degrees": 10.0},
            (33, 61, 61),
        ),
        # Half a diagonal: sqrt(16^2 + 24^2 + 24^2) = 37.5.
        (
            {"rotation_probability": 0.1, "rotation_3d": True},
            (77, 77, 77),
        ),
        # (24 + 8) sqrt(2) + 8 = 53.3.
        (
            {
                "misalignment_probability": 0.1,
                "elastic_probability": 0.1,
                "rotation_probability": 0.1,
            },
            (33, 109, 109),
        ),
    ],
)
def test_padded_size(changes, expected):
    options = augmentation.AugmentOptions(**changes)
    assert augmentation.padded_size((33, 49, 49), options) == expected


def test_padded_size_goes_by_the_size_of_voxels():
    """Half a diagonal of (4 * 8, 12, 12), sqrt(1312) = 36.2; a quarter in z."""
    options = augmentation.AugmentOptions(
        rotation_probability=1.0, rotation_3d=True
    )
    found = augmentation.padded_size((17, 25, 25), options, (4.0, 1.0, 1.0))
    assert found == (2 * 10 + 1, 2 * 37 + 1, 2 * 37 + 1)


def test_axes_that_are_permuted_are_padded_alike(results):
    options = augmentation.AugmentOptions(
        permutable_axes=(0, 1, 2),
        rotation_probability=1.0,
        misalignment_probability=1.0,
        misalignment_voxels=2,
    )
    assert augmentation.padded_size((7, 7, 7), options) == (17, 17, 17)
    _, found = results(options, (7, 7, 7), 3)
    assert found.image.shape == (3, 7, 7, 7)


def test_in_an_anisotropic_volume_all_comes_from_the_input(results):
    options = augmentation.AugmentOptions(
        permutable_axes=(),
        rotation_probability=1.0,
        rotation_3d=True,
        elastic_probability=1.0,
    )
    example, found = results(options, (3, 7, 9), 40, (4.0, 1.0, 1.25))
    assert (found.weights == 1).all()
    assert (middle(found.labels) == middle(example.labels.numpy())).all()


@pytest.mark.parametrize(
    ("size", "changes", "complaint"),
    [
        ((7, 8, 9), {}, r"odd sizes.*\(7, 8, 9\)"),
        ((7, 9, 11), {}, r"permutable_axes \(1, 2\).*sizes \(9, 11\)"),
        (
            (7, 9, 9),
            {"permutable_axes": (0, 1)},
            r"permutable_axes \(0, 1\).*sizes \(7, 9\).*\(7, 9, 9\)",
        ),
        (
            (1, 9, 9),
            {"misalignment_probability": 0.1},
            r"1 sections may be spoiled.*\(1, 9, 9\) have only 1",
        ),
        (
            (3, 9, 9),
            {"missing_section_probability": 0.1, "missing_sections": 3},
            r"3 sections may be spoiled.*have only 3",
        ),
    ],
)
def test_sizes_that_cannot_be(size, changes, complaint):
    options = augmentation.AugmentOptions(**changes)
    with pytest.raises(ValueError, match=complaint):
        augmentation.padded_size(size, options)


def test_examples_that_are_not_as_expected(numbered):
    options = augmentation.AugmentOptions()
    example = numbered(SIZE)
    seed = tf.constant([0, 0])
    for wrong, complaint in (
        (numbered((7, 9, 11)), r"image: expected.*\(7, 9, 9\).*\(7, 9, 11\)"),
        (
            example._replace(image=example.labels),
            "image: expected float32, found int32",
        ),
        (
            example._replace(labels=example.image),
            "labels: expected integers, found float32",
        ),
        (
            example._replace(weights=tf.ones((7, 9, 8))),
            r"weights: expected.*\(7, 9, 8\)",
        ),
    ):
        with pytest.raises(ValueError, match=complaint):
            augmentation.augment(wrong, seed, options, SIZE)
