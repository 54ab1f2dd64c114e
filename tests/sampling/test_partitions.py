"""Classes by active fraction: arrays, volumes, google/ffn's own."""

from __future__ import annotations

import dataclasses

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.sampling import partitions

RULE = partitions.Rule((0.2, 0.5), (1, 2, 3))


@pytest.fixture
def labels() -> volume.Volume:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 5, (4, 5, 6)).astype(np.uint64)
    array = coarse.repeat(4, 0).repeat(5, 1).repeat(6, 2)
    return volume.from_array(array, start=(3, 7, -2), voxel_size_nm=(40, 8, 8))


def test_classes() -> None:
    rule = partitions.Rule((0.25, 0.5, 1.0), (0, 0, 1))  # of 3 voxels
    assert rule.classes().tolist() == [1, 2, 3, 4]


def test_by_hand() -> None:
    array = np.array([5, 5, 5, 5, 0, 8, 5, 5, 5]).reshape(1, 1, 9)
    rule = partitions.Rule((0.5, 0.9), (0, 0, 1))
    found = partitions.partition(array, rule)
    # thirds:            3  3  2  -  1  2  3
    assert found.tolist() == [[[3, 3, 2, 0, 1, 2, 3]]]
    # 8 is not an object: background, and not 5's.
    kept = partitions.Rule((0.5, 0.9), (0, 0, 1), ids=np.array([5]))
    found = partitions.partition(array, kept)
    assert found.tolist() == [[[3, 3, 2, 0, 0, 2, 3]]]


def test_borders_can_be_ignored(labels: volume.Volume) -> None:
    plain = partitions.of_volume(labels, RULE).read()
    rule = dataclasses.replace(RULE, ignore_borders=True)
    found = partitions.of_volume(labels, rule).read()
    borders = volume.labels.borders(labels.read())
    assert borders.any() and not borders.all()
    np.testing.assert_array_equal(found, np.where(borders, 255, plain))
    with pytest.raises(ValueError, match="radius must be 1 or more"):
        partitions.Rule((0.5,), (0, 1, 1), ignore_borders=True)


def test_volume_is_its_array(labels: volume.Volume) -> None:
    found = partitions.of_volume(labels, RULE)
    assert found.domain == labels.domain
    assert found.voxel_size_nm == labels.voxel_size_nm
    whole = found.read()
    assert whole.dtype == np.uint8
    np.testing.assert_array_equal(
        whole[1:-1, 2:-2, 3:-3], partitions.partition(labels.read(), RULE)
    )
    whole[1:-1, 2:-2, 3:-3] = 255
    assert (whole == 255).all()


@hypothesis.settings(
    deadline=None,
    max_examples=20,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(st.data())
def test_any_box(labels: volume.Volume, data: st.DataObject) -> None:
    found = partitions.of_volume(labels, RULE)
    ends = []
    for first, last in zip(labels.domain.start, labels.domain.end):
        a = data.draw(st.integers(first, last - 1))
        ends.append((a, data.draw(st.integers(a + 1, last))))
    start, end = zip(*ends)
    box = volume.Box(start, end)
    at = box.relative_to(labels.domain.start).slices
    np.testing.assert_array_equal(found.read(box), found.read()[at])


def test_parts_of_a_large_box(
    labels: volume.Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = partitions.of_volume(labels, RULE).read()
    monkeypatch.setattr(partitions, "_PART", (5, 7, 9))
    found = partitions.of_volume(labels, RULE).read()
    np.testing.assert_array_equal(found, expected)


def test_spheres_and_masks(labels: volume.Volume) -> None:
    center = tuple(s + n // 2 for s, n in zip((3, 7, -2), labels.domain.size))
    plain = partitions.of_volume(labels, RULE).read()
    rule = partitions.Rule(
        RULE.thresholds,
        RULE.radius_zyx,
        spheres=(partitions.Sphere(center, 3),),
    )
    found = partitions.of_volume(labels, rule).read()
    z, y, x = np.mgrid[labels.domain.slices]
    inside = (z - center[0]) ** 2 + (y - center[1]) ** 2 + (
        x - center[2]
    ) ** 2 <= 9
    np.testing.assert_array_equal(found, np.where(inside, 255, plain))

    def masked(box: volume.Box) -> np.ndarray:
        z, y, x = np.ogrid[box.slices]
        return (z == center[0]) & (y == center[1]) & (x == center[2])

    rule = partitions.Rule(RULE.thresholds, RULE.radius_zyx, masked=masked)
    found = partitions.of_volume(labels, rule).read()
    near = (
        (abs(z - center[0]) <= 1)
        & (abs(y - center[1]) <= 2)
        & (abs(x - center[2]) <= 3)
    )
    np.testing.assert_array_equal(found, np.where(near, 255, plain))


def test_kept_ids() -> None:
    ids, counts = np.array([2, 5, 9], np.uint64), np.array([10, 3, 7])
    assert partitions.kept_ids(ids, counts, 7).tolist() == [2, 9]
    assert partitions.kept_ids(ids, counts, 1, [9, 5]).tolist() == [5, 9]
    with pytest.raises(ValueError, match=r"the largest has 10.*--min_size"):
        partitions.kept_ids(ids, counts, 11)
    with pytest.raises(ValueError, match=r"no voxel has the ids \[4\]"):
        partitions.kept_ids(ids, counts, 1, [4, 5])
    with pytest.raises(ValueError, match=r"has the ids \[-1, 18446744073709"):
        partitions.kept_ids(ids, counts, 1, [-1, 5, 2**64])


@pytest.mark.parametrize(
    "thresholds",
    [
        (),
        (0.5, 0.2),
        (0.2, 0.2),
        tuple(range(300)),
    ],
)
def test_thresholds_that_do_not_ascend(thresholds: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="must ascend"):
        partitions.Rule(thresholds, (1, 1, 1))


@pytest.mark.parametrize("share", [-0.1, 60.0, float("nan")])
def test_thresholds_that_are_no_shares(share: float) -> None:
    with pytest.raises(ValueError, match="0 to 1: found"):
        partitions.Rule((share,), (1, 1, 1))


def test_volume_smaller_than_the_box(labels: volume.Volume) -> None:
    with pytest.raises(ValueError, match="all voxels would be excluded"):
        partitions.of_volume(labels, partitions.Rule((0.5,), (8, 1, 1)))
