"""Grey levels and ids that come in parts; voxels that differ."""

import numpy as np

from ffn_tf.volume import voxel_statistics

NAN, INF = np.nan, np.inf


def test_statistics_of_what_comes_in_parts():
    voxels = np.random.default_rng(0).normal(7, 3, (5, 6, 7)).astype("f4")
    voxels[0] = 0
    seen = voxel_statistics.Statistics()
    for part in voxels:
        seen.add(part, "image")
    expected = (
        f"{voxels.min():g} to {voxels.max():g}, mean {voxels.mean():.1f}, "
        f"std {voxels.std():.1f}, 20.0 % zero, of 210 voxels in 5 boxes"
    )
    assert seen.said("image") == expected


def test_what_is_not_finite_is_counted():
    seen = voxel_statistics.Statistics()
    seen.add(np.array([1, 3, NAN, INF, 0, 4], np.float32), "image")
    seen.add(np.full(3, -INF, np.float32), "image")
    assert seen.said("image") == (
        "0 to 4, mean 2.0, std 1.6, 11.1 % zero, of 9 voxels in 2 boxes, of "
        "which 5 not finite"
    )


def test_nothing_is_finite():
    seen = voxel_statistics.Statistics()
    seen.add(np.full(2, NAN), "image")
    assert seen.said("image") == (
        "0.0 % zero, of 2 voxels in 1 box, of which 2 not finite"
    )
    assert not seen.least < seen.most


def test_ids_that_differ_by_one_of_many_bits_differ():
    ids = [np.array([2**63 + 1, 5], np.uint64)]
    others = [np.array([2**63, 5], np.uint64)]
    assert voxel_statistics.difference(ids, ids) == ""
    assert (
        "1 voxel differs from the first by up to"
        in voxel_statistics.difference(ids, others)
    )


def test_equal_nans_are_equal():
    one, other = np.array([NAN, INF, 1]), np.array([NAN, INF, 3])
    assert voxel_statistics.difference([one], [one.copy()]) == ""
    told = voxel_statistics.difference([one], [other])
    assert told == "1 voxel differs from the first by up to 2"
    told = voxel_statistics.difference([one, one], [other, one[::-1]])
    assert told == "3 voxels differ from the first by up to inf"
